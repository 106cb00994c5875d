// SPDX-License-Identifier: Apache-2.0
//
// The bodies of importer.hpp.
#pragma once
#include "tessera/io/hlo/importer.hpp"

#include <map>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/io/hlo/detail/import_calls.hpp"
#include "tessera/io/hlo/detail/import_state.hpp"

namespace tessera::io::hlo {

namespace detail {

// Says which reducers were not recognised.
TESSERA_INLINE void note_reducers(const Module& module, Program& program) {
  std::map<std::string, std::size_t> unknown;
  for (const Computation& computation : module.computations)
    for (const Instruction& instruction : computation.instructions) {
      if (instruction.opcode != Opcode::reduce) continue;
      const std::uint32_t id = instruction.called_as("to_apply")[0];
      if (id == missing_computation)
        ++unknown["(missing)"];
      else if (reducer_of(module.computations[id]) == Reduction::none)
        ++unknown[module.computations[id].name];
    }
  for (const auto& [name, count] : unknown)
    program.notes.push_back("reducer " + shown_name(name) + " is not one we know (" +
                            std::to_string(count) + " uses): the dims it reduces stay whole");
}

// The number of the flattened array to which a path into a shape leads.
TESSERA_INLINE std::size_t leaf_at(const Module& module, const Shape& shape,
                                   const std::vector<std::int64_t>& path, std::size_t at) {
  const Shape* here = &shape;
  std::size_t leaf = 0;
  for (const std::int64_t step : path) {
    if (!here->is_tuple || step < 0 || static_cast<std::size_t>(step) >= here->elements.size())
      module.fail(
          at, "input_output_alias names an element that " + to_string(shape) + " does not have");
    for (std::int64_t i = 0; i < step; ++i)
      leaf += here->elements[static_cast<std::size_t>(i)].leaf_count();
    here = &here->elements[static_cast<std::size_t>(step)];
  }
  if (here->is_tuple) module.fail(at, "input_output_alias names a tuple; name the arrays in it");
  return leaf;
}

// The array of a parameter that an alias names.
TESSERA_INLINE Value aliased_parameter(const Module& module, const Program& program,
                                       const AliasEntry& alias) {
  const Computation& entry = module.computations[module.entry];
  const auto number = static_cast<std::size_t>(alias.parameter);
  if (alias.parameter < 0 || number >= entry.parameters.size())
    module.fail(alias.at, "input_output_alias names parameter " + std::to_string(alias.parameter) +
                              " of " + std::to_string(entry.parameters.size()));
  const std::uint32_t parameter = entry.parameters[number];
  const std::size_t leaf =
      leaf_at(module, entry.instructions[parameter].shape, alias.parameter_index, alias.at);
  return program.values[module.entry][parameter][0][leaf];
}

TESSERA_INLINE void add_aliases(const Module& module, Program& program) {
  const Computation& entry = module.computations[module.entry];
  const Shape& result = entry.instructions[entry.root].shape;
  std::vector<char> used(program.graph.outputs.size(), 0);
  for (const AliasEntry& alias : module.aliases) {
    const Value source = aliased_parameter(module, program, alias);
    const std::size_t to = leaf_at(module, result, alias.output_index, alias.at);
    if (used[to]++ != 0) module.fail(alias.at, "input_output_alias names one output twice");
    const Value output = program.graph.outputs[to];
    const graph::TensorType &from = program.graph.type_of(source),
                            &into = program.graph.type_of(output);
    if (from != into)
      module.fail(alias.at, "input_output_alias ties " + graph::to_string(from) + " to " +
                                graph::to_string(into));
    program.graph.aliases.push_back({source.op, output});
  }
}

}  // namespace detail

TESSERA_INLINE Program import_module(const Module& module, const ImportOptions& options) {
  detail::ImportState state{module, options};
  Program& program = state.program;
  program.values.resize(module.computations.size());
  program.own_ops.resize(module.computations.size());
  for (std::size_t c = 0; c < module.computations.size(); ++c) {
    program.values[c].resize(module.computations[c].instructions.size());
    program.own_ops[c].resize(module.computations[c].instructions.size());
  }
  program.graph.outputs = detail::import_computation(state, module.entry, {}, "");
  // Outputs are in memory, whatever a fusion or a hint says of them.
  for (const Value output : program.graph.outputs) program.graph.op(output.op).has_buffer = true;
  detail::add_aliases(module, program);
  detail::note_reducers(module, program);
  return std::move(program);
}

TESSERA_INLINE void fail_at_op(const Module& module, const Program& program, graph::OpId op,
                               const std::string& message) {
  for (std::size_t c = 0; c < program.own_ops.size(); ++c)
    for (std::size_t i = 0; i < program.own_ops[c].size(); ++i)
      for (const OwnOps& own : program.own_ops[c][i])
        if (own.begin <= op && op < own.end)
          module.fail(module.computations[c].instructions[i].at, message);
  throw InputError(module.source, message);
}

TESSERA_INLINE std::vector<graph::OpId> ops_of(const Program& program, std::uint32_t computation,
                                               std::size_t instruction) {
  std::vector<graph::OpId> ops;
  for (const OwnOps& own : program.own_ops[computation][instruction])
    for (graph::OpId op = own.begin; op < own.end; ++op) ops.push_back(op);
  return ops;
}

}  // namespace tessera::io::hlo
