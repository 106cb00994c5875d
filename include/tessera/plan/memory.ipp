// SPDX-License-Identifier: Apache-2.0
//
// The bodies of memory.hpp.
#pragma once
#include "tessera/plan/memory.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "tessera/cost/workload.hpp"

namespace tessera::plan {

namespace detail {

TESSERA_INLINE bool is_update(const graph::Graph& graph, graph::Value output) {
  return std::any_of(graph.aliases.begin(), graph.aliases.end(),
                     [&](const graph::Alias& alias) { return alias.output == output; });
}

// By op, whether some plain output depends on it.
TESSERA_INLINE std::vector<char> forward_ops(const graph::Graph& graph) {
  std::vector<char> is_forward(graph.op_count(), 0);
  std::vector<graph::OpId> todo;
  const auto reach = [&](graph::OpId id) {
    if (is_forward[id] == 0) todo.push_back(id);
    is_forward[id] = 1;
  };
  for (const graph::Value output : graph.outputs)
    if (!is_update(graph, output)) reach(output.op);
  while (!todo.empty()) {
    const graph::OpId id = todo.back();
    todo.pop_back();
    for (std::size_t i = 0; i < graph.operand_count(id); ++i) reach(graph.operand(id, i).op);
  }
  return is_forward;
}

TESSERA_INLINE bool is_elementwise(const graph::Op& op) {
  if (op.is_heavy || traits(op.opcode).repeats) return false;
  for (std::size_t f = 0; f < op.rule.factor_count(); ++f)
    if (op.rule.factor(f).kind != graph::FactorKind::parallel) return false;
  return true;
}

// Marks the ops from which an update is computed element by element, and the first ones of other
// kinds before them: the gradient.
TESSERA_INLINE void mark_gradient(const graph::Graph& graph, const graph::Alias& alias,
                                  const std::vector<char>& is_forward,
                                  std::vector<char>& is_gradient) {
  const Extent size = element_count(graph.op(alias.parameter).results[0].dims);
  std::vector<graph::OpId> todo{alias.output.op};
  while (!todo.empty()) {
    const graph::OpId id = todo.back();
    todo.pop_back();
    if (graph.op(id).is_parameter || is_forward[id] != 0 || is_gradient[id] != 0) continue;
    is_gradient[id] = 1;
    if (!is_elementwise(graph.op(id))) continue;
    for (std::size_t i = 0; i < graph.operand_count(id); ++i)
      if (const graph::Value from = graph.operand(id, i);
          element_count(graph.type_of(from).dims) == size)
        todo.push_back(from.op);
  }
}

// Calls visit(value, lifetime) for every result that takes memory.
template<class Visit>
void for_each_buffer(const graph::Graph& graph, const graph::Lifetimes& lifetimes, Visit&& visit) {
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    for (std::uint32_t r = 0; r < graph.op(id).results.size(); ++r)
      if (!lifetimes[id][r].empty()) visit(graph::Value{id, r}, lifetimes[id][r]);
}

}  // namespace detail

TESSERA_INLINE std::vector<MemoryKind> memory_kinds_of(const graph::Graph& graph) {
  const std::vector<char> is_forward = detail::forward_ops(graph);
  std::vector<char> is_gradient(graph.op_count(), 0);
  for (const graph::Alias& alias : graph.aliases)
    detail::mark_gradient(graph, alias, is_forward, is_gradient);
  std::vector<MemoryKind> kinds(graph.op_count());
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    kinds[id] = graph.op(id).is_parameter ? MemoryKind::input
                : is_forward[id] != 0     ? MemoryKind::activation
                : is_gradient[id] != 0    ? MemoryKind::gradient
                                          : MemoryKind::backward;
  for (const graph::Alias& alias : graph.aliases)
    kinds[alias.parameter] = is_forward[alias.parameter] != 0 ? MemoryKind::weight
                                                              : MemoryKind::state;
  return kinds;
}

TESSERA_INLINE std::vector<Wide> memory_in_use(const graph::Graph& graph,
                                               const graph::Lifetimes& lifetimes,
                                               const BytesOf& bytes_of) {
  std::vector<Wide> change(graph.op_count() + 1, Wide(0));
  detail::for_each_buffer(graph, lifetimes, [&](graph::Value value, graph::Lifetime life) {
    const Extent bytes = bytes_of(value);
    change[life.begin] += bytes;
    change[life.end] -= bytes;
  });
  change.pop_back();
  for (std::size_t point = 1; point < change.size(); ++point) change[point] += change[point - 1];
  return change;
}

TESSERA_INLINE MemoryPeak memory_peak(const graph::Graph& graph, const graph::Lifetimes& lifetimes,
                                      const BytesOf& bytes_of) {
  MemoryPeak peak;
  const std::vector<Wide> in_use = memory_in_use(graph, lifetimes, bytes_of);
  for (graph::OpId point = 0; point < in_use.size(); ++point)
    if (in_use[point] > peak.bytes) {
      peak.bytes = in_use[point];
      peak.at = point;
    }
  const std::vector<MemoryKind> kinds = memory_kinds_of(graph);
  detail::for_each_buffer(graph, lifetimes, [&](graph::Value value, graph::Lifetime life) {
    if (peak.at < life.begin || life.end <= peak.at) return;
    peak.live.push_back({value, bytes_of(value)});
    peak.of_kind[static_cast<std::size_t>(kinds[value.op])] += peak.live.back().bytes;
  });
  std::stable_sort(peak.live.begin(), peak.live.end(),
                   [](const LiveTensor& a, const LiveTensor& b) { return a.bytes > b.bytes; });
  return peak;
}

}  // namespace tessera::plan

