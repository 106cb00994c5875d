// SPDX-License-Identifier: Apache-2.0
//
// The table of kernels, and those kernels that only move elements or are too small for a file.
#pragma once
#include "tessera/executor/detail/kernels/compute.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <type_traits>
#include <variant>

#include "tessera/core/error.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/executor/detail/kernels/elementwise.hpp"
#include "tessera/executor/detail/kernels/lookup.hpp"
#include "tessera/executor/detail/kernels/movement.hpp"
#include "tessera/executor/detail/kernels/normalisation.hpp"
#include "tessera/executor/detail/kernels/product.hpp"
#include "tessera/executor/detail/kernels/reduction.hpp"
#include "tessera/executor/detail/kernels/storage.hpp"

namespace tessera::executor::detail {

// The elements of a constant's slice.
inline void run_constant(const graph::Literal& literal, TensorPart& result) {
  const bool is_one =
      std::visit([](const auto& list) { return list.size() == 1; }, literal.elements);
  TensorPart whole;
  if (!is_one)
    whole = TensorPart({result.tensor.element(), result.whole}, whole_slice(result.whole));
  Tensor& tensor = is_one ? result.tensor : whole.tensor;
  with_storage(tensor.element(), [&]<class T>(std::type_identity<T>) {
    std::visit(
        [&](const auto& list) {
          T* const to = tensor.data<T>();
          for (std::size_t i = 0; i < tensor.size(); ++i)
            to[i] = static_cast<T>(list[is_one ? 0 : i]);
        },
        literal.elements);
  });
  if (!is_one) copy_common(whole.view(), result);
}

inline void run_broadcast(const std::vector<Extent>& dims, const TensorView& x,
                          TensorPart& result) {
  std::vector<Walk> walks = walks_over(result.slice);
  for (Walk& walk : walks) walk.from = no_dim;
  for (std::size_t d = 0; d < dims.size(); ++d) walks[static_cast<std::size_t>(dims[d])].from = d;
  move(x, result, walks);
}

inline void run_transpose(const std::vector<Extent>& dims, const TensorView& x,
                          TensorPart& result) {
  std::vector<Walk> walks = walks_over(result.slice);
  for (std::size_t d = 0; d < dims.size(); ++d) walks[d].from = static_cast<std::size_t>(dims[d]);
  move(x, result, walks);
}

inline void run_reverse(const std::vector<Extent>& dims, const TensorView& x, TensorPart& result) {
  std::vector<Walk> walks = walks_over(result.slice);
  for (const Extent dim : dims) {
    Walk& walk = walks[static_cast<std::size_t>(dim)];
    walk.from_begin = x.whole[walk.from] - 1;
    walk.from_step = -1;
  }
  move(x, result, walks);
}

// Shards of a reshape's operand and result have the same elements in the same order.
inline void run_reshape(const TensorView& x, TensorPart& result) {
  if (x.tensor->size() != result.tensor.size())
    throw InternalError("a reshape's shards differ in size");
  std::copy_n(x.tensor->bytes(), result.tensor.byte_size(), result.tensor.bytes());
}

// A dim of which a slice keeps little may be split in the operand alone: then each device fills in
// what it has.
inline void run_slice(const graph::Op& op, const TensorView& x, TensorPart& result) {
  const auto& ranges = op.attributes.get<graph::Slicing>().ranges;
  std::vector<Walk> walks = walks_over(result.slice);
  bool may_be_partial = false;
  for (std::size_t d = 0; d < walks.size(); ++d) {
    walks[d].from_begin = ranges[d].start;
    walks[d].from_step = ranges[d].stride;
    for (const graph::FactorId f : op.rule.dim(0, d))
      may_be_partial = may_be_partial || op.rule.factor(f).kind == graph::FactorKind::reduction;
  }
  move(x, result, walks, may_be_partial ? Missing::is_left_out : Missing::is_an_error);
}

inline void run_pad(const std::vector<graph::PaddingRange>& ranges, const TensorView& x,
                    const Tensor& padding, TensorPart& result) {
  fill(result.tensor, padding);
  std::vector<Walk> walks = walks_over(whole_slice(x.whole));
  for (std::size_t d = 0; d < walks.size(); ++d) {
    walks[d].to_begin = ranges[d].low;
    walks[d].to_step = ranges[d].interior + 1;
  }
  move(x, result, walks);
}

inline void run_concatenate(std::size_t dim, std::span<const TensorView> operands,
                            TensorPart& result) {
  Extent begin = 0;
  for (const TensorView& operand : operands) {
    const Extent end = begin + operand.whole[dim];
    std::vector<Walk> walks = walks_over(result.slice);
    walks[dim].range = {std::clamp(result.slice[dim].begin, begin, end),
                        std::clamp(result.slice[dim].end, begin, end)};
    walks[dim].from_begin = -begin;
    move(operand, result, walks);
    begin = end;
  }
}

// All branches have been computed: of two the first where a truth value holds, of any number that
// of a number, and the last where there is none of that number.
inline void run_conditional(const Tensor& choice, std::span<const TensorView> branches,
                            TensorPart& result) {
  const Extent asked = integer_at(choice, 0), count = static_cast<Extent>(branches.size());
  const bool is_number = 0 <= asked && asked < count;
  const Extent chosen = choice.element() == ElementType::pred ? (asked != 0 ? 0 : 1)
                        : is_number                           ? asked
                                                              : count - 1;
  copy_common(branches[static_cast<std::size_t>(chosen)], result);
}

// Bits that depend on the state and on where an element is in the whole tensor, and on nothing
// else: devices that draw their shards draw the same.  The generator's algorithm is left to each
// implementation where HLO's text says rng_default; this one is ours.
inline void run_random_bits(const TensorView& state, std::span<TensorPart> results) {
  std::uint64_t seed = 0;
  for (std::size_t i = 0; i < state.tensor->size(); ++i)
    seed = mix_bits(seed ^ static_cast<std::uint64_t>(integer_at(*state.tensor, i)));
  if (results.size() > 1) {
    copy_common(state, results[0]);
    if (results[0].tensor.size() > 0)
      with_storage(results[0].tensor.element(), [&]<class T>(std::type_identity<T>) {
        T& first = *results[0].tensor.data<T>();
        first = static_cast<T>(mix_bits(seed));
      });
  }
  TensorPart& bits = results.back();
  const Dims strides = strides_of(bits.whole);
  std::vector<std::uint64_t> drawn;
  drawn.reserve(bits.tensor.size());
  for_each_place(bits.slice, [&](const Dims& at) {
    std::uint64_t place = 0;
    for (std::size_t d = 0; d < at.size(); ++d)
      place += static_cast<std::uint64_t>(at[d] * strides[d]);
    drawn.push_back(mix_bits(seed + place));
  });
  with_storage(bits.tensor.element(), [&]<class T>(std::type_identity<T>) {
    for (std::size_t i = 0; i < drawn.size(); ++i)
      if constexpr (std::is_integral_v<T>)
        bits.tensor.data<T>()[i] = static_cast<T>(drawn[i] >> (64 - 8 * sizeof(T)));
      else
        bits.tensor.data<T>()[i] = static_cast<T>(static_cast<float>(drawn[i] >> 40U) * 0x1p-24F);
  });
}

// --- Custom calls --------------------------------------------------------------------------------

inline double normal_density(double x) { return std::exp(-x * x / 2) * 0.3989422804014327; }
inline double normal_distribution(double x) { return (1 + std::erf(x * 0.7071067811865476)) / 2; }
inline double logistic(double x) { return 1 / (1 + std::exp(-x)); }
// By way of tanh, as GPT-2 has it.
inline double gelu_inner(double x) { return 0.7978845608028654 * (x + 0.044715 * x * x * x); }

struct CustomFunction {
  std::string_view target;
  double (*function)(double);
};
inline constexpr CustomFunction custom_functions[] = {
    {"AwsNeuronGelu", [](double x) { return x * normal_distribution(x); }},
    {"AwsNeuronGeluBackward",
     [](double x) { return normal_distribution(x) + x * normal_density(x); }},
    {"AwsNeuronGeluApprxTanh", [](double x) { return x / 2 * (1 + std::tanh(gelu_inner(x))); }},
    {"AwsNeuronGeluApprxTanhBackward",
     [](double x) {
       const double t = std::tanh(gelu_inner(x));
       return (1 + t) / 2 + x / 2 * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
     }},
    {"AwsNeuronSilu", [](double x) { return x * logistic(x); }},
    {"AwsNeuronSiluBackward", [](double x) { return logistic(x) * (1 + x * (1 - logistic(x))); }},
};
inline constexpr std::string_view identity_targets[] = {
    "Sharding",   "LayoutConstraint",          "MoveToDevice",
    "MoveToHost", "annotate_device_placement", "AwsNeuronTransferWithStaticRing"};

inline void run_custom_call(const std::string& target, std::span<const TensorView> operands,
                            TensorPart& result) {
  for (const std::string_view identity : identity_targets)
    if (target == identity) return copy_common(operands[0], result);
  for (const CustomFunction& known : custom_functions)
    if (target == known.target) {
      Tensor values = as_double(*operands[0].tensor);
      for (std::size_t i = 0; i < values.size(); ++i)
        values.data<double>()[i] = known.function(values.data<double>()[i]);
      return run_convert(values, result.tensor);
    }
  throw Unsupported("there is no kernel for the target " + excerpt(target));
}

// --- All of them ---------------------------------------------------------------------------------

using Parts = std::span<const TensorView>;
using Results = std::span<TensorPart>;

struct Kernel {
  Opcode opcode;
  std::size_t most_operands;
  void (*run)(const graph::Op& op, Parts in, Results out);
};

template<class Attribute>
const Attribute& held(const graph::Op& op) {
  return op.attributes.get<Attribute>();
}
inline const std::vector<Extent>& dim_list(const graph::Op& op) {
  return held<graph::DimList>(op).dims;
}
inline std::size_t named_dim(const graph::Op& op) {
  return static_cast<std::size_t>(held<graph::Dim>(op).dim);
}
inline void keep(const graph::Op&, Parts in, Results out) { copy_common(in[0], out[0]); }
inline void normalise(const graph::Op& op, Parts in, Results out) {
  run_normalisation(held<graph::Normalisation>(op), in, out[0].tensor);
}
inline constexpr std::size_t any_number = 64;

// By opcode, sorted.  What is not here is element by element, of one operand or of two.
inline constexpr Kernel kernels[] = {
    {Opcode::batch_norm_grad, any_number, normalise},
    {Opcode::batch_norm_inference, any_number, normalise},
    {Opcode::batch_norm_training, any_number, normalise},
    {Opcode::broadcast, 1,
     [](const graph::Op& op, Parts in, Results out) {
       run_broadcast(dim_list(op), in[0], out[0]);
     }},
    {Opcode::clamp, 3,
     [](const graph::Op&, Parts in, Results out) {
       run_clamp(*in[0].tensor, *in[1].tensor, *in[2].tensor, out[0].tensor);
     }},
    {Opcode::compare, 2,
     [](const graph::Op& op, Parts in, Results out) {
       run_compare(held<graph::Comparison>(op).direction, *in[0].tensor, *in[1].tensor,
                   out[0].tensor);
     }},
    {Opcode::concatenate, any_number,
     [](const graph::Op& op, Parts in, Results out) {
       run_concatenate(named_dim(op), in, out[0]);
     }},
    {Opcode::conditional, any_number,
     [](const graph::Op& op, Parts in, Results out) {
       held<graph::Branching>(
           op);  // one whose branches are not known has its arguments as operands
       run_conditional(*in[0].tensor, in.subspan(1), out[0]);
     }},
    {Opcode::constant, 0,
     [](const graph::Op& op, Parts, Results out) {
       run_constant(held<graph::Literal>(op), out[0]);
     }},
    {Opcode::convert, 1,
     [](const graph::Op&, Parts in, Results out) { run_convert(*in[0].tensor, out[0].tensor); }},
    {Opcode::convolution, 2,
     [](const graph::Op& op, Parts in, Results out) {
       run_convolution(held<graph::Convolution>(op), in[0], in[1], out[0]);
     }},
    {Opcode::copy, 1, keep},
    {Opcode::custom_call, 1,
     [](const graph::Op& op, Parts in, Results out) {
       run_custom_call(held<graph::Target>(op).name, in, out[0]);
     }},
    {Opcode::dot, 2,
     [](const graph::Op& op, Parts in, Results out) {
       run_dot(held<graph::DotDims>(op), *in[0].tensor, *in[1].tensor, out[0].tensor);
     }},
    {Opcode::dynamic_slice, any_number,
     [](const graph::Op&, Parts in, Results out) {
       run_dynamic_slice(in[0], in.subspan(1), out[0]);
     }},
    {Opcode::dynamic_update_slice, any_number,
     [](const graph::Op&, Parts in, Results out) {
       copy_common(in[0], out[0]);
       run_dynamic_update_slice(in[1], in.subspan(2), out[0]);
     }},
    {Opcode::gather, 2,
     [](const graph::Op& op, Parts in, Results out) {
       run_gather(held<graph::GatherDims>(op), in[0], in[1], out[0]);
     }},
    {Opcode::iota, 0,
     [](const graph::Op& op, Parts, Results out) {
       run_iota(out[0].slice, named_dim(op), out[0].tensor);
     }},
    {Opcode::is_finite, 1,
     [](const graph::Op&, Parts in, Results out) { run_is_finite(*in[0].tensor, out[0].tensor); }},
    {Opcode::pad, 2,
     [](const graph::Op& op, Parts in, Results out) {
       run_pad(held<graph::Padding>(op).ranges, in[0], *in[1].tensor, out[0]);
     }},
    {Opcode::reduce, any_number,
     [](const graph::Op& op, Parts in, Results out) {
       if (const auto* const how = op.attributes.find<graph::ReducingBy>())
         run_reduce_by(*how, in, out);
       else if (out.size() == 1)
         run_reduce(held<graph::Reducing>(op), in[0], *in[1].tensor, out[0]);
       else
         throw Unsupported("several operands are reduced by a computation that takes two");
     }},
    {Opcode::reduce_window, 2,
     [](const graph::Op& op, Parts in, Results out) {
       run_reduce_window(held<graph::WindowReducing>(op), in[0], *in[1].tensor, out[0]);
     }},
    {Opcode::reshape, 1,
     [](const graph::Op&, Parts in, Results out) { run_reshape(in[0], out[0]); }},
    {Opcode::reverse, 1,
     [](const graph::Op& op, Parts in, Results out) { run_reverse(dim_list(op), in[0], out[0]); }},
    {Opcode::rng_bit_generator, 1,
     [](const graph::Op&, Parts in, Results out) { run_random_bits(in[0], out); }},
    {Opcode::scatter, 3,
     [](const graph::Op& op, Parts in, Results out) {
       copy_common(in[0], out[0]);
       run_scatter(held<graph::Scattering>(op), in[1], in[2], out[0]);
     }},
    {Opcode::select, 3,
     [](const graph::Op&, Parts in, Results out) {
       run_select(*in[0].tensor, *in[1].tensor, *in[2].tensor, out[0].tensor);
     }},
    {Opcode::select_and_scatter, 3,
     [](const graph::Op& op, Parts in, Results out) {
       run_select_and_scatter(held<graph::WindowScattering>(op), in[0], in[1], *in[2].tensor,
                              out[0]);
     }},
    {Opcode::sharding, 1, keep},
    {Opcode::slice, 1,
     [](const graph::Op& op, Parts in, Results out) { run_slice(op, in[0], out[0]); }},
    {Opcode::sort, any_number,
     [](const graph::Op& op, Parts in, Results out) {
       run_sort(held<graph::Sorting>(op), in, out);
     }},
    {Opcode::topk, 1,
     [](const graph::Op& op, Parts in, Results out) {
       run_topk(held<graph::TopK>(op), in[0], out);
     }},
    {Opcode::transpose, 1,
     [](const graph::Op& op, Parts in, Results out) {
       run_transpose(dim_list(op), in[0], out[0]);
     }},
};
static_assert(std::is_sorted(std::begin(kernels), std::end(kernels),
                             [](const Kernel& a, const Kernel& b) { return a.opcode < b.opcode; }));

inline void run_op(const graph::Op& op, Parts in, Results out) {
  const auto* const kernel =
      std::lower_bound(std::begin(kernels), std::end(kernels), op.opcode,
                       [](const Kernel& entry, Opcode opcode) { return entry.opcode < opcode; });
  if (kernel != std::end(kernels) && kernel->opcode == op.opcode) {
    if (in.size() > kernel->most_operands)
      throw Unsupported("no kernel takes so many operands as " + std::to_string(in.size()));
    return kernel->run(op, in, out);
  }
  const bool is_known = out.size() == 1 &&
                        (in.size() == 1 ? run_unary(op.opcode, *in[0].tensor, out[0].tensor)
                         : in.size() == 2
                             ? run_binary(op.opcode, *in[0].tensor, *in[1].tensor, out[0].tensor)
                             : false);
  if (!is_known) throw Unsupported("there is no kernel for it");
}

TESSERA_INLINE std::string op_text(const graph::Op& op) {
  return "op " + excerpt(op.name, 100) + " (" + std::string(opcode_text(op)) + ')';
}

TESSERA_INLINE std::vector<TensorPart> compute(const graph::Op& op,
                                               std::span<const TensorView> operands,
                                               std::span<const Slice> slices) {
  std::vector<TensorPart> results;
  try {
    for (std::size_t r = 0; r < op.results.size(); ++r)
      results.emplace_back(op.results[r], slices[r]);
    run_op(op, operands, results);
  } catch (const Unsupported& error) {
    throw Unsupported(op_text(op) + ": " + error.what());
  } catch (const InvalidArgument& error) {  // it lacks the attributes of its opcode
    throw Unsupported(op_text(op) + ": " + error.what());
  } catch (const InternalError& error) {
    throw InternalError(op_text(op) + ": " + error.what());
  }
  return results;
}

}  // namespace tessera::executor::detail
