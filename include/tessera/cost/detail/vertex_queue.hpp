// SPDX-License-Identifier: Apache-2.0
//
// The queue of a search that can be interrupted: vertices by rank, whose ranks may fall.
//
// Dijkstra's algorithm in Boost.Graph runs to its end, but a search for reshardings pauses at its
// target and goes on later.  The queue is therefore ours.  It is a heap of four children, and ties
// fall as in Boost's own queue, which is a detail of Boost: equal prices leave a choice of paths,
// and the choice must not depend on the version of Boost.  (boost::heap breaks ties in another
// way.)
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/core/cost.hpp"

namespace tessera::cost::detail {

using Vertex = std::uint32_t;

// The price of a path through a vertex, at least; then what of it must still follow, so that of
// equals the one nearer to the target goes first.
struct Rank {
  Cost total = 0;
  Cost to_come = 0;
  friend constexpr auto operator<=>(const Rank&, const Rank&) = default;
};

class VertexQueue {
 public:
  bool empty() const noexcept { return heap_.empty(); }
  Vertex top() const { return heap_.front(); }
  bool contains(Vertex v) const { return v < places_.size() && places_[v] != absent; }

  // Adds a vertex, or lowers the rank of one that is there.
  void push_or_lower(Vertex v, Rank rank) {
    if (v >= places_.size()) {
      places_.resize(v + 1, absent);
      ranks_.resize(v + 1);
    }
    ranks_[v] = rank;
    if (places_[v] == absent) {
      heap_.push_back(v);
      sift_up(v, heap_.size() - 1);
    } else {
      sift_up(v, places_[v]);
    }
  }

  void pop() {
    places_[heap_.front()] = absent;
    const Vertex last = heap_.back();
    heap_.pop_back();
    if (!heap_.empty()) sift_down(last);
  }

 private:
  static constexpr std::size_t children = 4, absent = ~std::size_t{0};

  void put(Vertex v, std::size_t place) {
    heap_[place] = v;
    places_[v] = place;
  }

  void sift_up(Vertex v, std::size_t place) {
    while (place > 0) {
      const std::size_t parent = (place - 1) / children;
      if (!(ranks_[v] < ranks_[heap_[parent]])) break;
      put(heap_[parent], place);
      place = parent;
    }
    put(v, place);
  }

  // From the root.
  void sift_down(Vertex v) {
    std::size_t place = 0;
    for (std::size_t first = 1; first < heap_.size(); first = place * children + 1) {
      std::size_t least = first;
      for (std::size_t child = first + 1; child < first + children && child < heap_.size(); ++child)
        if (ranks_[heap_[child]] < ranks_[heap_[least]]) least = child;
      if (!(ranks_[heap_[least]] < ranks_[v])) break;
      put(heap_[least], place);
      place = least;
    }
    put(v, place);
  }

  std::vector<Vertex> heap_;
  std::vector<Rank> ranks_;          // by vertex
  std::vector<std::size_t> places_;  // by vertex: where it is in the heap
};

}  // namespace tessera::cost::detail
