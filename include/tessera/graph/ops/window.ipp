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

TESSERA_INLINE Rule convolution_rule(const Dims& input, const Dims& kernel, const Dims& output,
                                     const ConvolutionDims& dims,
                                     std::span<const WindowDim> window) {
  RuleWriter writer;
  using Factors = std::vector<FactorId>;
  std::vector<Factors> in(input.size()), ker(kernel.size()), out(output.size());
  const auto add = [](FactorId factor, std::initializer_list<Factors*> places) {
    for (Factors* const place : places) place->push_back(factor);
  };
  Factors& out_feature = out[dims.output_feature];
  Factors& ker_output = ker[dims.kernel_output];
  if (dims.feature_groups > 1)
    add(writer.parallel(dims.feature_groups), {&in[dims.input_feature], &ker_output, &out_feature});
  if (dims.batch_groups > 1)
    add(writer.parallel(dims.batch_groups), {&in[dims.input_batch], &ker_output, &out_feature});
  add(writer.reduction(kernel[dims.kernel_input], Reduction::sum),
      {&in[dims.input_feature], &ker[dims.kernel_input]});
  add(writer.parallel(output[dims.output_feature] / dims.feature_groups / dims.batch_groups),
      {&ker_output, &out_feature});
  add(writer.parallel(output[dims.output_batch]), {&in[dims.input_batch], &out[dims.output_batch]});
  for (std::size_t s = 0; s < dims.input_space.size(); ++s) {
    const std::size_t i = dims.input_space[s], k = dims.kernel_space[s], o = dims.output_space[s];
    const WindowDim& slide = window[s];
    if (slide.is_point()) {
      add(writer.parallel(input[i]), {&in[i], &out[o]});
      ker[k] = {writer.whole(kernel[k])};
      continue;
    }
    const bool along_output = output[o] >= kernel[k] || slide.is_reversed;
    out[o] = {along_output ? writer.parallel(output[o]) : writer.whole(output[o])};
    ker[k] = {along_output ? writer.whole(kernel[k]) : writer.reduction(kernel[k], Reduction::sum)};
    const Window along_out{out[o][0], slide.stride, slide.pad_low, slide.reach(), slide.lhs_dilate};
    const Window along_ker{ker[k][0], slide.rhs_dilate, slide.pad_low,
                           (output[o] - 1) * slide.stride + 1, slide.lhs_dilate};
    in[i] = {writer.window(input[i], along_output ? along_out : along_ker)};
  }
  Rule& rule = writer.rule();
  rule.begin_operand();
  for (const Factors& factors : in) rule.add_dim(factors);
  rule.begin_operand();
  for (const Factors& factors : ker) rule.add_dim(factors);
  rule.begin_result();
  for (const Factors& factors : out) rule.add_dim(factors);
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

TESSERA_INLINE Tensor convolution_adjoint(const OpAdjoint& at, std::size_t i) {
  const Convolution how = at.attributes().get<Convolution>();
  if (how.dims.feature_groups != 1 || how.dims.batch_groups != 1)
    at.fail("has groups, and no derivative here");
  const Tensor input = at.operand(0), kernel = at.operand(1);
  Convolution back;
  ConvolutionDims& dims = back.dims;
  std::vector<Extent> reversed;
  if (i == 0) {  // the adjoint, spread by the kernel
    dims = how.dims;
    std::swap(dims.kernel_input, dims.kernel_output);
    std::swap(dims.input_batch, dims.output_batch);
    std::swap(dims.input_feature, dims.output_feature);
    std::swap(dims.input_space, dims.output_space);
  } else {  // the input through the window of the adjoint: summed over the batch
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
    const Extent places = at.adjoint.dims()[how.dims.output_space[s]];
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
  const Tensor result = i == 0 ? convolution(at.adjoint, kernel, std::move(back))
                               : convolution(input, at.adjoint, std::move(back));
  return reversed.empty() ? result : reverse(result, std::move(reversed));
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
