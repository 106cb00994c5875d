// SPDX-License-Identifier: Apache-2.0
//
// Random inputs that a program can be run on.
//
// Numbers lie between -1 and 1.  But a program may take a logarithm or a root of what it is given,
// and look things up by it; so what each parameter is used for is followed back from there: numbers
// that must not be negative are not, and integers that are indices, or are compared with indices,
// are in range.  That is guesswork, done with care: it can not know that a difference is positive.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tessera/core/integer.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::executor {

namespace detail {

// What the program asks of the values of each op.
class Demands {
 public:
  explicit Demands(const graph::Graph& graph)
      : graph_(graph), below_(graph.op_count()), not_negative_(graph.op_count(), 0) {
    // Backwards: the readers of a value come after it.
    for (graph::OpId id = graph.op_count(); id-- > 0;) {
      ask_by_opcode(id);
      pass_on(id);
    }
  }

  // The integers of op `id` are below this, if anything is known.
  std::optional<Extent> below(graph::OpId id) const { return below_[id]; }
  bool not_negative(graph::OpId id) const { return not_negative_[id] != 0; }

 private:
  void limit(graph::OpId id, Extent end) {
    below_[id] = std::min(below_[id].value_or(end), std::max<Extent>(end, 1));
  }
  graph::OpId operand(graph::OpId id, std::size_t i) const { return graph_.operand(id, i).op; }
  const Dims& dims(graph::OpId id, std::size_t i) const {
    return graph_.type_of(graph_.operand(id, i)).dims;
  }

  void ask_by_opcode(graph::OpId id) {
    const graph::Op& op = graph_.op(id);
    const Opcode opcode = op.opcode;
    if (opcode == Opcode::sqrt || opcode == Opcode::rsqrt || opcode == Opcode::log ||
        opcode == Opcode::cbrt)
      not_negative_[operand(id, 0)] = 1;
    if (opcode == Opcode::power && !is_constant(operand(id, 1)))
      not_negative_[operand(id, 0)] = not_negative_[operand(id, 1)] = 1;
    if (const auto* const how = op.attributes.find<graph::GatherDims>())
      for (const Extent d : how->start_index_map)
        limit(operand(id, 1), dims(id, 0)[static_cast<std::size_t>(d)] -
                                  how->slice_sizes[static_cast<std::size_t>(d)] + 1);
    if (const auto* const how = op.attributes.find<graph::Scattering>())
      for (const Extent d : how->dims.scatter_dims_to_operand_dims)
        limit(operand(id, graph_.operand_count(id) / 2), dims(id, 0)[static_cast<std::size_t>(d)]);
    if (opcode == Opcode::dynamic_slice || opcode == Opcode::dynamic_update_slice)
      for (std::size_t i = opcode == Opcode::dynamic_slice ? 1 : 2; i < graph_.operand_count(id);
           ++i)
        limit(operand(id, i), max_start(id, i));
    if (opcode == Opcode::compare)
      for (const std::size_t i : {std::size_t{0}, std::size_t{1}})
        if (const auto end = counted_to(operand(id, 1 - i))) limit(operand(id, i), *end);
  }
  Extent max_start(graph::OpId id, std::size_t i) const {
    const bool is_update = graph_.op(id).opcode == Opcode::dynamic_update_slice;
    const Dims& part = is_update ? dims(id, 1) : graph_.op(id).results[0].dims;
    const std::size_t d = i - (is_update ? 2 : 1);
    return d < part.size() ? dims(id, 0)[d] - part[d] + 1 : 1;
  }

  bool is_constant(graph::OpId id) const {
    const Opcode opcode = graph_.op(id).opcode;
    if (opcode == Opcode::constant) return true;
    return (opcode == Opcode::broadcast || opcode == Opcode::reshape ||
            opcode == Opcode::convert) &&
           is_constant(operand(id, 0));
  }
  // The number of places of an iota that is moved about.
  std::optional<Extent> counted_to(graph::OpId id) const {
    const graph::Op& op = graph_.op(id);
    if (op.opcode == Opcode::iota)
      return op.results[0].dims[static_cast<std::size_t>(op.attributes.get<graph::Dim>().dim)];
    if (op.opcode == Opcode::broadcast || op.opcode == Opcode::reshape ||
        op.opcode == Opcode::convert)
      return counted_to(operand(id, 0));
    return std::nullopt;
  }

