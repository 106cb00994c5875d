// SPDX-License-Identifier: Apache-2.0
//
// One function for each kind of step.
#pragma once
#include "tessera/executor/detail/running/exchange.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/executor/detail/kernels/movement.hpp"
#include "tessera/executor/detail/kernels/reduction.hpp"
#include "tessera/strategy/halo.hpp"

namespace tessera::executor::detail {

TESSERA_INLINE Slice slice_at(const MeshDevice& here, DynamicSharding sharding, const Dims& dims,
                              Device device) {
  return slice_of(sharding, here.mesh, dims, device);
}

// Everything that a step's function reads.
struct StepContext {
  const MeshDevice& here;
  const plan::PlannedStep& planned;
  const TensorView& part;
  std::string_view label;

  ElementType element() const noexcept { return part.element(); }
  // As elements are stored: truth values are bytes, and may be summed up.
  ElementType stored() const noexcept {
    return element() == ElementType::pred ? ElementType::u8 : element();
  }
  Slice before(Device device) const { return slice_at(here, planned.before, part.whole, device); }
  Slice after(Device device) const { return slice_at(here, planned.after, part.whole, device); }
  TensorPart empty_result() const {
    return TensorPart(TensorType{element(), part.whole}, after(here.device()));
  }
};

// The group over some axes, in the mesh's numbers.
inline std::vector<Device> group_on_mesh(const MeshDevice& here, AxisSet axes) {
  return group_of(here.mesh, axes, here.device());
}
inline std::vector<Device> group_of_step(const StepContext& step) {
  return group_on_mesh(step.here, AxisSet{step.planned.step.axis});
}
// The same in the communicator's numbers.
inline std::vector<Device> in_run(const MeshDevice& here, std::vector<Device> group) {
  for (Device& device : group) device += here.first;
  return group;
}

// The first device along the axis keeps the values, the others get the reduction's identity.
inline TensorPart masked(const StepContext& step) {
  const StepContext& s = step;
  TensorPart result(TensorType{s.element(), s.part.whole}, s.part.slice);
  if (coordinates_of(s.here.mesh, s.here.device())[s.planned.step.axis] == 0)
    copy_common(s.part, result);
  else
    fill_with_identity(s.planned.after.reduction(), result.tensor);
  return result;
}

inline TensorPart all_reduced(const StepContext& step) {
  TensorPart result(*step.part.tensor, step.part.slice, step.part.whole);
  step.here.comm.all_reduce(in_run(step.here, group_of_step(step)), step.planned.before.reduction(),
                            step.stored(), Bytes(result.tensor.bytes(), result.tensor.byte_size()),
                            step.label);
  return result;
}

// --- Blocks --------------------------------------------------------------------------------------

// Space for several blocks of one size.
struct Blocks {
  ElementType element;
  std::size_t block_bytes = 0;
  std::vector<std::byte> bytes;

