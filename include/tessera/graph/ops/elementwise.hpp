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

/// One result, element by element.  Operands have the result's dims or are scalars.
Rule elementwise_rule(std::span<const Dims> operands, const Dims& result,
                      std::span<const PartialPass> passes = {});

/// Of an op of two operands, whose elements are of this type.
std::vector<PartialPass> binary_passes(Opcode opcode, ElementType element);

/// A partial sum may be widened, not narrowed: rounding each part is not rounding the whole.
std::vector<PartialPass> convert_passes(ElementType from, ElementType to);

Tensor operator+(const Tensor& a, const Tensor& b);

/// With a number that is the same for all elements.
Tensor operator+(const Tensor& x, double number);

Tensor operator-(const Tensor& a, const Tensor& b);

Tensor operator-(const Tensor& x);

Tensor operator-(const Tensor& x, double number);

Tensor operator-(double number, const Tensor& x);

Tensor operator*(const Tensor& a, const Tensor& b);

Tensor operator*(const Tensor& x, double number);

Tensor operator/(const Tensor& a, const Tensor& b);

Tensor operator/(double number, const Tensor& x);

Tensor maximum(const Tensor& a, const Tensor& b);

Tensor minimum(const Tensor& a, const Tensor& b);

Tensor power(const Tensor& base, const Tensor& exponent);

Tensor compare(const Tensor& a, const Tensor& b, Direction direction);

Tensor operator>(const Tensor& a, const Tensor& b);

Tensor operator<(const Tensor& a, const Tensor& b);

Tensor operator>=(const Tensor& a, const Tensor& b);

Tensor operator<=(const Tensor& a, const Tensor& b);

Tensor equal(const Tensor& a, const Tensor& b);

Tensor exp(const Tensor& x);

Tensor log(const Tensor& x);

Tensor tanh(const Tensor& x);

Tensor sqrt(const Tensor& x);

Tensor rsqrt(const Tensor& x);

Tensor logistic(const Tensor& x);

Tensor sin(const Tensor& x);

Tensor cos(const Tensor& x);

/// The same numbers, as near as the other type has them; nothing where it is the same type.
Tensor convert(const Tensor& x, ElementType element);

/// p ? a : b, element by element.
Tensor select(const Tensor& p, Tensor a, Tensor b);

namespace detail {

struct AdjointEntry;
// How the ops of this family hand adjoints to their operands.
std::span<const AdjointEntry> elementwise_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/elementwise.ipp"
#endif
