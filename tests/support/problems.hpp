// SPDX-License-Identifier: Apache-2.0
// Random 0-1 programs of every shape that the solver must take, and brute force as their judge.
#pragma once
#include <algorithm>
#include <optional>
#include <vector>

#include "support/random.hpp"
#include "tessera/solver.hpp"

namespace tessera_test {

using namespace tessera;
using namespace tessera::solver;

struct ProblemShape {
  std::int64_t max_nodes = 7, max_strategies = 4;
  Cost lowest = -5, highest = 20;
  std::int64_t max_usage = 10, max_limit = 30, horizon = 6;
};

// Forbidden costs, edges of one and three nodes, self edges, repeated edges, empty intervals and
// unlimited problems all occur.
inline Problem random_problem(std::uint64_t seed, const ProblemShape& shape = {}) {
  Random random(seed);
  Problem problem;
  const std::int64_t nodes = random.between(1, shape.max_nodes);
  for (std::int64_t v = 0; v < nodes; ++v) {
    const std::int64_t strategies = random.between(1, shape.max_strategies);
    std::vector<Cost> costs;
    std::vector<Usage> usages;
    for (std::int64_t s = 0; s < strategies; ++s) {
      costs.push_back(random.once_in(10) ? infinite : random.between(shape.lowest, shape.highest));
      usages.push_back(random.between(0, shape.max_usage));
    }
    const std::int64_t begin = random.between(0, shape.horizon);
    problem.add_node(costs, usages, {begin, begin + random.between(-1, shape.horizon - 1)});
  }
  const std::int64_t edges = random.between(0, 2 * nodes);
  for (std::int64_t e = 0; e < edges; ++e) {
    const int arity = random.once_in(20) ? 3 : random.once_in(15) ? 1 : 2;
    std::vector<NodeId> ends;
    std::size_t size = 1;
    for (int i = 0; i < arity; ++i) {
      ends.push_back(static_cast<NodeId>(random.between(0, nodes - 1)));
      size *= problem.strategy_count(ends.back());
    }
    const bool restricts = random.once_in(3);
    std::vector<Cost> costs;
    for (std::size_t i = 0; i < size; ++i)
      costs.push_back(
          restricts && !random.once_in(3) ? infinite : random.between(shape.lowest, shape.highest));
    problem.add_edge(ends, costs);
  }
  if (!random.once_in(3)) problem.usage_limit = random.between(0, shape.max_limit);
  return problem;
}

// The least cost over all assignments; nothing where none is feasible.
inline std::optional<Wide> brute_force(const Problem& problem) {
  Assignment assignment(problem.node_count(), 0);
  std::optional<Wide> best;
  while (true) {
    const Evaluation evaluation = evaluate(problem, assignment);
    if (evaluation.is_feasible() && (!best || evaluation.cost < *best)) best = evaluation.cost;
    NodeId v = 0;
    while (v < problem.node_count() && ++assignment[v] == problem.strategy_count(v))
      assignment[v++] = 0;
    if (v == problem.node_count()) return best;
  }
}

// Layers that are all the same, in a row, each a ring of nodes; those at the ends have less to do.
inline Problem layered_problem(std::uint64_t seed, NodeId layers, NodeId width,
                               std::optional<Usage> limit) {
  Random random(seed);
  constexpr std::int64_t strategies = 3;
  const auto drawn = [&](std::int64_t size) {
    std::vector<std::int64_t> numbers;
    for (std::int64_t i = 0; i < size; ++i) numbers.push_back(random.between(0, 20));
    return numbers;
  };
  std::vector<std::vector<Cost>> costs, in_layer, between;
  std::vector<std::vector<Usage>> usages;
  for (NodeId v = 0; v < width; ++v) {
    costs.push_back(drawn(strategies));
    usages.push_back(drawn(strategies));
    in_layer.push_back(drawn(strategies * strategies));
    between.push_back(drawn(strategies * strategies));
  }
  Problem problem;
  for (NodeId v = 0; v < layers * width; ++v)
    problem.add_node(costs[v % width], usages[v % width], {v, v + 2 * width});
  for (NodeId v = 0; v < layers * width; ++v) {
    const NodeId next = v % width + 1 < width ? v + 1 : v + 1 - width;
    const NodeId ring[] = {std::min(v, next), std::max(v, next)}, ends[] = {v, v + width};
    problem.add_edge(ring, in_layer[v % width]);
    if (v + width < layers * width) problem.add_edge(ends, between[v % width]);
  }
  problem.usage_limit = limit;
  return problem;
}

}  // namespace tessera_test
