// SPDX-License-Identifier: Apache-2.0
//
// Reads and writes of a tensor at places that are known at run time only: gather and scatter.
#pragma once
#include <span>

#include "tessera/graph/builder.hpp"

namespace tessera::graph {

/// A table split on the rows that are looked up gives a partial result: each device fills in the
/// rows it has and zeros elsewhere.  So does one that is split where slices are less than a dim.
Rule gather_rule(const Dims& operand, const Dims& indices, const Dims& result,
                 const GatherDims& dims);

/// The dims of the indices but for the vectors', with those of a slice at `offset_dims`.
Dims gather_shape(const Dims& indices, const GatherDims& dims);

/// `count` operands and as many updates, of the same dims.  Each device takes the updates that fall
/// in its part of the operands.  `reduction` is what combines an update with what is there; none
/// for an assignment, a combiner we do not know or several operands, in which case the updates stay
/// together.
Rule scatter_rule(const Dims& operand, const Dims& indices, const Dims& updates,
                  const ScatterDims& dims, Reduction reduction, std::size_t count = 1);

/// Rows of a table [rows, width...] by number: indices [n...] give [n..., width...].
Tensor lookup(const Tensor& table, const Tensor& indices);

/// Adds rows to those of a table that `indices` name: lookup's derivative.
Tensor scatter_add(const Tensor& table, const Tensor& indices, const Tensor& rows);

namespace detail {

struct AdjointEntry;
// How the ops of this family hand adjoints to their operands.
std::span<const AdjointEntry> lookup_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/lookup.ipp"
#endif
