// SPDX-License-Identifier: Apache-2.0
//
// Matrix products and convolutions.
#pragma once
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

std::optional<Shape> dot_shape(const ShapeSite& site);
std::optional<Shape> convolution_shape(const ShapeSite& site);

std::optional<graph::Rule> dot_rule(const RuleSite& site);
std::optional<graph::Rule> convolution_rule(const RuleSite& site);

graph::Attributes dot_attributes(const AttributesSite& site);
graph::Attributes convolution_attributes(const AttributesSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/products.ipp"
#endif