namespace tessera::plan {

namespace detail {

// The operands of an op without memory of its own are held as long as its results are.
TESSERA_INLINE void hold_while_read(const graph::Graph& graph, const std::vector<char>& owns,
                                    graph::Lifetimes& lifetimes) {
  for (graph::OpId id = graph.op_count(); id-- > 0;) {
    if (owns[id] != 0) continue;
    std::size_t end = id + 1;
    for (const graph::Lifetime& life : lifetimes[id]) end = std::max(end, life.end);
    for (std::size_t i = 0; i < graph.operand_count(id); ++i) {
      const graph::Value value = graph.operand(id, i);
      graph::Lifetime& life = lifetimes[value.op][value.result];
      life.end = std::max(life.end, end);
    }
  }
}

// Whether each element of the result is made of the operand's in the same place.
TESSERA_INLINE bool keeps_places(const graph::Op& op, std::size_t operand) {
  if (traits(op.opcode).update_operand != 0) return operand == 0;
  const graph::Rule& rule = op.rule;
  if (op.is_heavy || op.results.size() != 1) return false;
  for (std::size_t f = 0; f < rule.factor_count(); ++f)
    if (rule.factor(f).kind != graph::FactorKind::parallel) return false;
  const std::size_t result = rule.operand_count();
  if (rule.rank(operand) != rule.rank(result)) return false;
  for (std::size_t d = 0; d < rule.rank(result); ++d) {
    const auto from = rule.dim(operand, d), to = rule.dim(result, d);
    if (!std::equal(from.begin(), from.end(), to.begin(), to.end())) return false;
  }
  return true;
}

// Whether an op reads of the old value, if anything, the element that it writes.
TESSERA_INLINE bool is_in_place(const graph::Graph& graph, const std::vector<char>& owns,
                                graph::OpId id, graph::OpId parameter) {
  std::set<std::pair<graph::OpId, bool>> seen{{id, true}};  // and whether places are the same
  std::vector<std::pair<graph::OpId, bool>> todo(seen.begin(), seen.end());
  while (!todo.empty()) {
    const auto [at, is_same_so_far] = todo.back();
    todo.pop_back();
    for (std::size_t i = 0; i < graph.operand_count(at); ++i) {
      const graph::OpId from = graph.operand(at, i).op;
      const bool is_same = is_same_so_far && keeps_places(graph.op(at), i);
      if (from == parameter && !is_same) return false;
      if (owns[from] == 0 && seen.emplace(from, is_same).second) todo.emplace_back(from, is_same);
    }
  }
  return true;
}

// Until when the new value stands beside the old one, which is read for the last time just before
// `last_read`.
TESSERA_INLINE std::size_t end_beside(const graph::Graph& graph, const std::vector<char>& owns,
                                      const graph::Alias& alias, std::size_t last_read) {
  const graph::OpId id = alias.output.op;
  return last_read == id + 1 && is_in_place(graph, owns, id, alias.parameter) ? id : last_read;
}

}  // namespace detail

TESSERA_INLINE std::vector<char> owners_of(const graph::Graph& graph,
                                           const std::vector<char>& in_memory) {
  std::vector<char> owns = in_memory;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (cost::is_view(graph.op(id)) && in_memory[graph.operand(id, 0).op] != 0) owns[id] = 0;
  return owns;
}

TESSERA_INLINE graph::Lifetimes buffers_of(const graph::Graph& graph,
                                           const std::vector<char>& in_memory) {
  const std::vector<char> owns = owners_of(graph, in_memory);
  graph::Lifetimes reads = graph::read_lifetimes_of(graph);
  graph::Lifetimes held = reads;
  detail::hold_while_read(graph, owns, reads);
  for (const graph::Value output : graph.outputs)
    held[output.op][output.result].end = graph.op_count();
  for (const graph::Alias& alias : graph.aliases) {
    if (alias.output.op == alias.parameter) continue;  // the parameter itself is an output
    held[alias.output.op][alias.output.result].end =
        detail::end_beside(graph, owns, alias, reads[alias.parameter][0].end);
  }
  detail::hold_while_read(graph, owns, held);
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    for (graph::Lifetime& life : held[id]) {
      if (owns[id] == 0) life = {id, id};
      if (graph.op(id).is_parameter) life = {0, graph.op_count()};
    }
  return held;
}
TESSERA_INLINE graph::Lifetimes buffers_of(const graph::Graph& graph) {
  return buffers_of(graph, cost::ops_in_memory(graph));
}

}  // namespace tessera::plan
