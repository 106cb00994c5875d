// SPDX-License-Identifier: Apache-2.0
//
// Operands as matrices, and Eigen's product of them, which is compiled for float and for double.
#pragma once
#include "tessera/executor/detail/kernels/product.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/detail/kernels/elementwise.hpp"
#include "tessera/executor/detail/kernels/movement.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::executor::detail {

// --- Matrices ------------------------------------------------------------------------------------

template<class C>
using RowMajor = Eigen::Matrix<C, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template<class C>
using EigenView = Eigen::Map<const RowMajor<C>, Eigen::Unaligned, Eigen::OuterStride<>>;
template<class C>
using MutableEigenView = Eigen::Map<RowMajor<C>, Eigen::Unaligned, Eigen::OuterStride<>>;

// The type that products of such elements are summed up in.
inline ElementType product_type(ElementType a, ElementType b, ElementType result) {
  ElementType widest = ElementType::f32;
  for (const ElementType element : {a, b, result}) {
    if (element == ElementType::f64) widest = ElementType::f64;
    if (!graph::is_floating(element)) return ElementType::s64;  // wraps around like any width
  }
  return widest;
}

// Row-major; `stride` elements from one row to the next.
struct MatrixPlace {
  const std::byte* data = nullptr;
  Extent stride = 0;
};

template<class C>
void add_product_of(MatrixPlace a, MatrixPlace b, std::byte* result, Extent m, Extent k, Extent n) {
  const EigenView<C> left(reinterpret_cast<const C*>(a.data), m, k, Eigen::OuterStride<>(a.stride));
  const EigenView<C> right(reinterpret_cast<const C*>(b.data), k, n,
                           Eigen::OuterStride<>(b.stride));
  MutableEigenView<C> sums(reinterpret_cast<C*>(result), m, n, Eigen::OuterStride<>(n));
  sums.noalias() += left * right;
}

// Integers wrap around, in a plain loop.
inline void add_integer_product(MatrixPlace a, MatrixPlace b, std::byte* result, Extent m, Extent k,
                                Extent n) {
  const auto* const left = reinterpret_cast<const std::uint64_t*>(a.data);
  const auto* const right = reinterpret_cast<const std::uint64_t*>(b.data);
  auto* const sums = reinterpret_cast<std::uint64_t*>(result);
  for (Extent i = 0; i < m; ++i)
    for (Extent l = 0; l < k; ++l)
      for (Extent j = 0; j < n; ++j)
        sums[i * n + j] += left[i * a.stride + l] * right[l * b.stride + j];
}

// result += a b, of m x k and k x n elements of what product_type() answers; the result's rows
// follow on each other.
inline void add_product(ElementType element, MatrixPlace a, MatrixPlace b, std::byte* result,
                        Extent m, Extent k, Extent n) {
  if (m == 0 || k == 0 || n == 0) return;
  if (element == ElementType::f32) return add_product_of<float>(a, b, result, m, k, n);
  if (element == ElementType::f64) return add_product_of<double>(a, b, result, m, k, n);
  add_integer_product(a, b, result, m, k, n);
}

// A tensor with its dims in this order, and elements of this type.  No copy where both are so.
class Arranged {
 public:
  Arranged(const Tensor& tensor, std::span<const std::size_t> order, ElementType element)
      : result_(&tensor) {
    if (tensor.element() != element) {
      converted_ = Tensor(element, tensor.dims());
      run_convert(tensor, converted_);
      result_ = &converted_;
    }
    if (std::is_sorted(order.begin(), order.end())) return;
    Dims dims;
    std::vector<Walk> walks;
    for (std::size_t d = 0; d < order.size(); ++d) {
      dims.push_back(tensor.dims()[order[d]]);
      walks.push_back({{0, dims[d]}, order[d], d});
    }
    TensorPart permuted({element, dims}, whole_slice(dims));
    move(whole_view(*result_), permuted, walks);
    permuted_ = std::move(permuted.tensor);
    result_ = &permuted_;
  }
  Arranged(const Arranged&) = delete;
  Arranged& operator=(const Arranged&) = delete;

  const Tensor& tensor() const noexcept { return *result_; }
  const std::byte* bytes() const noexcept { return result_->bytes(); }

 private:
  Tensor converted_, permuted_;
  const Tensor* result_;
};

// --- Dots ----------------------------------------------------------------------------------------

inline std::vector<std::size_t> indices_of(const std::vector<Extent>& dims) {
  return std::vector<std::size_t>(dims.begin(), dims.end());
}
// The dims of a tensor that neither list names.
inline std::vector<std::size_t> free_dims(std::size_t rank, const std::vector<Extent>& batch,
                                          const std::vector<Extent>& contracting) {
  std::vector<std::size_t> result;
  for (std::size_t d = 0; d < rank; ++d)
    if (!graph::contains(batch, d) && !graph::contains(contracting, d)) result.push_back(d);
  return result;
}
inline std::vector<std::size_t> joined_lists(
    std::initializer_list<std::span<const std::size_t>> lists) {
  std::vector<std::size_t> result;
  for (const auto list : lists) result.insert(result.end(), list.begin(), list.end());
  return result;
}
inline Extent count_of(const Dims& dims, std::span<const std::size_t> chosen) {
  Extent count = 1;
  for (const std::size_t d : chosen) count *= dims[d];
  return count;
}

