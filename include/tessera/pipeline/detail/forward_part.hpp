// SPDX-License-Identifier: Apache-2.0
//
// The forward part of a program.  For the bodies of layers.hpp and span_program.hpp.
#pragma once
#include <limits>
#include <vector>

#include "tessera/graph/graph.hpp"

namespace tessera::pipeline::detail {

using graph::OpId;

// The forward part of a program; and the ops that are derived from one parameter, or none, without
// heavy work (casts, transposes, constants) and so belong to the layers that read them.
class ForwardPart {
 public:
  explicit ForwardPart(const graph::Graph& graph) {
    parameters_.assign(graph.op_count(), none);
    is_derived_.assign(graph.op_count(), false);
    for (OpId id = 0; id < graph.op_count(); ++id) {
      find_parameter(graph, id);
      if (graph.op(id).is_heavy) heavy_.push_back(id);
    }
    is_weight_.assign(graph.op_count(), false);
    for (const graph::Alias& alias : graph.aliases) is_weight_[alias.parameter] = true;
    std::size_t count = count_heavy(graph);
    if (count == 0) {
      is_weight_.assign(graph.op_count(), true);
      count = count_heavy(graph);
    }
    // Where every heavy op is forward, so is what follows.
    if (count == 0) count = heavy_.size();
    end_ = count == heavy_.size() ? graph.op_count() : heavy_[count - 1] + 1;
    heavy_.resize(count);
  }

  // Operands, but for a loop state's next value, which comes later.
  static std::vector<graph::Value> operands_of(const graph::Graph& graph, OpId id) {
    std::vector<graph::Value> operands;
    const std::size_t count = graph.op(id).is_loop_state ? 1 : graph.operand_count(id);
    for (std::size_t i = 0; i < count; ++i) operands.push_back(graph.operand(id, i));
    return operands;
  }

  bool is_derived(OpId id) const { return is_derived_[id]; }
  // Derived from a parameter, and not from constants alone.
  bool is_of_parameter(OpId id) const { return parameters_[id] != none; }
  bool is_weight(OpId parameter) const { return is_weight_[parameter]; }
  OpId parameter_of(OpId id) const { return parameters_[id]; }  // @pre is_of_parameter(id)
  bool contains(OpId id) const { return id < end_ && !is_derived_[id]; }
  OpId end() const noexcept { return end_; }
  const std::vector<OpId>& heavy() const noexcept { return heavy_; }

 private:
  static constexpr OpId none = std::numeric_limits<OpId>::max();

  void find_parameter(const graph::Graph& graph, OpId id) {
    if (graph.op(id).is_heavy) return;
    OpId parameter = graph.op(id).is_parameter ? id : none;
    for (const graph::Value operand : operands_of(graph, id)) {
      const OpId other = parameters_[operand.op];
      if (!is_derived_[operand.op] || (parameter != none && other != none && parameter != other))
        return;
      if (other != none) parameter = other;
    }
    is_derived_[id] = true;
    parameters_[id] = parameter;
  }

  // How many heavy ops there are up to the last one that is the first to read some weight.
  std::size_t count_heavy(const graph::Graph& graph) const {
    std::vector<bool> is_seen(graph.op_count(), false);
    std::size_t count = 0;
    for (std::size_t i = 0; i < heavy_.size(); ++i)
      for (const graph::Value operand : operands_of(graph, heavy_[i])) {
        const OpId parameter = parameters_[operand.op];
        if (parameter == none || is_seen[parameter] || !is_weight_[parameter]) continue;
        is_seen[parameter] = true;
        count = i + 1;
      }
    return count;
  }

  std::vector<bool> is_derived_, is_weight_;
  std::vector<OpId> parameters_;  // the one that a derived op is made of, if any
  std::vector<OpId> heavy_;       // of the forward part
  OpId end_ = 0;
};

}  // namespace tessera::pipeline::detail
