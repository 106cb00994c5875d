// SPDX-License-Identifier: Apache-2.0
//
// The program: ops in the order they run, and the tensors that flow between them.
//
// An op is what the planner must decide about: it has tensors in and out, and a sharding rule that
// relates them.  What it computes is said beside it, by an opcode and attributes, for those who
// write the program down, differentiate or run it.  Tuples, calls and other plumbing of a
// source language are gone by the time a Graph is made (io/ resolves them, and remembers).
//
// The graph is a Boost adjacency_list, so Boost's algorithms run on it: vertices are ops, edges are
// uses of a result.  Ops are added in program order, and operands exist before their use; the one
// exception is a loop's state, whose next value is computed after it.
#pragma once
#include <boost/graph/adjacency_list.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/graph/attributes.hpp"
#include "tessera/graph/opcode.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/graph/tensor.hpp"

namespace tessera::graph {

using OpId = std::size_t;  // the op's place in program order

// One result of one op.
struct Value {
  OpId op = 0;
  std::uint32_t result = 0;

  friend constexpr auto operator<=>(const Value&, const Value&) noexcept = default;
};

struct Op {
  std::string name;  // unique among the program's ops; what messages and plans call it
  Opcode opcode = Opcode::unknown;
  std::vector<TensorType> results;
  Rule rule;
  bool is_parameter = false;   // the caller owns its buffer for the whole run
  bool is_loop_state = false;  // operand 0 is the value before the loop, operand 1 the next one
  bool is_heavy = false;       // its work is worth spreading over every device
  bool has_buffer = true;      // false inside a fusion: its results never reach memory
  Attributes attributes = {};  // what the opcode leaves open
  // The part of the program that it is said to be in, outermost first, as "encoder/layer3"; empty
  // where nothing is said.  Parts whose names end in numbers tell of layers.
  std::string scope = {};
  std::string spelling = {};  // of the opcode in HLO, where it is Opcode::unknown
};

/// The op's opcode as messages and HLO spell it.
inline std::string_view opcode_text(const Op& op) noexcept {
  if (op.opcode != Opcode::unknown) return to_string(op.opcode);
  return op.spelling.empty() ? std::string_view("unknown") : op.spelling;
}

// One use of a result: an edge from the op that computes it to the op that reads it.
struct Use {
  std::uint32_t result = 0;
  std::uint32_t operand = 0;
  bool is_next = false;  // the next value of a loop state: points back in program order
};

// The output must be in the parameter's place: the same buffer, so the same sharding.
struct Alias {
  OpId parameter = 0;
  Value output;
};

// The ops of a loop's body, and the point after which its states hold the final values.
struct Loop {
  OpId begin = 0;
  OpId end = 0;
  std::optional<Value> condition = {};  // whether to go round again, where that is known
};

class Graph {
 public:
  using BoostGraph =
      boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS, Op, Use>;

  // @pre the operands exist, and the rule fits the shapes: an internal error, reported as
  // InternalError
  // @post the result is one more than the last op's
  OpId add(Op op, std::span<const Value> operands) {
    check_rule(op, operands);
    const OpId id = boost::add_vertex(std::move(op), graph_);
    for (std::size_t i = 0; i < operands.size(); ++i)
      boost::add_edge(operands[i].op, id, Use{operands[i].result, static_cast<std::uint32_t>(i)},
                      graph_);
    return id;
  }

  // Names the value that a loop state takes in the next round.  @pre the value exists and is of the
  // state's type, op(state).is_loop_state, and it has no operand 1 yet: an internal error, reported
  // as InternalError
  void close_loop(OpId state, Value next) {
    if (state >= op_count() || !op(state).is_loop_state || operand_count(state) != 1)
      throw InternalError("op " + std::to_string(state) + " is no loop state to be closed");
    if (!has(next) || type_of(next) != op(state).results[0])
      throw InternalError("op '" + op(state).name + "': its next value is none of its type");
    boost::add_edge(next.op, state, Use{next.result, 1, true}, graph_);
  }

  std::size_t op_count() const noexcept { return boost::num_vertices(graph_); }
  const Op& op(OpId id) const { return graph_[id]; }
  Op& op(OpId id) { return graph_[id]; }
  bool has(Value value) const {
    return value.op < op_count() && value.result < op(value.op).results.size();
  }
  // @pre has(value)
  const TensorType& type_of(Value value) const { return op(value.op).results[value.result]; }

  std::size_t operand_count(OpId id) const { return boost::in_degree(id, graph_); }
  // O(1): a vertex keeps its in-edges in the order they were added, which is the operands'.
  Value operand(OpId id, std::size_t i) const {
    const auto edge = *(boost::in_edges(id, graph_).first + static_cast<std::ptrdiff_t>(i));
    return {boost::source(edge, graph_), graph_[edge].result};
  }

  // Calls visit(reader, use) for every use of any result of `id`.
  template<class Visit>
  void for_each_use(OpId id, Visit&& visit) const {
    for (auto [edge, end] = boost::out_edges(id, graph_); edge != end; ++edge)
      visit(boost::target(*edge, graph_), graph_[*edge]);
  }

  const BoostGraph& boost_graph() const noexcept { return graph_; }

  std::vector<Value> outputs;  // what the program returns, in order
  std::vector<Alias> aliases;
  std::vector<Loop> loops;

 private:
  void check_rule(const Op& op, std::span<const Value> operands) const {
    for (const Value operand : operands)
      if (!has(operand))
        throw InternalError("op '" + op.name + "': an operand is no result of an earlier op");
    const auto fits = [&](std::size_t tensor, const TensorType& type) {
      return op.rule.dims(tensor) == type.dims;
    };
    // A loop state's second operand is added when the loop closes.
    const std::size_t later = op.is_loop_state ? 1 : 0;
    bool ok = op.rule.operand_count() == operands.size() + later &&
              op.rule.result_count() == op.results.size();
    for (std::size_t i = 0; ok && i < operands.size(); ++i) ok = fits(i, type_of(operands[i]));
    for (std::size_t r = 0; ok && r < op.results.size(); ++r)
      ok = fits(op.rule.operand_count() + r, op.results[r]);
    if (!ok) throw InternalError("op '" + op.name + "': its rule does not fit its tensors");
  }

  BoostGraph graph_;
};

}  // namespace tessera::graph
