// SPDX-License-Identifier: Apache-2.0
//
// The layers of networks.
#pragma once
#include "tessera/graph/functions.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "tessera/graph/detail/checks.hpp"

namespace tessera::graph {

TESSERA_INLINE ConvolutionDims image_dims() {
  ConvolutionDims dims;  // b01f_01io->b01f
  dims.input_batch = dims.output_batch = 0;
  dims.input_feature = dims.output_feature = 3;
  dims.kernel_input = 2;
  dims.kernel_output = 3;
  dims.input_space = dims.output_space = {1, 2};
  dims.kernel_space = {0, 1};
  return dims;
}

TESSERA_INLINE std::vector<Extent> all_dims(const Tensor& x) {
  std::vector<Extent> dims;
  for (std::size_t d = 0; d < x.dims().size(); ++d) dims.push_back(static_cast<Extent>(d));
  return dims;
}

namespace detail {

TESSERA_INLINE Extent last_dim(const char* kind, const Tensor& x) {
  require(!x.dims().empty(), std::string(kind) + ": a scalar has no last dim");
  return static_cast<Extent>(x.dims().size()) - 1;
}

// Repeats a tensor that lacks dim `missing` of `dims` along it.
TESSERA_INLINE Tensor broadcast_along(const Tensor& x, const Dims& dims, Extent missing) {
  std::vector<Extent> dimensions;
  for (std::size_t d = 0; d < dims.size(); ++d)
    if (static_cast<Extent>(d) != missing) dimensions.push_back(static_cast<Extent>(d));
  return broadcast(x, dims, std::move(dimensions));
}

// Times, and plus, a tensor of one dim, which is dim `at` of x.
TESSERA_INLINE Tensor scaled(const Tensor& x, const Tensor& scale, Extent at) {
  return x * broadcast(scale, x.dims(), {at});
}

TESSERA_INLINE Tensor shifted(const Tensor& x, const Tensor& shift, Extent at) {
  return x + broadcast(shift, x.dims(), {at});
}

}  // namespace detail

TESSERA_INLINE Tensor softmax(const Tensor& x) {
  const Extent last = detail::last_dim("softmax", x);
  const Tensor wide = convert(x, f32);
  // The largest element cancels out: it only keeps the exponentials in range.
  const Tensor largest = reduce_max(wide, {last}).detached();
  const Tensor e = exp(wide - detail::broadcast_along(largest, x.dims(), last));
  // Divided once per row: all that a derivative needs to remember is e.
  const Tensor share = 1 / reduce_sum(e, {last});
  return convert(e * detail::broadcast_along(share, x.dims(), last), x.type().element);
}

TESSERA_INLINE Tensor mean_of_last(const Tensor& x) {
  const Extent last = detail::last_dim("mean", x);
  return reduce_sum(convert(x, f32), {last}) * (1 / static_cast<double>(x.dims().back()));
}

TESSERA_INLINE Tensor rms_norm(const Tensor& x, const Tensor& scale, double epsilon) {
  const Extent last = detail::last_dim("rms_norm", x);
  const Tensor wide = convert(x, f32);
  const Tensor root = rsqrt(mean_of_last(wide * wide) + epsilon);
  const Tensor normed = wide * detail::broadcast_along(root, x.dims(), last);
  return detail::scaled(convert(normed, x.type().element), scale, last);
}

TESSERA_INLINE Tensor layer_norm(const Tensor& x, const Tensor& scale, const Tensor& shift,
                                 double epsilon) {
  const Extent last = detail::last_dim("layer_norm", x);
  const Tensor wide = convert(x, f32);
  const Tensor centred = wide - detail::broadcast_along(mean_of_last(wide), x.dims(), last);
  const Tensor root = rsqrt(mean_of_last(centred * centred) + epsilon);
  const Tensor normed = centred * detail::broadcast_along(root, x.dims(), last);
  return detail::shifted(detail::scaled(convert(normed, x.type().element), scale, last), shift,
                         last);
}

TESSERA_INLINE Tensor add_bias(const Tensor& x, const Tensor& bias) {
  return detail::shifted(x, bias, detail::last_dim("add_bias", x));
}

TESSERA_INLINE Tensor relu(const Tensor& x) { return maximum(x, constant_like(x, 0)); }

TESSERA_INLINE Tensor silu(const Tensor& x) { return x * logistic(x); }

TESSERA_INLINE Tensor gelu(const Tensor& x) {
  const Tensor cubic = x + x * x * x * 0.044715;
  const Tensor share = tanh(cubic * std::sqrt(2 / 3.14159265358979323846)) + 1;
  return x * share * 0.5;
}

TESSERA_INLINE Tensor causal_mask(const Tensor& scores) {
  const Dims dims = scores.dims();
  require(dims.size() >= 2,
          "causal_mask: " + to_string(scores.type()) + " has no dims of queries and keys");
  const auto keys = static_cast<Extent>(dims.size()) - 1;
  Builder& b = scores.builder();
  const Dims square{dims[dims.size() - 2], dims.back()};
  const Tensor query = iota(b, s32, square, 0), key = iota(b, s32, square, 1);
  const Tensor allowed = broadcast(key <= query, dims, {keys - 1, keys});
  return select(allowed, scores, b.constant(scores.type().element, {}, -1e4));
}

TESSERA_INLINE Rotation rotation(Builder& b, Extent positions, Extent features, double base) {
  require(features % 2 == 0, "rotation: an odd number of features");
  const Dims dims{positions, features / 2};
  const double step = -2 * std::log(base) / static_cast<double>(features);
  const Tensor frequency = exp(iota(b, f32, dims, 1) * step);
  const Tensor angle = iota(b, f32, dims, 0) * frequency;
  return {cos(angle), sin(angle)};
}

TESSERA_INLINE Tensor rotate(const Tensor& x, const Rotation& by, Extent position) {
  const Extent last = detail::last_dim("rotate", x), half = x.dims().back() / 2;
  const Tensor left = slice(x, last, 0, half), right = slice(x, last, half, 2 * half);
  const auto fitted = [&](const Tensor& angles) {
    return broadcast(convert(angles, x.type().element), left.dims(), {position, last});
  };
  const Tensor c = fitted(by.cosine), s = fitted(by.sine);
  const Tensor left_c = left * c, right_s = right * s, right_c = right * c, left_s = left * s;
  const Tensor halves[] = {left_c - right_s, right_c + left_s};
  return concatenate(halves, last);
}

TESSERA_INLINE Tensor mean(const Tensor& x) {
  return reduce_sum(x, all_dims(x)) * (1 / static_cast<double>(element_count(x.dims())));
}

TESSERA_INLINE Tensor one_hot(const Tensor& indices, Extent classes) {
  Dims dims = indices.dims();
  dims.push_back(classes);
  const auto last = static_cast<Extent>(dims.size()) - 1;
  const Tensor place = iota(indices.builder(), indices.type().element, dims, last);
  return equal(place, detail::broadcast_along(indices, dims, last));
}

TESSERA_INLINE Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  const Extent last = detail::last_dim("cross_entropy", logits);
  const Tensor wide = convert(logits, f32);
  const Tensor largest = reduce_max(wide, {last}).detached();
  const Tensor shifted = wide - detail::broadcast_along(largest, logits.dims(), last);
  const Tensor total = log(reduce_sum(exp(shifted), {last}));
  const Tensor is_label = one_hot(labels, logits.dims().back());
  const Tensor hit = select(is_label, shifted, logits.builder().constant(f32));
  return mean(total - reduce_sum(hit, {last}));
}

