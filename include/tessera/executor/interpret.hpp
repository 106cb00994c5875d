// SPDX-License-Identifier: Apache-2.0
//
// Runs a program on one device, as it is: the reference that every plan's run is compared with.
//
// It shares with the devices of a plan the kernels and the order of loops, and nothing else: no
// shardings, no steps, no communication.  The tests compare the kernels with a plain evaluator of
// their own.
#pragma once
#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::executor {

/// The parameters, in program order.  The inputs of a run are a tensor for each.  O(ops)
std::vector<graph::OpId> parameters_of(const graph::Graph& graph);

/// Throws InvalidArgument where the inputs are not those of the program's parameters.
void check_inputs(const graph::Graph& graph, std::span<const Tensor> inputs);

/// Called with the results of every op, in the op's output shardings, as they are computed.
using Observer = std::function<void(graph::OpId, std::span<const TensorPart>)>;

/// The program's outputs, in order.  Throws Unsupported, with the op's name, for an op that can not
/// be computed and for a loop that does not end; InvalidArgument for inputs that do not fit.
/// Takes the time of the ops' computations; a tensor is freed after its last use.
std::vector<Tensor> interpret(const graph::Graph& graph, std::span<const Tensor> inputs,
                              const Observer& observe = {});

/// The program with one element type for all its floating-point numbers.  In f64 it computes the
/// same, with next to no rounding.
graph::Graph with_floats(graph::Graph graph, ElementType element);
/// The same of tensors.
std::vector<Tensor> with_floats(std::span<const Tensor> tensors, ElementType element);

namespace detail {
// For each alias of the graph: the index of its parameter among parameters_of(), and of its output
// among the outputs.
struct AliasPlace {
  std::size_t parameter = 0, output = 0;
};
std::vector<AliasPlace> alias_places(const graph::Graph& graph);
}  // namespace detail

/// Makes the parameters of the next training step from the outputs of this one: an output in the
/// place of a parameter is moved there, and the other parameters (data) stay.  For whole tensors or
/// for shards.  @pre one for each parameter and each output of the graph
template<class T>
void advance(const graph::Graph& graph, std::vector<T>& parameters, std::vector<T>& outputs) {
  for (const auto& [parameter, output] : detail::alias_places(graph))
    parameters[parameter] = std::move(outputs[output]);
}

}  // namespace tessera::executor

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/interpret.ipp"
#endif
