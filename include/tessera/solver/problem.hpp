// SPDX-License-Identifier: Apache-2.0
//
// The 0-1 program behind automatic sharding: choose one strategy per node, at least total cost,
// within one usage limit at every point of time.
//
// What a node is, and what a strategy means, is the caller's affair: here they are numbers.  The
// same program is Google's IOPDDL contest problem, whose files io/iopddl.hpp reads and writes.
//
//   Alpa (OSDI 2022, section 4.2)      here
//   ---------------------------------  ---------------------------------------------------------
//   s_v, the one-hot choice of node v  assignment[v], the chosen strategy's index
//   c_v + d_v, its cost (eq. 1)        costs(v)[s]
//   m_v, its memory                    usages(v)[s], while interval(v) lasts
//   e_vu, R_vu, resharding (eq. 1)     edge_costs(e), row-major over edge_nodes(e)
//   M, memory per device               usage_limit
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/error.hpp"
#include "tessera/solver/pool.hpp"

namespace tessera::solver {

using Usage = std::int64_t;
using NodeId = std::uint32_t;
using EdgeId = std::uint32_t;
using CostsId = Pool<Cost>::Id;

// The strategy chosen for every node.
using Assignment = std::vector<std::uint32_t>;

// Half-open.  Where end <= begin, the node never uses anything.
struct Interval {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  constexpr bool empty() const noexcept { return end <= begin; }
  friend constexpr bool operator==(const Interval&, const Interval&) noexcept = default;
};

class Problem {
 public:
  std::string name;
  std::optional<Usage> usage_limit;  // none: no limit at all

  // Room for so many, for those who count their bytes.
  void reserve(std::size_t nodes, std::size_t strategies, std::size_t edges) {
    node_begin_.reserve(nodes + 1);
    intervals_.reserve(nodes);
    costs_.reserve(strategies);
    usages_.reserve(strategies);
    edge_nodes_.reserve(2 * edges);
    edge_nodes_begin_.reserve(edges + 1);
    edge_costs_.reserve(edges);
  }

  // One cost and one usage per strategy; a cost may be `infinite`.  Usages are not negative.
  // Throws InvalidArgument.
  NodeId add_node(std::span<const Cost> costs, std::span<const Usage> usages,
                  Interval interval = {}) {
    const auto id = static_cast<NodeId>(node_count());
    if (costs.empty())
      throw InvalidArgument("node " + std::to_string(id) + " has no strategies");
    if (costs.size() != usages.size())
      throw InvalidArgument("node " + std::to_string(id) + " has " +
                                  std::to_string(costs.size()) + " costs but " +
                                  std::to_string(usages.size()) + " usages");
    for (const Usage usage : usages)
      if (usage < 0)
        throw InvalidArgument("node " + std::to_string(id) + " has a negative usage");
    costs_.insert(costs_.end(), costs.begin(), costs.end());
    usages_.insert(usages_.end(), usages.begin(), usages.end());
    node_begin_.push_back(costs_.size());
    intervals_.push_back(interval);
    return id;
  }

  // One cost per combination of the nodes' strategies, the first node's varying slowest; usually
  // two nodes, but any number may be listed, also the same one twice.  Edges over the same nodes
  // add up. Throws InvalidArgument.
  EdgeId add_edge(std::span<const NodeId> nodes, std::span<const Cost> costs) {
    check_edge(nodes, costs.size());
    return place_edge(nodes, use(costs));
  }
  // At the costs of an edge that there is, by their number: nobody looks at them again, which for
  // wide columns is most of the work.  Throws InvalidArgument.
  EdgeId add_edge(std::span<const NodeId> nodes, CostsId costs) {
    if (costs >= uses_.size() || uses_[costs] == 0)
      throw InvalidArgument("edge " + std::to_string(edge_count()) +
                                  " is to have the costs of an edge that there is not");
    check_edge(nodes, distinct_costs_[costs].size());
    ++uses_[costs];
    return place_edge(nodes, costs);
  }

