// SPDX-License-Identifier: Apache-2.0
//
// Decompositions, systems of equations and Fourier transforms: batches of matrices that stay whole.
#pragma once
#include <cstddef>
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

// Batches of tensors whose last `count` dims stay whole.  Nothing where some result does not have
// the batches of the first operand of highest rank.
std::optional<graph::Rule> batched_rule(const RuleSite& site, std::size_t count);

std::optional<Shape> cholesky_shape(const ShapeSite& site);
std::optional<Shape> triangular_solve_shape(const ShapeSite& site);

std::optional<graph::Rule> cholesky_rule(const RuleSite& site);
std::optional<graph::Rule> triangular_solve_rule(const RuleSite& site);
std::optional<graph::Rule> fft_rule(const RuleSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/linear_algebra.ipp"
#endif
