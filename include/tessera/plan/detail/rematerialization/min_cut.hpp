// SPDX-License-Identifier: Apache-2.0
//
// The minimum cut of a directed graph between two of its nodes: the partition of the nodes, one of
// the ends in each half, whose edges from the first half to the other have the least capacity.
#pragma once
#include <cstddef>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"

namespace tessera::plan::detail {

struct CutEdge {
  std::size_t from = 0, to = 0;
  Wide capacity = 0;
};

struct CutGraph {
  static constexpr Wide unlimited = Wide{1} << 120U;  // more than all other capacities together

  std::size_t node_count = 0;
  std::vector<CutEdge> edges;

  std::size_t add_node() { return node_count++; }
  void add_edge(std::size_t from, std::size_t to, Wide capacity) {
    edges.push_back({from, to, capacity});
  }
};

// By node, whether it is in the half of `source`; of the minimum cuts the one with fewest there.
// @pre some cut is without unlimited edges
std::vector<char> min_cut(const CutGraph& graph, std::size_t source, std::size_t sink);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/rematerialization/min_cut.ipp"
#endif
