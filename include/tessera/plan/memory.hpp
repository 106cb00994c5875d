// SPDX-License-Identifier: Apache-2.0
//
// Memory per device over the course of a program: the peak, where it is, what lives there, and what
// it is for.
//
// Counted are results while they take memory (buffers.hpp), each at the size of its largest shard.
//
// What a tensor is for shows in what depends on it.  What decides a plain output, such as the loss,
// is the forward pass; parameters updated in place are weights where they take part in it, and
// otherwise the optimizer's state or sums of gradients.  A gradient is what an update is computed
// from, element by element; the rest of the backward pass is what gradients are computed from.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/liveness.hpp"

namespace tessera::plan {

enum class MemoryKind : std::uint8_t { weight, state, input, activation, gradient, backward };
inline constexpr std::size_t memory_kinds = 6;

// In the plural, as sums are told.
constexpr std::string_view to_string(MemoryKind kind) noexcept {
  constexpr std::array<std::string_view, memory_kinds> names{
      "weights", "optimizer state", "inputs", "activations", "gradients", "backward pass"};
  return names[static_cast<std::size_t>(kind)];
}

struct LiveTensor {
  graph::Value value;
  Extent bytes = 0;
};

struct MemoryPeak {
  Wide bytes = 0;
  graph::OpId at = 0;                        // the op that runs when the peak is reached
  std::vector<LiveTensor> live;              // then, largest first
  std::array<Wide, memory_kinds> of_kind{};  // the same bytes, by what they are for
};

namespace detail {

class KindFinder {
 public:
  explicit KindFinder(const graph::Graph& graph)
      : graph_(graph), is_forward_(graph.op_count(), 0), is_gradient_(graph.op_count(), 0) {}

  std::vector<MemoryKind> run() {
    find_forward();
    for (const graph::Alias& alias : graph_.aliases) find_gradient(alias);
    std::vector<MemoryKind> kinds(graph_.op_count());
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      kinds[id] = graph_.op(id).is_parameter ? MemoryKind::input
                  : is_forward_[id] != 0     ? MemoryKind::activation
                  : is_gradient_[id] != 0    ? MemoryKind::gradient
                                             : MemoryKind::backward;
    for (const graph::Alias& alias : graph_.aliases)
      kinds[alias.parameter] = is_forward_[alias.parameter] != 0 ? MemoryKind::weight
                                                                 : MemoryKind::state;
    return kinds;
  }

 private:
  // What plain outputs depend on.
  void find_forward() {
    std::vector<graph::OpId> todo;
    const auto reach = [&](graph::OpId id) {
      if (is_forward_[id] == 0) todo.push_back(id);
      is_forward_[id] = 1;
    };
    for (const graph::Value output : graph_.outputs) {
      const bool is_update =
          std::any_of(graph_.aliases.begin(), graph_.aliases.end(),
                      [&](const graph::Alias& alias) { return alias.output == output; });
      if (!is_update) reach(output.op);
    }
    while (!todo.empty()) {
      const graph::OpId id = todo.back();
      todo.pop_back();
      for (std::size_t i = 0; i < graph_.operand_count(id); ++i) reach(graph_.operand(id, i).op);
    }
  }

  // What an update is computed from element by element, and that of it which is not: the gradient.
  void find_gradient(const graph::Alias& alias) {
    const Extent size = element_count(graph_.op(alias.parameter).results[0].dims);
    std::vector<graph::OpId> todo{alias.output.op};
    while (!todo.empty()) {
      const graph::OpId id = todo.back();
      todo.pop_back();
      if (graph_.op(id).is_parameter || is_forward_[id] != 0 || is_gradient_[id] != 0) continue;
      is_gradient_[id] = 1;
      if (!is_elementwise(id)) continue;
      for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
        if (const graph::Value from = graph_.operand(id, i);
            element_count(graph_.type_of(from).dims) == size)
          todo.push_back(from.op);
    }
  }
  bool is_elementwise(graph::OpId id) const {
    const graph::Op& op = graph_.op(id);
    if (op.is_heavy || traits(op.opcode).repeats) return false;
    for (std::size_t f = 0; f < op.rule.factor_count(); ++f)
      if (op.rule.factor(f).kind != graph::FactorKind::parallel) return false;
    return true;
  }

  const graph::Graph& graph_;
  std::vector<char> is_forward_, is_gradient_;  // by op
};

}  // namespace detail

// What the results of each op are for, by op.  O(ops + uses + aliases * outputs)
inline std::vector<MemoryKind> memory_kinds_of(const graph::Graph& graph) {
  return detail::KindFinder(graph).run();
}

namespace detail {

// Calls visit(value, lifetime) for every result that takes memory.
template<class Visit>
void for_each_buffer(const graph::Graph& graph, const graph::Lifetimes& lifetimes, Visit&& visit) {
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    for (std::uint32_t r = 0; r < graph.op(id).results.size(); ++r)
      if (!lifetimes[id][r].empty()) visit(graph::Value{id, r}, lifetimes[id][r]);
}

}  // namespace detail

// By op: the bytes that are held while it runs.  `bytes_of(value)` is what one result takes.
// O(results)
template<class BytesOf>
std::vector<Wide> memory_in_use(const graph::Graph& graph, const graph::Lifetimes& lifetimes,
                                BytesOf&& bytes_of) {
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

// `bytes_of(value)` is what one result takes.  O(results log results)
template<class BytesOf>
MemoryPeak memory_peak(const graph::Graph& graph, const graph::Lifetimes& lifetimes,
                       BytesOf&& bytes_of) {
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
