// SPDX-License-Identifier: Apache-2.0
//
// Rules, builders and adjoints of windowed ops.
#pragma once
#include "tessera/graph/ops/window.hpp"

#include "tessera/graph/detail/adjoint.hpp"
#include "tessera/graph/detail/checks.hpp"
#include "tessera/graph/ops/movement.hpp"
#include "tessera/graph/ops/reduction.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

namespace detail {

// The factors of each dim of a convolution.
struct ConvolutionFactors {
  using Factors = std::vector<FactorId>;
  std::vector<Factors> input, kernel, output;  // by dim
};

// Groups are the major part of the dims that they divide; input features are summed over.
TESSERA_INLINE void add_features(RuleWriter& writer, ConvolutionFactors& factors,
                                 const Dims& kernel, const Dims& output,
                                 const ConvolutionDims& dims) {
  using Factors = ConvolutionFactors::Factors;
  const auto add = [](FactorId factor, std::initializer_list<Factors*> places) {
    for (Factors* const place : places) place->push_back(factor);
  };
  Factors& in_batch = factors.input[dims.input_batch];
  Factors& in_feature = factors.input[dims.input_feature];
  Factors& out_feature = factors.output[dims.output_feature];
  Factors& kernel_output = factors.kernel[dims.kernel_output];
  if (dims.feature_groups > 1)
    add(writer.parallel(dims.feature_groups), {&in_feature, &kernel_output, &out_feature});
  if (dims.batch_groups > 1)
    add(writer.parallel(dims.batch_groups), {&in_batch, &kernel_output, &out_feature});
  add(writer.reduction(kernel[dims.kernel_input], Reduction::sum),
      {&in_feature, &factors.kernel[dims.kernel_input]});
  add(writer.parallel(output[dims.output_feature] / dims.feature_groups / dims.batch_groups),
      {&kernel_output, &out_feature});
  add(writer.parallel(output[dims.output_batch]), {&in_batch, &factors.output[dims.output_batch]});
}

// One spatial dim, of these sizes.  The window slides along the longer of output and kernel.
TESSERA_INLINE void add_space(RuleWriter& writer, const WindowDim& slide, Extent input,
                              Extent kernel, Extent output, ConvolutionFactors::Factors& of_input,
                              ConvolutionFactors::Factors& of_kernel,
                              ConvolutionFactors::Factors& of_output) {
  if (slide.is_point()) {
    of_input = of_output = {writer.parallel(input)};
    of_kernel = {writer.whole(kernel)};
    return;
  }
  const bool along_output = output >= kernel || slide.is_reversed;
  of_output = {along_output ? writer.parallel(output) : writer.whole(output)};
  of_kernel = {along_output ? writer.whole(kernel) : writer.reduction(kernel, Reduction::sum)};
  const Window along_out{of_output[0], slide.stride, slide.pad_low, slide.reach(),
                         slide.lhs_dilate};
  const Window along_kernel{of_kernel[0], slide.rhs_dilate, slide.pad_low,
                            (output - 1) * slide.stride + 1, slide.lhs_dilate};
  of_input = {writer.window(input, along_output ? along_out : along_kernel)};
}

}  // namespace detail

TESSERA_INLINE Rule convolution_rule(const Dims& input, const Dims& kernel, const Dims& output,
                                     const ConvolutionDims& dims,
                                     std::span<const WindowDim> window) {
  RuleWriter writer;
  detail::ConvolutionFactors factors;
  factors.input.resize(input.size());
  factors.kernel.resize(kernel.size());
  factors.output.resize(output.size());
  detail::add_features(writer, factors, kernel, output, dims);
  for (std::size_t s = 0; s < dims.input_space.size(); ++s) {
    const std::size_t i = dims.input_space[s], k = dims.kernel_space[s], o = dims.output_space[s];
    detail::add_space(writer, window[s], input[i], kernel[k], output[o], factors.input[i],
                      factors.kernel[k], factors.output[o]);
  }
  Rule& rule = writer.rule();
  rule.begin_operand();
  for (const auto& dim : factors.input) rule.add_dim(dim);
  rule.begin_operand();
  for (const auto& dim : factors.kernel) rule.add_dim(dim);
  rule.begin_result();
  for (const auto& dim : factors.output) rule.add_dim(dim);
  writer.pass({0}, reduction_set(Reduction::sum));
  writer.pass({1}, reduction_set(Reduction::sum));
  return std::move(rule);
}

TESSERA_INLINE Dims convolution_shape(const Dims& input, const Dims& kernel,
                                      const ConvolutionDims& dims,
                                      std::span<const WindowDim> window) {
  Dims result(input.size(), 0);
  result[dims.output_batch] = input[dims.input_batch] / dims.batch_groups;
  result[dims.output_feature] = kernel[dims.kernel_output];
  for (std::size_t s = 0; s < window.size(); ++s)
    result[dims.output_space[s]] = window[s].output_size(input[dims.input_space[s]]);
  return result;
}