  // New costs in place of the old ones, for the same problem solved again; solve() can begin with
  // the old answer (Options::start).  Throws InvalidArgument where the sizes differ.
  void set_costs(NodeId v, std::span<const Cost> costs) {
    check_size(costs, strategy_count(v));
    std::copy(costs.begin(), costs.end(),
              costs_.begin() + static_cast<std::ptrdiff_t>(node_begin_[v]));
  }
  void set_edge_costs(EdgeId e, std::span<const Cost> costs) {
    check_size(costs, edge_costs(e).size());
    const CostsId old = std::exchange(edge_costs_[e], use(costs));
    if (--uses_[old] == 0) distinct_costs_.remove(old);
  }
  // Leaves a node one strategy only.  Throws InvalidArgument.
  void fix(NodeId v, std::uint32_t strategy) {
    if (v >= node_count() || strategy >= strategy_count(v))
      throw InvalidArgument("node " + std::to_string(v) + " has no strategy " +
                                  std::to_string(strategy));
    for (std::size_t s = 0; s < strategy_count(v); ++s)
      if (s != strategy) costs_[node_begin_[v] + s] = infinite;
  }

  std::size_t node_count() const noexcept { return intervals_.size(); }
  std::size_t strategy_count(NodeId v) const noexcept {
    return node_begin_[v + 1] - node_begin_[v];
  }
  std::span<const Cost> costs(NodeId v) const noexcept {
    return {costs_.data() + node_begin_[v], strategy_count(v)};
  }
  std::span<const Usage> usages(NodeId v) const noexcept {
    return {usages_.data() + node_begin_[v], strategy_count(v)};
  }
  Interval interval(NodeId v) const noexcept { return intervals_[v]; }

  std::size_t edge_count() const noexcept { return edge_nodes_begin_.size() - 1; }
  std::span<const NodeId> edge_nodes(EdgeId e) const noexcept {
    return {edge_nodes_.data() + edge_nodes_begin_[e],
            edge_nodes_begin_[e + 1] - edge_nodes_begin_[e]};
  }
  std::span<const Cost> edge_costs(EdgeId e) const noexcept {
    return distinct_costs_[edge_costs_[e]];
  }
  // Edges whose costs are equal have the same number here; below edge_costs_ids().
  CostsId edge_costs_id(EdgeId e) const noexcept { return edge_costs_[e]; }
  std::size_t edge_costs_ids() const noexcept { return distinct_costs_.size(); }

 private:
  static void check_size(std::span<const Cost> costs, std::size_t expected) {
    if (costs.size() != expected)
      throw InvalidArgument(std::to_string(costs.size()) + " costs in place of " +
                                  std::to_string(expected));
  }

  void check_edge(std::span<const NodeId> nodes, std::size_t costs) const {
    const auto where = [this] { return "edge " + std::to_string(edge_count()); };
    if (nodes.empty()) throw InvalidArgument(where() + " has no nodes");
    std::size_t expected = 1;
    for (const NodeId node : nodes) {
      if (node >= node_count())
        throw InvalidArgument(where() + " names node " + std::to_string(node) + " of " +
                                    std::to_string(node_count()));
      if (__builtin_mul_overflow(expected, strategy_count(node), &expected))
        throw InvalidArgument(where() + " needs more costs than can be counted");
    }
    if (costs != expected)
      throw InvalidArgument(where() + " has " + std::to_string(costs) +
                                  " costs where its nodes' strategies need " +
                                  std::to_string(expected));
  }
  EdgeId place_edge(std::span<const NodeId> nodes, CostsId costs) {
    const auto id = static_cast<EdgeId>(edge_count());
    edge_nodes_.insert(edge_nodes_.end(), nodes.begin(), nodes.end());
    edge_nodes_begin_.push_back(edge_nodes_.size());
    edge_costs_.push_back(costs);
    return id;
  }

  CostsId use(std::span<const Cost> costs) {
    const CostsId id = distinct_costs_.add(costs);
    uses_.resize(distinct_costs_.size(), 0);
    ++uses_[id];
    return id;
  }

  // Flat, because contest files hold tens of millions of numbers; and edges that cost the same, as
  // those of repeated layers do, share what they cost.
  std::vector<Cost> costs_;
  std::vector<Usage> usages_;
  std::vector<std::size_t> node_begin_{0};
  std::vector<Interval> intervals_;
  std::vector<NodeId> edge_nodes_;
  std::vector<std::size_t> edge_nodes_begin_{0};
  std::vector<CostsId> edge_costs_;  // by edge
  Pool<Cost> distinct_costs_;
  std::vector<std::uint32_t> uses_;  // of each of those
};

}  // namespace tessera::solver
