// SPDX-License-Identifier: Apache-2.0
//
// The bodies of import_instruction.hpp.
#pragma once
#include "tessera/io/hlo/detail/import_instruction.hpp"

#include <cstddef>
#include <string_view>

#include "tessera/core/error.hpp"
#include "tessera/io/hlo/detail/hints.hpp"
#include "tessera/io/hlo/detail/import_calls.hpp"
#include "tessera/io/hlo/detail/import_normalisation.hpp"
#include "tessera/io/hlo/detail/scopes.hpp"

namespace tessera::io::hlo::detail {

// --- Scopes
// ---------------------------------------------------------------------------------------

// A text among an instruction's metadata; empty where there is none.
TESSERA_INLINE std::string_view metadata(const Module& module, const Instruction& instruction,
                                         std::string_view name) {
  const Attribute* const found = instruction.find("metadata");
  return found == nullptr ? std::string_view() : quoted_in(module.text_of(found->value), name);
}

TESSERA_INLINE bool is_marker(const ImportState& state, const ImportSite& site) {
  const CustomCalls& known = state.options.custom_calls;
  const auto found = known.find(site.attributes.word("custom_call_target"));
  return found != known.end() && found->second == CustomCall::marker;
}

// Alpa's other markers: after an end comes a beginning, if anything.
TESSERA_INLINE bool is_end_of_layer(std::string_view type) {
  return type == "end" || type == "jvp_end" || type == "grad" || type == "hook";
}

// The instructions after a marker in the text are in a scope of their own, up to the next one.
TESSERA_INLINE Leaves import_marker(ImportState& state, const ImportSite& site) {
  Leaves leaves = flattened(site);
  if (leaves.size() != site.instruction.shape.leaf_count())
    throw InvalidArgument("the results of a marker must be its operands");
  if (!is_end_of_layer(metadata(state.module, site.instruction, "op_type")))
    state.marked_scope = "marker" + std::to_string(++state.marker_count);
  return leaves;
}

// Ops of a computation that the instruction calls have scopes of their own.
TESSERA_INLINE void set_scope(ImportState& state, const Instruction& instruction,
                              graph::OpId begin) {
  const std::string scope = state.marked_scope.empty()
                                ? scope_in(metadata(state.module, instruction, "op_name"))
                                : state.marked_scope;
  for (graph::OpId id = begin; id < state.graph().op_count(); ++id)
    if (state.graph().op(id).scope.empty()) state.graph().op(id).scope = scope;
}

// --- Buffers
// --------------------------------------------------------------------------------------

// Throws InputError for a hint of any other value.
TESSERA_INLINE bool has_buffer(const Module& module, const Instruction& instruction) {
  const Attribute* const found = instruction.find("frontend_attributes");
  if (found == nullptr) return true;
  const std::string_view hint = quoted_in(module.text_of(found->value), buffer_hint);
  if (!hint.empty() && hint != without_buffer)
    module.fail(found->value.begin, shown_name(instruction.name) + ": " + std::string(buffer_hint) +
                                        " is " + excerpt(hint) + "; it can only be \"" +
                                        std::string(without_buffer) + "\", or left out");
  return hint.empty();
}

TESSERA_INLINE void set_scope_and_buffers(ImportState& state, const Instruction& instruction,
                                          graph::OpId begin, const Leaves& values) {
  set_scope(state, instruction, begin);
  if (has_buffer(state.module, instruction)) return;
  for (const Value value : values)
    if (graph::Op& op = state.graph().op(value.op);
        value.op >= begin && !op.is_parameter && !op.is_loop_state)
      op.has_buffer = false;
}

// --- Instructions
// ---------------------------------------------------------------------------------

TESSERA_INLINE Leaves element_of_tuple(const ImportSite& site) {
  const auto wanted = static_cast<std::size_t>(site.attributes.integer("index", 0));
  const Shape& tuple = site.computation.instructions[site.instruction.operands[0]].shape;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < wanted; ++i) begin += tuple.elements[i].leaf_count();
  const auto first = site.operand(0).begin() + static_cast<std::ptrdiff_t>(begin);
  return {first, first + static_cast<std::ptrdiff_t>(tuple.elements[wanted].leaf_count())};
}

TESSERA_INLINE Leaves import_by_opcode(ImportState& state, const ImportSite& site) {
  switch (site.instruction.opcode) {
    case Opcode::parameter:
    case Opcode::constant: return add_sources(state, site);
    case Opcode::tuple:
    case Opcode::domain:
    case Opcode::opt_barrier:
    case Opcode::optimization_barrier: return flattened(site);
    case Opcode::add_dependency: return site.operand(0);
    case Opcode::get_tuple_element: return element_of_tuple(site);
    case Opcode::copy:
      return site.instruction.shape.is_tuple ? flattened(site) : add_op(state, site);
    case Opcode::custom_call:
      return is_marker(state, site) ? import_marker(state, site) : add_op(state, site);
    case Opcode::call: return import_call(state, site);
    case Opcode::fusion: return import_fusion(state, site);
    case Opcode::while_loop: return import_loop(state, site);
    case Opcode::conditional: return import_branches(state, site);
    case Opcode::batch_norm_training: return import_batch_norm_training(state, site);
    case Opcode::batch_norm_grad: return import_batch_norm_grad(state, site);
    default: return add_op(state, site);
  }
}

TESSERA_INLINE Leaves import_instruction(ImportState& state, const Computation& computation,
                                         const Instruction& instruction,
                                         const std::vector<Leaves>& values,
                                         const std::string& prefix) {
  const ImportSite site{computation, instruction, values, prefix + instruction.name,
                        AttributeAccess(state.module, instruction)};
  try {
    return import_by_opcode(state, site);
  } catch (const InputError&) {
    throw;
  } catch (const Error& error) {
    state.module.fail(instruction.at, shown_name(site.name) + ": " + error.what());
  }
}

}  // namespace tessera::io::hlo::detail
