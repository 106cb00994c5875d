// SPDX-License-Identifier: Apache-2.0
//
// Batch normalisation: an inference, and the parts that a training's and a gradient's are made of.
//
// Sums are over what a device holds, so they may be partial; everything else is element by element,
// with one row of numbers for each feature.  All of it is computed in double.
#pragma once
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/attributes.hpp"

namespace tessera::executor::detail {

Tensor as_double(const Tensor& tensor);

// @pre the operands are those of the part, as graph::NormalisationPart lists them
void run_normalisation(const graph::Normalisation& how, std::span<const TensorView> operands,
                       Tensor& result);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/kernels/normalisation.ipp"
#endif
