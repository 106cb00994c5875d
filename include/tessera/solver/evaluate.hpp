// SPDX-License-Identifier: Apache-2.0
//
// What an assignment really costs and uses: the definition of the problem, plainly, in wide
// integers.  The solver's answers are judged here, by code that shares nothing with the search.
#pragma once
#include <map>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver {

struct Evaluation {
  Wide cost = 0;               // the sum of the finite costs chosen
  std::size_t forbidden = 0;   // how many infinite costs were chosen
  Wide peak_usage = 0;         // over all points of time
  std::int64_t peak_time = 0;  // the first point at which it is reached
  bool within_limit = true;

  bool is_feasible() const noexcept { return forbidden == 0 && within_limit; }
};

// Throws InvalidArgument where the assignment is not one of this problem.
// O(nodes log nodes + edges).
inline Evaluation evaluate(const Problem& problem, const Assignment& assignment) {
  if (assignment.size() != problem.node_count())
    throw InvalidArgument("the assignment has " + std::to_string(assignment.size()) +
                                " entries for " + std::to_string(problem.node_count()) + " nodes");
  Evaluation result;
  const auto pay = [&](Cost cost) {
    if (is_finite(cost))
      result.cost += cost;
    else
      ++result.forbidden;
  };
  std::map<std::int64_t, Wide> change;  // of usage, at each point where it changes
  for (NodeId v = 0; v < problem.node_count(); ++v) {
    const std::uint32_t strategy = assignment[v];
    if (strategy >= problem.strategy_count(v))
      throw InvalidArgument("node " + std::to_string(v) + " has no strategy " +
                                  std::to_string(strategy));
    pay(problem.costs(v)[strategy]);
    const Interval interval = problem.interval(v);
    const Usage usage = problem.usages(v)[strategy];
    if (interval.empty() || usage == 0) continue;
    change[interval.begin] += usage;
    change[interval.end] -= usage;
  }
  for (EdgeId e = 0; e < problem.edge_count(); ++e) {
    std::size_t index = 0;
    for (const NodeId v : problem.edge_nodes(e))
      index = index * problem.strategy_count(v) + assignment[v];
    pay(problem.edge_costs(e)[index]);
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
