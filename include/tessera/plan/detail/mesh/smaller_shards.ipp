// SPDX-License-Identifier: Apache-2.0
//
// The bodies of smaller_shards.hpp.
#pragma once
#include "tessera/plan/detail/mesh/smaller_shards.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tessera::plan::detail {

using EdgesOfNodes = std::vector<std::vector<solver::EdgeId>>;

// The cost of an op and its edges with strategy s, everything else as it is; -1: forbidden.
TESSERA_INLINE Wide cost_with(const Formulation& formulation, const EdgesOfNodes& edges,
                              const solver::Assignment& assignment, std::size_t id,
                              std::uint32_t s) {
  const solver::Problem& problem = formulation.problem;
  const std::vector<solver::NodeId>& own = formulation.nodes[id];
  Wide total = problem.costs(own[0])[s];
  for (const solver::EdgeId e : edges[own[0]]) {
    std::size_t index = 0;
    for (const solver::NodeId v : problem.edge_nodes(e)) {
      const bool is_own = v >= own.front() && v <= own.back();
      index = index * problem.strategy_count(v) + (is_own ? s : assignment[v]);
    }
    const Cost cost = problem.edge_costs(e)[index];
    if (!is_finite(cost)) return -1;
    total += cost;
  }
  return total;
}

TESSERA_INLINE bool is_smaller(const strategy::Choice& a, const strategy::Choice& b) {
  bool any = false;
  for (std::size_t r = 0; r < a.result_bytes.size(); ++r) {
    if (a.result_bytes[r] > b.result_bytes[r]) return false;
    any = any || a.result_bytes[r] < b.result_bytes[r];
  }
  return any;
}

// Whether the op now has smaller shards.
TESSERA_INLINE bool shrink(const Formulation& formulation, const EdgesOfNodes& edges,
                           solver::Assignment& assignment, std::size_t id) {
  const strategy::Column& column = *formulation.columns[id];
  const std::uint32_t old = assignment[formulation.nodes[id][0]];
  std::uint32_t best = old;
  const Wide cost = cost_with(formulation, edges, assignment, id, old);
  for (std::uint32_t s = 0; s < column.size(); ++s)
    if (is_smaller(column[s], column[best]) &&
        cost_with(formulation, edges, assignment, id, s) == cost)
      best = s;
  for (const solver::NodeId v : formulation.nodes[id]) assignment[v] = best;
  return best != old;
}

TESSERA_INLINE void prefer_smaller_shards(const Formulation& formulation,
                                          solver::Assignment& assignment) {
  constexpr int max_rounds = 10;
  const solver::Problem& problem = formulation.problem;
  EdgesOfNodes edges(problem.node_count());
  for (solver::EdgeId e = 0; e < problem.edge_count(); ++e)
    for (const solver::NodeId v : problem.edge_nodes(e)) edges[v].push_back(e);
  for (int round = 0, changes = 1; round < max_rounds && changes > 0; ++round) {
    changes = 0;
    // Backwards, since an op's results are settled by their readers.
    for (std::size_t id = formulation.columns.size(); id-- > 0;)
      changes += shrink(formulation, edges, assignment, id) ? 1 : 0;
  }
}

}  // namespace tessera::plan::detail
