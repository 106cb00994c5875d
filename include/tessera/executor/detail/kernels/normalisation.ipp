// SPDX-License-Identifier: Apache-2.0
//
// The formulas of batch normalisation: with one number for each element, or for each feature.
#pragma once
#include "tessera/executor/detail/kernels/normalisation.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "tessera/executor/detail/kernels/elementwise.hpp"

namespace tessera::executor::detail {

TESSERA_INLINE Tensor as_double(const Tensor& tensor) {
  Tensor result(ElementType::f64, tensor.dims());
  run_convert(tensor, result);
  return result;
}

// The operands in double, x(operand, element), and the attributes.
struct NormalisationInputs {
  std::vector<Tensor> operands;
  double count = 0, epsilon = 0;

  double operator()(std::size_t operand, std::size_t i) const {
    return operands[operand].data<double>()[i];
  }
  double deviation(double variance) const { return std::sqrt(variance + epsilon); }
};

// A result element from the inputs at element i, of feature f.
inline double normalised(graph::NormalisationPart part, const NormalisationInputs& x, std::size_t i,
                         std::size_t f) {
  using enum graph::NormalisationPart;
  switch (part) {
    case whole:  // of x, scale, offset, mean, variance
      return (x(0, i) - x(3, f)) * x(1, f) / x.deviation(x(4, f)) + x(2, f);
    case normalised: return (x(0, i) - x(1, f)) * x(3, f) / x.deviation(x(2, f)) + x(4, f);
    case sum: return x(0, i);
    case squares: return x(0, i) * x(0, i);
    case products: return (x(0, i) - x(1, f)) * x(2, i);
    case mean: return x(0, f) / x.count;
    case variance: return std::max(0.0, x(0, f) / x.count - x(1, f) * x(1, f));
    case scale_gradient: return x(0, f) / x.deviation(x(1, f));
    case gradient: {
      const double square = x(3, f) + x.epsilon;
      const double centred = (x(0, i) - x(2, f)) * x(6, f) / (x.count * square);
      return x(1, f) / std::sqrt(square) * (x(4, i) - x(5, f) / x.count - centred);
    }
  }
  return 0;
}

// How the results of a part lie: an element each, a sum over each feature's elements, or one number
// for each feature.
enum class NormalisationShape { elements, sums, features };
inline NormalisationShape shape_of(graph::NormalisationPart part) {
  using enum graph::NormalisationPart;
  switch (part) {
    case whole:
    case normalised:
    case gradient: return NormalisationShape::elements;
    case sum:
    case squares:
    case products: return NormalisationShape::sums;
    default: return NormalisationShape::features;
  }
}

TESSERA_INLINE void run_normalisation(const graph::Normalisation& how,
                                      std::span<const TensorView> operands, Tensor& result) {
  NormalisationInputs in{{}, static_cast<double>(how.count), how.epsilon};
  for (const TensorView& operand : operands) in.operands.push_back(as_double(*operand.tensor));
  Tensor out(ElementType::f64, result.dims());
  double* const to = out.data<double>();
  const NormalisationShape shape = shape_of(how.part);
  if (shape == NormalisationShape::features) {
    for (std::size_t f = 0; f < out.size(); ++f) to[f] = normalised(how.part, in, f, f);
    return run_convert(out, result);
  }
  const Dims& dims = in.operands[0].dims();
  const auto feature = static_cast<std::size_t>(how.feature);
  const auto features = static_cast<std::size_t>(dims[feature]);
  std::size_t inner = 1;
  for (std::size_t d = feature + 1; d < dims.size(); ++d)
    inner *= static_cast<std::size_t>(dims[d]);
  for (std::size_t i = 0; i < in.operands[0].size(); ++i) {
    const std::size_t f = i / inner % features;
    const double value = normalised(how.part, in, i, f);
    if (shape == NormalisationShape::sums)
      to[f] += value;
    else
      to[i] = value;
  }
  run_convert(out, result);
}

}  // namespace tessera::executor::detail
