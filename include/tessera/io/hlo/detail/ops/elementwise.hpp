// SPDX-License-Identifier: Apache-2.0
//
// Ops that act element by element, on operands of equal shapes.
#pragma once
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

std::optional<Shape> unary_shape(const ShapeSite& site);
std::optional<Shape> magnitude_shape(const ShapeSite& site);
std::optional<Shape> binary_shape(const ShapeSite& site);
std::optional<Shape> compare_shape(const ShapeSite& site);
std::optional<Shape> predicate_shape(const ShapeSite& site);
std::optional<Shape> complex_shape(const ShapeSite& site);
std::optional<Shape> select_shape(const ShapeSite& site);
std::optional<Shape> clamp_shape(const ShapeSite& site);
std::optional<Shape> convert_shape(const ShapeSite& site);
std::optional<Shape> copy_shape(const ShapeSite& site);
std::optional<Shape> map_shape(const ShapeSite& site);

std::optional<graph::Rule> elementwise_rule(const RuleSite& site);
std::optional<graph::Rule> linear_rule(const RuleSite& site);
std::optional<graph::Rule> binary_rule(const RuleSite& site);
std::optional<graph::Rule> complex_rule(const RuleSite& site);
std::optional<graph::Rule> select_rule(const RuleSite& site);
std::optional<graph::Rule> convert_rule(const RuleSite& site);
std::optional<graph::Rule> copy_rule(const RuleSite& site);

graph::Attributes compare_attributes(const AttributesSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/elementwise.ipp"
#endif
