// SPDX-License-Identifier: Apache-2.0
//
// The 0-1 program behind automatic sharding: choose one strategy per node, at least total cost,
// within one usage limit at every point of time.
//
// The meaning of nodes and strategies is the caller's: here they are numbers.  The same program is
// Google's IOPDDL contest problem, whose files io/iopddl.hpp reads and writes.
//
//   Alpa (OSDI 2022, section 4.2)      here
//   ---------------------------------  ---------------------------------------------------------
//   s_v, the one-hot choice of node v  assignment[v], the chosen strategy's index
//   c_v + d_v, its cost (eq. 1)        costs(v)[s]
//   m_v, its memory                    usages(v)[s], while interval(v) lasts
//   e_vu, R_vu, resharding (eq. 1)     edge_costs(e), row-major over edge_nodes(e)
//   M, memory per device               usage_limit
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/solver/detail/numbers/pool.hpp"

namespace tessera::solver {

/// An amount of the limited resource, such as bytes of memory; never negative.
using Usage = std::int64_t;
using NodeId = std::uint32_t;
using EdgeId = std::uint32_t;
/// A list of edge costs; edges with equal costs have the same number (Problem::edge_costs_id).
using CostsId = detail::Pool<Cost>::Id;

/// The strategy chosen for every node, by node.
using Assignment = std::vector<std::uint32_t>;

/// A half-open interval of time, during which a node uses something.  Where end <= begin, the node
/// never uses anything.
struct Interval {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  constexpr bool empty() const noexcept { return end <= begin; }
  friend constexpr bool operator==(const Interval&, const Interval&) noexcept = default;
};

/// Nodes with strategies, edges with cost tables, and one usage limit over time.
///
/// The cost of an assignment is the sum of its nodes' and edges' costs; it is feasible where none
/// of these is `infinite`, and where at every time the usages of all nodes that are live then add
/// up to usage_limit at most.
class Problem {
 public:
  std::string name;
  std::optional<Usage> usage_limit;  ///< none: no limit at all

  /// Reserves memory for so many nodes, strategies of all nodes together, and edges.
  void reserve(std::size_t nodes, std::size_t strategies, std::size_t edges);

  /// Adds a node with one cost and one usage per strategy; a cost may be `infinite`.
  /// Throws InvalidArgument where there is no strategy, the sizes differ, or a usage is negative.
  NodeId add_node(std::span<const Cost> costs, std::span<const Usage> usages,
                  Interval interval = {});

  /// Adds an edge with one cost per combination of the nodes' strategies, the first node's varying
  /// slowest; usually two nodes, but any number may be listed, also the same one twice.  Edges over
  /// the same nodes add up.  Throws InvalidArgument where the number of costs is wrong, or a node
  /// does not exist.
  EdgeId add_edge(std::span<const NodeId> nodes, std::span<const Cost> costs);
  /// Adds an edge with the costs of an existing edge, by their number: they are not read again,
  /// which for wide columns is most of the work.  Throws InvalidArgument.
  EdgeId add_edge(std::span<const NodeId> nodes, CostsId costs);

  /// Replaces costs, to solve the same problem again; solve() can begin with the old answer
  /// (Options::start).  Throws InvalidArgument where the sizes differ.
  void set_costs(NodeId v, std::span<const Cost> costs);
  void set_edge_costs(EdgeId e, std::span<const Cost> costs);
  /// Leaves a node one strategy only.  Throws InvalidArgument where it has no such strategy.
  void fix(NodeId v, std::uint32_t strategy);

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
  /// The number of an edge's costs, below edge_costs_ids(); equal costs have equal numbers.
  CostsId edge_costs_id(EdgeId e) const noexcept { return edge_costs_[e]; }
  std::size_t edge_costs_ids() const noexcept { return distinct_costs_.size(); }

 private:
  void check_edge(std::span<const NodeId> nodes, std::size_t costs) const;
  EdgeId place_edge(std::span<const NodeId> nodes, CostsId costs);
  CostsId use(std::span<const Cost> costs);

  // Flat, because contest files hold tens of millions of numbers; edges with equal costs, such as
  // those of repeated layers, share them.
  std::vector<Cost> costs_;
  std::vector<Usage> usages_;
  std::vector<std::size_t> node_begin_{0};
  std::vector<Interval> intervals_;
  std::vector<NodeId> edge_nodes_;
  std::vector<std::size_t> edge_nodes_begin_{0};
  std::vector<CostsId> edge_costs_;  // by edge
  detail::Pool<Cost> distinct_costs_;
  std::vector<std::uint32_t> uses_;  // of each of those
};

}  // namespace tessera::solver

#ifdef TESSERA_HEADER_ONLY
#include "tessera/solver/problem.ipp"
#endif
