// SPDX-License-Identifier: Apache-2.0
//
// The bodies of import_calls.hpp.
#pragma once
#include "tessera/io/hlo/detail/import_calls.hpp"

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/graph/ops.hpp"
#include "tessera/io/hlo/detail/import_annotations.hpp"
#include "tessera/io/hlo/detail/import_instruction.hpp"

namespace tessera::io::hlo::detail {

// --- Computations
// ---------------------------------------------------------------------------------

TESSERA_INLINE void check_plannable(const Module& module, const Instruction& instruction) {
  instruction.shape.for_each_leaf([&](const Shape& leaf) {
    if (leaf.is_unbounded)
      module.fail(instruction.at, shown_name(instruction.name) +
                                      " has a dim of unknown size; give it a bound to plan for");
  });
}

// Calls of calls grow exponentially, and so may the arrays of tuples.
TESSERA_INLINE void check_size(ImportState& state, const Instruction& instruction,
                               std::size_t leaves) {
  constexpr std::size_t max_ops = 1'000'000, max_leaves = 16'000'000;
  state.leaf_count += leaves + 1;
  if (state.graph().op_count() > max_ops || state.leaf_count > max_leaves)
    state.module.fail(instruction.at, "with every call written out the program has over " +
                                          std::to_string(max_ops) + " ops, or over " +
                                          std::to_string(max_leaves) + " values");
}

TESSERA_INLINE Leaves import_computation(ImportState& state, std::uint32_t id,
                                         std::span<const Leaves> arguments,
                                         const std::string& prefix) {
  constexpr int max_depth = 100;
  const Module& module = state.module;
  const Computation& computation = module.computations[id];
  if (++state.call_depth > max_depth) module.fail(computation.at, "calls nest too deeply");
  std::vector<Leaves> values(computation.instructions.size());
  for (std::size_t i = 0; i < computation.instructions.size(); ++i) {
    const Instruction& instruction = computation.instructions[i];
    check_plannable(module, instruction);
    const bool is_argument = instruction.parameter && id != module.entry;
    OwnOps own;
    OwnOps* const outer = std::exchange(state.own_ops, &own);
    const graph::OpId begin = state.graph().op_count();
    values[i] = is_argument ? arguments[static_cast<std::size_t>(*instruction.parameter)]
                            : import_instruction(state, computation, instruction, values, prefix);
    if (is_annotation_kept(state, id, i)) annotate(state, id, i, prefix, values[i]);
    state.own_ops = outer;
    set_scope_and_buffers(state, instruction, begin, values[i]);
    check_size(state, instruction, values[i].size());
    state.program.values[id][i].push_back(values[i]);
    state.program.own_ops[id][i].push_back(own);
  }
  --state.call_depth;
  return values[computation.root];
}

// --- Calls
// ----------------------------------------------------------------------------------------

TESSERA_INLINE std::vector<Leaves> arguments_of(const ImportSite& site) {
  std::vector<Leaves> arguments;
  for (std::size_t i = 0; i < site.operand_count(); ++i) arguments.push_back(site.operand(i));
  return arguments;
}

// The one computation that an attribute names; missing_computation where there is none.
TESSERA_INLINE std::uint32_t called_by(const ImportSite& site, std::string_view attribute) {
  const std::vector<std::uint32_t> called = site.instruction.called_as(attribute);
  return called.size() == 1 ? called[0] : missing_computation;
}

TESSERA_INLINE Leaves import_call(ImportState& state, const ImportSite& site) {
  const std::uint32_t called = called_by(site, "to_apply");
  if (called == missing_computation) return add_whole(state, site, site.instruction.spelling);
  return import_computation(state, called, arguments_of(site), site.name + '/');
}

TESSERA_INLINE Leaves import_fusion(ImportState& state, const ImportSite& site) {
  const std::uint32_t called = called_by(site, "calls");
  if (called == missing_computation) return add_whole(state, site, site.instruction.spelling);
  const graph::OpId begin = state.graph().op_count();
  const Leaves results = import_computation(state, called, arguments_of(site), site.name + '/');
  for (graph::OpId id = begin; id < state.graph().op_count(); ++id)
    state.graph().op(id).has_buffer = false;
  for (const Value result : results)
    if (result.op >= begin) state.graph().op(result.op).has_buffer = true;
  return results;
}

// --- Loops
// ----------------------------------------------------------------------------------------

// A state for each array that the loop carries, which begins as the operand.
TESSERA_INLINE Leaves add_loop_states(ImportState& state, const ImportSite& site) {
  Leaves states;
  const Leaves initial_values = site.operand(0);
  for (const Value initial : initial_values) {
    const graph::TensorType type = state.graph().type_of(initial);
    graph::Op op{leaf_name(site.name, states.size(), initial_values.size()),
                 Opcode::while_loop,
                 {type},
                 graph::loop_state_rule(type.dims)};
    op.is_loop_state = true;
    states.push_back(add_to_graph(state, std::move(op), std::span(&initial, 1)));
  }
  return states;
}

// while: the value of a state is the initial one or the body's.
TESSERA_INLINE Leaves import_loop(ImportState& state, const ImportSite& site) {
  const std::uint32_t condition = called_by(site, "condition"), body = called_by(site, "body");
  if (condition == missing_computation || body == missing_computation)
    return add_whole(state, site, site.instruction.spelling);
  const graph::OpId begin = state.graph().op_count();
  const Leaves states = add_loop_states(state, site);
  const Leaves arguments[] = {states};
  const Leaves goes_on = import_computation(state, condition, arguments, site.name + "/condition/");
  const Leaves results = import_computation(state, body, arguments, site.name + "/body/");
  for (std::size_t i = 0; i < states.size(); ++i)
    state.graph().close_loop(states[i].op, results[i]);
  graph::Loop loop{begin, state.graph().op_count()};
  if (goes_on.size() == 1) loop.condition = goes_on[0];
  state.graph().loops.push_back(loop);
  return states;
}

// --- Branches
// -------------------------------------------------------------------------------------

// The op that takes array `leaf` of the branch that operand 0 chooses.
TESSERA_INLINE Value add_choice(ImportState& state, const ImportSite& site,
                                const std::vector<Leaves>& branches, std::size_t leaf) {
  std::vector<Value> operands = site.operand(0);
  for (const Leaves& branch : branches) operands.push_back(branch[leaf]);
  const graph::TensorType type = state.graph().type_of(operands[1]);
  graph::Op op{leaf_name(site.name, leaf, branches[0].size()),
               Opcode::conditional,
               {type},
               graph::conditional_rule(type.dims, branches.size())};
  op.attributes = graph::Branching{};
  return add_to_graph(state, std::move(op), operands);
}

// conditional: every branch is planned.
TESSERA_INLINE Leaves import_branches(ImportState& state, const ImportSite& site) {
  const std::vector<std::uint32_t> called = branches_of(site.instruction);
  for (const std::uint32_t id : called)
    if (id == missing_computation) return add_whole(state, site, site.instruction.spelling);
  std::vector<Leaves> branches;
  for (std::size_t b = 0; b < called.size(); ++b) {
    const Leaves arguments[] = {site.operand(b + 1)};
    branches.push_back(import_computation(state, called[b], arguments,
                                          site.name + "/branch" + std::to_string(b) + '/'));
  }
  Leaves results;
  for (std::size_t leaf = 0; leaf < branches[0].size(); ++leaf)
    results.push_back(add_choice(state, site, branches, leaf));
  return results;
}

}  // namespace tessera::io::hlo::detail