  Blocks(ElementType of_element, Extent elements, std::size_t count)
      : element(of_element),
        block_bytes(static_cast<std::size_t>(elements * graph::bytes_of(of_element))),
        bytes(block_bytes * count) {}
  std::byte* at(std::size_t block) noexcept { return bytes.data() + block * block_bytes; }
};

// A region of the part as a block's first elements, row-major; and back.
inline void pack(const TensorView& part, const Slice& region, Blocks& blocks, std::size_t block) {
  copy_elements(blocks.element, loops_of(walks_over(region), part.slice, region),
                part.tensor->bytes(), blocks.at(block));
}
inline void unpack(Blocks& blocks, std::size_t block, const Slice& region, TensorPart& part) {
  copy_elements(blocks.element, loops_of(walks_over(region), region, part.slice), blocks.at(block),
                part.tensor.bytes());
}

inline Extent largest_shard(const StepContext& step, DynamicSharding sharding) {
  return element_count(local_shape(sharding, step.here.mesh, step.part.whole));
}

// A block for each member: the elements held here that it is to have.
inline Blocks blocks_for_members(const StepContext& step, std::span<const Device> group,
                                 Extent elements) {
  Blocks blocks(step.element(), elements, group.size());
  for (std::size_t j = 0; j < group.size(); ++j)
    pack(step.part, intersection(step.part.slice, step.after(group[j])), blocks, j);
  return blocks;
}
// From each member's block the elements it had that are to be here.
inline TensorPart from_members(const StepContext& step, std::span<const Device> group,
                               Blocks& blocks) {
  TensorPart result = step.empty_result();
  for (std::size_t j = 0; j < group.size(); ++j)
    unpack(blocks, j, intersection(step.before(group[j]), result.slice), result);
  return result;
}

inline TensorPart gathered(const StepContext& step) {
  const std::vector<Device> group = group_of_step(step);
  const Extent most = largest_shard(step, step.planned.before);
  Blocks in(step.element(), most, 1), out(step.element(), most, group.size());
  pack(step.part, step.part.slice, in, 0);
  step.here.comm.all_gather(in_run(step.here, group), step.stored(), ConstBytes(in.bytes),
                            Bytes(out.bytes), step.label);
  return from_members(step, group, out);
}

inline TensorPart scattered(const StepContext& step) {
  const std::vector<Device> group = group_of_step(step);
  const Extent most = largest_shard(step, step.planned.after);
  Blocks in = blocks_for_members(step, group, most), out(step.element(), most, 1);
  step.here.comm.reduce_scatter(in_run(step.here, group), step.planned.before.reduction(),
                                step.stored(), ConstBytes(in.bytes), Bytes(out.bytes), step.label);
  TensorPart result = step.empty_result();
  unpack(out, 0, result.slice, result);
  return result;
}

inline TensorPart exchanged(const StepContext& step) {
  const std::vector<Device> group = group_of_step(step);
  Dims block = local_shape(step.planned.before, step.here.mesh, step.part.whole);
  const std::size_t dim = step.planned.step.to_dim;
  block[dim] = local_shape(step.planned.after, step.here.mesh, step.part.whole)[dim];
  const Extent most = element_count(block);
  Blocks in = blocks_for_members(step, group, most), out(step.element(), most, group.size());
  step.here.comm.all_to_all(in_run(step.here, group), step.stored(), ConstBytes(in.bytes),
                            Bytes(out.bytes), step.label);
  return from_members(step, group, out);
}

// --- Halos ---------------------------------------------------------------------------------------

// One dim's tiles and halos, over all axes that shard it.
struct Tiles {
  std::size_t dim = 0;
  Extent size = 0, tile = 0, own = 0;  // of the dim, of a tile; the index of this device's tile
  strategy::Halo halo;
  std::vector<Device> group;  // on the mesh
  std::vector<Extent> index;  // of the members' tiles