TESSERA_INLINE void run_dot(const graph::DotDims& dims, const Tensor& lhs, const Tensor& rhs,
                            Tensor& result) {
  const auto lhs_batch = indices_of(dims.lhs_batch), rhs_batch = indices_of(dims.rhs_batch);
  const auto lhs_summed = indices_of(dims.lhs_contracting),
             rhs_summed = indices_of(dims.rhs_contracting);
  const auto rows = free_dims(lhs.dims().size(), dims.lhs_batch, dims.lhs_contracting);
  const auto columns = free_dims(rhs.dims().size(), dims.rhs_batch, dims.rhs_contracting);
  const ElementType element = product_type(lhs.element(), rhs.element(), result.element());
  const Arranged a(lhs, joined_lists({lhs_batch, rows, lhs_summed}), element);
  const Arranged b(rhs, joined_lists({rhs_batch, rhs_summed, columns}), element);
  const Extent batches = count_of(lhs.dims(), lhs_batch), m = count_of(lhs.dims(), rows),
               k = count_of(lhs.dims(), lhs_summed), n = count_of(rhs.dims(), columns);
  Tensor sums;
  if (result.element() != element) sums = Tensor(element, result.dims());
  Tensor& out = result.element() == element ? result : sums;
  const Extent width = graph::bytes_of(element);
  for (Extent i = 0; i < batches; ++i)
    add_product(element, {a.bytes() + i * m * k * width, k}, {b.bytes() + i * k * n * width, n},
                out.bytes() + i * m * n * width, m, k, n);
  if (&out != &result) run_convert(out, result);
}

// --- Convolutions --------------------------------------------------------------------------------

// A convolution on one device.  Its tensors have elements of product_type(); the input lies as it
// is, the kernel as [space..., input features, output features].
struct ConvolutionParts {
  const graph::Convolution& how;
  const TensorView& input;
  const Tensor& input_values;
  const TensorView& kernel;
  const Tensor& kernel_values;
  TensorPart& result;

  Dims in_strides = strides_of(input_values.dims());
  Dims out_strides = strides_of(result.tensor.dims());
  Slice taps = {}, places = {};  // the device's part of the kernel's and of the output's space
};

// Offset in the input of the element that a tap at a place reads, without the image's and the
// feature's; -1 for padding.
inline Extent offset_of(const ConvolutionParts& parts, const Dims& place, const Dims& tap) {
  const graph::ConvolutionDims& dims = parts.how.dims;
  Extent offset = 0;
  for (std::size_t s = 0; s < place.size(); ++s) {
    const graph::WindowDim& window = parts.how.window[s];
    const std::size_t dim = dims.input_space[s];
    const Extent size = parts.kernel.whole[dims.kernel_space[s]];
    const Extent turned = window.is_reversed ? size - 1 - tap[s] : tap[s];
    const Extent spread = place[s] * window.stride - window.pad_low + turned * window.rhs_dilate;
    if (spread < 0 || spread % window.lhs_dilate != 0) return -1;
    const Extent at = spread / window.lhs_dilate;
    if (at >= parts.input.whole[dim]) return -1;
    const Range held = parts.input.slice[dim];
    if (at < held.begin || at >= held.end)
      throw InternalError("a convolution's input lacks elements that its window sees");
    offset += (at - held.begin) * parts.in_strides[dim];
  }
  return offset;
}

// The offset in the input of the first of the summed features of an image's group.
inline Extent input_offset(const ConvolutionParts& parts, Extent image, Extent group) {
  const graph::ConvolutionDims& dims = parts.how.dims;
  const Range summed = parts.kernel.slice[dims.kernel_input];
  const Extent images = parts.result.whole[dims.output_batch];
  const Extent feature_group = dims.feature_groups > 1 ? group : 0;
  const Extent batch = (dims.batch_groups > 1 ? group * images : 0) + image;
  const Extent feature = feature_group * parts.kernel.whole[dims.kernel_input] + summed.begin;
  const Range held_images = parts.input.slice[dims.input_batch],
              held_features = parts.input.slice[dims.input_feature];
  if (batch < held_images.begin || batch >= held_images.end || feature < held_features.begin ||
      feature + summed.size() > held_features.end)
    throw InternalError("a convolution's input lacks images or features of the device's");
  return (batch - held_images.begin) * parts.in_strides[dims.input_batch] +
         (feature - held_features.begin) * parts.in_strides[dims.input_feature];
}

