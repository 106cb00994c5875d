// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes of a tensor at places that are known at run time only: gather and scatter.
#pragma once
#include <span>

#include "tessera/graph/builder.hpp"

namespace tessera::graph {

/// A table that is split along the rows that are looked up gives a partial sum: each device fills
/// in the rows that it has, and zeros.  The same holds along a dim of which slices hold a part
/// only.
Rule gather_rule(const Dims& operand, const Dims& indices, const Dims& result,
                 const GatherDims& dims);
/// The dims of the indices without that of the index vectors, and the dims of a slice, which are
/// `offset_dims` of the result.
Dims gather_shape(const Dims& indices, const GatherDims& dims);

/// `count` operands and as many updates, of the same dims.  Each device takes the updates that fall
/// in its shard of the operands.  `reduction` combines an update with the old value.  The updates
/// stay whole where it is none (an assignment, or an unknown combiner), and where there are several
/// operands.
Rule scatter_rule(const Dims& operand, const Dims& indices, const Dims& updates,
                  const ScatterDims& dims, Reduction reduction, std::size_t count = 1);

/// Rows of a table [rows, width...] by number: indices [n...] give [n..., width...].  Throws
/// InvalidArgument where the table is a scalar or the indices are no integers.
Tensor lookup(const Tensor& table, const Tensor& indices);

/// Adds rows [n..., width...] to those rows of a table that the indices [n...] name: the adjoint of
/// lookup().  Throws InvalidArgument where the shapes do not fit.
Tensor scatter_add(const Tensor& table, const Tensor& indices, const Tensor& rows);

namespace detail {

struct AdjointEntry;
// How the ops of this family turn the adjoint of their result into adjoints of their operands.
std::span<const AdjointEntry> lookup_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/lookup.ipp"
#endif
