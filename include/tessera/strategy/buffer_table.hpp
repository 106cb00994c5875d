// SPDX-License-Identifier: Apache-2.0
//
// Whether one sharding of a tensor can stand in for another in the room that reshardings take.
//
// Under a memory budget a strategy stands in for another one only if no neighbour's resharding
// needs a larger buffer for that (cost/resharding_buffers.hpp).  The shardings that neighbours hand
// on or need are not known when a column is made, so every one that the tensor can have is asked.
// Where they are too many, a sharding stands in for itself alone, which is always safe.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "tessera/cost/resharding.hpp"
#include "tessera/cost/resharding_buffers.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/mesh/axis_set.hpp"
#include "tessera/sharding/reshard.hpp"
#include "tessera/strategy/price_table.hpp"

namespace tessera::strategy {

namespace detail {

// `sharding` itself, and with some of its free axes partial.
template<class Visit>
void for_each_partial(DynamicSharding sharding, const DynamicMesh& mesh,
                      graph::ReductionSet reductions, Visit&& visit) {
  visit(sharding);
  AxisList free;
  for (Axis axis = 0; axis < mesh.rank(); ++axis)
    if (mesh.extent(axis) > 1 && sharding.is_replicated(axis)) free.push_back(axis);
  for (unsigned r = 1; r < 8; ++r) {
    if ((reductions & (1U << r)) == 0) continue;
    for (unsigned chosen = 1; chosen < (1U << free.size()); ++chosen) {
      DynamicSharding partial = sharding;
      for (std::size_t i = 0; i < free.size(); ++i)
        if ((chosen & (1U << i)) != 0)
          partial = partial.with_partial(free[i], static_cast<Reduction>(r));
      visit(partial);
    }
  }
}

template<class Visit>
void for_each_sharding(DynamicSharding sharding, const DynamicMesh& mesh, const Dims& dims,
                       std::size_t dim, graph::ReductionSet reductions, Visit&& visit) {
  if (dim == dims.size()) {
    for_each_partial(sharding, mesh, reductions, visit);
    return;
  }
  for_each_sharding(sharding, mesh, dims, dim + 1, reductions, visit);
  for (Axis axis = 0; axis < mesh.rank(); ++axis)
    if (mesh.extent(axis) > 1 && sharding.is_replicated(axis) &&
        can_split(sharding, mesh, dims, dim, axis))
      for_each_sharding(sharding.with_split(dim, axis), mesh, dims, dim, reductions, visit);
}

}  // namespace detail

// Calls visit(sharding) once for every sharding that a tensor can have whose partial results are of
// these reductions, but for those that differ from one of them only in axes of one device.
template<class Visit>
void for_each_sharding(const DynamicMesh& mesh, const Dims& dims, graph::ReductionSet reductions,
                       Visit&& visit) {
  detail::for_each_sharding(DynamicSharding::replicated(dims.size()), mesh, dims, 0, reductions,
                            visit);
}

// Bytes per device that a resharding takes beside the tensor: at most while it is on its way, where
// that is read from memory and where it is only computed; and from then on.
struct Room {
  Extent from_memory = 0, from_kernel = 0, after = 0;

  friend constexpr bool fits(const Room& room, const Room& other) noexcept {
    return room.from_memory <= other.from_memory && room.from_kernel <= other.from_kernel &&
           room.after <= other.after;
  }
};

// Of the tensors of one size.  Shardings have the numbers that their prices go by.
class BufferTable {
 public:
  using Prices = PriceTable;
  using Number = Prices::Number;

  // `reductions`: of the partial results that the program can have.
  BufferTable(Prices& prices, const DynamicMesh& mesh, const Dims& dims,
              graph::ReductionSet reductions)
      : prices_(prices) {
    all_.emplace();
    for_each_sharding(mesh, dims, reductions, [&](DynamicSharding sharding) {
      if (all_ && all_->size() == most_shardings) all_.reset();
      if (all_) all_->push_back(prices_.number_of(sharding));
    });
  }

  // Whether a reader that needs `y` never takes more than one that needs `x`.
  bool needs_no_more(Number y, Number x) { return all_fit(y, x, needed_); }
  // Whether readers never take more where `y` is handed on than where `x` is.
  bool leaves_no_more(Number y, Number x) { return all_fit(y, x, handed_on_); }

  // Of an op's result, computed as the one and handed on as the other.
  Room of_result(Number computed, Number handed_on) {
    const auto [at, is_new] = results_.try_emplace(key_of(computed, handed_on));
    if (is_new && is_finite(prices_.price(computed, handed_on))) {
      const auto owned = result_buffers(computed, handed_on, true);
      const auto unowned = result_buffers(computed, handed_on, false);
      at->second = {owned.during, unowned.during, unowned.after};
    }
    return at->second;
  }

 private:
  // Three axes give a tensor of rank four 400 shardings.
  static constexpr std::size_t most_shardings = 512;

  // Rooms to or from all shardings, by the one at the other end, and what was asked of pairs.
  struct Side {
    bool is_needed = false;  // the other end is what is needed
    std::unordered_map<Number, std::vector<Room>> rooms;
    std::unordered_map<std::uint64_t, bool> answers;
  };

  static std::uint64_t key_of(Number a, Number b) { return std::uint64_t{a} << 32U | b; }

  bool all_fit(Number y, Number x, Side& side) {
    if (y == x) return true;
    if (!all_) return false;
    const auto [at, is_new] = side.answers.try_emplace(key_of(y, x), true);
    if (!is_new) return at->second;
    const std::vector<Room>&of_y = rooms(y, side), &of_x = rooms(x, side);
    for (std::size_t i = 0; i < of_y.size() && at->second; ++i) at->second = fits(of_y[i], of_x[i]);
    return at->second;
  }

  const std::vector<Room>& rooms(Number end, Side& side) {
    std::vector<Room>& result = side.rooms[end];
    if (!result.empty()) return result;
    for (const Number other : *all_)
      result.push_back(side.is_needed ? of_operand(other, end) : of_operand(end, other));
    return result;
  }

  // Of an operand.  What can not be brought at all takes nothing.
  Room of_operand(Number from, Number to) {
    if (!is_finite(prices_.price(from, to))) return {};
    const auto owned = operand_buffers(from, to, true), unowned = operand_buffers(from, to, false);
    return {owned.during, unowned.during, unowned.after};
  }

  cost::ReshardingBuffers operand_buffers(Number from, Number to, bool owns) {
    return cost::operand_buffers(prices_.tensor(), prices_.sharding(from), prices_.sharding(to),
                                 owns);
  }
  cost::ReshardingBuffers result_buffers(Number from, Number to, bool owns) {
    return cost::result_buffers(prices_.tensor(), prices_.sharding(from), prices_.sharding(to),
                                owns);
  }

  Prices& prices_;
  std::optional<std::vector<Number>> all_;  // nothing where they are too many
  Side needed_{true, {}, {}}, handed_on_{false, {}, {}};
  std::unordered_map<std::uint64_t, Room> results_;
};

// The same for every tensor of a program.
class BufferTables {
 public:
  BufferTables(const DynamicMesh& mesh, graph::ReductionSet reductions)
      : mesh_(mesh), reductions_(reductions) {}

  // Valid as long as this object and the prices live.
  BufferTable& of(PriceTable& prices, const Dims& dims) {
    return tables_.try_emplace(&prices, prices, mesh_, dims, reductions_).first->second;
  }

 private:
  DynamicMesh mesh_;
  graph::ReductionSet reductions_;
  std::unordered_map<const void*, BufferTable> tables_;
};

}  // namespace tessera::strategy
