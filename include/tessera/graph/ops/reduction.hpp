// SPDX-License-Identifier: Apache-2.0
//
// Reductions over whole dims.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/graph/builder.hpp"

namespace tessera::graph {

/// One operand and its initial value, reduced over `reduced` dims.  The initial value must be added
/// once and not by every device, so it enters as a partial result (a mask, which is free).  Where
/// the reduction is none (a reducer we do not know), the reduced dims stay whole.
Rule reduce_rule(const Dims& operand, std::span<const Extent> reduced, Reduction reduction);

/// The dims that are not reduced.
Dims reduce_shape(const Dims& operand, std::span<const Extent> reduced);

/// Several operands reduced together (argmax and its like): the reducer is opaque.
Rule variadic_reduce_rule(const Dims& operand, std::size_t count, std::span<const Extent> reduced);

namespace detail {

Tensor neutral_of(const Tensor& x, Reduction reduction);

Tensor reduce(const Tensor& x, const std::vector<Extent>& over, Reduction reduction);

}  // namespace detail

Tensor reduce_sum(const Tensor& x, const std::vector<Extent>& over);

Tensor reduce_max(const Tensor& x, const std::vector<Extent>& over);

Tensor reduce_min(const Tensor& x, const std::vector<Extent>& over);

namespace detail {

struct AdjointEntry;
// How the ops of this family hand adjoints to their operands.
std::span<const AdjointEntry> reduction_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/reduction.ipp"
#endif
