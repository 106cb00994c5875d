// SPDX-License-Identifier: Apache-2.0
//
// A training step of several microbatches on one device: what a pipeline is held against.
//
// The program is that of one microbatch.  Each goes through its forward and backward part; then the
// update runs once, and reads, of everything that differs from one microbatch to the next, the
// mean. A loss is a mean over its batch, so this is the step of all microbatches as one batch,
// where nothing else in the program depends on how many there are; the tests hold it against that.
//
// Sums are in single precision at least, as the plan counts their memory; here, where they judge,
// in double.  What is no floating-point number is that of the last microbatch.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/executor/interpret.hpp"
#include "tessera/graph/ops.hpp"
#include "tessera/pipeline/span_program.hpp"

namespace tessera::executor {

// By microbatch, a tensor for each parameter; those of weights are the first one's.
using StepInputs = std::vector<std::vector<Tensor>>;

// Adds up what microbatches have, or keeps the last.
class MicrobatchMean {
 public:
  // Of elements of this type, added up as that one: the same, single or double precision.
  MicrobatchMean(ElementType element, ElementType sum) : element_(element), sum_type_(sum) {}

  void add(const Part& part) {
    if (!graph::is_floating(element_)) {
      sum_ = cut(part, part.slice);
      return;
    }
    const bool is_first = count_++ == 0;
    if (is_first) sum_ = OwnedPart({sum_type_, part.whole}, part.slice);
    with_types([&]<class Sum, class T>(std::type_identity<Sum>, std::type_identity<T>) {
      Sum* const sum = sum_.tensor.template data<Sum>();
      const T* const more = part.tensor->template data<T>();
      for (std::size_t i = 0; i < sum_.tensor.size(); ++i)
        sum[i] = static_cast<Sum>(wide<Sum>(sum[i]) + wide<Sum>(more[i]));
    });
  }

  // @pre something was added
  OwnedPart mean() const {
    if (count_ == 0) return sum_;
    OwnedPart result({element_, sum_.whole}, sum_.slice);
    with_types([&]<class Sum, class T>(std::type_identity<Sum>, std::type_identity<T>) {
      const Sum* const sum = sum_.tensor.template data<Sum>();
      T* const mean = result.tensor.template data<T>();
      for (std::size_t i = 0; i < result.tensor.size(); ++i)
        mean[i] = static_cast<T>(wide<Sum>(sum[i]) / wide<Sum>(count_));
    });
    return result;
  }
  Extent byte_size() const { return static_cast<Extent>(sum_.tensor.byte_size()); }

 private:
  // In what is added and divided: types of two bytes have no arithmetic of their own.
  template<class Sum, class T>
  static auto wide(T number) {
    return static_cast<std::conditional_t<std::is_same_v<Sum, double>, double, float>>(number);
  }

  template<class Use>
  void with_types(Use&& use) const {
    with_storage(element_, [&]<class T>(std::type_identity<T> element) {
      if constexpr (!std::is_integral_v<T>) {
        if (sum_type_ == element_)
          use(element, element);
        else if (sum_type_ == ElementType::f64)
          use(std::type_identity<double>(), element);
        else
          use(std::type_identity<float>(), element);
      }
    });
  }

  ElementType element_, sum_type_;
  OwnedPart sum_;
  std::int64_t count_ = 0;
};

// The type in which devices add up: single precision, or what is wider.
inline ElementType sum_type(ElementType element) {
  return graph::is_floating(element) && graph::bytes_of(element) < 4 ? ElementType::f32 : element;
}

// One output of a step: of the update, or of one microbatch.
struct StepOutput {
  std::size_t output = 0;        // of the program's
  std::int64_t microbatch = -1;  // -1: once per step

  friend bool operator==(const StepOutput&, const StepOutput&) = default;
};

class StepOnOneDevice {
 public:
  // Throws InvalidArgument for programs that can not be cut into stages either.
  explicit StepOnOneDevice(const graph::Graph& graph)
      : span_(pipeline::whole_program(graph)), means_(pipeline::read_afterwards(span_)) {
    check_straight(graph);
    make_update();
  }

  // In the order of the program's outputs, those of microbatches by their numbers.
  std::vector<StepOutput> outputs(std::int64_t microbatches) const {
    std::vector<StepOutput> result;
    for (std::size_t o = 0; o < span_.graph.outputs.size(); ++o) {
      if (is_of_update(o)) {
        result.push_back({o, -1});
        continue;
      }
      for (std::int64_t m = 0; m < microbatches; ++m) result.push_back({o, m});
    }
    return result;
  }

