// SPDX-License-Identifier: Apache-2.0
//
// Ops that move elements and compute nothing: broadcasts, transpositions, reshapes, slices,
// paddings, concatenations.
#pragma once
#include <span>
#include <vector>

#include "tessera/graph/builder.hpp"
#include "tessera/graph/window.hpp"

namespace tessera::graph {

/// Operand dim i becomes result dim dimensions[i]; the others are new.
Rule broadcast_rule(const Dims& result, std::span<const Extent> dimensions);

/// Result dim i is operand dim permutation[i].
Rule transpose_rule(const Dims& operand, std::span<const Extent> permutation);

/// Result dim i is operand dim permutation[i].
Dims transpose_shape(const Dims& operand, std::span<const Extent> permutation);

/// Reversed dims trade places between devices, so they stay whole.
Rule reverse_rule(const Dims& operand, std::span<const Extent> reversed);

/// Row-major order is kept, so a run of operand dims corresponds to a run of result dims of the
/// same product; within a run the common factors are found from the major side (as Shardy does).
/// What has no counterpart on the other side stays whole.
Rule reshape_rule(const Dims& operand, const Dims& result);

/// Operands are whole along `dim`; the result need not be, since a device that has all of them can
/// keep the part that it is to hold.  Data movement: what is partial goes on being partial.
Rule concatenate_rule(std::span<const Dims> operands, const Dims& result, Extent dim);

/// A slice that keeps half of a dim or more slides along it.  One that keeps less can be had from
/// an operand that is split there as a partial sum: each device fills in what it has, and zeros.
Rule slice_rule(const Dims& operand, const Dims& result, std::span<const SliceRange> slice);

/// As many elements of each dim as its range names.
Dims slice_shape(std::span<const SliceRange> ranges);

/// A slice whose place is known only at run time: from an operand that is split where it is cut, a
/// partial sum.
Rule dynamic_slice_rule(const Dims& operand, const Dims& result, std::span<const Dims> indices);

/// Each device takes from the update what falls in its part of the operand.
Rule dynamic_update_slice_rule(const Dims& operand, const Dims& update,
                               std::span<const Dims> indices);

/// Where padding at most doubles a dim, operand and result are split together.  Where it adds more,
/// the operand is whole and the result need not be.
Rule pad_rule(const Dims& operand, const Dims& result, std::span<const PaddingRange> padding);

/// Each dim with what its range adds, or cuts off; negative where that is more than there is.
Dims pad_shape(const Dims& operand, std::span<const PaddingRange> ranges);

/// Dim i of x becomes dim dimensions[i]; the others are new.
Tensor broadcast(const Tensor& x, const Dims& dims, std::vector<Extent> dimensions);

Tensor broadcast_to(const Tensor& scalar, const Dims& dims);

Tensor transpose(const Tensor& x, std::vector<Extent> permutation);

Tensor reshape(const Tensor& x, const Dims& dims);

Tensor reverse(const Tensor& x, std::vector<Extent> dims);

/// The tensors one after the other along `dim`, all other dims being equal.
Tensor concatenate(std::span<const Tensor> tensors, Extent dim);

/// One range per dim.
Tensor slice(const Tensor& x, std::vector<SliceRange> ranges);

/// Elements begin to limit of one dim, and all of the others.
Tensor slice(const Tensor& x, Extent dim, Extent begin, Extent limit);

/// One range per dim; new elements are `value`, a scalar.
Tensor pad(const Tensor& x, const Tensor& value, std::vector<PaddingRange> ranges);

namespace detail {

struct AdjointEntry;
// How the ops of this family hand adjoints to their operands.
std::span<const AdjointEntry> movement_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/movement.ipp"
#endif
