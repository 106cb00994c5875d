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

// --- Rules and shapes ----------------------------------------------------------------------------
//
// Shapes and attributes must fit each other; nothing is checked.  O(sum of ranks).  Whatever is
// partial stays partial: these ops only move elements.

/// Operand dim i becomes result dim dimensions[i]; the other result dims are new.
Rule broadcast_rule(const Dims& result, std::span<const Extent> dimensions);

/// Result dim i is operand dim permutation[i].
Rule transpose_rule(const Dims& operand, std::span<const Extent> permutation);
Dims transpose_shape(const Dims& operand, std::span<const Extent> permutation);

/// The reversed dims stay whole, since devices would have to exchange their shards.
Rule reverse_rule(const Dims& operand, std::span<const Extent> reversed);

/// Row-major order is kept, so consecutive operand dims correspond to consecutive result dims of
/// the same product; among these the common factors are found from the major dim on (as Shardy
/// does). A dim without a counterpart stays whole.
Rule reshape_rule(const Dims& operand, const Dims& result);

/// Operands are whole along `dim`.  The result may be split there: a device that has all of the
/// operands keeps its shard of the result.
Rule concatenate_rule(std::span<const Dims> operands, const Dims& result, Extent dim);

/// A slice that keeps half of a dim or more slides along it, with a halo.  One that keeps less is
/// computed from a split operand as a partial sum: each device fills in its elements, and zeros.
Rule slice_rule(const Dims& operand, const Dims& result, std::span<const SliceRange> slice);
Dims slice_shape(std::span<const SliceRange> ranges);

/// A slice whose place is known at run time only.  A dim that is cut may be split in the operand;
/// the result is then a partial sum.
Rule dynamic_slice_rule(const Dims& operand, const Dims& result, std::span<const Dims> indices);

/// Each device takes from the update what falls in its shard of the operand.
Rule dynamic_update_slice_rule(const Dims& operand, const Dims& update,
                               std::span<const Dims> indices);

/// Where padding at most doubles a dim, operand and result are split together, with a halo.  Where
/// it adds more, the operand is whole and the result may be split.
Rule pad_rule(const Dims& operand, const Dims& result, std::span<const PaddingRange> padding);
/// A dim is negative where a range cuts off more than there is.
Dims pad_shape(const Dims& operand, std::span<const PaddingRange> ranges);

// --- Builders ------------------------------------------------------------------------------------
//
// All throw InvalidArgument where the arguments do not fit the shapes.

/// Dim i of x becomes dim dimensions[i]; x is repeated along the other dims.
Tensor broadcast(const Tensor& x, const Dims& dims, std::vector<Extent> dimensions);
/// A scalar, repeated.
Tensor broadcast_to(const Tensor& scalar, const Dims& dims);

/// Dim i of the result is dim permutation[i] of x.
Tensor transpose(const Tensor& x, std::vector<Extent> permutation);

/// The same elements in row-major order.
Tensor reshape(const Tensor& x, const Dims& dims);

/// Each of these dims in the opposite order.
Tensor reverse(const Tensor& x, std::vector<Extent> dims);

/// The tensors one after the other along `dim`; all other dims are equal.
Tensor concatenate(std::span<const Tensor> tensors, Extent dim);

/// One range per dim.
Tensor slice(const Tensor& x, std::vector<SliceRange> ranges);
/// The elements [begin, limit) of one dim, and all of the other dims.
Tensor slice(const Tensor& x, Extent dim, Extent begin, Extent limit);

/// One range per dim; new elements are `value`, a scalar.
Tensor pad(const Tensor& x, const Tensor& value, std::vector<PaddingRange> ranges);

namespace detail {

struct AdjointEntry;
// How the ops of this family turn the adjoint of their result into adjoints of their operands.
std::span<const AdjointEntry> movement_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/movement.ipp"
#endif
