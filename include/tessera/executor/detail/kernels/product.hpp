// SPDX-License-Identifier: Apache-2.0
//
// Products: dots of any batch and contracting dims, and convolutions, both as matrix products of
// Eigen's.
//
// Operands are laid out as matrices first, where they are not already: a dot's are permuted; a
// convolution's input is unrolled, one image at a time, so that each place of the window is a row.
// A device computes with what it holds: it sums over its part of the contracting dims.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/attributes.hpp"

namespace tessera::executor::detail {

// @pre both hold the same of the batch and contracting dims, and result is their product's
void run_dot(const graph::DotDims& dims, const Tensor& lhs, const Tensor& rhs, Tensor& result);

// @pre the device holds what the window sees, as the rule says
void run_convolution(const graph::Convolution& how, const TensorView& input,
                     const TensorView& kernel, TensorPart& result);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/kernels/product.ipp"
#endif
