// SPDX-License-Identifier: Apache-2.0
//
// How ops are added to a program, and what is checked then.
#pragma once
#include "tessera/graph/graph.hpp"

#include "tessera/core/error.hpp"

namespace tessera::graph {

namespace detail {

// Whether every tensor has the dims that the op's rule gives it.
TESSERA_INLINE bool rule_fits(const Graph& graph, const Op& op, std::span<const Value> operands) {
  // A loop state's second operand is added when the loop closes.
  const std::size_t later = op.is_loop_state ? 1 : 0;
  if (op.rule.operand_count() != operands.size() + later) return false;
  if (op.rule.result_count() != op.results.size()) return false;
  for (std::size_t i = 0; i < operands.size(); ++i)
    if (op.rule.dims(i) != graph.type_of(operands[i]).dims) return false;
  for (std::size_t r = 0; r < op.results.size(); ++r)
    if (op.rule.dims(op.rule.operand_count() + r) != op.results[r].dims) return false;
  return true;
}

}  // namespace detail

TESSERA_INLINE OpId Graph::add(Op op, std::span<const Value> operands) {
  for (const Value operand : operands)
    if (!has(operand))
      throw InternalError("op '" + op.name + "': an operand is no result of an earlier op");
  if (!detail::rule_fits(*this, op, operands))
    throw InternalError("op '" + op.name + "': its rule does not fit its tensors");
  const OpId id = op_count();
  ops_.push_back(std::move(op));
  operands_.emplace_back().reserve(operands.size());
  uses_.emplace_back();
  for (const Value operand : operands) add_use(operand, id, false);
  return id;
}

TESSERA_INLINE void Graph::close_loop(OpId state, Value next) {
  if (state >= op_count() || !op(state).is_loop_state || operand_count(state) != 1)
    throw InternalError("op " + std::to_string(state) + " is no loop state to be closed");
  if (!has(next) || type_of(next) != op(state).results[0])
    throw InternalError("op '" + op(state).name + "': its next value is none of its type");
  add_use(next, state, true);
}

TESSERA_INLINE void Graph::add_use(Value value, OpId reader, bool is_next) {
  const auto operand = static_cast<std::uint32_t>(operands_[reader].size());
  uses_[value.op].emplace_back(reader, Use{value.result, operand, is_next});
  operands_[reader].push_back(value);
}

}  // namespace tessera::graph
