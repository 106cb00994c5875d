// SPDX-License-Identifier: Apache-2.0
//
// A request as XLA's auto-sharding sends it to its solver, and its validation.
//
//   AutoShardingSolverRequest          here
//   ---------------------------------  ---------------------------------------------------------
//   s_len, s_follow                    Node::strategy_count, Node::follower
//   computation_costs, c               Node::computation_costs
//   communication_costs, d             Node::communication_costs
//   memory_costs, m                    Node::memory_costs, rounded up by the caller
//   edges, resharding_costs, e and r   Edge
//   live                               liveness; if there are node_intervals, list a node at each
//                                      of its points (XLA's intervals include both ends)
//   aliases, value_costs, a and v      Alias
//   memory_budget, <= 0 for none       memory_budget
//
// problem.hpp converts it to a solver::Problem and the solution back; evaluation.hpp judges a
// solution in the request's own terms, and comparison.hpp compares two of them.
//
// Not covered: reading the protocol buffer, and fields that only some versions of XLA use (memory
// of edges, reduced memory groups, departures from default strategies, a price on exceeding the
// budget, deduplication of strategies).  The caller decides on the unit of the costs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"

namespace tessera::io::xla {

/// The number of a node, in the order of Request::nodes.
using RequestNode = std::uint32_t;

/// A request of XLA's auto-sharding, as plain data; validate() checks what must hold.
struct Request {
  struct Node {
    std::string name;                ///< may be empty, and need not be unique
    std::size_t strategy_count = 0;  ///< the size of each of the three lists
    /// Takes the strategy with the same index as this node, which may itself follow another one.
    std::optional<RequestNode> follower = std::nullopt;
    std::vector<double> computation_costs, communication_costs;
    std::vector<std::int64_t> memory_costs;  ///< bytes used at each point where the node is live
  };
  struct Edge {
    RequestNode first = 0, second = 0;
    std::vector<double> resharding_costs;  ///< row-major: the first node's strategy varies slowest
  };
  struct Alias {
    RequestNode first = 0, second = 0;
    std::vector<double> incompatible;  ///< row-major; not 0: the two strategies exclude each other
  };

  std::string name;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
  std::vector<Alias> aliases;
  /// For each program point the nodes that are live there, in any order.  A node may be live more
  /// than once.
  std::vector<std::vector<RequestNode>> liveness;
  std::optional<std::int64_t> memory_budget;  ///< in bytes, at each point; none: no limit
  /// Costs of at least this are forbidden, as is a strategy whose computation and communication
  /// costs add up to this.  XLA's kInfinityCost: 1e13 in older versions, 1e20 in newer ones.
  double infinity = 1e13;
};

/// The strategy chosen for every node of a request.
using Strategies = std::vector<std::uint32_t>;

/// Checks that a request is consistent.  It is if
///   - every node has strategies, and a cost of each kind for each of them; if it follows a node,
///     that node has as many strategies, and there is no cycle; no memory cost is negative
///   - every edge and alias has an entry for each pair of its nodes' strategies
///   - no list names a node that does not exist, and no program point names a node twice
///   - no cost is NaN or at most -infinity, 0 < infinity <= 1e100, and the budget is not negative
/// @throws InvalidArgument that names the node, edge, alias or program point.
/// Complexity: linear in the size of the request.
void validate(const Request& request);

}  // namespace tessera::io::xla

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/xla_request/request.ipp"
#endif
