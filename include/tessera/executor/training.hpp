// SPDX-License-Identifier: Apache-2.0
//
// One training step after the other: what a step gives back is what the next one is given.
#pragma once
#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "tessera/executor/interpret.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::executor {

// The parameters of the next step: outputs in a parameter's place take it, the others (data) stay.
// Of whole tensors or of shards; those of an output are moved out.
// @pre one for each parameter and each output of the graph
template<class T>
void advance(const graph::Graph& graph, std::vector<T>& parameters, std::vector<T>& outputs) {
  const std::vector<graph::OpId> ids = parameters_of(graph);
  for (const graph::Alias& alias : graph.aliases) {
    const auto to = std::lower_bound(ids.begin(), ids.end(), alias.parameter) - ids.begin();
    const auto from = std::find(graph.outputs.begin(), graph.outputs.end(), alias.output) -
                      graph.outputs.begin();
    parameters[static_cast<std::size_t>(to)] = std::move(outputs[static_cast<std::size_t>(from)]);
  }
}

}  // namespace tessera::executor
