// SPDX-License-Identifier: Apache-2.0
//
// The computation and memory traffic of one device for an op: the matrix product that it is, if it
// is one, and the bytes that pass between memory and arithmetic.
//
// How long that takes is the roofline's concern (roofline.hpp); what an op asks of memory in the
// first place is workload.hpp's.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tessera/core/wide.hpp"
#include "tessera/graph/element_type.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::cost {

/// A matrix product, `batch` times [rows, depth] by [depth, columns]; all 0 for anything else.
struct Product {
  Wide batch = 0, rows = 0, columns = 0, depth = 0;

  constexpr Wide flops() const noexcept { return 2 * batch * rows * columns * depth; }
  friend constexpr bool operator==(const Product&, const Product&) = default;
};

/// How many products run as one: those that read the same tensor side by side, so that their rows
/// or columns are as many times more; those whose results are only added up, with their depth.
struct Merged {
  std::uint8_t rows = 1, columns = 1, depth = 1;

  friend constexpr bool operator==(const Merged&, const Merged&) = default;
};

/// The computation and memory traffic of one device for an op.
struct Work {
  Product product;
  graph::ElementType element = graph::ElementType::f32;  ///< of the product's operands
  Wide bytes = 0;                                        ///< between memory and arithmetic
  bool launches = false;                                 ///< whether a kernel ends in the op
  Merged merged = {};
  bool is_fused = false;  ///< a part of fused attention (workload.hpp)
  int halves = 2;         ///< of the product that are computed: 2, but in fused attention
};

/// A heavy op as a matrix product; local_size(factor) is what one device has of a factor.  Factors
/// of the result and both operands are its batch, those that only the second operand has its depth:
/// a convolution is a product of windows by its kernel.  @pre two operands at least, one result
template<graph::RuleLike R, class LocalSize>
constexpr Product product_of(const R& rule, LocalSize&& local_size) {
  const auto has = [&](std::size_t tensor, std::size_t factor) {
    for (std::size_t d = 0; d < rule.rank(tensor); ++d)
      for (const graph::FactorId f : rule.dim(tensor, d))
        if (f == factor) return true;
    return false;
  };
  const std::size_t result = rule.operand_count();
  Product product{1, 1, 1, 1};
  for (std::size_t f = 0; f < rule.factor_count(); ++f) {
    const Wide size = local_size(f);
    if (has(result, f) && has(1, f))
      (has(0, f) ? product.batch : product.columns) *= size;
    else if (has(result, f))
      product.rows *= size;
    else if (has(1, f))
      product.depth *= size;
  }
  return product;
}

}  // namespace tessera::cost