  Range clipped_to_dim(Extent begin, Extent end) const {
    const Extent first = std::clamp<Extent>(begin, 0, size);
    return {first, std::clamp<Extent>(end, first, size)};
  }
  Range held_by(Extent i) const { return clipped_to_dim(i * tile, (i + 1) * tile); }
  // The halo of tile i below it and above it, as far as the neighbour holds it.
  Range below(Extent i) const {
    return common(clipped_to_dim(i * tile - halo.low, i * tile), i - 1);
  }
  Range above(Extent i) const {
    return common(clipped_to_dim((i + 1) * tile, (i + 1) * tile + halo.high), i + 1);
  }
  Range common(Range range, Extent neighbour) const {
    const Range held = held_by(neighbour);
    const Extent begin = std::max(range.begin, held.begin);
    return {begin, std::max(begin, std::min(range.end, held.end))};
  }
};

inline Tiles tiles_of(const StepContext& step, const graph::Rule& rule) {
  const plan::PlannedStep& planned = step.planned;
  const DynamicMesh& mesh = step.here.mesh;
  Tiles tiles;
  tiles.dim = planned.step.from_dim;
  tiles.size = step.part.whole[tiles.dim];
  const Extent count = shard_count(planned.before, mesh, tiles.dim);
  tiles.tile = ceil_div(tiles.size, count);
  tiles.halo = strategy::halo_of(rule, rule.dim(*planned.operand, tiles.dim)[0], count);
  AxisSet axes;
  for (const Axis axis : planned.before.axes(tiles.dim)) axes.insert(axis);
  tiles.group = group_on_mesh(step.here, axes);
  const auto index_of = [&](Device device) {
    return tile_index(planned.before, mesh, tiles.dim, coordinates_of(mesh, device));
  };
  for (const Device device : tiles.group) tiles.index.push_back(index_of(device));
  tiles.own = index_of(step.here.device());
  return tiles;
}

// A shift of halos by one tile: each tile sends `given` to the tile `by` tiles on, and gets
// `taken`.
struct HaloShift {
  Extent width = 0, by = 0;
  Range given, taken;
};

inline std::vector<Route> routes_of(const Tiles& tiles, Extent by, Device first) {
  std::vector<Route> routes;
  for (std::size_t i = 0; i < tiles.group.size(); ++i)
    for (std::size_t j = 0; j < tiles.group.size(); ++j)
      if (tiles.index[j] == tiles.index[i] + by)
        routes.push_back({first + tiles.group[i], first + tiles.group[j]});
  return routes;
}

inline void shift_halo(const StepContext& step, const Tiles& tiles, const HaloShift& shift,
                       Extent& payload, TensorPart& result) {
  const auto count = static_cast<Extent>(tiles.group.size());
  const bool sends = tiles.own + shift.by >= 0 && tiles.own + shift.by < count;
  const bool gets = tiles.own - shift.by >= 0 && tiles.own - shift.by < count;
  Slice halo = step.part.slice;
  halo[tiles.dim] = {0, shift.width};
  const Extent most = element_count(dims_of(halo));
  Blocks in(step.element(), most, 1), out(step.element(), most, 1);
  halo[tiles.dim] = shift.given;
  if (sends) {
    pack(step.part, halo, in, 0);
    payload += element_count(dims_of(halo)) * graph::bytes_of(step.element());
  }
  step.here.comm.permute(in_run(step.here, tiles.group),
                         routes_of(tiles, shift.by, step.here.first), step.stored(),
                         ConstBytes(in.bytes), Bytes(out.bytes), step.label);
  halo[tiles.dim] = shift.taken;
  if (gets) unpack(out, 0, halo, result);
}

inline TensorPart with_halo(const StepContext& step, const graph::Rule& rule, Extent& payload) {
  const Tiles tiles = tiles_of(step, rule);
  const Extent own = tiles.own;
  Slice slice = step.part.slice;
  slice[tiles.dim] = tiles.clipped_to_dim(own * tiles.tile - tiles.halo.low,
                                          (own + 1) * tiles.tile + tiles.halo.high);
  TensorPart result(TensorType{step.element(), step.part.whole}, slice);
  move(step.part, result, walks_over(intersection(step.part.slice, slice)));
  if (tiles.halo.low > 0)
    shift_halo(step, tiles, {tiles.halo.low, 1, tiles.below(own + 1), tiles.below(own)}, payload,
               result);
  if (tiles.halo.high > 0)
    shift_halo(step, tiles, {tiles.halo.high, -1, tiles.above(own - 1), tiles.above(own)}, payload,
               result);
  return result;
}

TESSERA_INLINE TensorPart take_step(const MeshDevice& here, const plan::PlannedStep& planned,
                                    const graph::Rule& rule, const TensorView& part,
                                    std::string_view label, Extent& payload) {
  const StepContext step{here, planned, part, label};
  const StepKind kind = planned.step.kind;
  if (planned.is_collective() && kind != StepKind::halo_exchange)
    payload += static_cast<Extent>(part.tensor->byte_size());
  switch (kind) {
    case StepKind::slice: return cut(part, step.after(here.device()));
    case StepKind::mask: return masked(step);
    case StepKind::all_reduce: return all_reduced(step);
    case StepKind::all_gather: return gathered(step);
    case StepKind::reduce_scatter: return scattered(step);
    case StepKind::all_to_all: return exchanged(step);
    case StepKind::halo_exchange: return with_halo(step, rule, payload);
  }
  throw InternalError("a step of no kind");
}

}  // namespace tessera::executor::detail
