// SPDX-License-Identifier: Apache-2.0
//
// Runs a program on one device, as it is: what every plan's run is compared with.
//
// It shares the kernels with the devices of a plan, and the order of loops, and nothing else: no
// shardings, no steps, no communication.  That the kernels mean what HLO means is the tests'
// affair, who hold them against a plain evaluator of their own.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/kernels.hpp"
#include "tessera/executor/order.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::executor {

// The parameters, in program order; the inputs of a run are a tensor for each.
inline std::vector<graph::OpId> parameters_of(const graph::Graph& graph) {
  std::vector<graph::OpId> parameters;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_parameter) parameters.push_back(id);
  return parameters;
}

// Throws InvalidArgument where inputs are not those of the program's parameters.
inline void check_inputs(const graph::Graph& graph, std::span<const Tensor> inputs) {
  const std::vector<graph::OpId> parameters = parameters_of(graph);
  if (inputs.size() != parameters.size())
    throw InvalidArgument("the program has " + std::to_string(parameters.size()) +
                          " parameters, and was given " + std::to_string(inputs.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const graph::Op& op = graph.op(parameters[i]);
    if (inputs[i].type() != op.results[0])
      throw InvalidArgument("parameter " + excerpt(op.name, 100) + " is " +
                            to_string(op.results[0]) + ", and was given " +
                            to_string(inputs[i].type()));
  }
}

// Sees the results of every op as they are computed, for those who want more than outputs.
struct Unobserved {
  void operator()(graph::OpId, std::span<const OwnedPart>) const noexcept {}
};

namespace detail {

// The program's values, whole.
template<class Observe>
class Interpreter {
 public:
  Interpreter(const graph::Graph& graph, std::span<const Tensor> inputs, const Observe& observe)
      : graph_(graph),
        inputs_(inputs),
        observe_(observe),
        releases_(graph),
        values_(graph.op_count()) {
    const graph::Lifetimes lifetimes = graph::read_lifetimes_of(graph);
    std::vector<char> is_output(graph.op_count(), 0);
    for (const graph::Value output : graph.outputs) is_output[output.op] = 1;
    for (graph::OpId id = 0; id < graph.op_count(); ++id) {
      const auto last = std::max_element(
          lifetimes[id].begin(), lifetimes[id].end(),
          [](const graph::Lifetime& x, const graph::Lifetime& y) { return x.end < y.end; });
      const auto result = static_cast<std::uint32_t>(last - lifetimes[id].begin());
      if (is_output[id] == 0 && !is_condition(graph, {id, 0}))
        releases_.add({id, result}, last->end - 1);
    }
  }

  std::vector<Tensor> outputs() {
    OrderedRun(graph_, *this).run();
    std::vector<Tensor> outputs;
    for (const graph::Value output : graph_.outputs)
      outputs.push_back(values_[output.op][output.result].tensor);
    return outputs;
  }

  void run(graph::OpId id) {
    const graph::Op& op = graph_.op(id);
    if (op.is_parameter) {
      const Tensor& input = inputs_[next_input_++];
      values_[id] = {OwnedPart(input, whole_slice(input.dims()), input.dims())};
    } else {
      std::vector<Part> operands;
      for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
        operands.push_back(value_of(graph_.operand(id, i)).view());
      std::vector<Slice> slices;
      for (const TensorType& type : op.results) slices.push_back(whole_slice(type.dims));
      values_[id] = compute(op, operands, slices);
    }
    observe_(id, std::span<const OwnedPart>(values_[id]));
    release(releases_.after_op(id));
  }
  void begin_state(graph::OpId id) { values_[id] = {value_of(graph_.operand(id, 0))}; }
  void next_states(const graph::Loop& loop, graph::OpId end) {
    std::vector<OwnedPart> next;
    for (graph::OpId id = loop.begin; id < end; ++id)
      next.push_back(value_of(graph_.operand(id, 1)));
    for (graph::OpId id = end; id < loop.end; ++id) values_[id].clear();
    for (std::size_t i = 0; i < next.size(); ++i) values_[loop.begin + i] = {std::move(next[i])};
  }
  bool holds(graph::Value condition) const {
    return *value_of(condition).tensor.template data<std::uint8_t>() != 0;
  }
  void leave(const graph::Loop&, std::size_t number) { release(releases_.after_loop(number)); }

 private:
  const OwnedPart& value_of(graph::Value value) const { return values_[value.op].at(value.result); }
  void release(const std::vector<graph::Value>& values) {
    for (const graph::Value value : values) values_[value.op].clear();
  }

  const graph::Graph& graph_;
  std::span<const Tensor> inputs_;
  const Observe& observe_;
  Releases releases_;
  std::vector<std::vector<OwnedPart>> values_;
  std::size_t next_input_ = 0;
};

}  // namespace detail

// The outputs, in order.  Throws Unsupported for an op that can not be computed, by name, and for a
// loop that does not end; InvalidArgument for inputs that do not fit.  O(what the ops
// compute); tensors are let go after their last use.
template<class Observe = Unobserved>
std::vector<Tensor> interpret(const graph::Graph& graph, std::span<const Tensor> inputs,
                              const Observe& observe = {}) {
  check_inputs(graph, inputs);
  check_order(graph);
  return detail::Interpreter<Observe>(graph, inputs, observe).outputs();
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
