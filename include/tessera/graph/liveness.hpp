// SPDX-License-Identifier: Apache-2.0
//
// When each result occupies memory, in program order.
//
// A result lives from the op that computes it to the last op that reads it.  Parameters belong to
// the caller and live throughout, outputs to the end.  An output that aliases a parameter is
// written into the parameter's buffer, so it is counted only while the old value is still read.
// What a loop carries, and what it reads from outside again in every round, lives until the loop is
// over.
#pragma once
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "tessera/graph/graph.hpp"

namespace tessera::graph {

// Half-open, in op numbers: at point t, op t runs.
struct Lifetime {
  std::size_t begin = 0;
  std::size_t end = 0;

  constexpr bool empty() const noexcept { return end <= begin; }
  friend constexpr bool operator==(const Lifetime&, const Lifetime&) noexcept = default;
};

// Indexed by op, then by result.
using Lifetimes = std::vector<std::vector<Lifetime>>;

namespace detail {

// The number of the innermost loop that each op is in; none where it is in no loop.
inline constexpr std::size_t no_loop = static_cast<std::size_t>(-1);
inline std::vector<std::size_t> innermost_loops(const Graph& graph) {
  const auto length = [&](std::size_t loop) {
    return graph.loops[loop].end - graph.loops[loop].begin;
  };
  std::vector<std::size_t> outer_first(graph.loops.size());
  std::iota(outer_first.begin(), outer_first.end(), std::size_t{0});
  std::stable_sort(outer_first.begin(), outer_first.end(),
                   [&](std::size_t a, std::size_t b) { return length(a) > length(b); });
  std::vector<std::size_t> innermost(graph.op_count(), no_loop);
  for (const std::size_t loop : outer_first)
    for (OpId id = graph.loops[loop].begin; id < graph.loops[loop].end; ++id) innermost[id] = loop;
  return innermost;
}

// One past the last op that reads each result; loop ends for what loops carry or read every round.
inline Lifetimes uses_of(const Graph& graph) {
  Lifetimes lifetimes(graph.op_count());
  for (OpId id = 0; id < graph.op_count(); ++id) {
    lifetimes[id].assign(graph.op(id).results.size(), {id, id + 1});
    graph.for_each_use(id, [&](OpId reader, const Use& use) {
      if (use.is_next) return;
      Lifetime& life = lifetimes[id][use.result];
      life.end = std::max(life.end, reader + 1);
    });
  }
  const std::vector<std::size_t> innermost = innermost_loops(graph);
  for (std::size_t number = 0; number < graph.loops.size(); ++number) {
    const Loop& loop = graph.loops[number];
    const auto until_end = [&](Value value) {
      Lifetime& life = lifetimes[value.op][value.result];
      life.end = std::max(life.end, loop.end);
    };
    for (OpId id = loop.begin; id < loop.end; ++id) {
      // The loop's own state reads its initial value once, before the first round.
      const bool is_state = graph.op(id).is_loop_state && innermost[id] == number;
      for (std::size_t i = is_state ? 1 : 0; i < graph.operand_count(id); ++i)
        if (const Value value = graph.operand(id, i); value.op < loop.begin) until_end(value);
      if (!graph.op(id).is_loop_state || graph.operand_count(id) < 2) continue;
      until_end({id, 0});
      until_end(graph.operand(id, 1));
    }
  }
  return lifetimes;
}

}  // namespace detail

// O((ops + uses) * depth of loops).
inline Lifetimes lifetimes_of(const Graph& graph) {
  Lifetimes lifetimes = detail::uses_of(graph);
  const std::size_t end = graph.op_count();
  Lifetimes last_reads = lifetimes;
  for (const Value output : graph.outputs) lifetimes[output.op][output.result].end = end;
  for (const Alias& alias : graph.aliases) {
    if (alias.output.op == alias.parameter) continue;  // handed through unchanged
    Lifetime& life = lifetimes[alias.output.op][alias.output.result];
    life.end = last_reads[alias.parameter][0].end;  // empty where the old value is already dead
  }
  for (OpId id = 0; id < graph.op_count(); ++id)
    for (Lifetime& life : lifetimes[id]) {
      if (graph.op(id).is_parameter) life = {0, end};
      if (!graph.op(id).has_buffer) life = {id, id};
    }
  return lifetimes;
}

}  // namespace tessera::graph
