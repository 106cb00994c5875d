// SPDX-License-Identifier: Apache-2.0
//
// Ops that compute each element of the result from the elements in its place.
//
// Elements are widened to one of four types to compute with (float, double, and integers of 64 bits
// with and without a sign), block by block, and narrowed again where they are stored.  So integers
// wrap around as their type does, f16 and bf16 are rounded once per op, and each op is compiled for
// four types instead of thirteen.
//
// HLO defines what an op means; where it leaves something open (a division of integers by zero),
// the result is that of XLA's CPU backend.
#pragma once
#include <cstddef>

#include "tessera/core/inline.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/attributes.hpp"
#include "tessera/graph/opcode.hpp"

namespace tessera::executor::detail {

using graph::Opcode;

// Returns whether there is such an op of one operand.  @pre the result has the operand's type
bool run_unary(graph::Opcode opcode, const Tensor& x, Tensor& result);

// Of two operands, one of which may be a scalar.
bool run_binary(graph::Opcode opcode, const Tensor& x, const Tensor& y, Tensor& result);

// Truth values.  NaN is unequal to all numbers, and neither less nor greater.
void run_compare(graph::Direction direction, const Tensor& x, const Tensor& y, Tensor& result);

void run_is_finite(const Tensor& x, Tensor& result);

// Also between element types that are computed in different types.
void run_convert(const Tensor& x, Tensor& result);

// choice[i] ? a[i] : b[i], where choice may be a scalar.
void run_select(const Tensor& choice, const Tensor& a, const Tensor& b, Tensor& result);

// low and high may be scalars.
void run_clamp(const Tensor& low, const Tensor& x, const Tensor& high, Tensor& result);

// 0, 1, 2 and so on along `dim`: those of the slice of the whole that the result is.
void run_iota(const Slice& part, std::size_t dim, Tensor& result);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/kernels/elementwise.ipp"
#endif
