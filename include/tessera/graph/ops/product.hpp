// SPDX-License-Identifier: Apache-2.0
//
// Products of two tensors, summed over dims that the result lacks.
#pragma once
#include <cstddef>
#include <vector>

#include "tessera/graph/builder.hpp"

namespace tessera::graph {

/// Bilinear: a partial operand gives a partial result.
Rule dot_rule(const Dims& lhs, const Dims& rhs, const DotDims& dims);

/// Batch dims, then what is left of `lhs`, then what is left of `rhs`.
Dims dot_shape(const Dims& lhs, const Dims& rhs, const DotDims& dims);

namespace detail {

// Dims of one number correspond, in the operands and in the result of a product.
using Labels = std::vector<std::size_t>;

// The sum of products over the labels that only the operands have.  Throws InvalidArgument where a
// label occurs in one operand alone and not in the result.
Tensor contract(const Tensor& a, const Labels& in_a, const Tensor& b, const Labels& in_b,
                const Labels& in_result);

Tensor einsum(const Rule& rule, const Tensor& a, const Tensor& b);

}  // namespace detail

/// The sum of products over the letters that only the operands have, as in
/// einsum<"bmk,bkn->bmn">(x, w).  Throws InvalidRule where the shapes do not fit the letters, and
/// InvalidArgument where a letter occurs in one operand alone.
template<FixedString Text>
Tensor einsum(const Tensor& a, const Tensor& b) {
  static_assert(rule<Text>.operand_count() == 2 && rule<Text>.result_count() == 1,
                "einsum takes two operands and gives one result");
  return detail::einsum(Rule(rule<Text>), a, b);
}

namespace detail {

struct AdjointEntry;
// How the ops of this family turn the adjoint of their result into adjoints of their operands.
std::span<const AdjointEntry> product_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/product.ipp"
#endif
