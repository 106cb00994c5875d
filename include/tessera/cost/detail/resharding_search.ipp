// SPDX-License-Identifier: Apache-2.0
//
// The bodies of resharding_search.hpp.
#pragma once
#include "tessera/cost/detail/resharding_search.hpp"

#include <bit>
#include <string>

#include "tessera/core/error.hpp"

namespace tessera::cost::detail {

// --- Shardings and steps
// ---------------------------------------------------------------------------

TESSERA_INLINE Vertex vertex_of(ShardingGraph& graph, DynamicSharding sharding) {
  const auto [at, is_new] =
      graph.index.try_emplace(sharding, static_cast<Vertex>(graph.shardings.size()));
  if (is_new) {
    graph.shardings.push_back(sharding);
    graph.arcs_of.emplace_back();
  }
  return at->second;
}

// At most so many, if every dim can be cut along every axis: some axes in ordered lists, one list
// for each dim; of the others each holds copies or partial sums.
TESSERA_INLINE bool has_few_shardings(const StepPrices& steps, graph::ReductionSet reductions) {
  constexpr Extent few = 1 << 15;
  Extent axes = 0;
  for (std::size_t axis = 0; axis < steps.mesh.rank(); ++axis) axes += steps.mesh.extent(axis) > 1;
  Extent count = 0, choices = 1, lists = 1;  // of `split` axes
  for (Extent split = 0; split <= axes; ++split) {
    const Extent partial = (Extent{1} << (axes - split)) - 1;
    count += choices * lists * (1 + std::popcount(reductions) * partial);
    choices = choices * (axes - split) / (split + 1);
    lists *= static_cast<Extent>(steps.dims.size()) + split;
  }
  return count <= few;
}

TESSERA_INLINE void add_arc(ShardingGraph& graph, StepPrices& steps, DynamicSharding before,
                            Step step, DynamicSharding after) {
  AxisSet others = before.split_axes();
  others.erase(step.axis);
  AxisNames names;
  const Vertex end = vertex_of(graph, graph.interchange.representative(after, names));
  graph.arcs.push_back({end, step, step_price(steps, step.kind, step.axis, others)});
}

// Begin and end of a vertex' arcs.
TESSERA_INLINE std::pair<std::size_t, std::size_t> arcs_out_of(ShardingGraph& graph,
                                                               StepPrices& steps, Vertex at) {
  if (graph.arcs_of[at].second != 0) return graph.arcs_of[at];
  if (!graph.is_small) graph.arcs.clear();
  const std::size_t begin = graph.arcs.size();
  const DynamicSharding before = graph.shardings[at];
  const auto add = [&](Step step, DynamicSharding after) {
    add_arc(graph, steps, before, step, after);
  };
  for_each_step(before, steps.mesh, steps.dims, Reduction::none, add);
  for (unsigned r = 1; r < 8; ++r)
    if ((graph.reductions & (1U << r)) != 0)
      for_each_step(before, steps.mesh, steps.dims, static_cast<Reduction>(r),
                    [&](Step step, DynamicSharding after) {
                      if (step.kind == StepKind::mask) add(step, after);
                    });
  const std::pair bounds(begin, graph.arcs.size());
  if (graph.is_small) graph.arcs_of[at] = bounds;
  return bounds;
}

TESSERA_INLINE Interchange interchange_between(StepPrices& steps, DynamicSharding from,
                                               DynamicSharding to) {
  Interchange interchange;
  AxisSet left;
  for (std::size_t axis = 0; axis < steps.mesh.rank(); ++axis)
    if (steps.mesh.extent(axis) > 1 && from.is_replicated(axis) && to.is_replicated(axis))
      left.insert(axis);
  while (!left.empty()) {
    AxisList group;
    for (const Axis axis : left.to_list())
      if (group.empty() || are_interchangeable(steps, group[0], axis)) group.push_back(axis);
    for (const Axis axis : group) left.erase(axis);
    if (group.size() > 1) interchange.add_group(group);
  }
  return interchange;
}

// --- Search
// ----------------------------------------------------------------------------------------

TESSERA_INLINE bool is_met(const PathSearch& search, Vertex v) {
  return v < search.distances.size() && is_finite(search.distances[v]);
}

TESSERA_INLINE void meet(PathSearch& search, Vertex v, Cost distance, Cost to_come,
                         Vertex predecessor) {
  const Cost total = saturating_add(distance, to_come);
  if (!is_finite(total)) return;
  if (v >= search.distances.size()) {
    search.distances.resize(v + 1, infinite);
    search.predecessors.resize(v + 1, v);
  }
  search.distances[v] = distance;
  search.predecessors[v] = predecessor;
  search.queue.push_or_lower(v, {total, to_come});
}

TESSERA_INLINE void start(PathSearch& search, Vertex source, Cost to_come) {
  search.source = source;
  meet(search, source, 0, to_come, source);
}

TESSERA_INLINE PathSearch& search_from(ShardingGraph& graph, DynamicSharding from) {
  const Vertex source = vertex_of(graph, from);
  const auto [at, is_new] = graph.searches.try_emplace(source);
  if (is_new) start(at->second, source, 0);
  return at->second;
}

TESSERA_INLINE std::string ends_text(const ShardingGraph& graph, const PathSearch& search,
                                     const StepPrices& steps, Vertex target) {
  return "of a tensor " + to_string(steps.dims) + " from " +
         to_string(graph.shardings[search.source]) + " to " + to_string(graph.shardings[target]);
}

// Goes one vertex further.
TESSERA_INLINE void settle_next(ShardingGraph& graph, PathSearch& search, StepPrices& steps) {
  const Vertex at = search.queue.top();
  const auto [begin, end] = arcs_out_of(graph, steps, at);  // before popping, since it may throw
  search.queue.pop();
  for (std::size_t i = begin; i < end; ++i) {
    const Arc& arc = graph.arcs[i];
    if (!is_finite(arc.price)) continue;  // forbidden
    const Cost distance = saturating_add(search.distances[at], arc.price);
    search.has_overflowed = search.has_overflowed || !is_finite(distance);
    if (arc.end < search.distances.size() && distance >= search.distances[arc.end]) continue;
    const Cost to_come =
        search.bounds == nullptr ? 0 : lower_bound(*search.bounds, graph.shardings[arc.end]);
    meet(search, arc.end, distance, to_come, at);
  }
}

TESSERA_INLINE Cost settle(ShardingGraph& graph, PathSearch& search, StepPrices& steps,
                           Vertex target) {
  while (!is_met(search, target) || search.queue.contains(target)) {
    if (search.queue.empty()) {
      if (!search.has_overflowed) return infinite;  // every path is forbidden
      throw Overflow("the price of a resharding " + ends_text(graph, search, steps, target) +
                     " does not fit in 64 bits; choose smaller prices");
    }
    if (search.settled_count++ == max_settled)
      throw CapacityExceeded("a resharding " + ends_text(graph, search, steps, target) +
                             " was not found among " + std::to_string(max_settled) +
                             " shardings on mesh " + to_string(steps.mesh) + "; merge mesh axes");
    settle_next(graph, search, steps);
  }
  return search.distances[target];
}

// --- Answers
// ---------------------------------------------------------------------------------------

TESSERA_INLINE PricedStep cheapest_step(ShardingGraph& graph, StepPrices& steps, Vertex from,
                                        Vertex to) {
  const Arc* best = nullptr;
  const auto [begin, end] = arcs_out_of(graph, steps, from);
  for (std::size_t i = begin; i < end; ++i)
    if (const Arc& here = graph.arcs[i];
        here.end == to && (best == nullptr || here.price < best->price))
      best = &here;
  return {best->step, message_of(best->step.axis, graph.shardings[from], steps.mesh, steps.bytes),
          best->price};
}

TESSERA_INLINE std::vector<PricedStep> steps_to(ShardingGraph& graph, const PathSearch& search,
                                                StepPrices& steps, Vertex target) {
  std::vector<Vertex> met{target};
  while (met.back() != search.source) met.push_back(search.predecessors[met.back()]);
  std::vector<PricedStep> result;
  AxisNames original = own_names();  // what the axes of a representative stand for
  for (std::size_t i = met.size() - 1; i > 0; --i) {
    PricedStep priced = cheapest_step(graph, steps, met[i], met[i - 1]);
    AxisNames names;
    const DynamicSharding after =
        apply(priced.step, graph.shardings[met[i]], graph.shardings[met[i - 1]].reduction());
    graph.interchange.representative(after, names);
    priced.step.axis = original[priced.step.axis];
    result.push_back(priced);
    const AxisNames before = original;
    for (std::size_t axis = 0; axis < max_axes; ++axis) original[names[axis]] = before[axis];
  }
  return result;
}

}  // namespace tessera::cost::detail
