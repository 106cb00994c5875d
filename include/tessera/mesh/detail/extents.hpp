// SPDX-License-Identifier: Apache-2.0
//
// The extents of a mesh: the judge of them, their text, and the storage for those that a type
// leaves open.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/mesh/axis_set.hpp"
#include "tessera/mesh/extent.hpp"
#include "tessera/mesh/rules.hpp"

namespace tessera::detail {

// The judge of mesh extents; `dynamic` passes as an extent that is not known yet.
constexpr MeshFault find_mesh_fault(const Extent* extents, std::size_t rank) {
  if (rank > max_axes) return {MeshRule::too_many_axes, static_cast<std::int64_t>(rank)};
  Extent devices = 1;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const Extent extent = extents[axis];
    const auto at = static_cast<std::int64_t>(axis);
    if (extent == dynamic) continue;
    if (extent < 1) return {MeshRule::axis_without_devices, at, extent};
    if (extent > INT64_MAX / devices) return {MeshRule::too_many_devices, at, extent};
    devices *= extent;
  }
  return {};
}

// "2x?x4"; "()" where there are no axes.
std::string extents_text(const Extent* extents, std::size_t rank);

// "mesh 2x0, axis 1": where a fault is, before the sentence that says what it is.
std::string mesh_text(const Extent* extents, std::size_t rank, MeshFault fault);

// As many extents as a mesh type leaves open; nothing at all where it leaves none.
template<std::size_t Count>
struct StoredExtents {
  Extent values[Count]{};
  constexpr Extent get(std::size_t slot) const noexcept { return values[slot]; }
  constexpr void set(std::size_t slot, Extent extent) noexcept { values[slot] = extent; }
};
template<>
struct StoredExtents<0> {
  constexpr Extent get(std::size_t) const noexcept { return 1; }
  constexpr void set(std::size_t, Extent) noexcept {}
};

}  // namespace tessera::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/mesh/detail/extents.ipp"
#endif
