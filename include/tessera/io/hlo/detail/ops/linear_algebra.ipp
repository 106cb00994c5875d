// SPDX-License-Identifier: Apache-2.0
//
// The bodies of linear_algebra.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/linear_algebra.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "tessera/graph/ops.hpp"

namespace tessera::io::hlo::detail {

TESSERA_INLINE std::optional<graph::Rule> batched_rule(const RuleSite& site, std::size_t count) {
  Dims tensor;
  for (const Dims& dims : site.tensors.operand_dims)
    if (dims.size() > tensor.size()) tensor = dims;
  if (tensor.size() < count) return std::nullopt;
  for (const Dims& dims : site.tensors.result_dims)
    if (dims.size() + 1 < tensor.size() || dims.size() + count < tensor.size() ||
        !std::equal(tensor.begin(), tensor.end() - count, dims.begin()))
      return std::nullopt;
  return graph::batched_rule(tensor, site.tensors.operand_dims, site.tensors.result_dims, count);
}

TESSERA_INLINE std::optional<Shape> cholesky_shape(const ShapeSite& site) { return array(site, 0); }

TESSERA_INLINE std::optional<graph::Rule> cholesky_rule(const RuleSite& site) {
  return batched_rule(site, 2);
}

TESSERA_INLINE std::optional<Shape> triangular_solve_shape(const ShapeSite& site) {
  return array(site, 1);
}

TESSERA_INLINE std::optional<graph::Rule> triangular_solve_rule(const RuleSite& site) {
  const Dims &a = site.tensors.operand_dims[0], &b = site.tensors.operand_dims[1];
  if (a.size() < 2 || a.size() != b.size() || site.tensors.result_dims[0] != b) return std::nullopt;
  if (!std::equal(a.begin(), a.end() - 2, b.begin())) return std::nullopt;
  return graph::triangular_solve_rule(a, b, site.attributes.boolean("left_side", false));
}

// Linear, along as many of the last dims as the attribute says.
TESSERA_INLINE std::optional<graph::Rule> fft_rule(const RuleSite& site) {
  const std::size_t count = site.attributes.ints("fft_length").size();
  const Dims& in = site.tensors.operand_dims[0];
  const Dims& out = site.tensors.result_dims[0];
  if (count == 0 || count > in.size() || out.size() != in.size()) return std::nullopt;
  if (!std::equal(in.begin(), in.end() - count, out.begin())) return std::nullopt;
  const graph::PartialPass pass{graph::reduction_set(Reduction::sum), 0b1};
  return graph::batched_rule(in, site.tensors.operand_dims, site.tensors.result_dims, count,
                             std::span(&pass, 1));
}

}  // namespace tessera::io::hlo::detail
