// SPDX-License-Identifier: Apache-2.0
//
// Plans at random: every op any of its strategies, as likely as any other.
//
// A cheapest plan takes the same few ways again and again; what a plan may be, and so what the
// executor must get right, is far more.  Ops that are tied, since one's result takes the other's
// place, get strategies that agree: of a problem in which each strategy has a random cost and each
// forbidden pair stays forbidden, the solver finds the cheapest assignment.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "tessera/core/integer.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/solver/solve.hpp"

namespace tessera::executor {

// An assignment of the formulation's problem.  Throws std::invalid_argument where there is none.
inline solver::Assignment random_assignment(const plan::Formulation& formulation,
                                            std::uint64_t seed) {
  const solver::Problem& problem = formulation.problem;
  solver::Problem dice;
  std::uint64_t state = mix_bits(seed);
  for (solver::NodeId v = 0; v < problem.node_count(); ++v) {
    std::vector<Cost> costs;
    for (const Cost cost : problem.costs(v))
      costs.push_back(is_finite(cost) ? static_cast<Cost>(mix_bits(++state) >> 40U) : infinite);
    dice.add_node(costs, std::vector<solver::Usage>(costs.size(), 0), {});
  }
  for (solver::EdgeId e = 0; e < problem.edge_count(); ++e) {
    std::vector<Cost> costs;
    bool restricts = false;
    for (const Cost cost : problem.edge_costs(e)) {
      costs.push_back(is_finite(cost) ? 0 : infinite);
      restricts = restricts || !is_finite(cost);
    }
    if (restricts) dice.add_edge(problem.edge_nodes(e), costs);
  }
  solver::Result result = solver::solve(dice);
  if (!result.has_assignment()) throw std::invalid_argument("the problem has no assignment at all");
  return std::move(result.assignment);
}

}  // namespace tessera::executor
