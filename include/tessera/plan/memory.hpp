// SPDX-License-Identifier: Apache-2.0
//
// Memory per device over the course of a program: the peak, where it is, and what lives there.
//
// Counted are the results of ops while they live (graph/liveness.hpp), each at the size of its
// largest shard.  Scratch space of collectives and kernels is not.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/liveness.hpp"

namespace tessera::plan {

struct LiveTensor {
  graph::Value value;
  Extent bytes = 0;
};

struct MemoryPeak {
  Wide bytes = 0;
  graph::OpId at = 0;            // the op that runs when the peak is reached
  std::vector<LiveTensor> live;  // then, largest first
};

// `bytes_of(value)` is what one result takes.  O(results log results)
template<class BytesOf>
MemoryPeak memory_peak(const graph::Graph& graph, const graph::Lifetimes& lifetimes,
                       BytesOf&& bytes_of) {
  std::vector<Wide> change(graph.op_count() + 1, Wide(0));
  const auto for_each_value = [&](auto&& visit) {
    for (graph::OpId id = 0; id < graph.op_count(); ++id)
      for (std::uint32_t r = 0; r < graph.op(id).results.size(); ++r)
        if (!lifetimes[id][r].empty()) visit(graph::Value{id, r}, lifetimes[id][r]);
  };
  for_each_value([&](graph::Value value, graph::Lifetime life) {
    const Extent bytes = bytes_of(value);
    change[life.begin] += bytes;
    change[life.end] -= bytes;
  });
  MemoryPeak peak;
  Wide now = 0;
  for (graph::OpId point = 0; point < graph.op_count(); ++point) {
    now += change[point];
    if (now > peak.bytes) {
      peak.bytes = now;
      peak.at = point;
    }
  }
  for_each_value([&](graph::Value value, graph::Lifetime life) {
    if (life.begin <= peak.at && peak.at < life.end) peak.live.push_back({value, bytes_of(value)});
  });
  std::stable_sort(peak.live.begin(), peak.live.end(),
                   [](const LiveTensor& a, const LiveTensor& b) { return a.bytes > b.bytes; });
  return peak;
}

}  // namespace tessera::plan
