// SPDX-License-Identifier: Apache-2.0
//
// From a Problem to the first Reduced: pairwise tables only, costs scaled, rows where time changes.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/detail/presolve/reduced.hpp"

namespace tessera::solver::detail {

// An edge over three nodes or more becomes a variable of its own, whose values are the combinations
// that it allows, and which must agree with each of the nodes.
[[gnu::cold]] inline void add_hidden_variable(Reduced& reduced, std::span<const NodeId> edge,
                                              EntriesId costs) {
  const std::vector<std::uint32_t> allowed = reduced.costs->finite_indices(costs);
  if (allowed.empty()) {
    reduced.infeasible = true;
    return;
  }
  std::vector<std::vector<Value>> values(edge.size());  // by position in the edge
  for (const std::uint32_t index : allowed) {
    std::size_t rest = index;
    for (std::size_t i = edge.size(); i-- > 0;) {
      const std::size_t size = reduced.nodes[edge[i]].size();
      values[i].push_back(static_cast<Value>(rest % size));
      rest /= size;
    }
  }
  reduced.costs->add_variable(costs, allowed);
  const Variable hidden = add_variable(reduced, allowed.size());
  for (std::size_t i = 0; i < edge.size(); ++i)
    add_table(reduced, hidden, edge[i],
              reduced.costs->assignment_table(values[i], reduced.nodes[edge[i]].size()));
}

inline void add_edge(Reduced& reduced, std::span<const NodeId> edge, EntriesId costs) {
  // Of an edge over one node, or twice over it, only the entries that agree can be chosen.
  const bool is_diagonal = edge.size() == 2 && edge[0] == edge[1];
  if (edge.size() == 1 || is_diagonal)
    reduced.costs->add_costs(edge[0], costs, is_diagonal ? reduced.nodes[edge[0]].size() + 1 : 1);
  else if (edge.size() == 2)
    add_table(reduced, edge[0], edge[1], costs);
  else
    add_hidden_variable(reduced, edge, costs);
}

// The values of the hidden variables in an assignment that no edge forbids.
[[gnu::cold]] inline std::vector<Value> combinations_in(const Problem& problem,
                                                        const Assignment& assignment) {
  std::vector<Value> values;
  for (EdgeId e = 0; e < problem.edge_count(); ++e) {
    const auto edge = problem.edge_nodes(e);
    if (edge.size() < 3) continue;
    std::size_t index = 0;
    for (const NodeId v : edge) index = index * problem.strategy_count(v) + assignment[v];
    const auto costs = problem.edge_costs(e).first(index);
    values.push_back(static_cast<Value>(
        std::count_if(costs.begin(), costs.end(), [](Cost cost) { return is_finite(cost); })));
  }
  return values;
}

// When the rows are: at the points where some interval begins, which is where usage can be largest.
[[gnu::cold]] inline std::vector<std::int64_t> row_times(const Problem& problem) {
  std::vector<std::int64_t> begins;
  for (NodeId v = 0; v < problem.node_count(); ++v)
    if (!problem.interval(v).empty()) begins.push_back(problem.interval(v).begin);
  std::sort(begins.begin(), begins.end());
  begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
  return begins;
}

[[gnu::cold]] inline void add_rows(Reduced& reduced, const Problem& problem) {
  if (!problem.usage_limit) return;
  const std::vector<std::int64_t> begins = row_times(problem);
  const auto row_at = [&](std::int64_t time) {  // the first row that begins at or after `time`
    return static_cast<std::uint32_t>(std::lower_bound(begins.begin(), begins.end(), time) -
                                      begins.begin());
  };
  reduced.capacity.assign(begins.size(), *problem.usage_limit);
  reduced.row_name.resize(begins.size());
  std::iota(reduced.row_name.begin(), reduced.row_name.end(), 0U);
  reduced.infeasible = reduced.infeasible || (*problem.usage_limit < 0 && !begins.empty());
  for (NodeId v = 0; v < problem.node_count(); ++v) {
    const Interval interval = problem.interval(v);
    const auto usages = problem.usages(v);
    const bool uses_any = std::any_of(usages.begin(), usages.end(), [](Usage u) { return u != 0; });
    if (interval.empty() || !uses_any) continue;
    reduced.nodes[v].items.push_back({row_at(interval.begin), row_at(interval.end),
                                      std::vector<Usage>(usages.begin(), usages.end())});
  }
}

// Costs are multiplied by 2^shift.  Variable v is the problem's node v; further ones are hidden.
// @pre `costs` are empty, and hold all sums (arithmetic.hpp)
inline Reduced make_reduced(const Problem& problem, std::unique_ptr<CostTables> costs, int shift) {
  Reduced reduced;
  reduced.costs = std::move(costs);
  for (NodeId v = 0; v < problem.node_count(); ++v) {
    reduced.costs->add_variable(problem.costs(v), shift);
    add_variable(reduced, problem.strategy_count(v));
  }
  std::vector<std::optional<EntriesId>> pooled(problem.edge_costs_ids());
  for (EdgeId e = 0; e < problem.edge_count(); ++e) {
    std::optional<EntriesId>& entries = pooled[problem.edge_costs_id(e)];
    if (!entries) entries = reduced.costs->pooled(problem.edge_costs(e), shift);
    add_edge(reduced, problem.edge_nodes(e), *entries);
  }
  add_rows(reduced, problem);
  return reduced;
}

}  // namespace tessera::solver::detail