namespace detail {

TESSERA_INLINE void require_image(const char* kind, const Tensor& x) {
  require(x.dims().size() == 4, std::string(kind) + ": " + to_string(x.type()) +
                                    " is no [batch, height, width, features]");
}

// A window over height and width; where it is padded the output has ceil(size / stride) places.
TESSERA_INLINE std::vector<WindowDim> image_window(const Tensor& x, Extent size, Extent stride,
                                                   bool is_padded) {
  std::vector<WindowDim> window(2);
  for (std::size_t s = 0; s < 2; ++s) {
    const Extent extent = x.dims()[s + 1], places = (extent + stride - 1) / stride;
    const Extent missing = std::max<Extent>(0, (places - 1) * stride + size - extent);
    window[s] = {size, stride, is_padded ? missing / 2 : 0, is_padded ? missing - missing / 2 : 0};
  }
  return window;
}

TESSERA_INLINE std::vector<WindowDim> pooling_window(const Tensor& x, Extent size, Extent stride,
                                                     bool is_padded) {
  const std::vector<WindowDim> image = image_window(x, size, stride, is_padded);
  return {WindowDim{}, image[0], image[1], WindowDim{}};
}

}  // namespace detail

TESSERA_INLINE Tensor convolve(const Tensor& x, const Tensor& kernel, Extent stride) {
  detail::require_image("convolve", x);
  require(kernel.dims().size() == 4 && kernel.dims()[0] == kernel.dims()[1],
          "convolve: " + to_string(kernel.type()) + " is no [size, size, in, out]");
  return convolution(x, kernel,
                     {image_dims(), detail::image_window(x, kernel.dims()[0], stride, true)});
}

