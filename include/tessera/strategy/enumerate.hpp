// SPDX-License-Identifier: Apache-2.0
//
// Every strategy that a rule allows on a mesh.
//
// Each mesh axis, in mesh order, either splits one factor, or lets partial results pass through, or
// stays idle.  So the axes that split one factor always ascend, S01 and never S10: a limit of the
// space that is searched.  What is generated and then refused is refused by is_valid, one predicate
// that knows only rules, meshes and shapes, and no opcode is named here.
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
#include "tessera/strategy/strategy.hpp"

namespace tessera::strategy {

struct EnumerateOptions {
  // Refuse strategies that leave an axis idle which could still split something.  For ops whose
  // work is worth spreading, under cost models that give it no price (Alpa's).
  bool use_every_axis = false;
  // The reductions whose partial results may pass through.
  graph::ReductionSet passes = graph::reduction_set(Reduction::sum);
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
      if (use.splits(factor)) ways *= mesh.extent(use.axis);
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
  return true;
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

// Whether an op can run under these uses: shards are contiguous, tiles nest, reductions agree.
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

// Whether some axis that splits nothing could still split a factor.  It is tried at its place in
// mesh order, where the enumerator would put it: so a strategy is refused only for one that exists.
template<RuleLike R, MeshLike M>
constexpr bool leaves_axis_idle(const R& rule, const M& mesh, const Strategy& strategy) {
  for (Axis axis = 0; axis < mesh.rank(); ++axis) {
    if (mesh.extent(axis) == 1) continue;
    Strategy extended;
    bool splits = false;
    for (const AxisUse& use : strategy.uses) {
      splits = splits || (use.axis == axis && use.passed == Reduction::none);
      if (use.axis < axis) extended.uses.push_back(use);
    }
    if (splits) continue;
    const std::size_t place = extended.uses.size();
    extended.uses.push_back({axis});
    for (const AxisUse& use : strategy.uses)
      if (use.axis > axis) extended.uses.push_back(use);
    for (std::size_t factor = 0; factor < rule.factor_count(); ++factor) {
      extended.uses[place].target = static_cast<graph::FactorId>(factor);
      if (is_valid(rule, mesh, extended)) return true;
    }
  }
  return false;
}

namespace detail {

// Calls visit(sharding) for everything that the partial axes of `computed` can become: each stays
// partial, is reduced to copies, or is reduced and scattered over a dim.
template<MeshLike M, class Visit>
constexpr void for_each_finish(DynamicSharding computed, const M& mesh, const Dims& dims, Axis axis,
                               Visit&& visit) {
  while (axis < mesh.rank() && !computed.is_partial(axis)) ++axis;
  if (axis >= mesh.rank()) {
    visit(computed);
    return;
  }
  const auto next = static_cast<Axis>(axis + 1);
  for_each_finish(computed, mesh, dims, next, visit);
  const DynamicSharding reduced = computed.without(axis);
  for_each_finish(reduced, mesh, dims, next, visit);
  for (std::size_t dim = 0; dim < dims.size(); ++dim)
    if (can_split(reduced, mesh, dims, dim, axis))
      for_each_finish(reduced.with_split(dim, axis), mesh, dims, next, visit);
}

template<RuleLike R, MeshLike M, class Visit>
constexpr void visit_finished(const R& rule, const M& mesh, Strategy& strategy, Visit&& visit) {
  const std::size_t first_result = rule.operand_count();
  if (first_result == rule.tensor_count()) {
    visit(strategy);
    return;
  }
  const DynamicSharding computed = sharding_of(rule, strategy, first_result);
  strategy.handed_on = computed;
  if (rule.result_count() != 1 || computed.partial_axes().empty()) {
    visit(strategy);
    return;
  }
  for_each_finish(computed, mesh, rule.dims(first_result), 0, [&](DynamicSharding handed_on) {
    strategy.handed_on = handed_on;
    visit(strategy);
  });
}

template<RuleLike R, MeshLike M, class Visit>
constexpr void visit_uses(const R& rule, const M& mesh, const EnumerateOptions& options, Axis axis,
                          Strategy& strategy, Visit&& visit) {
  if (axis == mesh.rank()) {
    if (!is_valid(rule, mesh, strategy)) return;
    if (options.use_every_axis && leaves_axis_idle(rule, mesh, strategy)) return;
    visit_finished(rule, mesh, strategy, visit);
    return;
  }
  const auto next = static_cast<Axis>(axis + 1);
  visit_uses(rule, mesh, options, next, strategy, visit);
  if (mesh.extent(axis) == 1 && options.skip_unit_axes) return;

  const auto visit_with = [&](std::size_t target, Reduction passed) {
    strategy.uses.push_back({axis, passed, static_cast<graph::FactorId>(target)});
    visit_uses(rule, mesh, options, next, strategy, visit);
    strategy.uses.pop_back();
  };
  for (std::size_t factor = 0; factor < rule.factor_count(); ++factor)
    if (is_splittable(rule.factor(factor).kind)) visit_with(factor, Reduction::none);
  for (std::size_t pass = 0; pass < rule.pass_count(); ++pass)
    for (unsigned r = 1; r < 8; ++r)
      if ((rule.pass(pass).reductions & options.passes & (1U << r)) != 0)
        visit_with(pass, static_cast<Reduction>(r));
}

}  // namespace detail

// Calls visit(const Strategy&) for every strategy, in a fixed order.  The number of candidates is
// (factors + passes + 1) to the power of the mesh's rank.  @pre every factor's size is known
template<RuleLike R, MeshLike M, class Visit>
constexpr void for_each_strategy(const R& rule, const M& mesh, const EnumerateOptions& options,
                                 Visit&& visit) {
  Strategy strategy;
  detail::visit_uses(rule, mesh, options, 0, strategy, visit);
}

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
