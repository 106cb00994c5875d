// SPDX-License-Identifier: Apache-2.0
//
// Ops that order the elements of a dim, which stays whole.
#pragma once
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

std::optional<Shape> sort_shape(const ShapeSite& site);
std::optional<Shape> topk_shape(const ShapeSite& site);

std::optional<graph::Rule> sort_rule(const RuleSite& site);
std::optional<graph::Rule> topk_rule(const RuleSite& site);

graph::Attributes sort_attributes(const AttributesSite& site);
graph::Attributes topk_attributes(const AttributesSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/ordering.ipp"
#endif
