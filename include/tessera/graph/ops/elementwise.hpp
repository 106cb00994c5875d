// SPDX-License-Identifier: Apache-2.0
//
// Ops whose result elements depend on the operands' elements in their places: arithmetic,
// comparisons, selections, conversions.
#pragma once
#include <span>
#include <vector>

#include "tessera/graph/builder.hpp"
#include "tessera/graph/opcode.hpp"

namespace tessera::graph {

/// The rule of an op with one result.  An operand has the result's dims or is a scalar.
Rule elementwise_rule(std::span<const Dims> operands, const Dims& result,
                      std::span<const PartialPass> passes = {});

/// The partial results that pass through an op of two operands, by its traits.  `element` is the
/// element type: the division of integers rounds, so it is not linear.
std::vector<PartialPass> binary_passes(Opcode opcode, ElementType element);

/// The partial results that pass through a conversion.  A partial sum may be widened but not
/// narrowed: rounding each term is not rounding the sum.
std::vector<PartialPass> convert_passes(ElementType from, ElementType to);

// Operands of one type.  A scalar is broadcast to the other operand's dims.  All throw
// InvalidArgument where the operands differ otherwise.
Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor power(const Tensor& base, const Tensor& exponent);

// With one number for all elements.
Tensor operator+(const Tensor& x, double number);
Tensor operator-(const Tensor& x, double number);
Tensor operator*(const Tensor& x, double number);
Tensor operator/(double number, const Tensor& x);
Tensor operator-(double number, const Tensor& x);

// Truth values.
Tensor compare(const Tensor& a, const Tensor& b, Direction direction);
Tensor operator>(const Tensor& a, const Tensor& b);
Tensor operator<(const Tensor& a, const Tensor& b);
Tensor operator>=(const Tensor& a, const Tensor& b);
Tensor operator<=(const Tensor& a, const Tensor& b);
Tensor equal(const Tensor& a, const Tensor& b);

Tensor operator-(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);
Tensor logistic(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);

/// The same numbers in another element type, rounded; x itself where it is of that type.
Tensor convert(const Tensor& x, ElementType element);

/// p ? a : b, element by element.  Throws InvalidArgument where p is no truth value, or where the
/// operands' dims differ.
Tensor select(const Tensor& p, Tensor a, Tensor b);

namespace detail {

struct AdjointEntry;
// How the ops of this family turn the adjoint of their result into adjoints of their operands.
std::span<const AdjointEntry> elementwise_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/elementwise.ipp"
#endif
