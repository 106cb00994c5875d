// SPDX-License-Identifier: Apache-2.0
//
// The bodies of writer.hpp.
#pragma once
#include "tessera/io/hlo/writer.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"
#include "tessera/io/hlo/detail/hints.hpp"
#include "tessera/io/hlo/detail/literal.hpp"
#include "tessera/io/hlo/detail/opcode_table.hpp"
#include "tessera/io/hlo/detail/scanner.hpp"
#include "tessera/io/hlo/detail/write_state.hpp"

namespace tessera::io::hlo {

namespace detail {

// --- Ops that have no text
// ------------------------------------------------------------------------

TESSERA_INLINE bool is_writable_name(const std::string& name) {
  bool is_name = !name.empty() && Scanner::is_name_start(name[0]);
  for (const char c : name) is_name = is_name && Scanner::is_name_part(c);
  return is_name && name.find("->") == std::string::npos;
}

// Whether the text is of no use without the op's attributes.
TESSERA_INLINE bool needs_attributes(const OpcodeEntry& entry) {
  return entry.opcode == Opcode::constant ||
         (!entry.required[0].empty() && entry.opcode != Opcode::dynamic_slice);
}

// Why the op can not be written; empty where it can.
TESSERA_INLINE std::string reason_against(const graph::Op& op) {
  if (op.is_loop_state) return "it is a value that a loop carries";
  if (!is_writable_name(op.name)) return "that is no name in HLO";
  if (op.opcode == Opcode::conditional) return "its branches are ops like any other by now";
  const OpcodeEntry* const entry = find_opcode(opcode_text(op));
  if (entry == nullptr || is_opaque(*entry)) return std::string(opcode_text(op)) + " has no writer";
  if (needs_attributes(*entry) && op.attributes.empty()) return "its attributes are not known";
  const auto* const normalisation = op.attributes.find<graph::Normalisation>();
  if (normalisation != nullptr && normalisation->part != graph::NormalisationPart::whole)
    return "it is a part of a normalisation, for which there is no opcode";
  return {};
}

// Throws InvalidArgument.
TESSERA_INLINE void check_writable(const graph::Op& op) {
  const std::string reason = reason_against(op);
  if (!reason.empty())
    throw InvalidArgument("op '" + op.name + "' can not be written as HLO: " + reason);
}

// --- Instructions
// ---------------------------------------------------------------------------------

// A name that no op has and that was not given out before.
TESSERA_INLINE std::string unused(WriteState& state, std::string name) {
  while (!state.taken.insert(name).second) name += '_';
  return name;
}

TESSERA_INLINE std::string name_of(const WriteState& state, graph::Value value) {
  const auto element = state.elements.find(value);
  return element == state.elements.end() ? state.graph.op(value.op).name : element->second;
}

// The text between the parentheses.
TESSERA_INLINE std::string arguments_text(WriteState& state, graph::OpId id) {
  const graph::Op& op = state.graph.op(id);
  if (const auto* const literal = op.attributes.find<graph::Literal>())
    return literal_text(*literal, op.results[0]);
  if (op.is_parameter) return std::to_string(state.parameter_count++);
  std::string operands;
  for (std::size_t i = 0; i < state.graph.operand_count(id); ++i)
    operands += (i == 0 ? "" : ", ") + name_of(state, state.graph.operand(id, i));
  return operands;
}

TESSERA_INLINE std::string hints_text(const graph::Op& op) {
  if (op.has_buffer) return "";
  return ", frontend_attributes={" + std::string(buffer_hint) + "=\"" +
         std::string(without_buffer) + "\"}";
}

// The scope, as frameworks write it.
TESSERA_INLINE std::string metadata_text(const graph::Op& op) {
  if (op.scope.empty() || op.scope.find('"') != std::string::npos) return "";
  return ", metadata={op_name=\"" + op.scope + '/' + std::string(opcode_text(op)) + "\"}";
}

// An instruction for each result of an op that has several.
TESSERA_INLINE void append_elements(WriteState& state, std::string& body, graph::OpId id) {
  const graph::Op& op = state.graph.op(id);
  for (std::uint32_t r = 0; r < op.results.size(); ++r) {
    const std::string element = unused(state, op.name + ".result." + std::to_string(r));
    state.elements[{id, r}] = element;
    body += "  " + element + " = " + to_string(op.results[r]) + " get-tuple-element(" + op.name +
            "), index=" + std::to_string(r) + '\n';
  }
}

TESSERA_INLINE void append_op(WriteState& state, std::string& body, graph::OpId id) {
  const graph::Op& op = state.graph.op(id);
  check_writable(op);
  const std::string arguments = arguments_text(state, id);
  const graph::ElementType element = state.graph.operand_count(id) == 0
                                         ? op.results[0].element
                                         : state.graph.type_of(state.graph.operand(id, 0)).element;
  body += "  " + op.name + " = " + types_text(op.results) + ' ' + std::string(opcode_text(op)) +
          '(' + arguments + ')' + attributes_text(state, op, element) + hints_text(op) +
          metadata_text(op) + '\n';
  if (op.results.size() != 1) append_elements(state, body, id);
}

TESSERA_INLINE void append_root(WriteState& state, std::string& body) {
  std::vector<graph::TensorType> types;
  for (const graph::Value output : state.graph.outputs)
    types.push_back(state.graph.type_of(output));
  const std::string operands = joined(state.graph.outputs, ", ",
                                      [&](graph::Value output) { return name_of(state, output); });
  body += "  ROOT " + unused(state, "outputs") + " = " + tuple_text(types) + " tuple(" + operands +
          ")\n";
}

// --- Aliases
// --------------------------------------------------------------------------------------

// The first output that is this value and that no alias has yet; their count where there is none.
TESSERA_INLINE std::size_t unaliased_output(const graph::Graph& graph, const graph::Value& value,
                                            const std::vector<char>& used) {
  std::size_t i = 0;
  while (i < graph.outputs.size() && (used[i] != 0 || graph.outputs[i] != value)) ++i;
  return i;
}

// Each output has one entry at most; an output that is not a parameter's has none.
TESSERA_INLINE std::string aliases_text(const graph::Graph& graph) {
  std::map<graph::OpId, std::size_t> number_of;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_parameter) number_of.emplace(id, number_of.size());
  std::vector<std::string> entries;
  std::vector<char> used(graph.outputs.size(), 0);
  for (const graph::Alias& alias : graph.aliases) {
    const std::size_t i = unaliased_output(graph, alias.output, used);
    if (i == graph.outputs.size()) continue;
    used[i] = 1;
    entries.push_back('{' + std::to_string(i) + "}: (" +
                      std::to_string(number_of.at(alias.parameter)) + ", {}, may-alias)");
  }
  if (entries.empty()) return {};
  return ", input_output_alias={ " +
         joined(entries, ", ", [](const std::string& entry) { return entry; }) + " }";
}

}  // namespace detail

TESSERA_INLINE std::string write_hlo(const graph::Graph& graph, const std::string& name) {
  detail::WriteState state{graph};
  for (graph::OpId id = 0; id < graph.op_count(); ++id) state.taken.insert(graph.op(id).name);
  std::string body;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) detail::append_op(state, body, id);
  detail::append_root(state, body);
  std::string text = "HloModule " + name + detail::aliases_text(graph) + "\n\n";
  for (const auto& [computation, definition] : state.computations) text += definition + '\n';
  return text + "ENTRY main {\n" + body + "}\n";
}

}  // namespace tessera::io::hlo
