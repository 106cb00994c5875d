// SPDX-License-Identifier: Apache-2.0
//
// The extents of a mesh as text.
#pragma once
#include "tessera/mesh/detail/extents.hpp"

namespace tessera::detail {

TESSERA_INLINE std::string extents_text(const Extent* extents, std::size_t rank) {
  if (rank == 0) return "()";
  std::string text;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (axis != 0) text += 'x';
    text += extents[axis] == dynamic ? std::string("?") : std::to_string(extents[axis]);
  }
  return text;
}

TESSERA_INLINE std::string mesh_text(const Extent* extents, std::size_t rank, MeshFault fault) {
  std::string text = "mesh " + extents_text(extents, rank);
  if (fault.first >= 0 && fault.rule != MeshRule::too_many_axes)
    text += (fault.rule == MeshRule::no_such_device ? ", device " : ", axis ") +
            std::to_string(fault.first);
  return text;
}

}  // namespace tessera::detail
