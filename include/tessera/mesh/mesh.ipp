// SPDX-License-Identifier: Apache-2.0
//
// Meshes as text.
#pragma once
#include "tessera/mesh/mesh.hpp"

namespace tessera {

TESSERA_INLINE std::string to_string(const DynamicMesh& mesh) {
  Extent extents[max_axes + 1] = {};
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis) extents[axis] = mesh.extent(axis);
  return detail::extents_text(extents, mesh.rank());
}

TESSERA_INLINE void detail::refuse(const DynamicMesh& mesh, MeshFault fault) {
  std::string where = "mesh " + to_string(mesh);
  where += (fault.rule == MeshRule::no_such_device ? ", device " : ", axis ") +
           std::to_string(fault.first);
  throw InvalidMesh(where, fault);
}

}  // namespace tessera
