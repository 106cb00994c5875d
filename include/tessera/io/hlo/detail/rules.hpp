// SPDX-License-Identifier: Apache-2.0
//
// The sharding rule of every instruction that is an op: which factory of graph/ops makes
// it, from what shapes and attributes.
//
// Shapes fit, since detail/shapes.hpp has seen them.  What has no rule here is left to
// importer.hpp, which keeps it whole; so is what is no op at all, such as tuples and calls.  What
// an op computes is detail/meaning.hpp's.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/graph/ops.hpp"
#include "tessera/graph/tensor.hpp"
#include "tessera/io/hlo/custom_calls.hpp"
#include "tessera/io/hlo/detail/attribute_access.hpp"
#include "tessera/io/hlo/detail/meaning.hpp"
#include "tessera/io/hlo/detail/opcodes.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo::detail {

// What an op reads and makes: an instruction's operands and results, tuples flattened.
struct OpTensors {
  std::vector<graph::TensorType> operands, results;
  std::vector<Dims> operand_dims, result_dims;
};

class ShardingRules {
 public:
  ShardingRules(const Module& module, const Computation& computation,
                const Instruction& instruction, const OpTensors& tensors,
                const CustomCalls& custom_calls)
      : module_(module),
        computation_(computation),
        instruction_(instruction),
        attributes_(module, instruction),
        tensors_(tensors),
        custom_calls_(custom_calls) {}

  std::optional<graph::Rule> find() const {
    const auto& in = tensors_.operand_dims;
    const Dims& out = tensors_.result_dims.empty() ? scalar_ : tensors_.result_dims[0];
    if (const auto let_through = passes()) return graph::elementwise_rule(in, out, *let_through);
    switch (opcode_info(instruction_.opcode)->op_class) {
      case OpClass::iota: return graph::source_rule(out);
      case OpClass::bitcast: return bitcast_rule();
      case OpClass::bitcast_convert: return bitcast_convert_rule();
      case OpClass::broadcast: return graph::broadcast_rule(out, attributes_.ints("dimensions"));
      case OpClass::reshape: return graph::reshape_rule(in[0], out);
      case OpClass::transpose: return graph::transpose_rule(in[0], attributes_.ints("dimensions"));
      case OpClass::reverse: return graph::reverse_rule(in[0], attributes_.ints("dimensions"));
      case OpClass::concatenate:
        return graph::concatenate_rule(in, out, attributes_.ints("dimensions")[0]);
      case OpClass::slice: return graph::slice_rule(in[0], out, attributes_.slice());
      case OpClass::dynamic_slice:
        return graph::dynamic_slice_rule(in[0], out, std::span(in).subspan(1));
      case OpClass::dynamic_update_slice:
        return graph::dynamic_update_slice_rule(in[0], in[1], std::span(in).subspan(2));
      case OpClass::pad: return graph::pad_rule(in[0], out, attributes_.padding());
      case OpClass::dot: return graph::dot_rule(in[0], in[1], dot_dims(attributes_));
      case OpClass::convolution: return convolution_rule();
      case OpClass::reduce: return reduce_rule();
      case OpClass::reduce_window: {
        const std::size_t count = in.size() / 2;
        return graph::reduce_window_rule(in[0], out, count, attributes_.window(in[0].size()),
                                         reducer_of("to_apply"));
      }
      case OpClass::select_and_scatter:
        return graph::select_and_scatter_rule(in[0], in[1], attributes_.window(in[0].size()),
                                              reducer_of("scatter"));
      case OpClass::gather: return gather_rule();
      case OpClass::scatter: return scatter_rule();
      case OpClass::sort:
        return graph::along_whole_rule(in, tensors_.result_dims, attributes_.ints("dimensions"));
      case OpClass::topk: {
        const Extent last = static_cast<Extent>(in[0].size()) - 1;
        return graph::along_whole_rule(in, tensors_.result_dims, std::span(&last, 1));
      }
      case OpClass::batch_norm_inference:
        return graph::per_feature_rule(
            in, out, static_cast<std::size_t>(attributes_.integer("feature_index", 0)));
      case OpClass::collective: return collective_rule();
      case OpClass::random_bits:
        if (in[0].size() > 1 || tensors_.results.size() > 2) return std::nullopt;
        return graph::random_bits_rule(in[0], tensors_.result_dims);
      case OpClass::cholesky: return batched_rule(2);
      case OpClass::triangular_solve: return systems_rule();
      case OpClass::fft: return fft_rule();
      case OpClass::get_size: return graph::batched_rule(in[0], in, tensors_.result_dims, 0);
      case OpClass::set_size:
        if (in[0] != out) return std::nullopt;
        return graph::along_whole_rule(in, tensors_.result_dims, attributes_.ints("dimensions"));
      case OpClass::host: return graph::whole_rule(in, tensors_.result_dims);
      case OpClass::custom_call: return custom_call_rule();
      default: return std::nullopt;
    }
  }

