// SPDX-License-Identifier: Apache-2.0
//
// The steps of a plan, as one device takes them: what it had in one sharding it has in another.
//
// Which elements go where follows from the shardings alone: what a device sends another is what it
// holds of what the other is to hold.  Collectives take blocks of one size, so where shards are
// uneven, blocks are as large as the largest and the rest of them is padding, which is sent but
// does not count as payload: payloads are what a plan predicts, exactly.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/movement.hpp"
#include "tessera/executor/reduction.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/strategy/halo.hpp"

namespace tessera::executor {

template<Communicator C>
class Exchange {
 public:
  Exchange(const DynamicMesh& mesh, C& comm)
      : mesh_(mesh), comm_(comm), own_(coordinates_of(mesh, comm.rank())) {}

  // The part in the sharding after the step.  Adds to `payload` the bytes without padding: of an
  // all-reduce and a reduce-scatter the device's operand, of an all-gather and an all-to-all too,
  // of which a group's together make the message; of a halo exchange what it sends.
  // `label` names the step to the communicator.  A halo exchange needs the op's rule.
  OwnedPart run(const plan::PlannedStep& planned, const graph::Rule& rule, const Part& part,
                std::string_view label, Extent& payload) {
    const Step& step = planned.step;
    if (planned.is_collective() && step.kind != StepKind::halo_exchange)
      payload += static_cast<Extent>(part.tensor->byte_size());
    switch (step.kind) {
      case StepKind::slice: return cut(part, slice_after(planned, part, comm_.rank()));
      case StepKind::mask: return masked(planned, part);
      case StepKind::all_reduce: return all_reduced(planned, part, label);
      case StepKind::all_gather: return gathered(planned, part, label);
      case StepKind::reduce_scatter: return scattered(planned, part, label);
      case StepKind::all_to_all: return redistributed(planned, part, label);
      case StepKind::halo_exchange: return with_halo(planned, rule, part, label, payload);
    }
    throw InternalError("a step of no kind");
  }

  Slice slice(DynamicSharding sharding, const Dims& dims, Device device) const {
    return slice_of(sharding, mesh_, dims, device);
  }
  Slice slice(DynamicSharding sharding, const Dims& dims) const {
    return slice(sharding, dims, comm_.rank());
  }

 private:
  Slice slice_before(const plan::PlannedStep& planned, const Part& part, Device device) const {
    return slice(planned.before, part.whole, device);
  }
  Slice slice_after(const plan::PlannedStep& planned, const Part& part, Device device) const {
    return slice(planned.after, part.whole, device);
  }
  std::vector<Device> group_over(AxisSet axes) const { return group_of(mesh_, axes, comm_.rank()); }
  std::vector<Device> group_of_step(const plan::PlannedStep& planned) const {
    return group_over(AxisSet{planned.step.axis});
  }

  // The first device along the axis keeps the values, the others have what changes nothing.
  OwnedPart masked(const plan::PlannedStep& planned, const Part& part) const {
    OwnedPart result(TensorType{part.element(), part.whole}, part.slice);
    if (own_[planned.step.axis] == 0)
      copy_common(part, result);
    else
      fill_with_identity(planned.after.reduction(), result.tensor);
    return result;
  }

  OwnedPart all_reduced(const plan::PlannedStep& planned, const Part& part,
                        std::string_view label) {
    OwnedPart result(*part.tensor, part.slice, part.whole);
    with_storage(part.element(), [&]<class T>(std::type_identity<T>) {
      comm_.all_reduce(group_of_step(planned), planned.before.reduction(),
                       std::span(result.tensor.data<T>(), result.tensor.size()), label);
    });
    return result;
  }

  // --- Blocks ------------------------------------------------------------------------------------

  // Room for one block per member, each as large as the largest.
  struct Blocks {
    std::size_t element_bytes = 0, block_bytes = 0;
    std::vector<std::byte> bytes;

    Blocks(ElementType element, Extent elements, std::size_t count)
        : element_bytes(static_cast<std::size_t>(graph::bytes_of(element))),
          block_bytes(static_cast<std::size_t>(elements) * element_bytes),
          bytes(block_bytes * count) {}
    std::byte* at(std::size_t block) noexcept { return bytes.data() + block * block_bytes; }
    template<class T>
    std::span<T> as() noexcept {
      return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
    }
  };

