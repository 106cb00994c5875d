// SPDX-License-Identifier: Apache-2.0
//
// A mesh whose axes are cut into their prime factors, so that a dim can be split over a part of an
// axis, or two dims over one.
//
// Devices keep their numbers: an axis of 8 becomes axes of 2, 2 and 2, major first, in its place.
// More can be said with the axes of the refined mesh, and so more must be searched.
#pragma once
#include <cstddef>
#include <span>

#include "tessera/mesh/mesh.hpp"

namespace tessera {

/// A mesh of prime extents, and the axes it was made from.
struct RefinedMesh {
  DynamicMesh mesh;
  AxisList origins;  ///< of each of its axes: the axis that it is a part of
};

/// Cuts every axis into its prime factors.  Throws InvalidMesh where there would be too many axes.
///  O(sum of the extents' square roots)
template<MeshLike M>
constexpr RefinedMesh refined(const M& mesh) {
  // An extent has less than 64 prime factors; of too many axes the mesh itself complains.
  InlineVector<Extent, 64 * max_axes> extents;
  AxisList origins;
  for (Axis axis = 0; axis < mesh.rank(); ++axis) {
    const std::size_t before = extents.size();
    Extent rest = mesh.extent(axis);
    for (Extent prime = 2; prime <= rest / prime; ++prime)
      for (; rest % prime == 0 && rest != prime; rest /= prime) extents.push_back(prime);
    if (rest > 1 || extents.size() == before) extents.push_back(rest);
    origins.resize(extents.size() < max_axes ? extents.size() : max_axes, axis);
  }
  return {DynamicMesh(std::span<const Extent>(extents.data(), extents.size())), origins};
}

}  // namespace tessera
