// SPDX-License-Identifier: Apache-2.0
//
// Derivatives of a program, as more of the same program: reverse mode, op by op.
//
//   const std::vector<Tensor> slopes = gradients(loss, weights);
//
// Every op hands the derivative of its result on to its operands, from the loss back to where it
// began; an op that several readers pull on adds up what they ask.  What an op hands on is built
// with the builder like anything else, so it has sharding rules and can be planned.  Each rule of
// differentiation is one small function below, found by the op's opcode.
#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/graph/builder.hpp"

namespace tessera::graph {

namespace detail {

// One op on the way back: `slope` is the loss's derivative by its result.
struct Backward {
  Builder& builder;
  OpId id;
  Tensor slope;

  // By value: adding ops moves them.
  Attributes attributes() const { return builder.graph().op(id).attributes; }
  Tensor result() const { return builder.tensor({id, 0}); }
  Tensor operand(std::size_t i) const { return builder.tensor(builder.graph().operand(id, i)); }
  Tensor zero() const { return constant_like(slope, 0); }
  [[noreturn]] void fail(const std::string& why) const {
    const Op& op = builder.graph().op(id);
    throw InvalidArgument("gradients: op '" + op.name + "' (" + std::string(opcode_text(op)) +
                          ") " + why);
  }
};

// The loss's derivative by operand i of an op; asked only where something depends on it.
using Derivative = Tensor (*)(const Backward&, std::size_t operand);

// --- Element by element --------------------------------------------------------------------------

inline Tensor of_extreme(const Backward& at, std::size_t i, Direction wins) {
  // Where both are equal the first one takes it.
  const Tensor first = compare(at.operand(0), at.operand(1), wins);
  return i == 0 ? select(first, at.slope, at.zero()) : select(first, at.zero(), at.slope);
}
inline Tensor of_quotient(const Backward& at, std::size_t i) {
  if (i == 0) return at.slope / at.operand(1);
  return -(at.slope * at.result() / at.operand(1));
}
inline Tensor of_power(const Backward& at, std::size_t i) {
  const Tensor base = at.operand(0), exponent = at.operand(1);
  const Tensor factor = i == 0 ? exponent * power(base, exponent - 1) : at.result() * log(base);
  return at.slope * factor;
}

// --- Shapes --------------------------------------------------------------------------------------

// The opposite of a broadcast: sums over the dims that x does not have.
inline Tensor of_broadcast(const Backward& at, std::size_t) {
  const std::vector<Extent> dimensions = at.attributes().get<DimList>().dims;
  std::vector<Extent> added;
  for (std::size_t d = 0; d < at.slope.dims().size(); ++d)
    if (!contains(dimensions, d)) added.push_back(static_cast<Extent>(d));
  const Tensor sum = added.empty() ? at.slope : reduce_sum(at.slope, added);
  // What is left stands in the result's order.
  std::vector<Extent> permutation;
  for (const Extent dim : dimensions)
    permutation.push_back(std::count_if(dimensions.begin(), dimensions.end(),
                                        [&](Extent other) { return other < dim; }));
  return std::is_sorted(permutation.begin(), permutation.end()) ? sum : transpose(sum, permutation);
}
inline Tensor of_transpose(const Backward& at, std::size_t) {
  const std::vector<Extent> permutation = at.attributes().get<DimList>().dims;
  std::vector<Extent> inverse(permutation.size());
  for (std::size_t d = 0; d < permutation.size(); ++d)
    inverse[static_cast<std::size_t>(permutation[d])] = static_cast<Extent>(d);
  return transpose(at.slope, std::move(inverse));
}
inline Tensor of_concatenate(const Backward& at, std::size_t i) {
  const Extent dim = at.attributes().get<Dim>().dim;
  const auto size = [&](std::size_t k) {
    return at.operand(k).dims()[static_cast<std::size_t>(dim)];
  };
  Extent begin = 0;
  for (std::size_t k = 0; k < i; ++k) begin += size(k);
  return slice(at.slope, dim, begin, begin + size(i));
}
inline Tensor of_slice(const Backward& at, std::size_t) {
  const std::vector<SliceRange> ranges = at.attributes().get<Slicing>().ranges;
  std::vector<PaddingRange> padding;
  for (std::size_t d = 0; d < ranges.size(); ++d) {
    const Extent taken = at.slope.dims()[d];
    if (taken == 0) at.fail("takes nothing, which has no derivative here");
    const Extent end = ranges[d].start + (taken - 1) * ranges[d].stride + 1;
    padding.push_back({ranges[d].start, at.operand(0).dims()[d] - end, ranges[d].stride - 1});
  }
  return pad(at.slope, at.builder.constant(at.slope.type().element), std::move(padding));
}
inline Tensor of_pad(const Backward& at, std::size_t i) {
  if (i != 0) at.fail("has no derivative by its padding here");
  std::vector<PaddingRange> cut;
  std::vector<SliceRange> taken;
  for (const PaddingRange& range : at.attributes().get<Padding>().ranges) {
    cut.push_back({-range.low, -range.high, 0});
    taken.push_back({0, 0, range.interior + 1});
  }
  const Tensor inner = pad(at.slope, at.builder.constant(at.slope.type().element), std::move(cut));
  for (std::size_t d = 0; d < taken.size(); ++d) taken[d].limit = inner.dims()[d];
  return slice(inner, std::move(taken));
}

// --- Products ------------------------------------------------------------------------------------

inline Tensor of_dot(const Backward& at, std::size_t i) {
  const DotDims dims = at.attributes().get<DotDims>();
  const Tensor a = at.operand(0), b = at.operand(1);
  constexpr std::size_t unset = static_cast<std::size_t>(-1);
  Labels in_a(a.dims().size(), unset), in_b(b.dims().size(), unset), in_result;
  std::size_t next = 0;
  const auto pair_up = [&](const std::vector<Extent>& left, const std::vector<Extent>& right) {
    for (std::size_t k = 0; k < left.size(); ++k)
      in_a[static_cast<std::size_t>(left[k])] = in_b[static_cast<std::size_t>(right[k])] = next++;
  };
  pair_up(dims.lhs_batch, dims.rhs_batch);
  for (std::size_t k = 0; k < next; ++k) in_result.push_back(k);
  pair_up(dims.lhs_contracting, dims.rhs_contracting);
  for (Labels* const labels : {&in_a, &in_b})
    for (std::size_t& label : *labels)
      if (label == unset) in_result.push_back(label = next++);
  return i == 0 ? contract(at.slope, in_result, b, in_b, in_a)
                : contract(a, in_a, at.slope, in_result, in_b);
}

// A window that goes over a windowed op's slope in order to reach each element of its operand, of
// `size` elements in this dim, from all places that read it.
inline WindowDim backward_window(const WindowDim& window, Extent size, Extent places) {
  const Extent reach = (window.size - 1) * window.rhs_dilate;
  const Extent spread_size = size == 0 ? 0 : (size - 1) * window.lhs_dilate + 1;
  const Extent spread_places = places == 0 ? 0 : (places - 1) * window.stride + 1;
  WindowDim back{window.size, window.lhs_dilate, reach - window.pad_low};
  back.pad_high = spread_size + reach - spread_places - back.pad_low;
  back.lhs_dilate = window.stride;
  back.rhs_dilate = window.rhs_dilate;
  back.is_reversed = !window.is_reversed;
  return back;
}

inline Tensor of_convolution(const Backward& at, std::size_t i) {
  const Convolution how = at.attributes().get<Convolution>();
  if (how.dims.feature_groups != 1 || how.dims.batch_groups != 1)
    at.fail("has groups, and no derivative here");
  const Tensor input = at.operand(0), kernel = at.operand(1);
  Convolution back;
  ConvolutionDims& dims = back.dims;
  std::vector<Extent> reversed;
  if (i == 0) {  // the slope, spread by the kernel
    dims = how.dims;
    std::swap(dims.kernel_input, dims.kernel_output);
    std::swap(dims.input_batch, dims.output_batch);
    std::swap(dims.input_feature, dims.output_feature);
    std::swap(dims.input_space, dims.output_space);
  } else {  // the input, seen through the slope: batch is what is summed over
    dims.input_batch = how.dims.input_feature;
    dims.input_feature = how.dims.input_batch;
    dims.input_space = how.dims.input_space;
    dims.kernel_input = how.dims.output_batch;
    dims.kernel_output = how.dims.output_feature;
    dims.kernel_space = how.dims.output_space;
    dims.output_batch = how.dims.kernel_input;
    dims.output_feature = how.dims.kernel_output;
    dims.output_space = how.dims.kernel_space;
  }
  for (std::size_t s = 0; s < how.window.size(); ++s) {
    const WindowDim& window = how.window[s];
    const Extent size = input.dims()[how.dims.input_space[s]];
    const Extent places = at.slope.dims()[how.dims.output_space[s]];
    if (i == 0) {
      back.window.push_back(backward_window(window, size, places));
      continue;
    }
    WindowDim seen{places, window.rhs_dilate, window.pad_low};
    seen.pad_high = (window.size - 1) * window.rhs_dilate + (places - 1) * window.stride -
                    (size - 1) * window.lhs_dilate - window.pad_low;
    seen.lhs_dilate = window.lhs_dilate;
    seen.rhs_dilate = window.stride;
    back.window.push_back(seen);
    if (window.is_reversed) reversed.push_back(static_cast<Extent>(how.dims.kernel_space[s]));
  }
  const Tensor result = i == 0 ? convolution(at.slope, kernel, std::move(back))
                               : convolution(input, at.slope, std::move(back));
  return reversed.empty() ? result : reverse(result, std::move(reversed));
}

// --- Reductions ----------------------------------------------------------------------------------

inline Tensor of_reduce(const Backward& at, std::size_t i) {
  const Reducing how = at.attributes().get<Reducing>();
  const Tensor x = at.operand(0);
  if (i != 0) at.fail("has no derivative by its initial value here");
  std::vector<Extent> kept;
  for (std::size_t d = 0; d < x.dims().size(); ++d)
    if (!contains(how.dims, d)) kept.push_back(static_cast<Extent>(d));
  const Tensor slope = broadcast(at.slope, x.dims(), kept);
  if (how.reduction == Reduction::sum) return slope;
  if (how.reduction != Reduction::max && how.reduction != Reduction::min)
    at.fail(std::string("reduces by ") + tessera::to_string(how.reduction) +
            ", and has no derivative here");
  // Elements that are the extreme together share its slope.
  const Tensor is_it = equal(x, broadcast(at.result(), x.dims(), kept));
  const Tensor ones = convert(is_it, x.type().element);
  const Tensor count = broadcast(reduce_sum(ones, how.dims), x.dims(), kept);
  return select(is_it, slope / count, constant_like(x, 0));
}

inline Tensor of_reduce_window(const Backward& at, std::size_t i) {
  const WindowReducing how = at.attributes().get<WindowReducing>();
  const Tensor x = at.operand(0);
  if (i != 0) at.fail("has no derivative by its initial value here");
  if (how.reduction == Reduction::max) return select_and_scatter(x, at.slope, how.window);
  if (how.reduction != Reduction::sum)
    at.fail(std::string("reduces by ") + tessera::to_string(how.reduction) +
            ", and has no derivative here");
  std::vector<WindowDim> back;
  for (std::size_t d = 0; d < how.window.size(); ++d) {
    back.push_back(backward_window(how.window[d], x.dims()[d], at.slope.dims()[d]));
    back[d].is_reversed = false;  // a sum has no order
  }
  return reduce_window(at.slope, std::move(back), Reduction::sum);
}

// --- Tables --------------------------------------------------------------------------------------

inline Tensor of_gather(const Backward& at, std::size_t) {
  const Tensor table = at.operand(0), indices = at.operand(1);
  if (at.attributes().get<GatherDims>() != lookup_dims(table, indices))
    at.fail("is no lookup of rows, and has no derivative here");
  return scatter_add(constant_like(table, 0), indices, at.slope);
}
inline Tensor of_scatter(const Backward& at, std::size_t i) {
  const Tensor table = at.operand(0), indices = at.operand(1);
  const Scattering how = at.attributes().get<Scattering>();
  if (how != Scattering{scatter_add_dims(table, indices), Reduction::sum})
    at.fail("adds no rows to a table, and has no derivative here");
  return i == 0 ? at.slope : lookup(at.slope, indices);
}

// -------------------------------------------------------------------------------------------------

struct DerivativeOf {
  Opcode opcode;
  Derivative derivative;
};

// Sorted by opcode.
inline constexpr DerivativeOf derivatives[] = {
    {Opcode::add, [](const Backward& at, std::size_t) { return at.slope; }},
    {Opcode::broadcast, of_broadcast},
    {Opcode::concatenate, of_concatenate},
    {Opcode::convert, [](const Backward& at,
                         std::size_t) { return convert(at.slope, at.operand(0).type().element); }},
    {Opcode::convolution, of_convolution},
    {Opcode::cosine,
     [](const Backward& at, std::size_t) { return -(at.slope * sin(at.operand(0))); }},
    {Opcode::divide, of_quotient},
    {Opcode::dot, of_dot},
    {Opcode::exponential, [](const Backward& at, std::size_t) { return at.slope * at.result(); }},
    {Opcode::gather, of_gather},
    {Opcode::log, [](const Backward& at, std::size_t) { return at.slope / at.operand(0); }},
    {Opcode::logistic,
     [](const Backward& at, std::size_t) { return at.slope * (at.result() * (1 - at.result())); }},
    {Opcode::maximum,
     [](const Backward& at, std::size_t i) { return of_extreme(at, i, Direction::ge); }},
    {Opcode::minimum,
     [](const Backward& at, std::size_t i) { return of_extreme(at, i, Direction::le); }},
    {Opcode::multiply,
     [](const Backward& at, std::size_t i) { return at.slope * at.operand(1 - i); }},
    {Opcode::negate, [](const Backward& at, std::size_t) { return -at.slope; }},
    {Opcode::pad, of_pad},
    {Opcode::power, of_power},
    {Opcode::reduce, of_reduce},
    {Opcode::reduce_window, of_reduce_window},
    {Opcode::reshape,
     [](const Backward& at, std::size_t) { return reshape(at.slope, at.operand(0).dims()); }},
    {Opcode::reverse,
     [](const Backward& at, std::size_t) {
       return reverse(at.slope, at.attributes().get<DimList>().dims);
     }},
    {Opcode::rsqrt,
     [](const Backward& at, std::size_t) {
       const Tensor y = at.result();
       return at.slope * (y * y * y * -0.5);
     }},
    {Opcode::scatter, of_scatter},
    {Opcode::select,
     [](const Backward& at, std::size_t i) {
       const Tensor p = at.operand(0);
       return i == 1 ? select(p, at.slope, at.zero()) : select(p, at.zero(), at.slope);
     }},
    {Opcode::sine, [](const Backward& at, std::size_t) { return at.slope * cos(at.operand(0)); }},
    {Opcode::slice, of_slice},
    {Opcode::sqrt, [](const Backward& at, std::size_t) { return at.slope * 0.5 / at.result(); }},
    {Opcode::subtract,
     [](const Backward& at, std::size_t i) { return i == 0 ? at.slope : -at.slope; }},
    {Opcode::tanh,
     [](const Backward& at, std::size_t) { return at.slope * (1 - at.result() * at.result()); }},
    {Opcode::transpose, of_transpose},
};
static_assert(std::is_sorted(std::begin(derivatives), std::end(derivatives),
                             [](const auto& a, const auto& b) { return a.opcode < b.opcode; }));

inline Derivative derivative_of(const Backward& at) {
  const Opcode opcode = at.builder.graph().op(at.id).opcode;
  const auto* const found = std::lower_bound(
      std::begin(derivatives), std::end(derivatives), opcode,
      [](const DerivativeOf& entry, Opcode wanted) { return entry.opcode < wanted; });
  if (found == std::end(derivatives) || found->opcode != opcode) at.fail("has no derivative here");
  return found->derivative;
}

// Whether the operand may carry a derivative to what it comes from.
inline bool carries(const Builder& builder, OpId reader, std::size_t operand) {
  const Graph& graph = builder.graph();
  return !builder.is_detached(reader, operand) &&
         is_floating(graph.type_of(graph.operand(reader, operand)).element);
}

// For every op up to `last`: whether it depends on one of `sources` by way of what carries.
inline std::vector<char> dependents(const Builder& builder, std::span<const Tensor> sources,
                                    OpId last) {
  const Graph& graph = builder.graph();
  std::vector<char> depends(last + 1, 0);
  for (const Tensor& source : sources)
    if (source.value().op <= last) depends[source.value().op] = 1;
  for (OpId id = 0; id <= last; ++id)
    for (std::size_t i = 0; depends[id] == 0 && i < graph.operand_count(id); ++i)
      if (depends[graph.operand(id, i).op] != 0 && carries(builder, id, i)) depends[id] = 1;
  return depends;
}

}  // namespace detail

// The derivatives of `loss`, a scalar, by each of `sources`, which are results of ops with one
// result; zeros where the loss does not depend on one.  Throws InvalidArgument, naming the
// op, where one on the way has no derivative here.  O(ops up to the loss) new ops at most.
inline std::vector<Tensor> gradients(const Tensor& loss, std::span<const Tensor> sources) {
  detail::require(loss.dims().empty() && is_floating(loss.type().element),
                  "gradients: the loss is " + to_string(loss.type()) + " and no floating scalar");
  Builder& builder = loss.builder();
  for (const Tensor& source : sources)
    detail::require(&source.builder() == &builder,
                    "gradients: a source belongs to another builder");
  const OpId last = loss.value().op;
  const std::vector<char> depends = detail::dependents(builder, sources, last);
  std::vector<std::optional<Tensor>> slopes(last + 1);
  slopes[last] = builder.constant(loss.type().element, {}, 1);
  for (OpId id = last + 1; id-- > 0;) {
    if (!slopes[id] || depends[id] == 0) continue;
    const detail::Backward at{builder, id, *slopes[id]};
    const std::size_t operands = builder.graph().operand_count(id);
    for (std::size_t i = 0; i < operands; ++i) {
      const OpId from = builder.graph().operand(id, i).op;
      if (depends[from] == 0 || !detail::carries(builder, id, i)) continue;
      const Tensor part = detail::derivative_of(at)(at, i);
      slopes[from] = slopes[from] ? *slopes[from] + part : part;
    }
  }
  std::vector<Tensor> result;
  for (const Tensor& source : sources) {
    const OpId id = source.value().op;
    result.push_back(id <= last && slopes[id] ? *slopes[id] : constant_like(source, 0));
  }
  return result;
}

}  // namespace tessera::graph
