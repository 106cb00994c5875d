// SPDX-License-Identifier: Apache-2.0
//
// Ops that place elements: into other dims, beside each other, into parts and out of them.
#pragma once
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

std::optional<Shape> iota_shape(const ShapeSite& site);
std::optional<Shape> broadcast_shape(const ShapeSite& site);
std::optional<Shape> reshape_shape(const ShapeSite& site);
std::optional<Shape> bitcast_shape(const ShapeSite& site);
std::optional<Shape> bitcast_convert_shape(const ShapeSite& site);
std::optional<Shape> transpose_shape(const ShapeSite& site);
std::optional<Shape> reverse_shape(const ShapeSite& site);
std::optional<Shape> concatenate_shape(const ShapeSite& site);
std::optional<Shape> slice_shape(const ShapeSite& site);
std::optional<Shape> pad_shape(const ShapeSite& site);

std::optional<graph::Rule> iota_rule(const RuleSite& site);
std::optional<graph::Rule> broadcast_rule(const RuleSite& site);
std::optional<graph::Rule> reshape_rule(const RuleSite& site);
std::optional<graph::Rule> bitcast_rule(const RuleSite& site);
std::optional<graph::Rule> bitcast_convert_rule(const RuleSite& site);
std::optional<graph::Rule> transpose_rule(const RuleSite& site);
std::optional<graph::Rule> reverse_rule(const RuleSite& site);
std::optional<graph::Rule> concatenate_rule(const RuleSite& site);
std::optional<graph::Rule> slice_rule(const RuleSite& site);
std::optional<graph::Rule> pad_rule(const RuleSite& site);
std::optional<graph::Rule> dimension_size_rule(const RuleSite& site);
std::optional<graph::Rule> set_dimension_size_rule(const RuleSite& site);

graph::Attributes constant_attributes(const AttributesSite& site);
graph::Attributes iota_attributes(const AttributesSite& site);
graph::Attributes dim_list_attributes(const AttributesSite& site);
graph::Attributes concatenate_attributes(const AttributesSite& site);
graph::Attributes slice_attributes(const AttributesSite& site);
graph::Attributes pad_attributes(const AttributesSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/movement.ipp"
#endif