  // What is asked of a result is asked of the operands that it is made of.
  void pass_on(graph::OpId id) {
    const graph::Op& op = graph_.op(id);
    constexpr Opcode always_positive[] = {Opcode::exponential, Opcode::logistic, Opcode::abs,
                                          Opcode::iota,        Opcode::constant, Opcode::compare};
    const Opcode opcode = op.opcode;
    if (std::find(std::begin(always_positive), std::end(always_positive), opcode) !=
        std::end(always_positive))
      return;
    const bool is_square = (opcode == Opcode::multiply || opcode == Opcode::power) &&
                           graph_.operand(id, 0) == graph_.operand(id, 1);
    constexpr Opcode movements[] = {Opcode::broadcast,   Opcode::reshape,      Opcode::transpose,
                                    Opcode::convert,     Opcode::slice,        Opcode::copy,
                                    Opcode::concatenate, Opcode::clamp,        Opcode::select,
                                    Opcode::reverse,     Opcode::pad,          Opcode::sharding,
                                    Opcode::custom_call, Opcode::dynamic_slice};
    const bool moves = std::find(std::begin(movements), std::end(movements), opcode) !=
                       std::end(movements);
    // A sum of indices is an index too, in programs that add to them at all.
    const bool is_index = moves || opcode == Opcode::add || opcode == Opcode::subtract ||
                          opcode == Opcode::remainder || opcode == Opcode::maximum ||
                          opcode == Opcode::minimum;
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i) {
      const graph::OpId from = operand(id, i);
      if (is_index && below_[id]) limit(from, *below_[id]);
      const bool may_be_negative = is_square ||
                                   (opcode == Opcode::power && is_constant(operand(id, 1)));
      if (not_negative_[id] != 0 && !may_be_negative) not_negative_[from] = 1;
    }
  }

  const graph::Graph& graph_;
  std::vector<std::optional<Extent>> below_;  // by op
  std::vector<char> not_negative_;
};

// Numbers from `low` to 1, integers below `end`.
inline Tensor random_tensor(const TensorType& type, double low, Extent end, std::uint64_t state) {
  Tensor tensor(type);
  if (type.element == ElementType::pred) end = 2;
  with_storage(type.element, [&]<class T>(std::type_identity<T>) {
    for (std::size_t i = 0; i < tensor.size(); ++i) {
      const std::uint64_t drawn = mix_bits(++state);
      const double share = static_cast<double>(drawn >> 11U) * 0x1p-53;  // of 1
      if constexpr (std::is_integral_v<T>)
        tensor.data<T>()[i] = static_cast<T>(drawn % static_cast<std::uint64_t>(end));
      else
        tensor.data<T>()[i] = static_cast<T>(low + (1 - low) * share);
    }
  });
  return tensor;
}

}  // namespace detail

// A tensor for each parameter, the same for the same seed.  Throws Unsupported, by name, for one of
// an element type that has no storage.  O(elements + uses)
inline std::vector<Tensor> random_inputs(const graph::Graph& graph, std::uint64_t seed) {
  const detail::Demands demands(graph);
  std::vector<Tensor> inputs;
  for (const graph::OpId id : parameters_of(graph)) {
    const double low = demands.not_negative(id) ? 0 : -1;
    const std::uint64_t state = mix_bits(seed ^ mix_bits(inputs.size() + 1));
    try {
      inputs.push_back(detail::random_tensor(graph.op(id).results[0], low,
                                             demands.below(id).value_or(2), state));
    } catch (const Unsupported& error) {
      throw Unsupported(detail::op_text(graph.op(id)) + ": " + error.what());
    }
  }
  return inputs;
}

}  // namespace tessera::executor
