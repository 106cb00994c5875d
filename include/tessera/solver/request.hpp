// SPDX-License-Identifier: Apache-2.0
//
// A request as XLA's auto-sharding sends it to its solver, and whether it is one.
//
//   AutoShardingSolverRequest          here
//   ---------------------------------  ---------------------------------------------------------
//   s_len, s_follow                    Node::strategy_count, Node::follower
//   computation_costs, c               Node::computation_costs
//   communication_costs, d             Node::communication_costs
//   memory_costs, m                    Node::memory_costs, rounded up by the caller
//   edges, resharding_costs, e and r   Edge
//   live                               liveness; where there are node_intervals, list a node at
//                                      each of its points (XLA's intervals include both ends)
//   aliases, value_costs, a and v      Alias
//   memory_budget, <= 0 for none       memory_budget
//
// request_problem.hpp makes a Problem of it and takes the answer back; request_evaluation.hpp
// judges an answer, and holds it against another one, in the request's own terms.
//
// Left to others: reading the protocol buffer, and what only some versions of XLA ask for (memory
// of edges, reduced memory groups, departures from default strategies, a price on exceeding the
// budget, deduplication of strategies).  What the numbers mean is the caller's affair.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver {

// Plain data; validate() says what must hold.
struct Request {
  struct Node {
    std::string name;                // may be empty, and need not be unique
    std::size_t strategy_count = 0;  // the size of each of the three lists
    // Takes the strategy with the same index as this node, which may itself follow another one.
    std::optional<NodeId> follower = std::nullopt;
    std::vector<double> computation_costs, communication_costs;
    std::vector<Usage> memory_costs;  // used at each point where the node is live
  };
  struct Edge {
    NodeId first = 0, second = 0;
    std::vector<double> resharding_costs;  // row-major: the first node's strategy varies slowest
  };
  struct Alias {
    NodeId first = 0, second = 0;
    std::vector<double> incompatible;  // row-major; not 0: the two strategies can not go together
  };

  std::string name;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
  std::vector<Alias> aliases;
  // For each program point the nodes live there, in any order.  A node may come and go.
  std::vector<std::vector<NodeId>> liveness;
  std::optional<Usage> memory_budget;  // at each point; none: no limit at all
  // Costs from here on are forbidden, as is a strategy whose computation and communication together
  // reach this.  XLA's kInfinityCost, which was 1e13 for long and is 1e20 in newer versions.
  double infinity = 1e13;
};

// The strategy chosen for every node of a request.
using Strategies = std::vector<std::uint32_t>;

namespace detail {

// "dot.3", or "3" where it has no name.
inline std::string short_name(const Request& request, NodeId v) {
  const std::string& name = request.nodes[v].name;
  return name.empty() ? std::to_string(v) : name;
}

// "node 3 (dot.3)": in messages, where names need not tell nodes apart.
inline std::string full_name(const Request& request, NodeId v) {
  const std::string& name = request.nodes[v].name;
  return "node " + std::to_string(v) + (name.empty() ? "" : " (" + name + ")");
}

inline bool is_forbidden(const Request& request, double cost) { return cost >= request.infinity; }
inline bool is_forbidden(const Request& request, const Request::Node& node, std::size_t s) {
  const double computation = node.computation_costs[s], communication = node.communication_costs[s];
  return is_forbidden(request, computation) || is_forbidden(request, communication) ||
         is_forbidden(request, computation + communication);
}

template<class Pair>  // Edge or Alias
std::size_t index_of(const Request& request, const Pair& pair, std::size_t s, std::size_t t) {
  return s * request.nodes[pair.second].strategy_count + t;
}
template<class Pair>
std::size_t index_of(const Request& request, const Pair& pair, const Strategies& strategies) {
  return index_of(request, pair, strategies[pair.first], strategies[pair.second]);
}

class RequestValidator {
 public:
  explicit RequestValidator(const Request& request) : request_(request) {}

  void run() const {
    if (!(request_.infinity > 0 && request_.infinity <= 1e100))
      throw InvalidArgument("the cost taken for infinity is not between 0 and 1e100");
    if (request_.memory_budget && *request_.memory_budget < 0)
      throw InvalidArgument(
          "the memory budget is negative; where there is none, leave it out");
    for (NodeId v = 0; v < request_.nodes.size(); ++v) check_node(v);
    for (NodeId v = 0; v < request_.nodes.size(); ++v) check_follower(v);
    check_cycles();
    for (std::size_t e = 0; e < request_.edges.size(); ++e) {
      const Request::Edge& edge = request_.edges[e];
      const std::string where = check_pair("edge ", e, edge, "costs", edge.resharding_costs.size());
      check_costs(where, "resharding", edge.resharding_costs);
    }
    for (std::size_t a = 0; a < request_.aliases.size(); ++a) {
      const Request::Alias& alias = request_.aliases[a];
      const std::string where =
          check_pair("alias ", a, alias, "entries", alias.incompatible.size());
      for (std::size_t i = 0; i < alias.incompatible.size(); ++i)
        if (std::isnan(alias.incompatible[i]))
          throw InvalidArgument(where + ": entry " + std::to_string(i) + " is not a number");
    }
    check_liveness();
  }

