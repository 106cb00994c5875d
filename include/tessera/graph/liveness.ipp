// SPDX-License-Identifier: Apache-2.0
//
// Lifetimes, from the uses and loops of a program.
#pragma once
#include "tessera/graph/liveness.hpp"

#include <algorithm>
#include <numeric>

namespace tessera::graph {

TESSERA_INLINE std::vector<std::size_t> innermost_loops(const Graph& graph) {
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

namespace detail {

// Extends the lives of what a loop carries, and of what it reads from outside in every round.
TESSERA_INLINE void live_through_loop(const Graph& graph, std::size_t number,
                                      const std::vector<std::size_t>& innermost,
                                      Lifetimes& lifetimes) {
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

}  // namespace detail

TESSERA_INLINE Lifetimes read_lifetimes_of(const Graph& graph) {
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
  for (std::size_t number = 0; number < graph.loops.size(); ++number)
    detail::live_through_loop(graph, number, innermost, lifetimes);
  return lifetimes;
}

TESSERA_INLINE Lifetimes lifetimes_of(const Graph& graph) {
  Lifetimes lifetimes = read_lifetimes_of(graph);
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
