// SPDX-License-Identifier: Apache-2.0
//
// A strategy: which mesh axis splits which factor of an op, and how partial sums are finished.
//
// It fixes the sharding of every operand and result.  Where splitting leaves the result partial,
// the strategy also states the output sharding: still partial, reduced to copies, or reduced and
// scattered.  Its price is the concern of cost/; enumerate.hpp lists the strategies.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tessera/graph/rule.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"

namespace tessera::strategy {

using graph::FactorKind;
using graph::RuleLike;

/// The part of one mesh axis in a strategy.
struct AxisUse {
  Axis axis = 0;
  /// Where partial sums pass through the op: their reduction.  None: the axis splits a factor.
  Reduction passed = Reduction::none;
  /// The factor that is split, or the rule's pass that is taken: as `passed` says.
  graph::FactorId target = 0;

  constexpr bool splits(graph::FactorId factor) const noexcept {
    return passed == Reduction::none && target == factor;
  }
  friend constexpr bool operator==(const AxisUse&, const AxisUse&) noexcept = default;
};

/// A way to run an op: it fixes the sharding of every operand and result.
struct Strategy {
  /// The axes in use; those that split one factor stand in major to minor order.
  InlineVector<AxisUse, max_axes> uses;
  /// The output sharding of a single result.  Rules with several results leave each as it is
  /// computed, and this is the first one's.
  DynamicSharding output_sharding;

  constexpr bool is_idle(std::size_t axis) const noexcept {
    for (const AxisUse& use : uses)
      if (use.axis == axis) return false;
    return true;
  }
  friend constexpr bool operator==(const Strategy&, const Strategy&) = default;
};

/// The size of a factor on one device, at most.
template<RuleLike R, MeshLike M>
constexpr Extent local_size(const R& rule, const M& mesh, const Strategy& strategy,
                            std::size_t factor) {
  Extent ways = 1;
  for (const AxisUse& use : strategy.uses)
    if (use.splits(static_cast<graph::FactorId>(factor))) ways *= mesh.extent(use.axis);
  return ceil_div(rule.factor(factor).size, ways);
}

/// The axes that split one dim of one tensor, major first.
template<RuleLike R>
constexpr AxisList axes_of_dim(const R& rule, const Strategy& strategy, std::size_t tensor,
                               std::size_t dim) {
  AxisList axes;
  for (const graph::FactorId factor : rule.dim(tensor, dim))
    for (const AxisUse& use : strategy.uses)
      if (use.splits(leader_of(rule, factor))) axes.push_back(use.axis);
  return axes;
}

/// The reduction of the partial sums that `use` leaves in the tensor; none where it leaves none.
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

/// The sharding that an operand must have, or that a result has when it is computed.
/// @pre the enumerator's; O(dims * axes)
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

/// The output sharding of result `r`.
template<RuleLike R>
constexpr DynamicSharding result_sharding(const R& rule, const Strategy& strategy, std::size_t r) {
  if (rule.result_count() == 1) return strategy.output_sharding;
  return sharding_of(rule, strategy, rule.operand_count() + r);
}

}  // namespace tessera::strategy
