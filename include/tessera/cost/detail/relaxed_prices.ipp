// SPDX-License-Identifier: Apache-2.0
//
// The bodies of relaxed_prices.hpp.
#pragma once
#include "tessera/cost/detail/relaxed_prices.hpp"

#include <functional>
#include <queue>
#include <utility>

namespace tessera::cost::detail {

TESSERA_INLINE AxisRoles roles_of_axis(const DynamicMesh& mesh, Axis axis, DynamicSharding target,
                                       graph::ReductionSet reductions) {
  AxisRoles roles{{AxisRole::Kind::copies}};
  if (mesh.extent(axis) == 1) return roles;
  roles.push_back({AxisRole::Kind::split_elsewhere});
  if (target.is_split(axis)) roles.push_back({AxisRole::Kind::split_as_target});
  for (unsigned r = 1; r < 8; ++r)
    if ((reductions & (1U << r)) != 0)
      roles.push_back({AxisRole::Kind::partial, static_cast<Reduction>(r)});
  return roles;
}

TESSERA_INLINE std::size_t role_number(const RelaxedPrices& relaxed, std::size_t axis,
                                       DynamicSharding sharding) {
  AxisRole role;
  if (sharding.is_partial(axis))
    role = {AxisRole::Kind::partial, sharding.reduction()};
  else if (sharding.is_split(axis))
    role.kind = relaxed.target.is_split(axis) &&
                        relaxed.target.dim_of(axis) == sharding.dim_of(axis)
                    ? AxisRole::Kind::split_as_target
                    : AxisRole::Kind::split_elsewhere;
  std::size_t number = 0;
  while (!(relaxed.roles[axis][number] == role)) ++number;
  return number;
}

TESSERA_INLINE std::size_t role_in(const RelaxedPrices& relaxed, std::size_t state,
                                   std::size_t axis) {
  return state / relaxed.strides[axis] % relaxed.roles[axis].size();
}

TESSERA_INLINE std::size_t state_of(const RelaxedPrices& relaxed, DynamicSharding sharding) {
  std::size_t state = 0;
  for (std::size_t axis = 0; axis < relaxed.roles.size(); ++axis)
    state += relaxed.strides[axis] * role_number(relaxed, axis, sharding);
  return state;
}

// The step by which an axis changes its role.  @pre not from one partial role to another
TESSERA_INLINE StepKind step_between(AxisRole before, AxisRole after) {
  if (before.kind == AxisRole::Kind::copies)
    return after.is_split() ? StepKind::slice : StepKind::mask;
  if (before.kind == AxisRole::Kind::partial)
    return after.is_split() ? StepKind::reduce_scatter : StepKind::all_reduce;
  return after.is_split() ? StepKind::all_to_all : StepKind::all_gather;
}
TESSERA_INLINE bool has_step(AxisRole before, AxisRole after) {
  if (before == after) return false;
  return after.kind != AxisRole::Kind::partial || before.kind == AxisRole::Kind::copies;
}

TESSERA_INLINE AxisSet split_axes(const RelaxedPrices& relaxed, std::size_t state) {
  AxisSet split;
  for (std::size_t axis = 0; axis < relaxed.roles.size(); ++axis)
    if (relaxed.roles[axis][role_in(relaxed, state, axis)].is_split()) split.insert(axis);
  return split;
}

using RelaxedQueue = std::priority_queue<std::pair<Cost, std::size_t>,
                                         std::vector<std::pair<Cost, std::size_t>>, std::greater<>>;

// Lowers the bounds of all states from which one step over `axis` leads to `after`.
TESSERA_INLINE void relax_axis(RelaxedPrices& relaxed, StepPrices& steps, RelaxedQueue& queue,
                               std::size_t after, std::size_t axis, AxisSet others) {
  const std::size_t now = role_in(relaxed, after, axis), stride = relaxed.strides[axis];
  for (std::size_t number = 0; number < relaxed.roles[axis].size(); ++number) {
    const AxisRole role = relaxed.roles[axis][number], next = relaxed.roles[axis][now];
    if (!has_step(role, next)) continue;
    const Cost step = step_price(steps, step_between(role, next), static_cast<Axis>(axis), others);
    const Cost total = saturating_add(relaxed.bounds[after], step);
    relaxed.has_overflowed = relaxed.has_overflowed || (is_finite(step) && !is_finite(total));
    const std::size_t before = after - now * stride + number * stride;
    if (total >= relaxed.bounds[before]) continue;
    relaxed.bounds[before] = total;
    queue.emplace(total, before);
  }
}

// Dijkstra's algorithm over the steps reversed.
TESSERA_INLINE void find_bounds(RelaxedPrices& relaxed, StepPrices& steps) {
  RelaxedQueue queue;
  const std::size_t goal = state_of(relaxed, relaxed.target);
  relaxed.bounds[goal] = 0;
  queue.emplace(0, goal);
  while (!queue.empty()) {
    const auto [bound, after] = queue.top();
    queue.pop();
    if (bound > relaxed.bounds[after]) continue;  // a better one came first
    const AxisSet split = split_axes(relaxed, after);
    for (std::size_t axis = 0; axis < relaxed.roles.size(); ++axis) {
      AxisSet others = split;
      others.erase(axis);
      relax_axis(relaxed, steps, queue, after, axis, others);
    }
  }
}

TESSERA_INLINE RelaxedPrices relaxed_prices(StepPrices& steps, DynamicSharding target,
                                            graph::ReductionSet reductions) {
  RelaxedPrices relaxed;
  relaxed.target = target;
  std::size_t size = 1;
  for (Axis axis = 0; axis < steps.mesh.rank(); ++axis) {
    relaxed.roles.push_back(roles_of_axis(steps.mesh, axis, target, reductions));
    relaxed.strides.push_back(size);
    size *= relaxed.roles[axis].size();
  }
  relaxed.bounds.assign(size, infinite);
  find_bounds(relaxed, steps);
  return relaxed;
}

TESSERA_INLINE Cost lower_bound(const RelaxedPrices& relaxed, DynamicSharding sharding) {
  return relaxed.bounds[state_of(relaxed, sharding)];
}

}  // namespace tessera::cost::detail
