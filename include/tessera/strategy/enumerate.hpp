// SPDX-License-Identifier: Apache-2.0
//
// Every strategy that a rule allows on a mesh.
//
// Each mesh axis either splits one factor, or lets partial results pass through, or stays idle; and
// the axes that split one factor do so in every order, S01 as well as S10.  What is generated and
// then refused is refused by is_valid, one predicate that knows only rules, meshes and shapes, and
// no opcode is named here.
//
// With n axes, f factors to split and p passes, all large enough, that makes
//
//   sum over k of  C(n, k) * f (f+1) ... (f+k-1) * (p+1)^(n-k)
//
// ways to run an op: k axes in f ordered lists, the others idle or passing.  Where a result is
// partial, each is multiplied by the ways to finish it (for_each_finish).
//
// Works in constant expressions:
//
//   static_assert(strategy::count(graph::rule_of<"mk,kn->mn", Shape<8, 8>, Shape<8, 8>>,
//                                 Mesh<4>()) == 7);
#pragma once
#include <array>
#include <cstddef>
#include <vector>

#include "tessera/sharding/local.hpp"
#include "tessera/sharding/reshard.hpp"
#include "tessera/strategy/halo.hpp"
#include "tessera/strategy/strategy.hpp"

namespace tessera::strategy {

struct EnumerateOptions {
  // Refuse strategies that leave an axis idle which could still split something.  For ops whose
  // work is worth spreading, under cost models that give it no price (Alpa's).
  bool use_every_axis = false;
  // The reductions whose partial results may pass through.
  graph::ReductionSet passes = graph::reduction_set(Reduction::sum);
  // Off: a partial sum is left as it is computed.  For results that are read once, whose
  // reader may as well finish them.
  bool finish = true;
  // Let an axis of one device stay idle always: splitting over it changes no placement and can only
  // add the price of a collective among one device.
  bool skip_unit_axes = true;
};

namespace detail {

// Whether a dim made of several factors can be cut as the strategy cuts them: a factor may be cut
// only where all before it are cut to size 1, and only evenly, or the shards would not be
// contiguous.
template<RuleLike R, MeshLike M>
constexpr bool merged_dim_is_contiguous(const R& rule, const M& mesh, const Strategy& strategy,
                                        std::size_t tensor, std::size_t dim) {
  bool all_before_cut_up = true;
  for (const graph::FactorId factor : rule.dim(tensor, dim)) {
    Extent ways = 1;
    for (const AxisUse& use : strategy.uses)
      if (use.splits(leader_of(rule, factor))) ways *= mesh.extent(use.axis);
    const Extent size = rule.factor(factor).size;
    if (ways > 1 && (!all_before_cut_up || size % ways != 0)) return false;
    all_before_cut_up = all_before_cut_up && size == ways;
  }
  return true;
}

template<RuleLike R, MeshLike M>
constexpr bool dim_is_valid(const R& rule, const M& mesh, const Strategy& strategy,
                            std::size_t tensor, std::size_t dim) {
  const auto factors = rule.dim(tensor, dim);
  if (factors.empty()) return true;
  if (factors.size() > 1) return merged_dim_is_contiguous(rule, mesh, strategy, tensor, dim);
  const Extent size = rule.factor(factors[0]).size;
  Extent parts = 1;
  for (const Axis axis : axes_of_dim(rule, strategy, tensor, dim)) {
    if (!nests(size, parts, mesh.extent(axis))) return false;
    parts *= mesh.extent(axis);
  }
  return parts == 1 || halo_fits(rule, factors[0], parts);
}

// Partial results of two different reductions can not meet in one tensor.
template<RuleLike R>
constexpr bool one_reduction(const R& rule, const Strategy& strategy, std::size_t tensor) {
  Reduction met = Reduction::none;
  for (const AxisUse& use : strategy.uses) {
    const Reduction partial = partial_after(rule, use, tensor);
    if (partial == Reduction::none) continue;
    if (met != Reduction::none && met != partial) return false;
    met = partial;
  }
  return true;
}

constexpr bool is_splittable(FactorKind kind) noexcept {
  return kind == FactorKind::parallel || kind == FactorKind::reduction;
}

}  // namespace detail

// Whether an op can run under these uses: shards are contiguous, tiles nest, halos come from next
// door, reductions agree.
template<RuleLike R, MeshLike M>
constexpr bool is_valid(const R& rule, const M& mesh, const Strategy& strategy) {
  for (const AxisUse& use : strategy.uses)
    if (use.passed == Reduction::none && !detail::is_splittable(rule.factor(use.target).kind))
      return false;
  for (std::size_t tensor = 0; tensor < rule.tensor_count(); ++tensor) {
    for (std::size_t dim = 0; dim < rule.rank(tensor); ++dim)
      if (!detail::dim_is_valid(rule, mesh, strategy, tensor, dim)) return false;
    if (!detail::one_reduction(rule, strategy, tensor)) return false;
  }
  return true;
}

namespace detail {

// Calls visit(Strategy) with one more use in the list, at every place that makes a difference: an
// axis that splits a factor goes before or after each of those that split it already.
template<class Visit>
constexpr void for_each_place(const Strategy& strategy, const AxisUse& use, Visit&& visit) {
  for (std::size_t place = 0; place <= strategy.uses.size(); ++place) {
    const bool is_end = place == strategy.uses.size();
    if (!is_end && (use.passed != Reduction::none || !strategy.uses[place].splits(use.target)))
      continue;
    Strategy extended;
    for (std::size_t i = 0; i < place; ++i) extended.uses.push_back(strategy.uses[i]);
    extended.uses.push_back(use);
    for (std::size_t i = place; i < strategy.uses.size(); ++i)
      extended.uses.push_back(strategy.uses[i]);
    visit(extended);
  }
}

}  // namespace detail

// Whether some axis that splits nothing could still split a factor, whatever it does now.
template<RuleLike R, MeshLike M>
constexpr bool leaves_axis_idle(const R& rule, const M& mesh, const Strategy& strategy) {
  for (Axis axis = 0; axis < mesh.rank(); ++axis) {
    if (mesh.extent(axis) == 1) continue;
    Strategy others;
    bool splits = false;
    for (const AxisUse& use : strategy.uses) {
      splits = splits || (use.axis == axis && use.passed == Reduction::none);
      if (use.axis != axis) others.uses.push_back(use);
    }
    if (splits) continue;
    bool is_idle = false;
    for (std::size_t factor = 0; factor < rule.factor_count() && !is_idle; ++factor)
      if (detail::is_splittable(rule.factor(factor).kind))
        detail::for_each_place(
            others, {axis, Reduction::none, static_cast<graph::FactorId>(factor)},
            [&](const Strategy& more) { is_idle = is_idle || is_valid(rule, mesh, more); });
    if (is_idle) return true;
  }
  return false;
}

namespace detail {

// A partial axis that comes to split a dim.
struct Scatter {
  Axis axis = 0;
  std::size_t dim = 0;
};
using Scatters = InlineVector<Scatter, max_axes>;

// Calls visit(sharding) for everything that the partial axes of `computed` can become: each stays
// partial, is reduced to copies, or is reduced and scattered over a dim.  Those that are scattered
// over one dim split it in every order, below what splits it already.
template<MeshLike M, class Visit>
constexpr void for_each_finish(DynamicSharding computed, const M& mesh, const Dims& dims, Axis axis,
                               const Scatters& scatters, Visit&& visit) {
  while (axis < mesh.rank() && !computed.is_partial(axis)) ++axis;
  if (axis >= mesh.rank()) {
    for (const Scatter& scatter : scatters) {
      if (!can_split(computed, mesh, dims, scatter.dim, scatter.axis)) return;
      computed = computed.with_split(scatter.dim, scatter.axis);
    }
    visit(computed);
    return;
  }
  const auto next = static_cast<Axis>(axis + 1);
  for_each_finish(computed, mesh, dims, next, scatters, visit);
  const DynamicSharding reduced = computed.without(axis);
  for_each_finish(reduced, mesh, dims, next, scatters, visit);
  for (std::size_t dim = 0; dim < dims.size(); ++dim)
    for (std::size_t place = 0; place <= scatters.size(); ++place) {
      if (place < scatters.size() && scatters[place].dim != dim) continue;
      Scatters more;
      for (std::size_t i = 0; i < place; ++i) more.push_back(scatters[i]);
      more.push_back({axis, dim});
      for (std::size_t i = place; i < scatters.size(); ++i) more.push_back(scatters[i]);
      for_each_finish(reduced, mesh, dims, next, more, visit);
    }
}

template<RuleLike R, MeshLike M, class Visit>
constexpr void visit_finished(const R& rule, const M& mesh, const EnumerateOptions& options,
                              Strategy strategy, Visit&& visit) {
  const std::size_t first_result = rule.operand_count();
  if (first_result == rule.tensor_count()) {
    visit(strategy);
    return;
  }
  const DynamicSharding computed = sharding_of(rule, strategy, first_result);
  strategy.output_sharding = computed;
  if (!options.finish || rule.result_count() != 1 || computed.partial_axes().empty()) {
    visit(strategy);
    return;
  }
  for_each_finish(computed, mesh, rule.dims(first_result), 0, {},
                  [&](DynamicSharding output_sharding) {
                    strategy.output_sharding = output_sharding;
                    visit(strategy);
                  });
}

template<RuleLike R, MeshLike M, class Visit>
constexpr void visit_uses(const R& rule, const M& mesh, const EnumerateOptions& options, Axis axis,
                          const Strategy& strategy, Visit&& visit) {
  if (axis == mesh.rank()) {
    if (!is_valid(rule, mesh, strategy)) return;
    if (options.use_every_axis && leaves_axis_idle(rule, mesh, strategy)) return;
    visit_finished(rule, mesh, options, strategy, visit);
    return;
  }
  const auto next = static_cast<Axis>(axis + 1);
  visit_uses(rule, mesh, options, next, strategy, visit);
  if (mesh.extent(axis) == 1 && options.skip_unit_axes) return;

  const auto visit_with = [&](std::size_t target, Reduction passed) {
    for_each_place(
        strategy, {axis, passed, static_cast<graph::FactorId>(target)},
        [&](const Strategy& more) { visit_uses(rule, mesh, options, next, more, visit); });
  };
  for (std::size_t factor = 0; factor < rule.factor_count(); ++factor)
    if (is_splittable(rule.factor(factor).kind)) visit_with(factor, Reduction::none);
  for (std::size_t pass = 0; pass < rule.pass_count(); ++pass)
    for (unsigned r = 1; r < 8; ++r)
      if ((rule.pass(pass).reductions & options.passes & (1U << r)) != 0)
        visit_with(pass, static_cast<Reduction>(r));
}

}  // namespace detail

// Calls visit(const Strategy&) for every strategy, in a fixed order.  O(candidates), of which the
// formula above has the number.  @pre every factor's size is known
template<RuleLike R, MeshLike M, class Visit>
constexpr void for_each_strategy(const R& rule, const M& mesh, const EnumerateOptions& options,
                                 Visit&& visit) {
  detail::visit_uses(rule, mesh, options, 0, Strategy(), visit);
}

// How many there are, and all of them.  @pre and time as above
template<RuleLike R, MeshLike M>
constexpr std::size_t count(const R& rule, const M& mesh, const EnumerateOptions& options = {}) {
  std::size_t result = 0;
  for_each_strategy(rule, mesh, options, [&](const Strategy&) { ++result; });
  return result;
}

template<RuleLike R, MeshLike M>
std::vector<Strategy> enumerate(const R& rule, const M& mesh,
                                const EnumerateOptions& options = {}) {
  std::vector<Strategy> strategies;
  for_each_strategy(rule, mesh, options, [&](const Strategy& s) { strategies.push_back(s); });
  return strategies;
}

// All of them as a constant, for a rule and a mesh that are known at compile time:
//   constexpr auto all = strategy::table<graph::rule_of<"mk,kn->mn", A, B>, Mesh<2, 4>>;
template<const auto& R, StaticMesh M>
inline constexpr auto table = [] {
  std::array<Strategy, count(R, M())> strategies{};
  std::size_t at = 0;
  for_each_strategy(R, M(), {}, [&](const Strategy& s) { strategies[at++] = s; });
  return strategies;
}();

}  // namespace tessera::strategy
