// SPDX-License-Identifier: Apache-2.0
//
// Products: dots of any batch and contracting dims, and convolutions, both as Eigen's matrix
// products.
//
// Operands are laid out as matrices first, where they are not already: a dot's are permuted, a
// convolution's input is unrolled, one image at a time, so that each place of the window is a row.
// A device computes with what it holds: sums go over its part of what is summed over.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/elementwise.hpp"
#include "tessera/executor/movement.hpp"
#include "tessera/graph/attributes.hpp"

namespace tessera::executor {

namespace detail {

template<class C>
using RowMajor = Eigen::Matrix<C, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template<class C>
using MatrixView = Eigen::Map<const RowMajor<C>, Eigen::Unaligned, Eigen::OuterStride<>>;
template<class C>
using MutableMatrixView = Eigen::Map<RowMajor<C>, Eigen::Unaligned, Eigen::OuterStride<>>;

// The type that products of such elements are summed up in.
inline ElementType product_type(ElementType a, ElementType b, ElementType result) {
  ElementType widest = ElementType::f32;
  for (const ElementType element : {a, b, result}) {
    if (element == ElementType::f64) widest = ElementType::f64;
    if (!graph::is_floating(element)) return ElementType::s64;  // wraps around like any width
  }
  return widest;
}

// Calls use(std::type_identity<C>()) for what product_type() answers.
template<class Use>
void with_product_type(ElementType element, Use&& use) {
  if (element == ElementType::f32) return use(std::type_identity<float>());
  if (element == ElementType::f64) return use(std::type_identity<double>());
  use(std::type_identity<std::int64_t>());
}

// result += a b, by rows.  Integers wrap around, in a plain loop.
template<class C>
void add_product(const MatrixView<C>& a, const MatrixView<C>& b, MutableMatrixView<C> result) {
  if constexpr (std::is_integral_v<C>) {
    for (Eigen::Index i = 0; i < a.rows(); ++i)
      for (Eigen::Index k = 0; k < a.cols(); ++k)
        for (Eigen::Index j = 0; j < b.cols(); ++j)
          result(i, j) = static_cast<C>(static_cast<std::uint64_t>(result(i, j)) +
                                        static_cast<std::uint64_t>(a(i, k)) *
                                            static_cast<std::uint64_t>(b(k, j)));
  } else {
    result.noalias() += a * b;
  }
}

inline Extent count_of(const Dims& dims, std::span<const std::size_t> chosen) {
  Extent count = 1;
  for (const std::size_t d : chosen) count *= dims[d];
  return count;
}

// The tensor with its dims in this order, and elements of this type.  No copy where both are so.
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
    OwnedPart permuted({element, dims}, whole_slice(dims));
    move(whole_part(*result_), permuted, walks);
    permuted_ = std::move(permuted.tensor);
    result_ = &permuted_;
  }
  Arranged(const Arranged&) = delete;
  Arranged& operator=(const Arranged&) = delete;

  const Tensor& tensor() const noexcept { return *result_; }

 private:
  Tensor converted_, permuted_;
  const Tensor* result_;
};

inline std::vector<std::size_t> places(const std::vector<Extent>& dims) {
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

}  // namespace detail

// @pre both hold the same of the batch and contracting dims, and result is their product's
inline void run_dot(const graph::DotDims& dims, const Tensor& lhs, const Tensor& rhs,
                    Tensor& result) {
  using namespace detail;
  const auto lhs_batch = places(dims.lhs_batch), rhs_batch = places(dims.rhs_batch);
  const auto lhs_summed = places(dims.lhs_contracting), rhs_summed = places(dims.rhs_contracting);
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
  with_product_type(element, [&]<class C>(std::type_identity<C>) {
    for (Extent i = 0; i < batches && m > 0 && n > 0 && k > 0; ++i)
      add_product<C>({a.tensor().data<C>() + i * m * k, m, k, Eigen::OuterStride<>(k)},
                     {b.tensor().data<C>() + i * k * n, k, n, Eigen::OuterStride<>(n)},
                     {out.data<C>() + i * m * n, m, n, Eigen::OuterStride<>(n)});
  });
  if (&out != &result) run_convert(out, result);
}

namespace detail {

// The convolution of one device: its parts, in the type that sums are made in.
template<class C>
class Convolver {
 public:
  // The input is read as it lies; the kernel lies as [space..., input features, output features].
  Convolver(const graph::Convolution& how, const Part& input, const Tensor& input_values,
            const Part& kernel, const Tensor& kernel_values, OwnedPart& result)
      : how_(how),
        dims_(how.dims),
        input_(input),
        in_(input_values.data<C>()),
        in_strides_(strides_of(input_values.dims())),
        kernel_(kernel),
        weights_(kernel_values.data<C>()),
        result_(result),
        out_strides_(strides_of(result.tensor.dims())) {
    for (const std::size_t d : dims_.kernel_space) taps_.push_back(kernel.slice[d]);
    for (const std::size_t d : dims_.output_space) places_.push_back(result.slice[d]);
  }

  void run() {
    const Range images = result_.slice[dims_.output_batch];
    const Range features = result_.slice[dims_.output_feature];
    const Extent groups = dims_.feature_groups * dims_.batch_groups;
    const Extent of_group = result_.whole[dims_.output_feature] / groups;
    for (Extent first = features.begin; first < features.end;) {
      const Extent group = first / of_group;
      const Extent last = std::min(features.end, (group + 1) * of_group);
      for (Extent image = images.begin; image < images.end; ++image)
        run_image(image, group, {first, last});
      first = last;
    }
  }

