// SPDX-License-Identifier: Apache-2.0
//
// Means of microbatches, and the step as two programs: a microbatch's, and the update's.
#pragma once
#include "tessera/executor/detail/running/microbatches.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <type_traits>
#include <utility>

#include "tessera/executor/detail/kernels/movement.hpp"
#include "tessera/executor/detail/kernels/storage.hpp"
#include "tessera/executor/detail/running/order.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/graph/ops.hpp"

namespace tessera::executor::detail {

// --- Means ---------------------------------------------------------------------------------------

// In the type that is added and divided in: types of two bytes have no arithmetic of their own.
template<class Sum, class T>
auto widened(T number) {
  return static_cast<std::conditional_t<std::is_same_v<Sum, double>, double, float>>(number);
}

// Calls use(std::type_identity<Sum>(), std::type_identity<T>()).  @pre both are floating
template<class Use>
void with_sum_types(ElementType element, ElementType sum, Use&& use) {
  with_storage(element, [&]<class T>(std::type_identity<T> type) {
    if constexpr (!std::is_integral_v<T>) {
      if (sum == element)
        use(type, type);
      else if (sum == ElementType::f64)
        use(std::type_identity<double>(), type);
      else
        use(std::type_identity<float>(), type);
    }
  });
}

TESSERA_INLINE void MicrobatchMean::add(const TensorView& part) {
  if (!graph::is_floating(element_)) {
    sum_ = cut(part, part.slice);
    return;
  }
  const bool is_first = count_++ == 0;
  if (is_first) sum_ = TensorPart({sum_type_, part.whole}, part.slice);
  with_sum_types(element_, sum_type_,
                 [&]<class Sum, class T>(std::type_identity<Sum>, std::type_identity<T>) {
                   Sum* const sum = sum_.tensor.data<Sum>();
                   const T* const more = part.tensor->data<T>();
                   for (std::size_t i = 0; i < sum_.tensor.size(); ++i)
                     sum[i] = static_cast<Sum>(widened<Sum>(sum[i]) + widened<Sum>(more[i]));
                 });
}

TESSERA_INLINE TensorPart MicrobatchMean::mean() const {
  if (count_ == 0) return sum_;
  TensorPart result({element_, sum_.whole}, sum_.slice);
  with_sum_types(element_, sum_type_,
                 [&]<class Sum, class T>(std::type_identity<Sum>, std::type_identity<T>) {
                   const Sum* const sum = sum_.tensor.data<Sum>();
                   T* const mean = result.tensor.data<T>();
                   for (std::size_t i = 0; i < result.tensor.size(); ++i)
                     mean[i] = static_cast<T>(widened<Sum>(sum[i]) / widened<Sum>(count_));
                 });
  return result;
}

TESSERA_INLINE ElementType sum_type(ElementType element) {
  return graph::is_floating(element) && graph::bytes_of(element) < 4 ? ElementType::f32 : element;
}

// --- The step ------------------------------------------------------------------------------------

inline bool is_update(const pipeline::SpanProgram& span, graph::OpId id) {
  return span.phases[id] == pipeline::Phase::update;
}

TESSERA_INLINE StepOnOneDevice::StepOnOneDevice(const graph::Graph& graph)
    : span_(pipeline::whole_program(graph)), means_(pipeline::read_afterwards(span_)) {
  check_without_loops(graph);
  make_update();
}

TESSERA_INLINE std::vector<StepOutput> StepOnOneDevice::outputs(std::int64_t microbatches) const {
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

TESSERA_INLINE std::vector<Tensor> StepOnOneDevice::run(
    std::span<const std::vector<Tensor>> inputs) const {
  std::vector<MicrobatchMean> sums;
  for (const graph::Value value : means_) {
    const ElementType element = span_.graph.type_of(value).element;
    sums.emplace_back(element, graph::is_floating(element) ? ElementType::f64 : element);
  }
  std::vector<std::vector<Tensor>> passes;
  for (std::size_t m = 0; m < inputs.size(); ++m)
    passes.push_back(interpret(span_.graph, inputs_of(inputs, m),
                               [&](graph::OpId id, std::span<const TensorPart> results) {
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

TESSERA_INLINE void StepOnOneDevice::advance(StepInputs& inputs,
                                             const std::vector<Tensor>& outputs) const {
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

TESSERA_INLINE std::vector<Tensor> StepOnOneDevice::inputs_of(
    std::span<const std::vector<Tensor>> inputs, std::size_t m) const {
  std::vector<Tensor> result = inputs[m];
  const std::vector<graph::OpId> parameters = parameters_of(span_.graph);
  for (std::size_t i = 0; i < result.size() && i < parameters.size(); ++i)
    if (pipeline::is_permanent(span_, parameters[i])) result[i] = inputs[0].at(i);
  return result;
}

TESSERA_INLINE bool StepOnOneDevice::is_of_update(std::size_t output) const {
  const graph::Value value = span_.graph.outputs[output];
  return is_update(span_, value.op) ||
         std::any_of(span_.graph.aliases.begin(), span_.graph.aliases.end(),
                     [&](const graph::Alias& alias) { return alias.output == value; });
}

TESSERA_INLINE std::map<graph::Value, graph::Value> StepOnOneDevice::add_update_parameters() {
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
  return place;
}

TESSERA_INLINE void StepOnOneDevice::make_update() {
  const graph::Graph& graph = span_.graph;
  std::map<graph::Value, graph::Value> place = add_update_parameters();
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    if (!is_update(span_, id)) continue;
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

TESSERA_INLINE std::vector<Tensor> StepOnOneDevice::update_inputs(
    const std::vector<Tensor>& inputs, const std::vector<MicrobatchMean>& sums) const {
  const std::vector<graph::OpId> parameters = parameters_of(span_.graph);
  std::vector<Tensor> result;
  for (const graph::OpId id : weights_) {
    const auto at = std::lower_bound(parameters.begin(), parameters.end(), id);
    result.push_back(inputs[static_cast<std::size_t>(at - parameters.begin())]);
  }
  for (const MicrobatchMean& sum : sums) result.push_back(sum.mean().tensor);
  return result;
}

}  // namespace tessera::executor::detail
