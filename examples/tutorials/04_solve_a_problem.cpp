// SPDX-License-Identifier: Apache-2.0
//
// Lesson 4: the solver by itself.  It knows nothing of tensors: nodes have strategies, pairs of
// strategies have costs, and what is in use at one time must not exceed a limit.
#include <iostream>
#include <vector>

#include "tessera/solver.hpp"

using namespace tessera;
using namespace tessera::solver;

int main() {
  Problem problem;
  problem.usage_limit = 10;

  // Strategy 0 is cheap and large, strategy 1 dear and small.  Each node is live for two steps.
  std::vector<NodeId> nodes;
  for (int i = 0; i < 6; ++i) {
    const Cost costs[] = {1, 5};
    const Usage usages[] = {6, 2};
    nodes.push_back(problem.add_node(costs, usages, {i, i + 2}));
  }
  // Neighbours pay for changing their minds.
  for (int i = 0; i + 1 < 6; ++i) {
    const NodeId pair[] = {nodes[static_cast<std::size_t>(i)],
                           nodes[static_cast<std::size_t>(i) + 1]};
    const Cost costs[] = {0, 2, 2, 0};
    problem.add_edge(pair, costs);
  }

  Options options;
  options.time_limit = 1.0;
  options.on_progress = [](const Progress& progress) {
    std::cout << progress.event << ": bound " << to_string(progress.lower_bound) << '\n';
  };
  const Result result = solve(problem, options);

  std::cout << to_string(result.status) << ", cost " << to_string(result.cost) << ":";
  for (const std::uint32_t strategy : result.assignment) std::cout << ' ' << strategy;
  std::cout << '\n';

  // Never take a solver's word for it.
  const Evaluation check = evaluate(problem, result.assignment);
  std::cout << "checked: cost " << to_string(check.cost) << ", peak usage "
            << to_string(check.peak_usage) << '\n';
  return check.is_feasible() && check.cost == result.lower_bound ? 0 : 1;
}
