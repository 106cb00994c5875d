// SPDX-License-Identifier: Apache-2.0
//
// Batch normalisation: an inference, and the parts that a training's and a gradient's fall into.
//
// Sums are over what a device holds, so they may be partial; everything else is element by element,
// with one row of numbers for each feature.  All of it in double.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/executor/elementwise.hpp"
#include "tessera/executor/movement.hpp"
#include "tessera/graph/attributes.hpp"

namespace tessera::executor {

namespace detail {

inline Tensor as_double(const Tensor& tensor) {
  Tensor result(ElementType::f64, tensor.dims());
  run_convert(tensor, result);
  return result;
}

// Calls visit(element, its feature) for all elements of a tensor of these dims.
template<class Visit>
void for_each_feature(const Dims& dims, std::size_t feature, Visit&& visit) {
  std::size_t inner = 1;
  for (std::size_t d = feature + 1; d < dims.size(); ++d)
    inner *= static_cast<std::size_t>(dims[d]);
  const auto features = static_cast<std::size_t>(dims[feature]);
  const auto size = static_cast<std::size_t>(element_count(dims));
  for (std::size_t i = 0; i < size; ++i) visit(i, i / inner % features);
}

}  // namespace detail

// @pre the operands are those of the part, as graph::NormalisationPart lists them
inline void run_normalisation(const graph::Normalisation& how, std::span<const Part> operands,
                              Tensor& result) {
  using graph::NormalisationPart;
  std::vector<Tensor> in;
  for (const Part& operand : operands) in.push_back(detail::as_double(*operand.tensor));
  Tensor out(ElementType::f64, result.dims());
  double* const to = out.data<double>();
  const auto x = [&](std::size_t operand, std::size_t i) { return in[operand].data<double>()[i]; };
  const auto for_each = [&](auto&& visit) {
    detail::for_each_feature(in[0].dims(), static_cast<std::size_t>(how.feature), visit);
  };
  const auto count = static_cast<double>(how.count);
  const auto deviation = [&](double variance) { return std::sqrt(variance + how.epsilon); };
  switch (how.part) {
    case NormalisationPart::whole:  // of x, scale, offset, mean, variance
      for_each([&](std::size_t i, std::size_t f) {
        to[i] = (x(0, i) - x(3, f)) * x(1, f) / deviation(x(4, f)) + x(2, f);
      });
      break;
    case NormalisationPart::normalised:
      for_each([&](std::size_t i, std::size_t f) {
        to[i] = (x(0, i) - x(1, f)) * x(3, f) / deviation(x(2, f)) + x(4, f);
      });
      break;
    case NormalisationPart::sum:
      for_each([&](std::size_t i, std::size_t f) { to[f] += x(0, i); });
      break;
    case NormalisationPart::squares:
      for_each([&](std::size_t i, std::size_t f) { to[f] += x(0, i) * x(0, i); });
      break;
    case NormalisationPart::products:
      for_each([&](std::size_t i, std::size_t f) { to[f] += (x(0, i) - x(1, f)) * x(2, i); });
      break;
    case NormalisationPart::mean:
      for (std::size_t f = 0; f < out.size(); ++f) to[f] = x(0, f) / count;
      break;
    case NormalisationPart::variance:
      for (std::size_t f = 0; f < out.size(); ++f)
        to[f] = std::max(0.0, x(0, f) / count - x(1, f) * x(1, f));
      break;
    case NormalisationPart::scale_gradient:
      for (std::size_t f = 0; f < out.size(); ++f) to[f] = x(0, f) / deviation(x(1, f));
      break;
    case NormalisationPart::gradient:
      for_each([&](std::size_t i, std::size_t f) {
        const double square = x(3, f) + how.epsilon;
        const double centred = (x(0, i) - x(2, f)) * x(6, f) / (count * square);
        to[i] = x(1, f) / std::sqrt(square) * (x(4, i) - x(5, f) / count - centred);
      });
      break;
  }
  run_convert(out, result);
}

}  // namespace tessera::executor