 private:
  using Passes = std::vector<graph::PartialPass>;

  // What partial results an op lets through that goes element by element; nothing for all others.
  std::optional<Passes> passes() const {
    constexpr graph::ReductionSet sum = graph::reduction_set(Reduction::sum);
    switch (opcode_info(instruction_.opcode)->op_class) {
      case OpClass::random:
      case OpClass::stochastic_convert:
      case OpClass::unary:
      case OpClass::compare:
      case OpClass::clamp:
      case OpClass::reduce_precision:
      case OpClass::is_finite:
      case OpClass::map: return Passes{};
      case OpClass::copy: return Passes{{graph::any_reduction, 0b1}};
      case OpClass::linear:
      case OpClass::real_imag: return Passes{{sum, 0b1}};
      case OpClass::complex: return Passes{{sum, 0b11}};
      case OpClass::binary:
        return graph::binary_passes(graph::opcode_named(instruction_.opcode),
                                    tensors_.results[0].element);
      case OpClass::select: return Passes{{graph::any_reduction, 0b110}};
      case OpClass::convert:
        return graph::convert_passes(tensors_.operands[0].element, tensors_.results[0].element);
      default: return std::nullopt;
    }
  }

  // The same bytes seen as other dims: where the elements stay what they are, a reshape of the dims
  // in the order in which they lie in memory.
  std::optional<graph::Rule> bitcast_rule() const {
    const Shape& from = computation_.instructions[instruction_.operands[0]].shape;
    const Shape& to = instruction_.shape;
    if (from.array.element != to.array.element ||
        element_count(from.array.dims) != element_count(to.array.dims))
      return std::nullopt;
    const std::vector<std::size_t> from_order = from.memory_order(), to_order = to.memory_order();
    const auto in_memory = [](const Dims& dims, const std::vector<std::size_t>& order) {
      Dims result;
      for (const std::size_t dim : order) result.push_back(dims[dim]);
      return result;
    };
    const graph::Rule memory = graph::reshape_rule(in_memory(tensors_.operand_dims[0], from_order),
                                                   in_memory(tensors_.result_dims[0], to_order));
    // The same factors and passes, with each tensor's dims back in their own order.
    graph::Rule rule;
    for (std::size_t f = 0; f < memory.factor_count(); ++f) rule.add_factor(memory.factor(f));
    const auto add_dims = [&](std::size_t tensor, const std::vector<std::size_t>& order) {
      for (std::size_t dim = 0; dim < order.size(); ++dim) {
        const auto place = std::find(order.begin(), order.end(), dim) - order.begin();
        rule.add_dim(memory.dim(tensor, static_cast<std::size_t>(place)));
      }
    };
    rule.begin_operand();
    add_dims(0, from_order);
    rule.begin_result();
    add_dims(1, to_order);
    for (std::size_t p = 0; p < memory.pass_count(); ++p) rule.add_pass(memory.pass(p));
    return rule;
  }
  std::optional<graph::Rule> bitcast_convert_rule() const {
    if (tensors_.operand_dims[0] == tensors_.result_dims[0])
      return graph::elementwise_rule(tensors_.operand_dims, tensors_.result_dims[0]);
    // A minor dim of parts appears or disappears; it stays together.
    const Dims& wide = tensors_.operand_dims[0].size() > tensors_.result_dims[0].size()
                           ? tensors_.operand_dims[0]
                           : tensors_.result_dims[0];
    const Extent minor = static_cast<Extent>(wide.size()) - 1;
    graph::RuleWriter writer;
    std::vector<graph::FactorId> shared;
    for (std::size_t d = 0; d < wide.size(); ++d)
      shared.push_back(static_cast<Extent>(d) == minor ? writer.whole(wide[d])
                                                       : writer.parallel(wide[d]));
    const auto of_rank = [&](std::size_t rank) { return std::span(shared).first(rank); };
    writer.operand(of_rank(tensors_.operand_dims[0].size()));
    writer.result(of_rank(tensors_.result_dims[0].size()));
    return std::move(writer.rule());
  }

