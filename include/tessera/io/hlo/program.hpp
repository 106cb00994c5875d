// SPDX-License-Identifier: Apache-2.0
//
// A module as a program to plan: its graph, and the way from instructions to ops and back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tessera/graph/graph.hpp"
#include "tessera/io/hlo/custom_calls.hpp"
#include "tessera/io/hlo/module.hpp"
#include "tessera/notation/hlo_sharding.hpp"

namespace tessera::io::hlo {

using graph::Graph;
using graph::Value;

/// The arrays of a value, tuples flattened depth first.
using Leaves = std::vector<Value>;

/// Which shardings written in the text constrain the plan.
enum class Annotations : std::uint8_t {
  ignore,
  io,   ///< those of the program's parameters and results
  all,  ///< those of all instructions
};

/// The choices of an import.
struct ImportOptions {
  Annotations annotations = Annotations::all;
  CustomCalls custom_calls = known_custom_calls();  ///< add your own
};

/// The ops that one instruction became in one place, [begin, end): none where it dissolved.
struct OwnOps {
  graph::OpId begin = 0, end = 0;
};

/// A sharding that an instruction asks for.  Its axes depend on the mesh: annotations.hpp.
struct WrittenAnnotation {
  Value value;
  notation::HloSharding sharding;
  std::uint16_t open_dims = 0;  ///< bit d: dim d is left to the solver
  std::uint32_t computation = 0, instruction = 0;
};

/// A graph to plan, and the instructions that its ops come from.
struct Program {
  Graph graph;
  std::vector<WrittenAnnotation> annotations;  ///< at most one of each value
  /// values[c][i]: the results of instruction i of computation c in the graph, once for each place
  /// from which the computation is called.  Empty for reducers.
  std::vector<std::vector<std::vector<Leaves>>> values;
  /// own_ops[c][i]: in the same way, the ops that the instruction itself became.  Every op is in
  /// one of them.
  std::vector<std::vector<std::vector<OwnOps>>> own_ops;
  /// How many ops were kept whole for want of a rule, by opcode or custom-call target.
  std::map<std::string, std::size_t> kept_whole;
  /// Anything else that a reader of the plan should know, a sentence each.
  std::vector<std::string> notes;
};

}  // namespace tessera::io::hlo
