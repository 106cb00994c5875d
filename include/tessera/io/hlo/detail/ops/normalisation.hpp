// SPDX-License-Identifier: Apache-2.0
//
// Batch normalisations.  The importer takes the first and the last of them apart.
#pragma once
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

std::optional<Shape> batch_norm_training_shape(const ShapeSite& site);
std::optional<Shape> batch_norm_inference_shape(const ShapeSite& site);
std::optional<Shape> batch_norm_grad_shape(const ShapeSite& site);

std::optional<graph::Rule> batch_norm_inference_rule(const RuleSite& site);

graph::Attributes batch_norm_attributes(const AttributesSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/normalisation.ipp"
#endif