TESSERA_INLINE Dims reduce_window_shape(const Dims& operand, std::span<const WindowDim> window) {
  Dims result;
  for (std::size_t d = 0; d < window.size(); ++d)
    result.push_back(window[d].output_size(operand[d]));
  return result;
}

TESSERA_INLINE Rule reduce_window_rule(const Dims& operand, const Dims& result, std::size_t count,
                                       std::span<const WindowDim> window, Reduction reduction) {
  RuleWriter writer;
  std::vector<FactorId> from, to;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const WindowDim& slide = window[d];
    to.push_back(writer.parallel(result[d]));
    from.push_back(slide.is_point()
                       ? to.back()
                       : writer.window(operand[d], {to.back(), slide.stride, slide.pad_low,
                                                    slide.reach(), slide.lhs_dilate}));
  }
  for (std::size_t i = 0; i < count; ++i) writer.operand(from);
  writer.scalar_operands(count);
  for (std::size_t i = 0; i < count; ++i) writer.result(to);
  if (count == 1 && reduction != Reduction::none) writer.pass({0, 1}, reduction_set(reduction));
  return std::move(writer.rule());
}

TESSERA_INLINE Rule select_and_scatter_rule(const Dims& operand, const Dims& source,
                                            std::span<const WindowDim> window, Reduction scatter) {
  RuleWriter writer;
  std::vector<FactorId> seen, from, to;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const WindowDim& slide = window[d];
    to.push_back(writer.parallel(operand[d]));
    if (slide.is_point()) {
      seen.push_back(to.back());
      from.push_back(to.back());
      continue;
    }
    const Extent last = slide.size - 1;
    seen.push_back(writer.window(operand[d], {to.back(), 1, last, 2 * last + 1, 1}));
    from.push_back(
        writer.window(source[d], {to.back(), 1, last - slide.pad_low, slide.size, slide.stride}));
  }
  writer.operand(seen);
  writer.operand(from);
  writer.scalar_operands(1);
  writer.result(to);
  if (scatter == Reduction::sum) writer.pass({1, 2}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

namespace detail {

TESSERA_INLINE void check_convolution(const Tensor& input, const Tensor& kernel,
                                      const Convolution& how) {
  require_same_element("convolution", input, kernel);
  const ConvolutionDims& dims = how.dims;
  const std::size_t space = dims.input_space.size(), rank = space + 2;
  require(input.dims().size() == rank && kernel.dims().size() == rank &&
              dims.kernel_space.size() == space && dims.output_space.size() == space &&
              how.window.size() == space,
          "convolution: " + to_string(input.type()) + " with " + to_string(kernel.type()) +
              ": both have a batch or feature dim, another one, and one per window dim");
  const Extent groups = dims.feature_groups * dims.batch_groups;
  require(groups >= 1 && input.dims()[dims.input_feature] ==
                             kernel.dims()[dims.kernel_input] * dims.feature_groups,
          "convolution: the features of " + to_string(input.type()) + " are not those that " +
              to_string(kernel.type()) + " takes");
  require(input.dims()[dims.input_batch] % dims.batch_groups == 0 &&
              kernel.dims()[dims.kernel_output] % groups == 0,
          "convolution: the groups do not divide batch and features");
  for (std::size_t s = 0; s < space; ++s)
    require(how.window[s].size == kernel.dims()[dims.kernel_space[s]],
            "convolution: window dim " + std::to_string(s) + " is not the kernel's");
}

}  // namespace detail

TESSERA_INLINE Tensor convolution(const Tensor& input, const Tensor& kernel, Convolution how) {
  detail::check_convolution(input, kernel, how);
  const Dims result = convolution_shape(input.dims(), kernel.dims(), how.dims, how.window);
  Rule rule = convolution_rule(input.dims(), kernel.dims(), result, how.dims, how.window);
  return input.builder().apply(Opcode::convolution, {input, kernel}, {input.type().element, result},
                               std::move(rule), std::move(how));
}

TESSERA_INLINE Tensor reduce_window(const Tensor& x, std::vector<WindowDim> window,
                                    Reduction reduction) {
  detail::require_one_per_dim("reduce-window", window.size(), x);
  const Dims dims = reduce_window_shape(x.dims(), window);
  Rule rule = reduce_window_rule(x.dims(), dims, 1, window, reduction);
  return x.builder().apply(Opcode::reduce_window, {x, detail::neutral_of(x, reduction)},
                           {x.type().element, dims}, std::move(rule),
                           WindowReducing{std::move(window), reduction});
}

TESSERA_INLINE Tensor select_and_scatter(const Tensor& x, const Tensor& source,
                                         std::vector<WindowDim> window) {
  detail::require_one_per_dim("select-and-scatter", window.size(), x);
  detail::require_same_element("select-and-scatter", x, source);
  require(source.dims() == reduce_window_shape(x.dims(), window),
          "select-and-scatter: " + to_string(source.type()) +
              " has not one element for each window of " + to_string(x.type()));
  Rule rule = select_and_scatter_rule(x.dims(), source.dims(), window, Reduction::sum);
  return x.builder().apply(
      Opcode::select_and_scatter, {x, source, detail::neutral_of(x, Reduction::sum)}, x.type(),
      std::move(rule), WindowScattering{std::move(window), Direction::ge, Reduction::sum});
}

namespace detail {

// The window over a windowed op's adjoint that sees, from each element of the operand, all places
// that read the element.  The operand has `size` elements in this dim, the adjoint `places`.
TESSERA_INLINE WindowDim backward_window(const WindowDim& window, Extent size, Extent places) {
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

// By the input: the adjoint, spread by the kernel.
TESSERA_INLINE Tensor adjoint_of_input(const OpAdjoint& at, const Convolution& how) {
  const Tensor input = at.operand(0), kernel = at.operand(1);
  Convolution back{how.dims, {}};
  std::swap(back.dims.kernel_input, back.dims.kernel_output);
  std::swap(back.dims.input_batch, back.dims.output_batch);
  std::swap(back.dims.input_feature, back.dims.output_feature);
  std::swap(back.dims.input_space, back.dims.output_space);
  for (std::size_t s = 0; s < how.window.size(); ++s)
    back.window.push_back(backward_window(how.window[s], input.dims()[how.dims.input_space[s]],
                                          at.adjoint.dims()[how.dims.output_space[s]]));
  return convolution(at.adjoint, kernel, std::move(back));
}

// The dims where the input is convolved with the adjoint: summed over the batch.
TESSERA_INLINE ConvolutionDims kernel_adjoint_dims(const ConvolutionDims& forward) {
  ConvolutionDims dims;
  dims.input_batch = forward.input_feature;
  dims.input_feature = forward.input_batch;
  dims.input_space = forward.input_space;
  dims.kernel_input = forward.output_batch;
  dims.kernel_output = forward.output_feature;
  dims.kernel_space = forward.output_space;
  dims.output_batch = forward.kernel_input;
  dims.output_feature = forward.kernel_output;
  dims.output_space = forward.kernel_space;
  return dims;
}

// By the kernel: the input, convolved with the adjoint.
TESSERA_INLINE Tensor adjoint_of_kernel(const OpAdjoint& at, const Convolution& how) {
  const Tensor input = at.operand(0);
  Convolution back{kernel_adjoint_dims(how.dims), {}};
  std::vector<Extent> reversed;
  for (std::size_t s = 0; s < how.window.size(); ++s) {
    const WindowDim& window = how.window[s];
    const Extent size = input.dims()[how.dims.input_space[s]];
    const Extent places = at.adjoint.dims()[how.dims.output_space[s]];
    WindowDim seen{places, window.rhs_dilate, window.pad_low};
    seen.pad_high = (window.size - 1) * window.rhs_dilate + (places - 1) * window.stride -
                    (size - 1) * window.lhs_dilate - window.pad_low;
    seen.lhs_dilate = window.lhs_dilate;
    seen.rhs_dilate = window.stride;
    back.window.push_back(seen);
    if (window.is_reversed) reversed.push_back(static_cast<Extent>(how.dims.kernel_space[s]));
  }
  const Tensor result = convolution(input, at.adjoint, std::move(back));
  return reversed.empty() ? result : reverse(result, std::move(reversed));
}

TESSERA_INLINE Tensor convolution_adjoint(const OpAdjoint& at, std::size_t i) {
  const Convolution how = at.attributes().get<Convolution>();
  if (how.dims.feature_groups != 1 || how.dims.batch_groups != 1)
    at.fail("has groups, and no derivative here");
  return i == 0 ? adjoint_of_input(at, how) : adjoint_of_kernel(at, how);
}

TESSERA_INLINE Tensor reduce_window_adjoint(const OpAdjoint& at, std::size_t i) {
  const WindowReducing how = at.attributes().get<WindowReducing>();
  const Tensor x = at.operand(0);
  if (i != 0) at.fail("has no derivative by its initial value here");
  if (how.reduction == Reduction::max) return select_and_scatter(x, at.adjoint, how.window);
  if (how.reduction != Reduction::sum)
    at.fail(std::string("reduces by ") + tessera::to_string(how.reduction) +
            ", and has no derivative here");
  std::vector<WindowDim> back;
  for (std::size_t d = 0; d < how.window.size(); ++d) {
    back.push_back(backward_window(how.window[d], x.dims()[d], at.adjoint.dims()[d]));
    back[d].is_reversed = false;  // a sum has no order
  }
  return reduce_window(at.adjoint, std::move(back), Reduction::sum);
}

TESSERA_INLINE std::span<const AdjointEntry> window_adjoints() {
  static constexpr AdjointEntry entries[] = {
      {Opcode::convolution, convolution_adjoint},
      {Opcode::reduce_window, reduce_window_adjoint},
  };
  return entries;
}

}  // namespace detail

}  // namespace tessera::graph
