// SPDX-License-Identifier: Apache-2.0
//
// The least cut of a directed graph between two of its nodes: the way to split the nodes in two,
// one of the ends on each side, that cuts edges of the least sum from the first side to the other.
//
// By augmenting shortest paths.  For what is asked here, some dozens of nodes, nothing faster is
// needed.
#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "tessera/core/wide.hpp"

namespace tessera::plan {

class LeastCut {
 public:
  static constexpr Wide unlimited = Wide{1} << 120U;  // more than all other capacities together

  std::size_t add_node() {
    edges_of_.emplace_back();
    return edges_of_.size() - 1;
  }
  void add_edge(std::size_t from, std::size_t to, Wide capacity) {
    edges_of_[from].push_back(edges_.size());
    edges_.push_back({to, capacity});
    edges_of_[to].push_back(edges_.size());
    edges_.push_back({from, 0});
  }

  // By node, whether it is on the side of `source`; of the least cuts the one with fewest there.
  // @pre some cut is without unlimited edges, and it is asked once.  O(nodes * edges^2)
  std::vector<char> side_of(std::size_t source, std::size_t sink) {
    std::vector<std::optional<std::size_t>> way = ways_from(source);
    for (; way[sink]; way = ways_from(source)) {
      const auto for_each_edge = [&](auto&& visit) {
        for (std::size_t node = sink; node != source; node = edges_[*way[node] ^ 1U].to)
          visit(*way[node]);
      };
      Wide flow = unlimited;
      for_each_edge([&](std::size_t edge) { flow = std::min(flow, edges_[edge].room); });
      for_each_edge([&](std::size_t edge) {
        edges_[edge].room -= flow;
        edges_[edge ^ 1U].room += flow;
      });
    }
    std::vector<char> side;
    for (std::size_t node = 0; node < way.size(); ++node)
      side.push_back(node == source || way[node] ? 1 : 0);
    return side;
  }

 private:
  struct Edge {
    std::size_t to;
    Wide room;
  };

  // By node that can be reached where there is room, the last edge of a shortest path.
  std::vector<std::optional<std::size_t>> ways_from(std::size_t source) const {
    std::vector<std::optional<std::size_t>> way(edges_of_.size());
    std::vector<std::size_t> queue{source};
    for (std::size_t i = 0; i < queue.size(); ++i)
      for (const std::size_t edge : edges_of_[queue[i]]) {
        const auto [to, room] = edges_[edge];
        if (to == source || way[to] || room == 0) continue;
        way[to] = edge;
        queue.push_back(to);
      }
    return way;
  }

  std::vector<Edge> edges_;  // each with its reverse next to it
  std::vector<std::vector<std::size_t>> edges_of_;
};

}  // namespace tessera::plan
