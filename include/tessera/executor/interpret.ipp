// SPDX-License-Identifier: Apache-2.0
//
// The machine that holds whole tensors.
#pragma once
#include "tessera/executor/interpret.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/executor/detail/kernels/compute.hpp"
#include "tessera/executor/detail/kernels/elementwise.hpp"
#include "tessera/executor/detail/running/order.hpp"
#include "tessera/graph/liveness.hpp"

namespace tessera::executor {

TESSERA_INLINE std::vector<graph::OpId> parameters_of(const graph::Graph& graph) {
  std::vector<graph::OpId> parameters;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_parameter) parameters.push_back(id);
  return parameters;
}

TESSERA_INLINE void check_inputs(const graph::Graph& graph, std::span<const Tensor> inputs) {
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

namespace detail {

class Interpreter final : public Machine {
 public:
  Interpreter(const graph::Graph& graph, std::span<const Tensor> inputs, const Observer& observe)
      : graph_(graph),
        inputs_(inputs),
        observe_(observe),
        releases_(graph),
        values_(graph.op_count()) {
    find_releases();
  }

  std::vector<Tensor> outputs() {
    run_in_order(graph_, *this);
    std::vector<Tensor> outputs;
    for (const graph::Value output : graph_.outputs)
      outputs.push_back(values_[output.op][output.result].tensor);
    return outputs;
  }

  void run(graph::OpId id) override {
    const graph::Op& op = graph_.op(id);
    if (op.is_parameter) {
      const Tensor& input = inputs_[next_input_++];
      values_[id] = {TensorPart(input, whole_slice(input.dims()), input.dims())};
    } else {
      std::vector<TensorView> operands;
      for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
        operands.push_back(value_of(graph_.operand(id, i)).view());
      std::vector<Slice> slices;
      for (const TensorType& type : op.results) slices.push_back(whole_slice(type.dims));
      values_[id] = compute(op, operands, slices);
    }
    if (observe_) observe_(id, values_[id]);
    release(releases_.after_op(id));
  }
  void begin_state(graph::OpId id) override { values_[id] = {value_of(graph_.operand(id, 0))}; }
  void next_states(const graph::Loop& loop, graph::OpId end) override {
    std::vector<TensorPart> next;
    for (graph::OpId id = loop.begin; id < end; ++id)
      next.push_back(value_of(graph_.operand(id, 1)));
    for (graph::OpId id = end; id < loop.end; ++id) values_[id].clear();
    for (std::size_t i = 0; i < next.size(); ++i) values_[loop.begin + i] = {std::move(next[i])};
  }
  bool holds(graph::Value condition) const override {
    return *value_of(condition).tensor.data<std::uint8_t>() != 0;
  }
  void end_loop(std::size_t loop) override { release(releases_.after_loop(loop)); }

 private:
  // All results of an op are released after the last use of any of them.
  void find_releases() {
    const graph::Lifetimes lifetimes = graph::read_lifetimes_of(graph_);
    std::vector<char> is_output(graph_.op_count(), 0);
    for (const graph::Value output : graph_.outputs) is_output[output.op] = 1;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      const auto last = std::max_element(
          lifetimes[id].begin(), lifetimes[id].end(),
          [](const graph::Lifetime& x, const graph::Lifetime& y) { return x.end < y.end; });
      const auto result = static_cast<std::uint32_t>(last - lifetimes[id].begin());
      if (is_output[id] == 0 && !is_condition(graph_, {id, 0}))
        releases_.add({id, result}, last->end - 1);
    }
  }
  const TensorPart& value_of(graph::Value value) const {
    return values_[value.op].at(value.result);
  }
  void release(const std::vector<graph::Value>& values) {
    for (const graph::Value value : values) values_[value.op].clear();
  }

  const graph::Graph& graph_;
  std::span<const Tensor> inputs_;
  const Observer& observe_;
  Releases releases_;
  std::vector<std::vector<TensorPart>> values_;
  std::size_t next_input_ = 0;
};

TESSERA_INLINE std::vector<AliasPlace> alias_places(const graph::Graph& graph) {
  const std::vector<graph::OpId> ids = parameters_of(graph);
  std::vector<AliasPlace> places;
  for (const graph::Alias& alias : graph.aliases) {
    const auto parameter = std::lower_bound(ids.begin(), ids.end(), alias.parameter) - ids.begin();
    const auto output = std::find(graph.outputs.begin(), graph.outputs.end(), alias.output) -
                        graph.outputs.begin();
    places.push_back({static_cast<std::size_t>(parameter), static_cast<std::size_t>(output)});
  }
  return places;
}

}  // namespace detail

TESSERA_INLINE std::vector<Tensor> interpret(const graph::Graph& graph,
                                             std::span<const Tensor> inputs,
                                             const Observer& observe) {
  check_inputs(graph, inputs);
  detail::check_order(graph);
  return detail::Interpreter(graph, inputs, observe).outputs();
}

TESSERA_INLINE graph::Graph with_floats(graph::Graph graph, ElementType element) {
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    for (TensorType& type : graph.op(id).results)
      if (graph::is_floating(type.element)) type.element = element;
  return graph;
}

TESSERA_INLINE std::vector<Tensor> with_floats(std::span<const Tensor> tensors,
                                               ElementType element) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) {
    result.emplace_back(graph::is_floating(tensor.element()) ? element : tensor.element(),
                        tensor.dims());
    detail::run_convert(tensor, result.back());
  }
  return result;
}

}  // namespace tessera::executor
