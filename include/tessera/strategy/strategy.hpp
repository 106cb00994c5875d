// SPDX-License-Identifier: Apache-2.0
//
// A strategy: which mesh axis splits which factor of an op, and what becomes of partial results.
//
// It fixes the sharding of every operand and result.  Where splitting leaves the result partial,
// the strategy also says in which sharding the result is handed on: still partial, reduced to
// copies, or reduced and scattered.  What that costs is cost/'s concern; which strategies there are
// is enumerate.hpp's.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tessera/graph/rule.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"

namespace tessera::strategy {

using graph::FactorKind;
using graph::RuleLike;

// What one mesh axis does for an op.
struct AxisUse {
  Axis axis = 0;
  // Whether the axis lets partial results pass through, and of which reduction; none: it splits.
  Reduction passed = Reduction::none;
  // The factor that is split, or the rule's pass that is taken: as `passed` says.
  graph::FactorId target = 0;

  constexpr bool splits(graph::FactorId factor) const noexcept {
    return passed == Reduction::none && target == factor;
  }
  friend constexpr bool operator==(const AxisUse&, const AxisUse&) noexcept = default;
};

struct Strategy {
  // The axes in use; those that split one factor stand in major to minor order.
  InlineVector<AxisUse, max_axes> uses;
  // The sharding in which a single result is handed on.  Rules with several results hand each on as
  // it is computed, and this is the first one's.
  DynamicSharding handed_on;

  constexpr bool is_idle(std::size_t axis) const noexcept {
    for (const AxisUse& use : uses)
      if (use.axis == axis) return false;
    return true;
  }
  friend constexpr bool operator==(const Strategy&, const Strategy&) = default;
};

// What one device has of a factor, at most.
template<RuleLike R, MeshLike M>
constexpr Extent local_size(const R& rule, const M& mesh, const Strategy& strategy,
                            std::size_t factor) {
  Extent ways = 1;
  for (const AxisUse& use : strategy.uses)
    if (use.splits(static_cast<graph::FactorId>(factor))) ways *= mesh.extent(use.axis);
  return ceil_div(rule.factor(factor).size, ways);
}

// The axes that split one dim of one tensor, major first.
template<RuleLike R>
constexpr AxisList axes_of_dim(const R& rule, const Strategy& strategy, std::size_t tensor,
                               std::size_t dim) {
  AxisList axes;
  for (const graph::FactorId factor : rule.dim(tensor, dim))
    for (const AxisUse& use : strategy.uses)
      if (use.splits(leader_of(rule, factor))) axes.push_back(use.axis);
  return axes;
}

// The reduction that `use` leaves the tensor partial with; none where it does not.
template<RuleLike R>
constexpr Reduction partial_after(const R& rule, const AxisUse& use, std::size_t tensor) {
  const bool is_result = tensor >= rule.operand_count();
  if (use.passed != Reduction::none)
    return is_result || rule.pass(use.target).takes(tensor) ? use.passed : Reduction::none;
  const graph::Factor& factor = rule.factor(use.target);
  if (factor.kind != FactorKind::reduction) return Reduction::none;
  const bool is_accumulator = factor.accumulator == static_cast<std::int64_t>(tensor);
  return is_result || is_accumulator ? factor.reduction : Reduction::none;
}

// The sharding that an operand must have, or that a result has when it is computed.
// @pre the enumerator's; O(dims * axes)
template<RuleLike R>
constexpr DynamicSharding sharding_of(const R& rule, const Strategy& strategy, std::size_t tensor) {
  DynamicSharding sharding = DynamicSharding::replicated(rule.rank(tensor));
  for (std::size_t dim = 0; dim < rule.rank(tensor); ++dim)
    for (const Axis axis : axes_of_dim(rule, strategy, tensor, dim))
      sharding = sharding.with_split(dim, axis);
  for (const AxisUse& use : strategy.uses)
    if (const Reduction partial = partial_after(rule, use, tensor); partial != Reduction::none)
      sharding = sharding.with_partial(use.axis, partial);
  return sharding;
}

// The sharding in which result `r` leaves the op.
template<RuleLike R>
constexpr DynamicSharding result_sharding(const R& rule, const Strategy& strategy, std::size_t r) {
  if (rule.result_count() == 1) return strategy.handed_on;
  return sharding_of(rule, strategy, rule.operand_count() + r);
}

}  // namespace tessera::strategy
