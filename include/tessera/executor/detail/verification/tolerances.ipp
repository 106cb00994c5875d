// SPDX-License-Identifier: Apache-2.0
//
// Rounding, measured.
#pragma once
#include "tessera/executor/detail/verification/tolerances.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "tessera/core/integer.hpp"
#include "tessera/executor/verify.hpp"

namespace tessera::executor::detail {

// The largest relative rounding error of one operation.
inline double rounding_unit(ElementType element) {
  switch (element) {
    case ElementType::bf16: return 0x1p-9;
    case ElementType::f16: return 0x1p-12;
    case ElementType::f64: return 0x1p-54;
    default: return 0x1p-25;
  }
}
inline double coarsest_unit(const graph::Graph& graph) {
  double unit = rounding_unit(ElementType::f64);
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    for (const TensorType& type : graph.op(id).results)
      if (graph::is_floating(type.element)) unit = std::max(unit, rounding_unit(type.element));
  return unit;
}

TESSERA_INLINE double whole_difference(const Tensor& a, const Tensor& b) {
  return difference({a, whole_slice(a.dims()), a.dims()}, b);
}

TESSERA_INLINE std::vector<Tensor> nudged(std::vector<Tensor> tensors) {
  for (Tensor& tensor : tensors) {
    if (tensor.element() != ElementType::f64) continue;
    for (std::size_t i = 0; i < tensor.size(); ++i) {
      const double limit = mix_bits(i) % 2 == 0 ? std::numeric_limits<double>::max()
                                                : std::numeric_limits<double>::lowest();
      const double number = tensor.number(i);
      if (number != 0 && std::isfinite(number)) tensor.set_number(i, std::nextafter(number, limit));
    }
  }
  return tensors;
}

// How far rounding moves each output from the same in double.  For floating-point outputs at least
// the median of all outputs: a single one may be close by chance.
inline std::vector<double> roundings_of(const std::vector<Tensor>& outputs,
                                        const std::vector<Tensor>& outputs_in_double) {
  std::vector<double> off;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    off.push_back(whole_difference(outputs[i], outputs_in_double[i]));
  std::vector<double> sorted = off;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(off.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  for (std::size_t i = 0; i < off.size(); ++i)
    if (graph::is_floating(outputs[i].element())) off[i] = std::max(off[i], *middle);
  return off;
}

// The tolerance of an output in its own type, given how far rounding moves the reference, and the
// tolerance in double.
inline double tolerance_in(ElementType element, double rounding, double in_double) {
  if (!graph::is_floating(element)) return rounding;
  // Where large terms cancel to a small sum, partial sums round by any multiple of it.  Such
  // numbers can not be compared; the run in double is.
  if (rounding > 0x1p-5)
    return std::isfinite(rounding) ? std::numeric_limits<double>::max()
                                   : std::numeric_limits<double>::infinity();
  if (element == ElementType::f64) return in_double;
  return std::max(10 * rounding, 100 * rounding_unit(element));
}

TESSERA_INLINE Tolerances tolerances_of(const graph::Graph& graph,
                                        const std::vector<Tensor>& outputs,
                                        const std::vector<Tensor>& outputs_in_double,
                                        const std::vector<Tensor>& nudged_outputs,
                                        const std::function<std::vector<Tensor>()>& in_floats) {
  Tolerances result;
  if (outputs.empty()) return result;
  double unit = coarsest_unit(graph);
  const bool is_in_double = unit == rounding_unit(ElementType::f64);
  if (is_in_double) unit = rounding_unit(ElementType::f32);
  const double share = rounding_unit(ElementType::f64) / unit;
  const std::vector<double> roundings =
      roundings_of(is_in_double ? in_floats() : outputs, outputs_in_double);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const ElementType element = outputs[i].element();
    const double last_bits = whole_difference(nudged_outputs[i], outputs_in_double[i]);
    const double left = std::min(roundings[i] * share, last_bits);
    const double in_double = graph::is_floating(element) ? std::max(1000 * left, 1e-10) : 0;
    result.in_double.push_back(in_double);
    result.own.push_back(tolerance_in(element, roundings[i], in_double));
  }
  return result;
}

}  // namespace tessera::executor::detail
