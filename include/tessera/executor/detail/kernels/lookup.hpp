// SPDX-License-Identifier: Apache-2.0
//
// Ops whose places are known only when they run: gathers, scatters, dynamic slices; and sorting.
//
// Indices are coordinates of the whole tensor, whatever part of it a device holds.  Where a device
// lacks what an index names, another one has it: the result of a gather or a dynamic slice is zero
// there (a partial sum), and the update of a scatter is left to the other device.
#pragma once
#include <cstddef>
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/attributes.hpp"

namespace tessera::executor::detail {

// Throws Unsupported where the elements are no integers.
Extent integer_at(const Tensor& tensor, std::size_t i);

// @pre the device holds the indices of its part of the result
void run_gather(const graph::GatherDims& how, const TensorView& x, const TensorView& indices,
                TensorPart& result);

// @pre result holds its slice of the operand
void run_scatter(const graph::Scattering& scattering, const TensorView& indices,
                 const TensorView& updates, TensorPart& result);

// Elements that `x` lacks stay as they are in the result.
void run_dynamic_slice(const TensorView& x, std::span<const TensorView> indices,
                       TensorPart& result);

// @pre result holds its slice of the operand
void run_dynamic_update_slice(const TensorView& update, std::span<const TensorView> indices,
                              TensorPart& result);

// Sorts by the first operand, and reorders the others alike.  Always stable.
void run_sort(const graph::Sorting& how, std::span<const TensorView> operands,
              std::span<TensorPart> results);

// The k largest (or smallest) of the last dim, and where they were.
void run_topk(const graph::TopK& how, const TensorView& x, std::span<TensorPart> results);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/kernels/lookup.ipp"
#endif
