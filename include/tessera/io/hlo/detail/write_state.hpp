// SPDX-License-Identifier: Apache-2.0
//
// The state of the writer, and the texts of an instruction's parts.
#pragma once
#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/attributes.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::io::hlo::detail {

struct WriteState {
  const graph::Graph& graph;
  std::set<std::string> taken = {};                      // names in use in the entry computation
  std::map<graph::Value, std::string> elements = {};     // of ops with several results
  std::map<std::string, std::string> computations = {};  // reducers and the like, by name
  std::size_t parameter_count = 0;
};

// A type; several make a tuple.
std::string types_text(const std::vector<graph::TensorType>& types);
std::string tuple_text(const std::vector<graph::TensorType>& types);

// The attributes of an op, as HLO writes them: ", name=value" for each attribute.  `element`: the
// type of operand 0's elements.  Computations that they name are added to the state.
std::string attributes_text(WriteState& state, const graph::Op& op, graph::ElementType element);

// The name of the computation that combines two scalars; of Reduction::none: that takes the second.
std::string reducer_name(WriteState& state, graph::ElementType element, Reduction reduction);

// The same of tensors of these types, reduced together.
std::string reducer_name(WriteState& state, const std::vector<graph::TensorType>& reduced,
                         const graph::ReducingBy& how);

// The name of the computation that takes a pair of scalars for each of the tensors that are sorted,
// and compares the first.
std::string comparator_name(WriteState& state, const std::vector<graph::TensorType>& sorted,
                            graph::Direction direction);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/write_state.ipp"
#endif