 private:
  // One image's output features of one group.
  void run_image(Extent image, Extent group, Range features) {
    const Range summed = kernel_.slice[dims_.kernel_input];
    const Extent rows = element_count(dims_of(places_));
    const Extent depth = element_count(dims_of(taps_)) * summed.size();
    if (rows == 0 || depth == 0) return;
    unroll(image, group, summed, rows, depth);
    const Range outputs = kernel_.slice[dims_.kernel_output];
    if (features.begin < outputs.begin || features.end > outputs.end)
      throw InternalError("a convolution's kernel lacks output features of the device's");
    sums_.setZero(rows, features.size());
    const Extent stride = outputs.size();
    add_product<C>({unrolled_.data(), rows, depth, Eigen::OuterStride<>(depth)},
                   {weights_ + (features.begin - outputs.begin), depth, features.size(),
                    Eigen::OuterStride<>(stride)},
                   {sums_.data(), rows, features.size(), Eigen::OuterStride<>(features.size())});
    put(image, features);
  }

  // unrolled_[place, (tap, feature)]: what the window sees at each place.
  void unroll(Extent image, Extent group, Range summed, Extent rows, Extent depth) {
    unrolled_.setZero(rows, depth);
    const Extent images = result_.whole[dims_.output_batch];
    const Extent feature_group = dims_.feature_groups > 1 ? group : 0;
    const Extent batch = (dims_.batch_groups > 1 ? group * images : 0) + image;
    const Extent feature = feature_group * kernel_.whole[dims_.kernel_input] + summed.begin;
    const Range held_images = input_.slice[dims_.input_batch],
                held_features = input_.slice[dims_.input_feature];
    if (batch < held_images.begin || batch >= held_images.end || feature < held_features.begin ||
        feature + summed.size() > held_features.end)
      throw InternalError("a convolution's input lacks images or features of the device's");
    const C* const base = in_ + (batch - held_images.begin) * in_strides_[dims_.input_batch] +
                          (feature - held_features.begin) * in_strides_[dims_.input_feature];
    const Extent step = in_strides_[dims_.input_feature], count = summed.size();
    C* row = unrolled_.data();
    for_each_place(places_, [&](const Dims& place) {
      C* to = row;
      for_each_place(taps_, [&](const Dims& tap) {
        const Extent at = offset_of(place, tap);
        if (at >= 0)
          for (Extent f = 0; f < count; ++f) to[f] = base[at + f * step];
        to += count;
      });
      row += depth;
    });
  }

  // Where in the input a tap at a place reads, past the image and feature; -1 for padding.
  Extent offset_of(const Dims& place, const Dims& tap) const {
    Extent offset = 0;
    for (std::size_t s = 0; s < place.size(); ++s) {
      const graph::WindowDim& window = how_.window[s];
      const std::size_t dim = dims_.input_space[s];
      const Extent size = kernel_.whole[dims_.kernel_space[s]];
      const Extent turned = window.is_reversed ? size - 1 - tap[s] : tap[s];
      const Extent spread = place[s] * window.stride - window.pad_low + turned * window.rhs_dilate;
      if (spread < 0 || spread % window.lhs_dilate != 0) return -1;
      const Extent at = spread / window.lhs_dilate;
      if (at >= input_.whole[dim]) return -1;
      const Range held = input_.slice[dim];
      if (at < held.begin || at >= held.end)
        throw InternalError("a convolution's input lacks elements that its window sees");
      offset += (at - held.begin) * in_strides_[dim];
    }
    return offset;
  }

  void put(Extent image, Range features) {
    C* const base = result_.tensor.template data<C>() +
                    (image - result_.slice[dims_.output_batch].begin) *
                        out_strides_[dims_.output_batch] +
                    (features.begin - result_.slice[dims_.output_feature].begin) *
                        out_strides_[dims_.output_feature];
    const Extent step = out_strides_[dims_.output_feature];
    Eigen::Index row = 0;
    for_each_place(places_, [&](const Dims& place) {
      Extent at = 0;
      for (std::size_t s = 0; s < place.size(); ++s)
        at += (place[s] - places_[s].begin) * out_strides_[dims_.output_space[s]];
      for (Extent f = 0; f < features.size(); ++f) base[at + f * step] = sums_(row, f);
      ++row;
    });
  }

  const graph::Convolution& how_;
  const graph::ConvolutionDims& dims_;
  const Part& input_;
  const C* in_;
  Dims in_strides_;
  const Part& kernel_;
  const C* weights_;
  OwnedPart& result_;
  Dims out_strides_;
  Slice taps_, places_;  // what the device has of the kernel's and of the output's space
  RowMajor<C> unrolled_, sums_;
};

}  // namespace detail

// @pre the device holds what the window sees, as the rule says
inline void run_convolution(const graph::Convolution& how, const Part& input, const Part& kernel,
                            OwnedPart& result) {
  using namespace detail;
  const ElementType element =
      product_type(input.element(), kernel.element(), result.tensor.element());
  std::vector<std::size_t> as_it_is(input.whole.size());
  for (std::size_t d = 0; d < as_it_is.size(); ++d) as_it_is[d] = d;
  const Arranged in(*input.tensor, as_it_is, element);
  const std::size_t ends[] = {how.dims.kernel_input, how.dims.kernel_output};
  const Arranged weights(*kernel.tensor, joined_lists({how.dims.kernel_space, ends}), element);
  const bool is_direct = result.tensor.element() == element;
  OwnedPart sums;
  if (!is_direct) sums = OwnedPart({element, result.whole}, result.slice);
  with_product_type(element, [&]<class C>(std::type_identity<C>) {
    Convolver<C>(how, input, in.tensor(), kernel, weights.tensor(), is_direct ? result : sums)
        .run();
  });
  if (!is_direct) run_convert(sums.tensor, result.tensor);
}

}  // namespace tessera::executor
