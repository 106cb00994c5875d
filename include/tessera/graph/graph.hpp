// SPDX-License-Identifier: Apache-2.0
//
// The program: ops in the order they run, and the tensors that flow between them.
//
// The planner chooses a strategy for each op.  It reads the op's tensors and the sharding rule that
// relates them.  Opcode and attributes say what the op computes, for code that differentiates,
// writes or executes the program.  A Graph has no tuples, calls or fusions: the importer resolves
// them (io/hlo).
//
// Ops are added in program order, and operands exist before their use; the one exception is a
// loop's state, whose next value is computed after it.  boost_graph.hpp shows the program to
// Boost's algorithms: ops are vertices, uses of a result are edges.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/attributes.hpp"
#include "tessera/graph/opcode.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/graph/tensor.hpp"

namespace tessera::graph {

using OpId = std::size_t;  ///< the op's place in program order

/// One result of one op.
struct Value {
  OpId op = 0;
  std::uint32_t result = 0;

  friend constexpr auto operator<=>(const Value&, const Value&) noexcept = default;
};

/// An op, without its operands (Graph::operand).
struct Op {
  std::string name;  ///< unique among the program's ops; messages and plans use it
  Opcode opcode = Opcode::unknown;
  std::vector<TensorType> results;
  Rule rule;
  bool is_parameter = false;   ///< the caller owns its buffer for the whole run
  bool is_loop_state = false;  ///< operand 0 is the value before the loop, operand 1 the next one
  bool is_heavy = false;       ///< its work is worth spreading over every device
  bool has_buffer = true;      ///< false inside a fusion: its results never reach memory
  Attributes attributes = {};  ///< what the opcode leaves open
  /// The named scopes around it in the source, outermost first, as "encoder/layer3"; empty where
  /// none are known.  Names that end in numbers are taken for layers.
  std::string scope = {};
  std::string spelling = {};  ///< the opcode's text, where it is Opcode::unknown
};

/// The op's opcode as messages and HLO spell it.
inline std::string_view opcode_text(const Op& op) noexcept {
  if (op.opcode != Opcode::unknown) return to_string(op.opcode);
  return op.spelling.empty() ? std::string_view("unknown") : op.spelling;
}

/// One use of a result: an edge from the op that computes it to the op that reads it.
struct Use {
  std::uint32_t result = 0;
  std::uint32_t operand = 0;
  bool is_next = false;  ///< the next value of a loop state: points back in program order
};

/// An output that takes a parameter's place: it has the same buffer, and so the same sharding.
struct Alias {
  OpId parameter = 0;
  Value output;
};

/// The ops [begin, end) of a loop's body.  From `end` on its states hold their final values.
struct Loop {
  OpId begin = 0;
  OpId end = 0;
  std::optional<Value> condition = {};  ///< whether another round follows, if known
};

/// A program: ops in program order, with the values that each reads.
class Graph {
 public:
  /// Adds an op that reads `operands`, and returns its number: one more than the last op's.
  /// Amortized O(operands).  Throws InternalError where an operand does not exist or the rule does
  /// not fit the tensors.
  OpId add(Op op, std::span<const Value> operands);

  /// Names the value that a loop state takes in the next round: its operand 1.  Throws
  /// InternalError where op(state).is_loop_state does not hold, the state has an operand 1 already,
  /// or the value does not exist or is of another type.
  void close_loop(OpId state, Value next);

  std::size_t op_count() const noexcept { return ops_.size(); }
  const Op& op(OpId id) const { return ops_[id]; }  ///< @pre id < op_count()
  Op& op(OpId id) { return ops_[id]; }              ///< @pre id < op_count()
  bool has(Value value) const {
    return value.op < op_count() && value.result < op(value.op).results.size();
  }
  /// @pre has(value)
  const TensorType& type_of(Value value) const { return op(value.op).results[value.result]; }

  std::size_t operand_count(OpId id) const { return operands_[id].size(); }
  /// O(1).  @pre i < operand_count(id)
  Value operand(OpId id, std::size_t i) const { return operands_[id][i]; }

  /// Calls visit(reader, use) for every use of any result of `id`, in the order they were added.
  template<class Visit>
  void for_each_use(OpId id, Visit&& visit) const {
    for (const auto& [reader, use] : uses_[id]) visit(reader, use);
  }
  /// The same as a list, each with the op that reads.
  std::span<const std::pair<OpId, Use>> uses(OpId id) const { return uses_[id]; }

  std::vector<Value> outputs;  ///< what the program returns, in order
  std::vector<Alias> aliases;
  std::vector<Loop> loops;

 private:
  void add_use(Value value, OpId reader, bool is_next);

  std::vector<Op> ops_;
  std::vector<std::vector<Value>> operands_;             // by op
  std::vector<std::vector<std::pair<OpId, Use>>> uses_;  // by op, of any of its results
};

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/graph.ipp"
#endif