// rows[place, (tap, feature)]: what the window sees at each place.
template<class T>
void unroll(const ConvolutionParts& parts, Extent input_begin, T* rows) {
  const graph::ConvolutionDims& dims = parts.how.dims;
  const T* const base = parts.input_values.data<T>() + input_begin;
  const Extent step = parts.in_strides[dims.input_feature];
  const Extent count = parts.kernel.slice[dims.kernel_input].size();
  T* to = rows;
  for_each_place(parts.places, [&](const Dims& place) {
    for_each_place(parts.taps, [&](const Dims& tap) {
      const Extent at = offset_of(parts, place, tap);
      for (Extent f = 0; f < count; ++f) to[f] = at >= 0 ? base[at + f * step] : T{0};
      to += count;
    });
  });
}

// One image's sums of these output features, row by row, to where they belong.
template<class T>
void put(const ConvolutionParts& parts, Extent image, Range features, const T* sums) {
  const graph::ConvolutionDims& dims = parts.how.dims;
  const Slice& slice = parts.result.slice;
  T* const base = parts.result.tensor.data<T>() +
                  (image - slice[dims.output_batch].begin) * parts.out_strides[dims.output_batch] +
                  (features.begin - slice[dims.output_feature].begin) *
                      parts.out_strides[dims.output_feature];
  const Extent step = parts.out_strides[dims.output_feature];
  for_each_place(parts.places, [&](const Dims& place) {
    Extent at = 0;
    for (std::size_t s = 0; s < place.size(); ++s)
      at += (place[s] - parts.places[s].begin) * parts.out_strides[dims.output_space[s]];
    for (Extent f = 0; f < features.size(); ++f) base[at + f * step] = *sums++;
  });
}

// One image's output features of one group.
template<class T>
void convolve_image(const ConvolutionParts& parts, Extent image, Extent group, Range features,
                    std::vector<T>& unrolled, std::vector<T>& sums) {
  const Extent rows = element_count(dims_of(parts.places));
  const Extent depth = element_count(dims_of(parts.taps)) *
                       parts.kernel.slice[parts.how.dims.kernel_input].size();
  if (rows == 0 || depth == 0) return;
  unrolled.resize(static_cast<std::size_t>(rows * depth));
  unroll(parts, input_offset(parts, image, group), unrolled.data());
  const Range outputs = parts.kernel.slice[parts.how.dims.kernel_output];
  if (features.begin < outputs.begin || features.end > outputs.end)
    throw InternalError("a convolution's kernel lacks output features of the device's");
  sums.assign(static_cast<std::size_t>(rows * features.size()), T{0});
  const T* const weights = parts.kernel_values.data<T>() + (features.begin - outputs.begin);
  add_product(parts.kernel_values.element(),
              {reinterpret_cast<const std::byte*>(unrolled.data()), depth},
              {reinterpret_cast<const std::byte*>(weights), outputs.size()},
              reinterpret_cast<std::byte*>(sums.data()), rows, depth, features.size());
  put(parts, image, features, sums.data());
}

template<class T>
void convolve(const ConvolutionParts& parts) {
  const graph::ConvolutionDims& dims = parts.how.dims;
  const Range images = parts.result.slice[dims.output_batch];
  const Range features = parts.result.slice[dims.output_feature];
  const Extent groups = dims.feature_groups * dims.batch_groups;
  const Extent of_group = parts.result.whole[dims.output_feature] / groups;
  std::vector<T> unrolled, sums;
  for (Extent first = features.begin; first < features.end;) {
    const Extent group = first / of_group;
    const Extent last = std::min(features.end, (group + 1) * of_group);
    for (Extent image = images.begin; image < images.end; ++image)
      convolve_image(parts, image, group, {first, last}, unrolled, sums);
    first = last;
  }
}

TESSERA_INLINE void run_convolution(const graph::Convolution& how, const TensorView& input,
                                    const TensorView& kernel, TensorPart& result) {
  const ElementType element =
      product_type(input.element(), kernel.element(), result.tensor.element());
  std::vector<std::size_t> as_it_is(input.whole.size());
  for (std::size_t d = 0; d < as_it_is.size(); ++d) as_it_is[d] = d;
  const Arranged in(*input.tensor, as_it_is, element);
  const std::size_t ends[] = {how.dims.kernel_input, how.dims.kernel_output};
  const Arranged weights(*kernel.tensor, joined_lists({how.dims.kernel_space, ends}), element);
  const bool is_direct = result.tensor.element() == element;
  TensorPart sums;
  if (!is_direct) sums = TensorPart({element, result.whole}, result.slice);
  ConvolutionParts parts{
      how, input, in.tensor(), kernel, weights.tensor(), is_direct ? result : sums};
  for (const std::size_t d : how.dims.kernel_space) parts.taps.push_back(kernel.slice[d]);
  for (const std::size_t d : how.dims.output_space) parts.places.push_back(result.slice[d]);
  if (element == ElementType::f32)
    convolve<float>(parts);
  else if (element == ElementType::f64)
    convolve<double>(parts);
  else
    convolve<std::uint64_t>(parts);
  if (!is_direct) run_convert(sums.tensor, result.tensor);
}

}  // namespace tessera::executor::detail