TESSERA_INLINE Tensor convolve_up(const Tensor& x, const Tensor& kernel) {
  detail::require_image("convolve_up", x);
  const Extent size = kernel.dims()[0];
  WindowDim window{size, 1, size - 1, size - 1};
  window.lhs_dilate = size;
  return convolution(x, kernel, {image_dims(), {window, window}});
}

TESSERA_INLINE Tensor max_pool(const Tensor& x, Extent size, Extent stride, bool is_padded) {
  detail::require_image("max_pool", x);
  return reduce_window(x, detail::pooling_window(x, size, stride, is_padded), Reduction::max);
}

TESSERA_INLINE Tensor average_pool(const Tensor& x, Extent size, Extent stride, bool is_padded) {
  detail::require_image("average_pool", x);
  return reduce_window(x, detail::pooling_window(x, size, stride, is_padded), Reduction::sum) *
         (1 / static_cast<double>(size * size));
}

TESSERA_INLINE Tensor upsample(const Tensor& x, Extent factor) {
  detail::require_image("upsample", x);
  const Dims d = x.dims();
  const Tensor repeated = broadcast(x, {d[0], d[1], factor, d[2], factor, d[3]}, {0, 1, 3, 5});
  return reshape(repeated, {d[0], d[1] * factor, d[2] * factor, d[3]});
}

TESSERA_INLINE Tensor batch_norm(const Tensor& x, const Tensor& scale, const Tensor& shift,
                                 double epsilon) {
  detail::require_image("batch_norm", x);
  const Tensor wide = convert(x, f32);
  const double share = static_cast<double>(x.dims()[3]) /
                       static_cast<double>(element_count(x.dims()));
  const auto mean_of = [&](const Tensor& y) {
    return broadcast(reduce_sum(y, {0, 1, 2}) * share, x.dims(), {3});
  };
  const Tensor centred = wide - mean_of(wide);
  const Tensor normed = centred * rsqrt(mean_of(centred * centred) + epsilon);
  return detail::shifted(detail::scaled(convert(normed, x.type().element), scale, 3), shift, 3);
}

TESSERA_INLINE Tensor cumulative_sum(const Tensor& x, Extent dim) {
  detail::require_distinct_dims("cumulative_sum", {dim}, x.dims());
  std::vector<WindowDim> window(x.dims().size());
  const Extent size = x.dims()[static_cast<std::size_t>(dim)];
  window[static_cast<std::size_t>(dim)] = {size, 1, std::max<Extent>(0, size - 1), 0};
  return reduce_window(x, std::move(window), Reduction::sum);
}

