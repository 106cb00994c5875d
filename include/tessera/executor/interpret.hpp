// SPDX-License-Identifier: Apache-2.0
//
// Runs a program on one device, as it is: what every plan's run is compared with.
//
// It shares the kernels with the devices of a plan and nothing else: no shardings, no steps, no
// communication.  That the kernels mean what HLO means is the tests' affair, who hold them against
// a plain evaluator of their own.
#pragma once
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tessera/executor/kernels.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::executor {

// The parameters, in program order; the inputs of a run are a tensor for each.
inline std::vector<graph::OpId> parameters_of(const graph::Graph& graph) {
  std::vector<graph::OpId> parameters;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_parameter) parameters.push_back(id);
  return parameters;
}

// Throws std::invalid_argument where inputs are not those of the program's parameters.
inline void check_inputs(const graph::Graph& graph, std::span<const Tensor> inputs) {
  const std::vector<graph::OpId> parameters = parameters_of(graph);
  if (inputs.size() != parameters.size())
    throw std::invalid_argument("the program has " + std::to_string(parameters.size()) +
                                " parameters, and was given " + std::to_string(inputs.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const graph::Op& op = graph.op(parameters[i]);
    if (inputs[i].type() != op.results[0])
      throw std::invalid_argument("parameter " + excerpt(op.name, 100) + " is " +
                                  to_string(op.results[0]) + ", and was given " +
                                  to_string(inputs[i].type()));
  }
}

// Throws Unsupported where the program has a loop or a branch: which ops run, and how often, is not
// settled before it runs.
inline void check_straight(const graph::Graph& graph) {
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_loop_state || graph.op(id).kind == "conditional")
      throw Unsupported(detail::op_text(graph.op(id)) + ": loops and branches can not be executed");
}

// Sees the results of every op as they are computed, for those who want more than outputs.
struct Unobserved {
  void operator()(graph::OpId, std::span<const OwnedPart>) const noexcept {}
};

// The outputs, in order.  Throws Unsupported for an op that can not be computed, by name;
// std::invalid_argument for inputs that do not fit.  O(what the ops compute); tensors are let go
// after their last use.
template<class Observe = Unobserved>
std::vector<Tensor> interpret(const graph::Graph& graph, std::span<const Tensor> inputs,
                              const Observe& observe = {}) {
  check_inputs(graph, inputs);
  check_straight(graph);
  std::vector<std::vector<std::size_t>> last_uses(graph.op_count());  // by reader: ops to let go
  std::vector<char> is_output(graph.op_count(), 0);
  for (const graph::Value output : graph.outputs) is_output[output.op] = 1;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    graph::OpId last = id;
    graph.for_each_use(
        id, [&](graph::OpId reader, const graph::Use&) { last = std::max(last, reader); });
    last_uses[last].push_back(id);
  }
  std::vector<std::vector<OwnedPart>> values(graph.op_count());
  std::size_t next_input = 0;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const graph::Op& op = graph.op(id);
    if (op.is_parameter) {
      const Tensor& input = inputs[next_input++];
      values[id].emplace_back(input, whole_slice(input.dims()), input.dims());
    } else {
      std::vector<Part> operands;
      for (std::size_t i = 0; i < graph.operand_count(id); ++i) {
        const graph::Value value = graph.operand(id, i);
        operands.push_back(values[value.op][value.result].view());
      }
      std::vector<Slice> slices;
      for (const TensorType& type : op.results) slices.push_back(whole_slice(type.dims));
      values[id] = compute(op, operands, slices);
    }
    observe(id, values[id]);
    for (const graph::OpId done : last_uses[id])
      if (is_output[done] == 0) values[done].clear();
  }
  std::vector<Tensor> outputs;
  for (const graph::Value output : graph.outputs)
    outputs.push_back(values[output.op][output.result].tensor);
  return outputs;
}

// The program with all its floating-point numbers of one type.  In double it is the same in exact
// terms, and with next to no rounding.
inline graph::Graph with_floats(graph::Graph graph, ElementType element) {
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    for (TensorType& type : graph.op(id).results)
      if (graph::is_floating(type.element)) type.element = element;
  return graph;
}
inline std::vector<Tensor> with_floats(std::span<const Tensor> tensors, ElementType element) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) {
    result.emplace_back(graph::is_floating(tensor.element()) ? element : tensor.element(),
                        tensor.dims());
    run_convert(tensor, result.back());
  }
  return result;
}

}  // namespace tessera::executor
