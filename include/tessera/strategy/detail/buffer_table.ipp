// SPDX-License-Identifier: Apache-2.0
//
// The bodies of buffer_table.hpp.
#pragma once
#include "tessera/strategy/detail/buffer_table.hpp"

#include "tessera/cost/resharding_buffers.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::strategy::detail {

using VisitSharding = std::function<void(DynamicSharding)>;

// Visits `sharding` itself, and with some of its free axes partial.
TESSERA_INLINE void visit_partial(DynamicSharding sharding, const DynamicMesh& mesh,
                                  graph::ReductionSet reductions, const VisitSharding& visit) {
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

// Visits all shardings that split dims from `dim` on further.
TESSERA_INLINE void visit_splits(DynamicSharding sharding, const DynamicMesh& mesh,
                                 const Dims& dims, std::size_t dim, graph::ReductionSet reductions,
                                 const VisitSharding& visit) {
  if (dim == dims.size()) {
    visit_partial(sharding, mesh, reductions, visit);
    return;
  }
  visit_splits(sharding, mesh, dims, dim + 1, reductions, visit);
  for (Axis axis = 0; axis < mesh.rank(); ++axis)
    if (mesh.extent(axis) > 1 && sharding.is_replicated(axis) &&
        can_split(sharding, mesh, dims, dim, axis))
      visit_splits(sharding.with_split(dim, axis), mesh, dims, dim, reductions, visit);
}

TESSERA_INLINE void for_each_sharding(const DynamicMesh& mesh, const Dims& dims,
                                      graph::ReductionSet reductions, const VisitSharding& visit) {
  visit_splits(DynamicSharding::replicated(dims.size()), mesh, dims, 0, reductions, visit);
}

// The key of an ordered pair.
TESSERA_INLINE std::uint64_t key_of(PriceTable::Number a, PriceTable::Number b) {
  return std::uint64_t{a} << 32U | b;
}

TESSERA_INLINE BufferTable::BufferTable(PriceTable& prices, const DynamicMesh& mesh,
                                        const Dims& dims, graph::ReductionSet reductions)
    : prices_(prices) {
  constexpr std::size_t most_shardings = 512;  // three axes give a tensor of rank four 400
  all_.emplace();
  for_each_sharding(mesh, dims, reductions, [&](DynamicSharding sharding) {
    if (all_ && all_->size() == most_shardings) all_.reset();
    if (all_) all_->push_back(prices_.number_of(sharding));
  });
}

TESSERA_INLINE BufferBytes BufferTable::of_result(Number computed, Number output) {
  const auto [at, is_new] = results_.try_emplace(key_of(computed, output));
  if (is_new && is_finite(prices_.price(computed, output))) {
    const DynamicSharding from = prices_.sharding(computed), to = prices_.sharding(output);
    const auto owned = cost::result_buffers(prices_.tensor(), from, to, true);
    const auto unowned = cost::result_buffers(prices_.tensor(), from, to, false);
    at->second = {owned.during, unowned.during, unowned.after};
  }
  return at->second;
}

TESSERA_INLINE bool BufferTable::all_fit(Number y, Number x, Side& side) {
  if (y == x) return true;
  if (!all_) return false;
  const auto [at, is_new] = side.answers.try_emplace(key_of(y, x), true);
  if (!is_new) return at->second;
  const std::vector<BufferBytes>&of_y = bytes_at(y, side), &of_x = bytes_at(x, side);
  for (std::size_t i = 0; i < of_y.size() && at->second; ++i) at->second = fits(of_y[i], of_x[i]);
  return at->second;
}

TESSERA_INLINE const std::vector<BufferBytes>& BufferTable::bytes_at(Number end, Side& side) {
  std::vector<BufferBytes>& result = side.bytes[end];
  if (!result.empty()) return result;
  for (const Number other : *all_)
    result.push_back(side.is_needed ? of_operand(other, end) : of_operand(end, other));
  return result;
}

// An operand that can not be resharded at all takes nothing.
TESSERA_INLINE BufferBytes BufferTable::of_operand(Number from, Number to) {
  if (!is_finite(prices_.price(from, to))) return {};
  const DynamicSharding before = prices_.sharding(from), after = prices_.sharding(to);
  const auto owned = cost::operand_buffers(prices_.tensor(), before, after, true);
  const auto unowned = cost::operand_buffers(prices_.tensor(), before, after, false);
  return {owned.during, unowned.during, unowned.after};
}

TESSERA_INLINE BufferTable& BufferTables::of(PriceTable& prices, const Dims& dims) {
  return tables_.try_emplace(&prices, prices, mesh_, dims, reductions_).first->second;
}

}  // namespace tessera::strategy::detail
