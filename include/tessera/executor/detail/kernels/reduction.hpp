// SPDX-License-Identifier: Apache-2.0
//
// Reductions: of whole dims, and of windows.
//
// A device reduces what it holds; its partial sum is finished by a collective, and where a device
// holds nothing of what is reduced, its value is the reduction's identity.  Floating-point sums are
// made in double, so that their order hardly shows.
#pragma once
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/executor/detail/kernels/movement.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/attributes.hpp"
#include "tessera/sharding/reduction.hpp"

namespace tessera::executor::detail {

// With the reduction's identity.  @pre the reduction is not none
void fill_with_identity(Reduction reduction, Tensor& tensor);

// With the element of a scalar.  @pre both have the same element type
void fill(Tensor& tensor, const Tensor& scalar);

// Combines what the walks read into what they write; Reduction::none assigns.
// @pre both have the same element type
void combine(Reduction reduction, const TensorView& from, TensorPart& to,
             std::span<const Walk> walks);

// Reduces the dims that `how` names, as far as they are held; the others are the result's.
void run_reduce(const graph::Reducing& how, const TensorView& x, const Tensor& initial,
                TensorPart& result);

// Reduces n operands with n initial values by a computation, place by place in their order.
// @pre the dims that are reduced are whole
void run_reduce_by(const graph::ReducingBy& how, std::span<const TensorView> operands,
                   std::span<TensorPart> results);

// @pre x has all elements that the windows of the result's slice see
void run_reduce_window(const graph::WindowReducing& how, const TensorView& x, const Tensor& initial,
                       TensorPart& result);

// For each source whose window touches the result's slice, the chosen element takes it.
void run_select_and_scatter(const graph::WindowScattering& how, const TensorView& x,
                            const TensorView& source, const Tensor& initial, TensorPart& result);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/kernels/reduction.ipp"
#endif
