// SPDX-License-Identifier: Apache-2.0
//
// Evaluation of a choice: followers, aliases, costs, then memory at each program point.
#pragma once
#include "tessera/io/xla_request/evaluation.hpp"

#include <algorithm>
#include <utility>

#include "tessera/io/xla_request/detail/access.hpp"
#include "tessera/io/xla_request/detail/compensated_sum.hpp"

namespace tessera::io::xla {
namespace detail {

TESSERA_INLINE void add_violation(const Strategies& strategies, Violation::Kind kind,
                                  std::size_t index, std::vector<RequestNode> nodes,
                                  RequestEvaluation& result, Wide excess = 0) {
  Strategies chosen;
  for (const RequestNode v : nodes) chosen.push_back(strategies[v]);
  result.violations.push_back({kind, index, std::move(nodes), std::move(chosen), excess});
}

TESSERA_INLINE void evaluate_followers(const Request& request, const Strategies& strategies,
                                       RequestEvaluation& result) {
  for (RequestNode v = 0; v < request.nodes.size(); ++v)
    if (const auto followed = request.nodes[v].follower;
        followed && strategies[v] != strategies[*followed])
      add_violation(strategies, Violation::Kind::follower, v, {v, *followed}, result);
}

TESSERA_INLINE void evaluate_aliases(const Request& request, const Strategies& strategies,
                                     RequestEvaluation& result) {
  for (std::size_t a = 0; a < request.aliases.size(); ++a) {
    const Request::Alias& alias = request.aliases[a];
    if (alias.incompatible[index_of(request, alias, strategies)] != 0)
      add_violation(strategies, Violation::Kind::alias, a, {alias.first, alias.second}, result);
  }
}

TESSERA_INLINE void evaluate_nodes(const Request& request, const Strategies& strategies,
                                   RequestEvaluation& result) {
  CompensatedSum computation, communication;
  for (RequestNode v = 0; v < request.nodes.size(); ++v) {
    const Request::Node& node = request.nodes[v];
    if (is_forbidden(request, node, strategies[v])) {
      add_violation(strategies, Violation::Kind::forbidden_node, v, {v}, result);
      continue;
    }
    computation.add(node.computation_costs[strategies[v]]);
    communication.add(node.communication_costs[strategies[v]]);
  }
  result.computation = computation.value();
  result.communication = communication.value();
}

TESSERA_INLINE void evaluate_edges(const Request& request, const Strategies& strategies,
                                   RequestEvaluation& result) {
  CompensatedSum resharding;
  for (std::size_t e = 0; e < request.edges.size(); ++e) {
    const Request::Edge& edge = request.edges[e];
    const double cost = edge.resharding_costs[index_of(request, edge, strategies)];
    if (is_forbidden(request, cost))
      add_violation(strategies, Violation::Kind::forbidden_edge, e, {edge.first, edge.second},
                    result);
    else
      resharding.add(cost);
  }
  result.resharding = resharding.value();
}

// The nodes that use most memory at a program point, largest first.
TESSERA_INLINE std::vector<RequestNode> largest_users(const Request& request,
                                                      const Strategies& strategies,
                                                      const std::vector<RequestNode>& live) {
  const auto memory_of = [&](RequestNode v) {
    return request.nodes[v].memory_costs[strategies[v]];
  };
  std::vector<RequestNode> users;
  for (const RequestNode v : live)
    if (memory_of(v) > 0) users.push_back(v);
  const auto named = static_cast<std::ptrdiff_t>(std::min(users.size(), Violation::most_named));
  std::partial_sort(users.begin(), users.begin() + named, users.end(),
                    [&](RequestNode a, RequestNode b) {
                      return memory_of(a) != memory_of(b) ? memory_of(a) > memory_of(b) : a < b;
                    });
  users.resize(static_cast<std::size_t>(named));
  return users;
}

TESSERA_INLINE void evaluate_memory(const Request& request, const Strategies& strategies,
                                    std::size_t point, RequestEvaluation& result) {
  const std::vector<RequestNode>& live = request.liveness[point];
  Wide memory = 0;
  for (const RequestNode v : live) memory += request.nodes[v].memory_costs[strategies[v]];
  if (memory > result.peak_memory) {
    result.peak_memory = memory;
    result.peak_point = point;
  }
  if (request.memory_budget && memory > *request.memory_budget)
    add_violation(strategies, Violation::Kind::memory, point,
                  largest_users(request, strategies, live), result,
                  memory - *request.memory_budget);
}

TESSERA_INLINE std::string memory_text(const Request& request, const Violation& violation) {
  std::string text = "memory at program point " + std::to_string(violation.index) + ": " +
                     tessera::to_string(violation.excess) + " over the budget";
  for (std::size_t i = 0; i < violation.nodes.size(); ++i) {
    const RequestNode v = violation.nodes[i];
    text += (i == 0 ? "; the largest there: node " : ", node ") + short_name(request, v) +
            " uses " + std::to_string(request.nodes[v].memory_costs[violation.strategies[i]]);
  }
  return text;
}

}  // namespace detail

TESSERA_INLINE RequestEvaluation evaluate(const Request& request, const Strategies& strategies) {
  detail::check_strategies(request, strategies);
  RequestEvaluation result;
  detail::evaluate_followers(request, strategies, result);
  detail::evaluate_aliases(request, strategies, result);
  detail::evaluate_nodes(request, strategies, result);
  detail::evaluate_edges(request, strategies, result);
  for (std::size_t point = 0; point < request.liveness.size(); ++point)
    detail::evaluate_memory(request, strategies, point, result);
  return result;
}

TESSERA_INLINE std::string to_string(const Request& request, const Violation& violation) {
  const auto name = [&](std::size_t i) { return detail::short_name(request, violation.nodes[i]); };
  const auto strategy = [&](std::size_t i) { return std::to_string(violation.strategies[i]); };
  switch (violation.kind) {
    case Violation::Kind::follower:
      return "node " + name(0) + " follows node " + name(1) + ", but takes strategy " +
             strategy(0) + " where that takes " + strategy(1);
    case Violation::Kind::alias:
      return "alias " + name(0) + " -> " + name(1) + ": strategies " + strategy(0) + " and " +
             strategy(1) + " can not go together";
    case Violation::Kind::forbidden_node:
      return "node " + name(0) + ": strategy " + strategy(0) + " is forbidden";
    case Violation::Kind::forbidden_edge:
      return "edge " + name(0) + " -> " + name(1) + ": strategies " + strategy(0) + " and " +
             strategy(1) + " are forbidden together";
    case Violation::Kind::memory: return detail::memory_text(request, violation);
  }
  return "";
}

}  // namespace tessera::io::xla
