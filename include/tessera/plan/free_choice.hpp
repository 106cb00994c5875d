// SPDX-License-Identifier: Apache-2.0
//
// A problem's choices at other costs: what is forbidden stays forbidden, what is used stays used.
#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "tessera/solver/problem.hpp"

namespace tessera::plan {

// No limit is set.  An allowed strategy costs `cost()`, called for each in turn; edges are left
// out but for those that forbid something.  O(strategies + costs of distinct edges)
template<class CostOf>
solver::Problem with_free_choice(const solver::Problem& problem, CostOf&& cost) {
  solver::Problem result;
  for (solver::NodeId v = 0; v < problem.node_count(); ++v) {
    std::vector<Cost> costs;
    for (const Cost old : problem.costs(v)) costs.push_back(is_finite(old) ? cost() : infinite);
    result.add_node(costs, problem.usages(v), problem.interval(v));
  }
  std::map<solver::CostsId, std::optional<solver::CostsId>> known;  // nothing: forbids nothing
  for (solver::EdgeId e = 0; e < problem.edge_count(); ++e) {
    const auto nodes = problem.edge_nodes(e);
    const auto [at, is_new] = known.try_emplace(problem.edge_costs_id(e));
    if (!is_new) {
      if (at->second) result.add_edge(nodes, *at->second);
      continue;
    }
    std::vector<Cost> costs;
    for (const Cost old : problem.edge_costs(e)) costs.push_back(is_finite(old) ? 0 : infinite);
    if (std::find(costs.begin(), costs.end(), infinite) != costs.end())
      at->second = result.edge_costs_id(result.add_edge(nodes, costs));
  }
  return result;
}

}  // namespace tessera::plan
