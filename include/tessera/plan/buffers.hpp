// SPDX-License-Identifier: Apache-2.0
//
// Which results take memory of their own, and from when to when.
//
// Only what reaches memory is counted (cost/workload.hpp).  What is computed where it is read takes
// none, and neither does a view; so what they read is held until they are read themselves.  An
// output in a parameter's place is written there, element by element while the old value is read
// for the last time; where it can not be, because the old value is still needed or read in another
// order, it stands beside it until then.
//
// Where a result and what it is made of are needed at once, both are counted: that one could be
// written over the other is left to compilers.  graph/liveness.hpp is the same without any fusion,
// as it is where each op is run by itself.
#pragma once
#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>
#include <vector>

#include "tessera/cost/workload.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/liveness.hpp"

namespace tessera::plan {

// By op, whether its results take memory of their own.  `in_memory`: whether they reach memory.
inline std::vector<char> owners_of(const graph::Graph& graph, const std::vector<char>& in_memory) {
  std::vector<char> owns = in_memory;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (cost::is_view(graph.op(id)) && in_memory[graph.operand(id, 0).op] != 0)
      owns[id] = 0;
  return owns;
}

namespace detail {

class BufferFinder {
 public:
  BufferFinder(const graph::Graph& graph, const std::vector<char>& in_memory)
      : graph_(graph), owns_(owners_of(graph, in_memory)) {}

  graph::Lifetimes run() const {
    graph::Lifetimes reads = graph::read_lifetimes_of(graph_);
    graph::Lifetimes held = reads;
    hold_while_read(reads);
    for (const graph::Value output : graph_.outputs)
      held[output.op][output.result].end = graph_.op_count();
    for (const graph::Alias& alias : graph_.aliases) {
      if (alias.output.op == alias.parameter) continue;  // handed through unchanged
      held[alias.output.op][alias.output.result].end =
          end_beside(alias, reads[alias.parameter][0].end);
    }
    hold_while_read(held);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      for (graph::Lifetime& life : held[id]) {
        if (owns_[id] == 0) life = {id, id};
        if (graph_.op(id).is_parameter) life = {0, graph_.op_count()};
      }
    return held;
  }

 private:
  // What an op without memory of its own reads is held as long as its results are.
  void hold_while_read(graph::Lifetimes& lifetimes) const {
    for (graph::OpId id = graph_.op_count(); id-- > 0;) {
      if (owns_[id] != 0) continue;
      std::size_t end = id + 1;
      for (const graph::Lifetime& life : lifetimes[id]) end = std::max(end, life.end);
      for (std::size_t i = 0; i < graph_.operand_count(id); ++i) {
        const graph::Value value = graph_.operand(id, i);
        graph::Lifetime& life = lifetimes[value.op][value.result];
        life.end = std::max(life.end, end);
      }
    }
  }

  // Until when the new value stands beside the old one, which is read for the last time just before
  // `last_read`.
  std::size_t end_beside(const graph::Alias& alias, std::size_t last_read) const {
    const graph::OpId id = alias.output.op;
    return last_read == id + 1 && is_in_place(id, alias.parameter) ? id : last_read;
  }

  // Whether an op reads of the old value, if anything, the element that it writes.
  bool is_in_place(graph::OpId id, graph::OpId parameter) const {
    std::set<std::pair<graph::OpId, bool>> seen{{id, true}};  // and whether places are the same
    std::vector<std::pair<graph::OpId, bool>> todo(seen.begin(), seen.end());
    while (!todo.empty()) {
      const auto [at, is_same_so_far] = todo.back();
      todo.pop_back();
      for (std::size_t i = 0; i < graph_.operand_count(at); ++i) {
        const graph::OpId from = graph_.operand(at, i).op;
        const bool is_same = is_same_so_far && keeps_places(at, i);
        if (from == parameter && !is_same) return false;
        if (owns_[from] == 0 && seen.emplace(from, is_same).second)
          todo.emplace_back(from, is_same);
      }
    }
    return true;
  }

  // Whether each element of the result is made of the operand's in the same place.
  bool keeps_places(graph::OpId id, std::size_t operand) const {
    const graph::Op& op = graph_.op(id);
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

  const graph::Graph& graph_;
  std::vector<char> owns_;  // by op: whether its results take memory of their own
};

}  // namespace detail

// The lifetimes of the memory that results take, empty for those that take none of their own.
// `in_memory`: by op, whether its results reach memory at all.  O((ops + uses) * depth of loops).
inline graph::Lifetimes buffers_of(const graph::Graph& graph, const std::vector<char>& in_memory) {
  return detail::BufferFinder(graph, in_memory).run();
}
inline graph::Lifetimes buffers_of(const graph::Graph& graph) {
  return buffers_of(graph, cost::ops_in_memory(graph));
}

}  // namespace tessera::plan
