// SPDX-License-Identifier: Apache-2.0
//
// Errors of axis sets.
#pragma once
#include "tessera/mesh/axis_set.hpp"

namespace tessera {

TESSERA_INLINE void AxisSet::refuse(std::size_t axis) {
  throw InvalidMesh("axis " + std::to_string(axis) + " of a mesh of at most eight",
                    MeshFault{MeshRule::no_such_axis, static_cast<std::int64_t>(axis)});
}

}  // namespace tessera