  std::optional<graph::Rule> convolution_rule() const {
    const graph::ConvolutionDims dims = convolution_dims(attributes_);
    std::vector<WindowDim> window = attributes_.window(dims.input_space.size());
    for (std::size_t s = 0; s < window.size(); ++s)
      window[s].size = tensors_.operand_dims[1][dims.kernel_space[s]];
    return graph::convolution_rule(tensors_.operand_dims[0], tensors_.operand_dims[1],
                                   tensors_.result_dims[0], dims, window);
  }

  std::optional<graph::Rule> reduce_rule() const {
    const std::vector<Extent> reduced = attributes_.ints("dimensions");
    const std::size_t count = tensors_.operands.size() / 2;
    if (count > 1) return graph::variadic_reduce_rule(tensors_.operand_dims[0], count, reduced);
    return graph::reduce_rule(tensors_.operand_dims[0], reduced, reducer_of("to_apply"));
  }

  // What the program says its other devices do is no business of ours, but for the dims it
  // changes.
  std::optional<graph::Rule> collective_rule() const {
    const std::size_t count = tensors_.results.size();
    if (count != tensors_.operands.size()) return std::nullopt;
    for (std::size_t i = 0; i < count; ++i)
      if (tensors_.operand_dims[i].size() != tensors_.result_dims[i].size()) return std::nullopt;
    const std::string& opcode = instruction_.opcode;
    const bool mixes = opcode == "all-to-all" && count > 1;
    for (std::size_t i = 1; mixes && i < count; ++i)
      if (tensors_.operand_dims[i] != tensors_.operand_dims[0]) return std::nullopt;
    const bool reduces = opcode == "all-reduce" || opcode == "reduce-scatter";
    const Reduction reduction = reduces ? reducer_of("to_apply") : Reduction::none;
    std::vector<graph::PartialPass> passes;
    if (count == 1 && (!reduces || reduction == Reduction::sum))
      passes.push_back({graph::reduction_set(Reduction::sum), 0b1});
    return graph::foreign_collective_rule(tensors_.operand_dims, tensors_.result_dims,
                                          attributes_.ints("dimensions"), mixes, passes);
  }

  std::optional<graph::Rule> systems_rule() const {
    const Dims &a = tensors_.operand_dims[0], &b = tensors_.operand_dims[1];
    if (a.size() < 2 || a.size() != b.size() || tensors_.result_dims[0] != b) return std::nullopt;
    if (!std::equal(a.begin(), a.end() - 2, b.begin())) return std::nullopt;
    return graph::triangular_solve_rule(a, b, attributes_.boolean("left_side", false));
  }

