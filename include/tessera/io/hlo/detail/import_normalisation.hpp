// SPDX-License-Identifier: Apache-2.0
//
// Batch normalisations as their sums over all dims but one, and ops element by element.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/import_state.hpp"

namespace tessera::io::hlo::detail {

// The result, mean and variance of x: the variance is the mean square less the square of the mean.
Leaves import_batch_norm_training(ImportState& state, const ImportSite& site);

// The gradients of x, scale and offset, from x, scale, mean, variance and the result's gradient.
Leaves import_batch_norm_grad(ImportState& state, const ImportSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/import_normalisation.ipp"
#endif