  // A region of the part as a block's first elements, row-major; and back.
  static void pack(const Part& part, const Slice& region, Blocks& blocks, std::size_t block) {
    detail::copy_elements(blocks.element_bytes, loops_of(walks_over(region), part.slice, region),
                          part.tensor->bytes(), blocks.at(block));
  }
  static void unpack(Blocks& blocks, std::size_t block, const Slice& region, OwnedPart& part) {
    detail::copy_elements(blocks.element_bytes, loops_of(walks_over(region), region, part.slice),
                          blocks.at(block), part.tensor.bytes());
  }

  Extent largest(DynamicSharding sharding, const Part& part) const {
    return element_count(local_shape(sharding, mesh_, part.whole));
  }

  OwnedPart gathered(const plan::PlannedStep& planned, const Part& part, std::string_view label) {
    const std::vector<Device> group = group_of_step(planned);
    const Extent most = largest(planned.before, part);
    Blocks in(part.element(), most, 1), out(part.element(), most, group.size());
    pack(part, part.slice, in, 0);
    with_storage(part.element(), [&]<class T>(std::type_identity<T>) {
      comm_.all_gather(group, std::span<const T>(in.template as<T>()), out.template as<T>(), label);
    });
    return received(planned, part, group, out);
  }

  OwnedPart scattered(const plan::PlannedStep& planned, const Part& part, std::string_view label) {
    const std::vector<Device> group = group_of_step(planned);
    const Extent most = largest(planned.after, part);
    Blocks in = sent(planned, part, group, most), out(part.element(), most, 1);
    with_storage(part.element(), [&]<class T>(std::type_identity<T>) {
      comm_.reduce_scatter(group, planned.before.reduction(),
                           std::span<const T>(in.template as<T>()), out.template as<T>(), label);
    });
    OwnedPart result(TensorType{part.element(), part.whole},
                     slice_after(planned, part, comm_.rank()));
    unpack(out, 0, result.slice, result);
    return result;
  }

  OwnedPart redistributed(const plan::PlannedStep& planned, const Part& part,
                          std::string_view label) {
    const std::vector<Device> group = group_of_step(planned);
    Dims block = local_shape(planned.before, mesh_, part.whole);
    const std::size_t dim = planned.step.to_dim;
    block[dim] = local_shape(planned.after, mesh_, part.whole)[dim];
    const Extent most = element_count(block);
    Blocks in = sent(planned, part, group, most), out(part.element(), most, group.size());
    with_storage(part.element(), [&]<class T>(std::type_identity<T>) {
      comm_.all_to_all(group, std::span<const T>(in.template as<T>()), out.template as<T>(), label);
    });
    return received(planned, part, group, out);
  }

  // For each member what it is to have, of what is here.
  Blocks sent(const plan::PlannedStep& planned, const Part& part, std::span<const Device> group,
              Extent most) const {
    Blocks blocks(part.element(), most, group.size());
    for (std::size_t j = 0; j < group.size(); ++j)
      pack(part, intersection(part.slice, slice_after(planned, part, group[j])), blocks, j);
    return blocks;
  }
  // From each member what it had, of what is to be here.
  OwnedPart received(const plan::PlannedStep& planned, const Part& part,
                     std::span<const Device> group, Blocks& blocks) const {
    OwnedPart result(TensorType{part.element(), part.whole},
                     slice_after(planned, part, comm_.rank()));
    for (std::size_t j = 0; j < group.size(); ++j)
      unpack(blocks, j, intersection(slice_before(planned, part, group[j]), result.slice), result);
    return result;
  }

  // --- Halos -------------------------------------------------------------------------------------

  // One dim's tiles and rims, over all axes that split it.
  struct Tiles {
    std::size_t dim = 0;
    Extent size = 0, tile = 0, own = 0;  // of the dim, of a tile; which one is here
    strategy::Halo halo;
    std::vector<Device> group;
    std::vector<Extent> index;  // of the members'