  // Linear, along as many of the last dims as the attribute says.
  std::optional<graph::Rule> fft_rule() const {
    const std::size_t count = attributes_.ints("fft_length").size();
    const Dims& in = tensors_.operand_dims[0];
    if (count == 0 || count > in.size() || tensors_.result_dims[0].size() != in.size())
      return std::nullopt;
    if (!std::equal(in.begin(), in.end() - count, tensors_.result_dims[0].begin()))
      return std::nullopt;
    const graph::PartialPass pass{graph::reduction_set(Reduction::sum), 0b1};
    return graph::batched_rule(in, tensors_.operand_dims, tensors_.result_dims, count,
                               std::span(&pass, 1));
  }

  std::optional<graph::Rule> gather_rule() const {
    graph::GatherDims dims = gather_dims(attributes_);
    add_counted_batches(instruction_.operands[1], dims.start_index_map, dims.collapsed_slice_dims,
                        dims.index_vector_dim, tensors_.operand_dims[0], dims.operand_batching_dims,
                        dims.start_indices_batching_dims);
    return graph::gather_rule(tensors_.operand_dims[0], tensors_.operand_dims[1],
                              tensors_.result_dims[0], dims);
  }

  // Before gathers had batches, programs counted them: an index vector is a concatenation, and one
  // of its parts an iota along a dim of the indices.  (So a loss picks each row's target.)  Where
  // that part names a dim of the operand of the same size, a row is read by the index of the same
  // number, and both split alike.
  void add_counted_batches(std::uint32_t indices, const std::vector<Extent>& named,
                           const std::vector<Extent>& single, Extent vector_dim,
                           const Dims& operand, std::vector<Extent>& operand_batches,
                           std::vector<Extent>& index_batches) const {
    const Instruction& vectors = computation_.instructions[indices];
    if (vectors.opcode != "concatenate" ||
        AttributeAccess(module_, vectors).ints("dimensions") != std::vector{vector_dim})
      return;
    std::size_t place = 0;  // in the index vector
    for (const std::uint32_t part : vectors.operands) {
      const Dims& dims = computation_.instructions[part].shape.array.dims;
      const std::optional<std::size_t> along = counted_dim(part);
      const Extent entries = dims[static_cast<std::size_t>(vector_dim)];
      if (along && entries == 1 && place < named.size() &&
          !graph::contains(index_batches, *along) &&
          !graph::contains(operand_batches, static_cast<std::size_t>(named[place])) &&
          graph::contains(single, static_cast<std::size_t>(named[place])) &&
          operand[static_cast<std::size_t>(named[place])] == dims[*along]) {
        operand_batches.push_back(named[place]);
        index_batches.push_back(static_cast<Extent>(*along));
      }
      place += static_cast<std::size_t>(entries);
    }
  }

  // The dim along which an instruction's elements are 0, 1, 2 and so on, if there is one.
  // What is reached by more than a few steps is not looked for.
  std::optional<std::size_t> counted_dim(std::uint32_t id, int steps = 16) const {
    const Instruction& instruction = computation_.instructions[id];
    const AttributeAccess attributes(module_, instruction);
    if (instruction.opcode == "iota")
      return static_cast<std::size_t>(attributes.integer("iota_dimension", 0));
    if (steps == 0 || instruction.operands.size() != 1 || instruction.shape.is_tuple)
      return std::nullopt;
    const std::uint32_t operand = instruction.operands[0];
    const bool is_same = instruction.opcode == "convert" || instruction.opcode == "copy";
    if (!is_same && instruction.opcode != "broadcast" && instruction.opcode != "reshape")
      return std::nullopt;
    const std::optional<std::size_t> dim = counted_dim(operand, steps - 1);
    if (!dim || is_same) return dim;
    if (instruction.opcode == "broadcast")
      return static_cast<std::size_t>(attributes.ints("dimensions")[*dim]);
    // A reshape that only adds or drops dims of size 1.
    const Dims &from = computation_.instructions[operand].shape.array.dims,
               &to = instruction.shape.array.dims;
    std::vector<std::size_t> kept_from, kept_to;
    for (std::size_t d = 0; d < from.size(); ++d)
      if (from[d] != 1) kept_from.push_back(d);
    for (std::size_t d = 0; d < to.size(); ++d)
      if (to[d] != 1) kept_to.push_back(d);
    if (kept_from.size() != kept_to.size()) return std::nullopt;
    for (std::size_t i = 0; i < kept_from.size(); ++i) {
      if (from[kept_from[i]] != to[kept_to[i]]) return std::nullopt;
      if (kept_from[i] == *dim) return kept_to[i];
    }
    return std::nullopt;
  }