  // A tensor for each of outputs().  Throws what interpret() does.
  std::vector<Tensor> run(std::span<const std::vector<Tensor>> inputs) const {
    std::vector<MicrobatchMean> sums;
    for (const graph::Value value : means_) {
      const ElementType element = span_.graph.type_of(value).element;
      sums.emplace_back(element, graph::is_floating(element) ? ElementType::f64 : element);
    }
    std::vector<std::vector<Tensor>> passes;
    for (std::size_t m = 0; m < inputs.size(); ++m)
      passes.push_back(interpret(span_.graph, inputs_of(inputs, m),
                                 [&](graph::OpId id, std::span<const OwnedPart> results) {
                                   for (std::size_t i = 0; i < means_.size(); ++i)
                                     if (means_[i].op == id)
                                       sums[i].add(results[means_[i].result].view());
                                 }));
    const std::vector<Tensor> updated = interpret(update_, update_inputs(inputs[0], sums));
    std::vector<Tensor> result;
    for (const StepOutput& output : outputs(static_cast<std::int64_t>(inputs.size())))
      result.push_back(output.microbatch < 0
                           ? updated[number_in_update_[output.output]]
                           : passes[static_cast<std::size_t>(output.microbatch)][output.output]);
    return result;
  }

  // The inputs of the next step: weights are updated, data stays.
  void advance(StepInputs& inputs, const std::vector<Tensor>& outputs) const {
    const std::vector<StepOutput> names = this->outputs(static_cast<std::int64_t>(inputs.size()));
    const std::vector<graph::OpId> parameters = parameters_of(span_.graph);
    for (const graph::Alias& alias : span_.graph.aliases) {
      const auto at =
          std::find(span_.graph.outputs.begin(), span_.graph.outputs.end(), alias.output) -
          span_.graph.outputs.begin();
      const auto to = std::lower_bound(parameters.begin(), parameters.end(), alias.parameter) -
                      parameters.begin();
      for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i].output == static_cast<std::size_t>(at))
          for (std::vector<Tensor>& tensors : inputs)
            tensors[static_cast<std::size_t>(to)] = outputs[i];
    }
  }

 private:
  // Weights are the first microbatch's.
  std::vector<Tensor> inputs_of(std::span<const std::vector<Tensor>> inputs, std::size_t m) const {
    std::vector<Tensor> result = inputs[m];
    const std::vector<graph::OpId> parameters = parameters_of(span_.graph);
    for (std::size_t i = 0; i < result.size() && i < parameters.size(); ++i)
      if (pipeline::is_permanent(span_, parameters[i])) result[i] = inputs[0].at(i);
    return result;
  }

  bool is_update(graph::OpId id) const { return span_.phases[id] == pipeline::Phase::update; }
  bool is_of_update(std::size_t output) const {
    const graph::Value value = span_.graph.outputs[output];
    return is_update(value.op) ||
           std::any_of(span_.graph.aliases.begin(), span_.graph.aliases.end(),
                       [&](const graph::Alias& alias) { return alias.output == value; });
  }

  // The update as a program: its parameters are weights, and then the means.
  void make_update() {
    const graph::Graph& graph = span_.graph;
    std::map<graph::Value, graph::Value> place;
    for (graph::OpId id = 0; id < graph.op_count(); ++id)
      if (graph.op(id).is_parameter && pipeline::is_permanent(span_, id)) {
        place[{id, 0}] = {update_.add(graph.op(id), {}), 0};
        weights_.push_back(id);
      }
    for (const graph::Value value : means_) {
      graph::Op op = pipeline::parameter_op(
          graph.op(value.op).name + ".mean" + std::to_string(value.result), graph.type_of(value));
      place[value] = {update_.add(std::move(op), {}), 0};
    }
    for (graph::OpId id = 0; id < graph.op_count(); ++id) {
      if (!is_update(id)) continue;
      std::vector<graph::Value> operands;
      for (std::size_t i = 0; i < graph.operand_count(id); ++i)
        operands.push_back(place.at(graph.operand(id, i)));
      const graph::OpId there = update_.add(graph.op(id), operands);
      for (std::uint32_t r = 0; r < graph.op(id).results.size(); ++r) place[{id, r}] = {there, r};
    }
    number_in_update_.assign(graph.outputs.size(), 0);
    for (std::size_t o = 0; o < graph.outputs.size(); ++o) {
      if (!is_of_update(o)) continue;
      number_in_update_[o] = update_.outputs.size();
      update_.outputs.push_back(place.at(graph.outputs[o]));
    }
  }

  std::vector<Tensor> update_inputs(const std::vector<Tensor>& inputs,
                                    const std::vector<MicrobatchMean>& sums) const {
    const std::vector<graph::OpId> parameters = parameters_of(span_.graph);
    std::vector<Tensor> result;
    for (const graph::OpId id : weights_) {
      const auto at = std::lower_bound(parameters.begin(), parameters.end(), id);
      result.push_back(inputs[static_cast<std::size_t>(at - parameters.begin())]);
    }
    for (const MicrobatchMean& sum : sums) result.push_back(sum.mean().tensor);
    return result;
  }

  pipeline::SpanProgram span_;
  std::vector<graph::Value> means_;
  graph::Graph update_;
  std::vector<graph::OpId> weights_;           // the update's first parameters
  std::vector<std::size_t> number_in_update_;  // by output of the program
};

}  // namespace tessera::executor
