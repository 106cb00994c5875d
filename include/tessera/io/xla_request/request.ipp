// SPDX-License-Identifier: Apache-2.0
//
// Validation of a request.  request.hpp has the rules.
#pragma once
#include "tessera/io/xla_request/request.hpp"

#include <cmath>
#include <limits>

#include "tessera/core/error.hpp"
#include "tessera/io/xla_request/detail/access.hpp"

namespace tessera::io::xla {
namespace detail {

TESSERA_INLINE void check_limits(const Request& request) {
  if (!(request.infinity > 0 && request.infinity <= 1e100))
    throw InvalidArgument("the cost taken for infinity is not between 0 and 1e100");
  if (request.memory_budget && *request.memory_budget < 0)
    throw InvalidArgument("the memory budget is negative; where there is none, leave it out");
}

TESSERA_INLINE void check_costs(const Request& request, const std::string& where, const char* what,
                                const std::vector<double>& costs) {
  for (std::size_t i = 0; i < costs.size(); ++i) {
    const bool is_nan = std::isnan(costs[i]);
    if (!is_nan && costs[i] > -request.infinity) continue;
    throw InvalidArgument(where + ": " + what + " cost " + std::to_string(i) +
                          (is_nan ? " is not a number" : " is minus infinity"));
  }
}

TESSERA_INLINE void check_size(const Request::Node& node, const std::string& where,
                               const char* what, std::size_t size) {
  if (size != node.strategy_count)
    throw InvalidArgument(where + " has " + std::to_string(size) + " " + what + " costs for " +
                          std::to_string(node.strategy_count) + " strategies");
}

TESSERA_INLINE void check_node(const Request& request, RequestNode v) {
  const Request::Node& node = request.nodes[v];
  const std::string where = full_name(request, v);
  if (node.strategy_count == 0) throw InvalidArgument(where + " has no strategies");
  check_size(node, where, "computation", node.computation_costs.size());
  check_size(node, where, "communication", node.communication_costs.size());
  check_size(node, where, "memory", node.memory_costs.size());
  check_costs(request, where, "computation", node.computation_costs);
  check_costs(request, where, "communication", node.communication_costs);
  for (std::size_t s = 0; s < node.strategy_count; ++s)
    if (node.memory_costs[s] < 0)
      throw InvalidArgument(where + ": memory cost " + std::to_string(s) + " is negative");
}

TESSERA_INLINE void check_follower(const Request& request, RequestNode v) {
  if (!request.nodes[v].follower) return;
  const RequestNode followed = *request.nodes[v].follower;
  const std::string where = full_name(request, v);
  if (followed >= request.nodes.size())
    throw InvalidArgument(where + " follows node " + std::to_string(followed) + " of " +
                          std::to_string(request.nodes.size()));
  const std::size_t own = request.nodes[v].strategy_count;
  const std::size_t other = request.nodes[followed].strategy_count;
  if (own != other)
    throw InvalidArgument(where + " has " + std::to_string(own) + " strategies, but " +
                          full_name(request, followed) + ", which it follows, has " +
                          std::to_string(other));
}

// The cycle of followers through a node, as "node 1 (a) -> node 2 (b) -> node 1 (a)".
TESSERA_INLINE std::string cycle_text(const Request& request, RequestNode v) {
  std::string text = full_name(request, v);
  RequestNode w = v;
  do {
    w = *request.nodes[w].follower;
    text += " -> " + full_name(request, w);
  } while (w != v);
  return text;
}

// Walks from every node along its followers; each node is visited once.
TESSERA_INLINE void check_cycles(const Request& request) {
  constexpr RequestNode none = std::numeric_limits<RequestNode>::max();
  std::vector<RequestNode> visited_from(request.nodes.size(), none);  // the start of that walk
  for (RequestNode start = 0; start < request.nodes.size(); ++start) {
    RequestNode v = start;
    while (visited_from[v] == none) {
      visited_from[v] = start;
      if (!request.nodes[v].follower) break;
      v = *request.nodes[v].follower;
    }
    // A node visited in the same walk is either the end of a chain, or closes a cycle.
    if (visited_from[v] == start && request.nodes[v].follower)
      throw InvalidArgument("nodes follow each other in a cycle: " + cycle_text(request, v));
  }
}

// The name of an edge or alias for messages.
template<class Pair>
std::string check_pair(const Request& request, const std::string& number, const Pair& pair,
                       const char* entries, std::size_t size) {
  for (const RequestNode v : {pair.first, pair.second})
    if (v >= request.nodes.size())
      throw InvalidArgument(number + " names node " + std::to_string(v) + " of " +
                            std::to_string(request.nodes.size()));
  const std::string where = number + " (" + short_name(request, pair.first) + " -> " +
                            short_name(request, pair.second) + ")";
  const std::size_t expected = request.nodes[pair.first].strategy_count *
                               request.nodes[pair.second].strategy_count;
  if (size != expected)
    throw InvalidArgument(where + " has " + std::to_string(size) + " " + entries +
                          " where its nodes' strategies need " + std::to_string(expected));
  return where;
}

TESSERA_INLINE void check_edge(const Request& request, std::size_t e) {
  const Request::Edge& edge = request.edges[e];
  const std::string where =
      check_pair(request, "edge " + std::to_string(e), edge, "costs", edge.resharding_costs.size());
  check_costs(request, where, "resharding", edge.resharding_costs);
}

TESSERA_INLINE void check_alias(const Request& request, std::size_t a) {
  const Request::Alias& alias = request.aliases[a];
  const std::string where = check_pair(request, "alias " + std::to_string(a), alias, "entries",
                                       alias.incompatible.size());
  for (std::size_t i = 0; i < alias.incompatible.size(); ++i)
    if (std::isnan(alias.incompatible[i]))
      throw InvalidArgument(where + ": entry " + std::to_string(i) + " is not a number");
}

TESSERA_INLINE void check_liveness(const Request& request) {
  std::vector<std::size_t> last(request.nodes.size(), request.liveness.size());
  for (std::size_t point = 0; point < request.liveness.size(); ++point)
    for (const RequestNode v : request.liveness[point]) {
      const auto fail = [&](const std::string& what) {
        throw InvalidArgument("program point " + std::to_string(point) + " lists " + what);
      };
      if (v >= request.nodes.size())
        fail("node " + std::to_string(v) + " of " + std::to_string(request.nodes.size()));
      if (last[v] == point) fail(full_name(request, v) + " twice");
      last[v] = point;
    }
}

}  // namespace detail

TESSERA_INLINE void validate(const Request& request) {
  detail::check_limits(request);
  for (RequestNode v = 0; v < request.nodes.size(); ++v) detail::check_node(request, v);
  for (RequestNode v = 0; v < request.nodes.size(); ++v) detail::check_follower(request, v);
  detail::check_cycles(request);
  for (std::size_t e = 0; e < request.edges.size(); ++e) detail::check_edge(request, e);
  for (std::size_t a = 0; a < request.aliases.size(); ++a) detail::check_alias(request, a);
  detail::check_liveness(request);
}

}  // namespace tessera::io::xla
