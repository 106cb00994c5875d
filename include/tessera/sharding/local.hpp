// SPDX-License-Identifier: Apache-2.0
//
// The shard of one device: its sizes, and its slice of the whole tensor.
//
// A dim of size D that is split n ways falls into n equal tiles of ceil(D / n), as in XLA and
// Shardy: where n does not divide D, the last tiles are short or empty.
#pragma once
#include "tessera/sharding/dynamic_sharding.hpp"

namespace tessera {

/// Consecutive indices of one dim.
struct Range {
  Extent begin = 0;
  Extent end = 0;  ///< one past the last

  constexpr Extent size() const noexcept { return end - begin; }
  friend constexpr bool operator==(const Range&, const Range&) noexcept = default;
};

/// A box of a tensor: one range per dim.
using Slice = InlineVector<Range, max_dims>;

namespace detail {

// The first axis in use that the mesh does not have, if any: such a sharding is another mesh's.
template<ShardingLike S, MeshLike M>
constexpr ShardingFault find_foreign_axis(const S& sharding, const M& mesh) {
  AxisSet used = sharding.partial_axes();
  for (std::size_t dim = 0; dim < sharding.rank(); ++dim)
    for (const Axis axis : sharding.axes(dim)) used.insert(axis);
  const AxisSet foreign = used - all_axes(mesh);
  if (foreign.empty()) return {};
  return {ShardingRule::no_such_axis, foreign.to_list()[0]};
}

// Throw InvalidSharding: "sharding [[2]] on mesh 2x4, axis 2: ...", "sharding ... of a tensor ...".
[[noreturn]] void refuse_axis(DynamicSharding sharding, const DynamicMesh& mesh,
                              ShardingFault fault);
[[noreturn]] void refuse_dims(DynamicSharding sharding, const Dims& dims, ShardingFault fault);

}  // namespace detail

/// Throws InvalidSharding where the sharding names an axis that the mesh does not have.
template<ShardingLike S, MeshLike M>
constexpr void check_axes(const S& sharding, const M& mesh) {
  if (const ShardingFault fault = detail::find_foreign_axis(sharding, mesh))
    detail::refuse_axis(to_dynamic(sharding), to_dynamic(mesh), fault);
}

/// Throws InvalidSharding where the sharding can not be one of a tensor with these dims: they are
/// fewer than it has, or one of them is negative.
template<ShardingLike S>
constexpr void check_dims(const S& sharding, const Dims& dims) {
  ShardingFault fault = detail::find_shape_fault(dims.data(), dims.size());
  if (sharding.rank() > dims.size())
    fault = {ShardingRule::more_dims_than_tensor, static_cast<std::int64_t>(sharding.rank()),
             static_cast<std::int64_t>(dims.size())};
  if (fault) detail::refuse_dims(to_dynamic(sharding), dims, fault);
}

/// Into how many tiles `dim` is cut.  @pre dim < sharding.rank(), the sharding is one on this mesh
template<ShardingLike S, MeshLike M>
constexpr Extent shard_count(const S& sharding, const M& mesh, std::size_t dim) {
  Extent count = 1;
  for (const Axis axis : sharding.axes(dim)) count *= mesh.extent(axis);
  return count;
}

/// The dims of the largest shard, which is what every device sets memory aside for.  Dims that the
/// sharding does not mention are whole.  Throws InvalidSharding where it mentions too many, or an
/// axis that the mesh does not have.
template<ShardingLike S, MeshLike M>
constexpr Dims local_shape(const S& sharding, const M& mesh, Dims dims) {
  check_dims(sharding, dims);
  check_axes(sharding, mesh);
  for (std::size_t dim = 0; dim < sharding.rank(); ++dim)
    dims[dim] = ceil_div(dims[dim], shard_count(sharding, mesh, dim));
  return dims;
}

/// Whether cutting a dim of `size`, already in `parts` tiles, a further `ways` ways leaves every
/// new tile inside one old tile, and no fewer elements than tiles.  Where it does not (10 cut in 2,
/// then in 4: tiles of 5, tiles of 2), going from one to the other would move data that a slice
/// does not.
/// @pre parts >= 1, ways >= 1
constexpr bool nests(Extent size, Extent parts, Extent ways) noexcept {
  if (ways == 1) return true;
  if (parts > size / ways) return false;
  return parts == 1 || ceil_div(size, parts * ways) * ways == ceil_div(size, parts);
}

/// Which tile of `dim` the device holds.  @pre as for shard_count
template<ShardingLike S, MeshLike M>
constexpr Extent tile_index(const S& sharding, const M& mesh, std::size_t dim,
                            const Coordinates& device) {
  Extent index = 0;
  for (const Axis axis : sharding.axes(dim)) index = index * mesh.extent(axis) + device[axis];
  return index;
}

/// The part of the tensor that `device` holds, clipped to the tensor: possibly empty.  Devices that
/// differ only along replicated or partial axes hold the same slice.
/// Throws InvalidSharding, or InvalidMesh where the mesh has no such device.
template<ShardingLike S, MeshLike M>
constexpr Slice slice_of(const S& sharding, const M& mesh, const Dims& dims, Device device) {
  const Dims tile = local_shape(sharding, mesh, dims);
  const Coordinates coordinates = coordinates_of(mesh, device);
  Slice slice;
  for (std::size_t dim = 0; dim < dims.size(); ++dim) {
    const Extent index = dim < sharding.rank() ? tile_index(sharding, mesh, dim, coordinates)
                                               : Extent{0};
    // Compared before they are multiplied and added, which near 2^63 would overflow.
    const bool is_past_end = tile[dim] == 0 || index > dims[dim] / tile[dim];
    const Extent begin = is_past_end ? dims[dim] : index * tile[dim];
    const Extent end = dims[dim] - begin < tile[dim] ? dims[dim] : begin + tile[dim];
    slice.push_back({begin, end});
  }
  return slice;
}

}  // namespace tessera

#ifdef TESSERA_HEADER_ONLY
#include "tessera/sharding/local.ipp"
#endif
