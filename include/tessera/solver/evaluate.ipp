// SPDX-License-Identifier: Apache-2.0
//
// The body of evaluate().
#pragma once
#include "tessera/solver/evaluate.hpp"

#include <map>
#include <string>

#include "tessera/core/error.hpp"

namespace tessera::solver {

namespace detail {

inline void check_assignment(const Problem& problem, const Assignment& assignment) {
  if (assignment.size() != problem.node_count())
    throw InvalidArgument("the assignment has " + std::to_string(assignment.size()) +
                          " entries for " + std::to_string(problem.node_count()) + " nodes");
  for (NodeId v = 0; v < problem.node_count(); ++v)
    if (assignment[v] >= problem.strategy_count(v))
      throw InvalidArgument("node " + std::to_string(v) + " has no strategy " +
                            std::to_string(assignment[v]));
}

inline void add_costs(const Problem& problem, const Assignment& assignment, Evaluation& result) {
  const auto pay = [&](Cost cost) {
    if (is_finite(cost))
      result.cost += cost;
    else
      ++result.forbidden;
  };
  for (NodeId v = 0; v < problem.node_count(); ++v) pay(problem.costs(v)[assignment[v]]);
  for (EdgeId e = 0; e < problem.edge_count(); ++e) {
    std::size_t index = 0;
    for (const NodeId v : problem.edge_nodes(e))
      index = index * problem.strategy_count(v) + assignment[v];
    pay(problem.edge_costs(e)[index]);
  }
}

}  // namespace detail

TESSERA_INLINE Evaluation evaluate(const Problem& problem, const Assignment& assignment) {
  detail::check_assignment(problem, assignment);
  Evaluation result;
  detail::add_costs(problem, assignment, result);
  std::map<std::int64_t, Wide> change;  // of usage, at each point where it changes
  for (NodeId v = 0; v < problem.node_count(); ++v) {
    const Interval interval = problem.interval(v);
    const Usage usage = problem.usages(v)[assignment[v]];
    if (interval.empty() || usage == 0) continue;
    change[interval.begin] += usage;
    change[interval.end] -= usage;
  }
  Wide usage = 0;
  for (const auto& [time, delta] : change) {
    usage += delta;
    if (usage > result.peak_usage) {
      result.peak_usage = usage;
      result.peak_time = time;
    }
  }
  result.within_limit = !problem.usage_limit || result.peak_usage <= *problem.usage_limit;
  return result;
}

}  // namespace tessera::solver
