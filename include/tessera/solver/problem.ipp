// SPDX-License-Identifier: Apache-2.0
//
// Problem's function bodies.
#pragma once
#include "tessera/solver/problem.hpp"

#include <algorithm>
#include <utility>

#include "tessera/core/error.hpp"

namespace tessera::solver {

namespace detail {

inline void check_size(std::span<const Cost> costs, std::size_t expected) {
  if (costs.size() != expected)
    throw InvalidArgument(std::to_string(costs.size()) + " costs in place of " +
                          std::to_string(expected));
}

}  // namespace detail

TESSERA_INLINE void Problem::reserve(std::size_t nodes, std::size_t strategies, std::size_t edges) {
  node_begin_.reserve(nodes + 1);
  intervals_.reserve(nodes);
  costs_.reserve(strategies);
  usages_.reserve(strategies);
  edge_nodes_.reserve(2 * edges);
  edge_nodes_begin_.reserve(edges + 1);
  edge_costs_.reserve(edges);
}

TESSERA_INLINE NodeId Problem::add_node(std::span<const Cost> costs, std::span<const Usage> usages,
                                        Interval interval) {
  const auto id = static_cast<NodeId>(node_count());
  const auto refuse = [id](const std::string& what) {
    throw InvalidArgument("node " + std::to_string(id) + " has " + what);
  };
  if (costs.empty()) refuse("no strategies");
  if (costs.size() != usages.size())
    refuse(std::to_string(costs.size()) + " costs but " + std::to_string(usages.size()) +
           " usages");
  for (const Usage usage : usages)
    if (usage < 0) refuse("a negative usage");
  costs_.insert(costs_.end(), costs.begin(), costs.end());
  usages_.insert(usages_.end(), usages.begin(), usages.end());
  node_begin_.push_back(costs_.size());
  intervals_.push_back(interval);
  return id;
}

TESSERA_INLINE EdgeId Problem::add_edge(std::span<const NodeId> nodes,
                                        std::span<const Cost> costs) {
  check_edge(nodes, costs.size());
  return place_edge(nodes, use(costs));
}
TESSERA_INLINE EdgeId Problem::add_edge(std::span<const NodeId> nodes, CostsId costs) {
  if (costs >= uses_.size() || uses_[costs] == 0)
    throw InvalidArgument("edge " + std::to_string(edge_count()) +
                          " is to have the costs of an edge that there is not");
  check_edge(nodes, distinct_costs_[costs].size());
  ++uses_[costs];
  return place_edge(nodes, costs);
}

TESSERA_INLINE void Problem::set_costs(NodeId v, std::span<const Cost> costs) {
  detail::check_size(costs, strategy_count(v));
  std::copy(costs.begin(), costs.end(),
            costs_.begin() + static_cast<std::ptrdiff_t>(node_begin_[v]));
}
TESSERA_INLINE void Problem::set_edge_costs(EdgeId e, std::span<const Cost> costs) {
  detail::check_size(costs, edge_costs(e).size());
  const CostsId old = std::exchange(edge_costs_[e], use(costs));
  if (--uses_[old] == 0) distinct_costs_.remove(old);
}
TESSERA_INLINE void Problem::fix(NodeId v, std::uint32_t strategy) {
  if (v >= node_count() || strategy >= strategy_count(v))
    throw InvalidArgument("node " + std::to_string(v) + " has no strategy " +
                          std::to_string(strategy));
  for (std::size_t s = 0; s < strategy_count(v); ++s)
    if (s != strategy) costs_[node_begin_[v] + s] = infinite;
}

TESSERA_INLINE void Problem::check_edge(std::span<const NodeId> nodes, std::size_t costs) const {
  const auto refuse = [this](const std::string& what) {
    throw InvalidArgument("edge " + std::to_string(edge_count()) + " " + what);
  };
  if (nodes.empty()) refuse("has no nodes");
  std::size_t expected = 1;
  for (const NodeId node : nodes) {
    if (node >= node_count())
      refuse("names node " + std::to_string(node) + " of " + std::to_string(node_count()));
    if (__builtin_mul_overflow(expected, strategy_count(node), &expected))
      refuse("needs more costs than can be counted");
  }
  if (costs != expected)
    refuse("has " + std::to_string(costs) + " costs where its nodes' strategies need " +
           std::to_string(expected));
}

TESSERA_INLINE EdgeId Problem::place_edge(std::span<const NodeId> nodes, CostsId costs) {
  const auto id = static_cast<EdgeId>(edge_count());
  edge_nodes_.insert(edge_nodes_.end(), nodes.begin(), nodes.end());
  edge_nodes_begin_.push_back(edge_nodes_.size());
  edge_costs_.push_back(costs);
  return id;
}

TESSERA_INLINE CostsId Problem::use(std::span<const Cost> costs) {
  const CostsId id = distinct_costs_.add(costs);
  uses_.resize(distinct_costs_.size(), 0);
  ++uses_[id];
  return id;
}

}  // namespace tessera::solver