namespace detail {

// 1 at the first of the largest elements along the last dim, else 0.
TESSERA_INLINE Tensor first_largest(const Tensor& x) {
  const Extent last = last_dim("first_largest", x);
  const Tensor is_largest = equal(x, broadcast_along(reduce_max(x, {last}), x.dims(), last));
  const Tensor place = iota(x.builder(), s32, x.dims(), last);
  const Tensor never = x.builder().constant(s32, {}, static_cast<double>(x.dims().back()));
  const Tensor first = reduce_min(select(is_largest, place, never), {last});
  const Tensor is_first = equal(place, broadcast_along(first, x.dims(), last));
  return convert(is_first, x.type().element);
}

}  // namespace detail

namespace detail {

// By choice: 1 at the expert that each token chooses, else 0.
TESSERA_INLINE std::vector<Tensor> choices_of(const Tensor& gates, Extent choices) {
  Builder& b = gates.builder();
  std::vector<Tensor> masks;
  Tensor rest = gates.detached();
  for (Extent i = 0; i < choices; ++i) {
    masks.push_back(first_largest(rest));
    if (i + 1 == choices) break;
    const Tensor is_taken = masks.back() > b.constant(f32);
    rest = select(is_taken, b.constant(f32, {}, -1), rest);
  }
  return masks;
}

// The weights of one choice, [groups, tokens, experts, places], as shares of `sum`.  `before`
// counts, for each token and expert, the tokens that have a place already.
TESSERA_INLINE Tensor placed(const Tensor& mask, const Tensor& before, const Tensor& weight,
                             const Tensor& sum, Extent capacity) {
  Builder& b = mask.builder();
  const Tensor has_place = before < b.constant(f32, {}, static_cast<double>(capacity));
  const Tensor kept = select(has_place, mask, b.constant(f32));
  const Tensor place = convert(reduce_sum(before * kept, {2}), s32);
  const Tensor share = broadcast_along(weight / sum, mask.dims(), 2) * kept;
  const Tensor at = convert(one_hot(place, capacity), f32);
  return einsum<"gse,gsc->gsec">(share, at);
}

// The sum of all choices' weights, which are scaled to sum to one for each token.
TESSERA_INLINE Tensor combined_choices(const Tensor& gates, const std::vector<Tensor>& masks,
                                       Extent capacity) {
  std::vector<Tensor> weights;
  for (const Tensor& mask : masks) weights.push_back(reduce_sum(gates * mask, {2}));
  Tensor sum = weights[0];
  for (std::size_t i = 1; i < weights.size(); ++i) sum = sum + weights[i];

  std::optional<Tensor> combine, taken;  // `taken`: how many places earlier choices filled
  for (std::size_t i = 0; i < masks.size(); ++i) {
    Tensor before = cumulative_sum(masks[i], 1) - masks[i];
    if (taken) before = before + broadcast_along(*taken, gates.dims(), 1);
    const Tensor filled = reduce_sum(masks[i], {1});
    taken = taken ? *taken + filled : filled;
    const Tensor term = placed(masks[i], before, weights[i], sum, capacity);
    combine = combine ? *combine + term : term;
  }
  return *combine;
}

}  // namespace detail

TESSERA_INLINE Routing route(const Tensor& gates, Extent choices, Extent capacity) {
  require(gates.dims().size() == 3 && choices >= 1 && choices <= gates.dims()[2],
          "route: " + std::to_string(choices) + " choices of " + to_string(gates.type()));
  const auto tokens = static_cast<double>(gates.dims()[1]);
  const Extent experts = gates.dims()[2];
  const std::vector<Tensor> masks = detail::choices_of(gates, choices);
  const Tensor combine = detail::combined_choices(gates, masks, capacity);
  const Tensor dispatch = convert(combine.detached() > gates.builder().constant(f32), f32);
  const Tensor share = reduce_sum(masks[0], {1}) * (1 / tokens);
  const Tensor wish = reduce_sum(gates, {1}) * (1 / tokens);
  const Tensor balance = mean(share * wish) * static_cast<double>(experts * experts);
  return {combine, dispatch, balance};
}

}  // namespace tessera::graph