    Range clipped(Extent begin, Extent end) const {
      const Extent first = std::clamp<Extent>(begin, 0, size);
      return {first, std::clamp<Extent>(end, first, size)};
    }
    Range held_by(Extent i) const { return clipped(i * tile, (i + 1) * tile); }
    // What tile i lacks below it, and above.
    Range below(Extent i) const { return common(clipped(i * tile - halo.low, i * tile), i - 1); }
    Range above(Extent i) const {
      return common(clipped((i + 1) * tile, (i + 1) * tile + halo.high), i + 1);
    }
    Range common(Range range, Extent neighbour) const {
      const Range held = held_by(neighbour);
      const Extent begin = std::max(range.begin, held.begin);
      return {begin, std::max(begin, std::min(range.end, held.end))};
    }
  };

  Tiles tiles_of(const plan::PlannedStep& planned, const graph::Rule& rule,
                 const Part& part) const {
    Tiles tiles;
    tiles.dim = planned.step.from_dim;
    tiles.size = part.whole[tiles.dim];
    const Extent count = shard_count(planned.before, mesh_, tiles.dim);
    tiles.tile = ceil_div(tiles.size, count);
    tiles.halo = strategy::halo_of(rule, rule.dim(*planned.operand, tiles.dim)[0], count);
    AxisSet axes;
    for (const Axis axis : planned.before.axes(tiles.dim)) axes.insert(axis);
    tiles.group = group_over(axes);
    for (const Device device : tiles.group)
      tiles.index.push_back(
          tile_index(planned.before, mesh_, tiles.dim, coordinates_of(mesh_, device)));
    tiles.own = tile_index(planned.before, mesh_, tiles.dim, own_);
    return tiles;
  }

  OwnedPart with_halo(const plan::PlannedStep& planned, const graph::Rule& rule, const Part& part,
                      std::string_view label, Extent& payload) {
    const Tiles tiles = tiles_of(planned, rule, part);
    Slice slice = part.slice;
    slice[tiles.dim] = tiles.clipped(tiles.own * tiles.tile - tiles.halo.low,
                                     (tiles.own + 1) * tiles.tile + tiles.halo.high);
    OwnedPart result(TensorType{part.element(), part.whole}, slice);
    move(part, result, walks_over(intersection(part.slice, slice)));
    if (tiles.halo.low > 0)
      shift(tiles, part, tiles.halo.low, 1, tiles.below(tiles.own + 1), tiles.below(tiles.own),
            label, payload, result);
    if (tiles.halo.high > 0)
      shift(tiles, part, tiles.halo.high, -1, tiles.above(tiles.own - 1), tiles.above(tiles.own),
            label, payload, result);
    return result;
  }

  // Every tile sends `given` to the one `by` tiles on, and gets `taken`.
  void shift(const Tiles& tiles, const Part& part, Extent width, Extent by, Range given,
             Range taken, std::string_view label, Extent& payload, OwnedPart& result) {
    std::vector<SourceTarget> arrows;
    for (std::size_t i = 0; i < tiles.group.size(); ++i)
      for (std::size_t j = 0; j < tiles.group.size(); ++j)
        if (tiles.index[j] == tiles.index[i] + by)
          arrows.push_back({tiles.group[i], tiles.group[j]});
    const auto count = static_cast<Extent>(tiles.group.size());
    const bool sends = tiles.own + by >= 0 && tiles.own + by < count;
    const bool gets = tiles.own - by >= 0 && tiles.own - by < count;
    Slice rim = part.slice;
    rim[tiles.dim] = {0, width};
    const Extent most = element_count(dims_of(rim));
    Blocks in(part.element(), most, 1), out(part.element(), most, 1);
    rim[tiles.dim] = given;
    if (sends) {
      pack(part, rim, in, 0);
      payload += element_count(dims_of(rim)) * graph::bytes_of(part.element());
    }
    with_storage(part.element(), [&]<class T>(std::type_identity<T>) {
      comm_.permute(tiles.group, arrows, std::span<const T>(in.template as<T>()),
                    out.template as<T>(), label);
    });
    rim[tiles.dim] = taken;
    if (gets) unpack(out, 0, rim, result);
  }

  DynamicMesh mesh_;
  C& comm_;
  Coordinates own_;
};

}  // namespace tessera::executor