  std::optional<graph::Rule> scatter_rule() const {
    const std::size_t count = tensors_.operands.size() / 2;
    graph::ScatterDims dims = scatter_dims(attributes_);
    add_counted_batches(instruction_.operands[count], dims.scatter_dims_to_operand_dims,
                        dims.inserted_window_dims, dims.index_vector_dim, tensors_.operand_dims[0],
                        dims.input_batching_dims, dims.scatter_indices_batching_dims);
    return graph::scatter_rule(tensors_.operand_dims[0], tensors_.operand_dims[count],
                               tensors_.operand_dims[count + 1], dims, reducer_of("to_apply"),
                               count);
  }

  std::optional<graph::Rule> custom_call_rule() const {
    const auto known = custom_calls_.find(attributes_.word("custom_call_target"));
    if (known == custom_calls_.end() || tensors_.results.empty() || tensors_.operands.empty())
      return std::nullopt;
    const Dims& out = tensors_.result_dims[0];
    const auto all_equal = [&](const std::vector<Dims>& list) {
      return std::all_of(list.begin(), list.end(), [&](const Dims& dims) { return dims == out; });
    };
    switch (known->second) {
      case CustomCall::identity:
      case CustomCall::elementwise: {
        if (!all_equal(tensors_.operand_dims) || tensors_.results.size() != 1) return std::nullopt;
        const bool is_identity = known->second == CustomCall::identity;
        const graph::PartialPass pass{graph::any_reduction, 0b1};
        return graph::elementwise_rule(tensors_.operand_dims, out,
                                       std::span(&pass, is_identity ? 1U : 0U));
      }
      case CustomCall::last_dim: return batched_rule(1);
      case CustomCall::last_two_dims: return batched_rule(2);
      case CustomCall::marker: break;  // no op
    }
    return std::nullopt;
  }
  // Nothing where some result does not have the batches of the first operand of highest rank.
  std::optional<graph::Rule> batched_rule(std::size_t count) const {
    Dims tensor;
    for (const Dims& dims : tensors_.operand_dims)
      if (dims.size() > tensor.size()) tensor = dims;
    if (tensor.size() < count) return std::nullopt;
    for (const Dims& dims : tensors_.result_dims)
      if (dims.size() + 1 < tensor.size() || dims.size() + count < tensor.size() ||
          !std::equal(tensor.begin(), tensor.end() - count, dims.begin()))
        return std::nullopt;
    return graph::batched_rule(tensor, tensors_.operand_dims, tensors_.result_dims, count);
  }

  Reduction reducer_of(std::string_view attribute) const {
    const Computation* const called = computation_called_by(module_, instruction_, attribute);
    return called == nullptr ? Reduction::none : detail::reducer_of(*called);
  }

  const Module& module_;
  const Computation& computation_;
  const Instruction& instruction_;
  AttributeAccess attributes_;
  const OpTensors& tensors_;
  const CustomCalls& custom_calls_;
  const Dims scalar_{};
};

// Nothing for an instruction that has no rule of its own; any other custom-call target than those
// given has none.  @pre the tensors are the instruction's, and it is an op
inline std::optional<graph::Rule> rule_of(const Module& module, const Computation& computation,
                                          const Instruction& instruction, const OpTensors& tensors,
                                          const CustomCalls& custom_calls) {
  return ShardingRules(module, computation, instruction, tensors, custom_calls).find();
}

}  // namespace tessera::io::hlo::detail
