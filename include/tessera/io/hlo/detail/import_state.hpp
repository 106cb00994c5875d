// SPDX-License-Identifier: Apache-2.0
//
// The state of an import, the instruction at hand, and the functions that add ops to the graph.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/attribute_access.hpp"
#include "tessera/io/hlo/detail/site.hpp"
#include "tessera/io/hlo/program.hpp"

namespace tessera::io::hlo::detail {

struct ImportState {
  const Module& module;
  const ImportOptions& options;
  Program program = {};
  std::map<Value, std::size_t> annotation_of = {};  // its number in program.annotations
  OwnOps* own_ops = nullptr;                        // of the instruction at hand
  std::string marked_scope = {};                    // the scope that the last marker began
  std::size_t marker_count = 0;
  std::size_t leaf_count = 0;  // of all values so far
  int call_depth = 0;

  Graph& graph() { return program.graph; }
};

// One instruction, in one of the places from which its computation is called.
struct ImportSite {
  const Computation& computation;
  const Instruction& instruction;
  const std::vector<Leaves>& values;  // of the computation so far
  std::string name;                   // unique in the program
  AttributeAccess attributes;

  const Leaves& operand(std::size_t i) const { return values[instruction.operands[i]]; }
  std::size_t operand_count() const { return instruction.operands.size(); }
};

// The arrays of all operands, in order.
Leaves flattened(const ImportSite& site);

// The types of an instruction's operands and results.
OpTensors tensors_of(const ImportState& state, const ImportSite& site);

// The name of array `leaf` of `count`.
std::string leaf_name(const std::string& name, std::size_t leaf, std::size_t count);

// Adds an op, which is one of the instruction at hand.  Returns its first result.
Value add_to_graph(ImportState& state, graph::Op op, std::span<const Value> operands);

// Adds an op for the instruction, with the rule of its opcode; kept whole where it has none.
Leaves add_op(ImportState& state, const ImportSite& site);

// Adds an op that is kept whole, and reports it under the name `what`.
Leaves add_whole(ImportState& state, const ImportSite& site, const std::string& what);

// Adds an op for each array of a parameter or constant.
Leaves add_sources(ImportState& state, const ImportSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/import_state.ipp"
#endif
