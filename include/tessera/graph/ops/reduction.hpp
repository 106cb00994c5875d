// SPDX-License-Identifier: Apache-2.0
//
// Reductions over whole dims.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/graph/builder.hpp"

namespace tessera::graph {

/// One operand and its initial value, reduced over these dims.  The initial value must be added
/// once and not by every device, so it enters as a partial result: all devices but one use the
/// neutral element, which costs nothing.  Where the reduction is none (an unknown reducer), the
/// reduced dims stay whole.
Rule reduce_rule(const Dims& operand, std::span<const Extent> reduced, Reduction reduction);
/// The dims that are not reduced.
Dims reduce_shape(const Dims& operand, std::span<const Extent> reduced);

/// `count` operands that are reduced together, as for an argmax: the reduced dims stay whole.
Rule variadic_reduce_rule(const Dims& operand, std::size_t count, std::span<const Extent> reduced);

namespace detail {

// The element that changes nothing, as a scalar of x's type.
Tensor neutral_of(const Tensor& x, Reduction reduction);
Tensor reduce(const Tensor& x, const std::vector<Extent>& over, Reduction reduction);

}  // namespace detail

/// Over these dims, which the result lacks.  Throw InvalidArgument where x has no such dims.
Tensor reduce_sum(const Tensor& x, const std::vector<Extent>& over);
Tensor reduce_max(const Tensor& x, const std::vector<Extent>& over);
Tensor reduce_min(const Tensor& x, const std::vector<Extent>& over);

namespace detail {

struct AdjointEntry;
// How the ops of this family turn the adjoint of their result into adjoints of their operands.
std::span<const AdjointEntry> reduction_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/reduction.ipp"
#endif