 private:
  void check_node(NodeId v) const {
    const Request::Node& node = request_.nodes[v];
    const std::string where = full_name(request_, v);
    if (node.strategy_count == 0) throw InvalidArgument(where + " has no strategies");
    const auto check_size = [&](const char* what, std::size_t size) {
      if (size != node.strategy_count)
        throw InvalidArgument(where + " has " + std::to_string(size) + " " + what +
                                    " costs for " + std::to_string(node.strategy_count) +
                                    " strategies");
    };
    check_size("computation", node.computation_costs.size());
    check_size("communication", node.communication_costs.size());
    check_size("memory", node.memory_costs.size());
    check_costs(where, "computation", node.computation_costs);
    check_costs(where, "communication", node.communication_costs);
    for (std::size_t s = 0; s < node.strategy_count; ++s)
      if (node.memory_costs[s] < 0)
        throw InvalidArgument(where + ": memory cost " + std::to_string(s) + " is negative");
  }

  void check_costs(const std::string& where, const char* what,
                   const std::vector<double>& costs) const {
    for (std::size_t i = 0; i < costs.size(); ++i) {
      const auto fail = [&](const char* fault) {
        throw InvalidArgument(where + ": " + what + " cost " + std::to_string(i) + fault);
      };
      if (std::isnan(costs[i])) fail(" is not a number");
      if (costs[i] <= -request_.infinity) fail(" is minus infinity");
    }
  }

  void check_follower(NodeId v) const {
    if (!request_.nodes[v].follower) return;
    const NodeId followed = *request_.nodes[v].follower;
    const std::string where = full_name(request_, v);
    if (followed >= request_.nodes.size())
      throw InvalidArgument(where + " follows node " + std::to_string(followed) + " of " +
                                  std::to_string(request_.nodes.size()));
    const std::size_t own = request_.nodes[v].strategy_count;
    const std::size_t other = request_.nodes[followed].strategy_count;
    if (own != other)
      throw InvalidArgument(where + " has " + std::to_string(own) + " strategies, but " +
                                  full_name(request_, followed) + ", which it follows, has " +
                                  std::to_string(other));
  }

  void check_cycles() const {
    constexpr NodeId none = std::numeric_limits<NodeId>::max();
    std::vector<NodeId> seen_from(request_.nodes.size(), none);  // in which walk
    for (NodeId start = 0; start < request_.nodes.size(); ++start) {
      NodeId v = start;
      while (seen_from[v] == none) {
        seen_from[v] = start;
        if (!request_.nodes[v].follower) break;
        v = *request_.nodes[v].follower;
      }
      // Met again in the same walk: either the end of a chain, or a cycle.
      if (seen_from[v] != start || !request_.nodes[v].follower) continue;
      std::string cycle = full_name(request_, v);
      NodeId w = v;
      do {
        w = *request_.nodes[w].follower;
        cycle += " -> " + full_name(request_, w);
      } while (w != v);
      throw InvalidArgument("nodes follow each other in a cycle: " + cycle);
    }
  }

  template<class Pair>
  std::string check_pair(const char* kind, std::size_t index, const Pair& pair, const char* entries,
                         std::size_t size) const {
    std::string where = kind + std::to_string(index);
    for (const NodeId v : {pair.first, pair.second})
      if (v >= request_.nodes.size())
        throw InvalidArgument(where + " names node " + std::to_string(v) + " of " +
                                    std::to_string(request_.nodes.size()));
    where += " (" + short_name(request_, pair.first) + " -> " + short_name(request_, pair.second) +
             ")";
    const std::size_t expected = request_.nodes[pair.first].strategy_count *
                                 request_.nodes[pair.second].strategy_count;
    if (size != expected)
      throw InvalidArgument(where + " has " + std::to_string(size) + " " + entries +
                                  " where its nodes' strategies need " + std::to_string(expected));
    return where;
  }

  void check_liveness() const {
    std::vector<std::size_t> last(request_.nodes.size(), request_.liveness.size());
    for (std::size_t point = 0; point < request_.liveness.size(); ++point)
      for (const NodeId v : request_.liveness[point]) {
        const auto fail = [&](const std::string& what) {
          throw InvalidArgument("program point " + std::to_string(point) + " lists " + what);
        };
        if (v >= request_.nodes.size())
          fail("node " + std::to_string(v) + " of " + std::to_string(request_.nodes.size()));
        if (last[v] == point) fail(full_name(request_, v) + " twice");
        last[v] = point;
      }
  }

  const Request& request_;
};

inline void check_strategies(const Request& request, const Strategies& strategies) {
  if (strategies.size() != request.nodes.size())
    throw InvalidArgument("there are " + std::to_string(strategies.size()) +
                                " strategies for " + std::to_string(request.nodes.size()) +
                                " nodes");
  for (NodeId v = 0; v < strategies.size(); ++v)
    if (strategies[v] >= request.nodes[v].strategy_count)
      throw InvalidArgument(full_name(request, v) + " has no strategy " +
                                  std::to_string(strategies[v]));
}

}  // namespace detail

// Throws InvalidArgument, naming the node, edge, alias or program point, unless:
//   - every node has strategies, and as many costs of each kind; follows none, or one with as many
//     strategies, and never in a cycle; and uses no negative memory
//   - every edge and alias has an entry for each pair of its nodes' strategies
//   - only nodes that are there are named, and none twice at one program point
//   - no cost is NaN or -infinity or less, 0 < infinity <= 1e100, and no budget is negative
// O(size of the request).
inline void validate(const Request& request) { detail::RequestValidator(request).run(); }

}  // namespace tessera::solver
