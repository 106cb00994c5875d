// SPDX-License-Identifier: Apache-2.0
//
// The bodies of import_state.hpp.
#pragma once
#include "tessera/io/hlo/detail/import_state.hpp"

#include <optional>
#include <string_view>
#include <utility>

#include "tessera/graph/ops.hpp"
#include "tessera/io/hlo/detail/opcode_table.hpp"

namespace tessera::io::hlo::detail {

TESSERA_INLINE Leaves flattened(const ImportSite& site) {
  Leaves leaves;
  for (std::size_t i = 0; i < site.operand_count(); ++i)
    leaves.insert(leaves.end(), site.operand(i).begin(), site.operand(i).end());
  return leaves;
}

TESSERA_INLINE OpTensors tensors_of(const ImportState& state, const ImportSite& site) {
  OpTensors tensors;
  for (const Value operand : flattened(site)) {
    tensors.operands.push_back(state.program.graph.type_of(operand));
    tensors.operand_dims.push_back(tensors.operands.back().dims);
  }
  site.instruction.shape.for_each_leaf([&](const Shape& leaf) {
    tensors.results.push_back(leaf.array);
    tensors.result_dims.push_back(leaf.array.dims);
  });
  return tensors;
}

TESSERA_INLINE std::string leaf_name(const std::string& name, std::size_t leaf, std::size_t count) {
  return count == 1 ? name : name + '{' + std::to_string(leaf) + '}';
}

TESSERA_INLINE Value add_to_graph(ImportState& state, graph::Op op,
                                  std::span<const Value> operands) {
  const graph::OpId id = state.graph().add(std::move(op), operands);
  if (state.own_ops->end == 0) state.own_ops->begin = id;
  state.own_ops->end = id + 1;
  return {id, 0};
}

TESSERA_INLINE Leaves add_with_rule(ImportState& state, const ImportSite& site,
                                    const OpTensors& tensors, graph::Rule rule) {
  const Instruction& instruction = site.instruction;
  graph::Op op{site.name, instruction.opcode, tensors.results, std::move(rule)};
  if (op.opcode == Opcode::unknown) op.spelling = instruction.spelling;
  op.is_heavy = graph::traits(op.opcode).is_heavy;
  op.attributes = attributes_of(state.module, instruction,
                                tensors.operand_dims.empty() ? 0 : tensors.operand_dims[0].size());
  const graph::OpId id = add_to_graph(state, std::move(op), flattened(site)).op;
  Leaves leaves;
  for (std::uint32_t r = 0; r < tensors.results.size(); ++r) leaves.push_back({id, r});
  return leaves;
}

TESSERA_INLINE Leaves add_op(ImportState& state, const ImportSite& site) {
  const OpTensors tensors = tensors_of(state, site);
  std::optional<graph::Rule> rule = rule_of(
      {state.module, site.computation, site.instruction, tensors, state.options.custom_calls});
  if (rule) return add_with_rule(state, site, tensors, std::move(*rule));
  const std::string_view target = site.attributes.word("custom_call_target");
  return add_whole(
      state, site,
      target.empty() ? site.instruction.spelling : "custom-call " + std::string(target));
}

TESSERA_INLINE Leaves add_whole(ImportState& state, const ImportSite& site,
                                const std::string& what) {
  ++state.program.kept_whole[what];
  const OpTensors tensors = tensors_of(state, site);
  return add_with_rule(state, site, tensors,
                       graph::whole_rule(tensors.operand_dims, tensors.result_dims));
}

TESSERA_INLINE Leaves add_sources(ImportState& state, const ImportSite& site) {
  Leaves leaves;
  const std::size_t count = site.instruction.shape.leaf_count();
  site.instruction.shape.for_each_leaf([&](const Shape& leaf) {
    graph::Op op{leaf_name(site.name, leaves.size(), count),
                 site.instruction.opcode,
                 {leaf.array},
                 graph::source_rule(leaf.array.dims)};
    op.is_parameter = site.instruction.parameter.has_value();
    op.attributes = attributes_of(state.module, site.instruction, leaf.array.dims.size());
    leaves.push_back(add_to_graph(state, std::move(op), {}));
  });
  return leaves;
}

}  // namespace tessera::io::hlo::detail
