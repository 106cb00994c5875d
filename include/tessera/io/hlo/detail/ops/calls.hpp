// SPDX-License-Identifier: Apache-2.0
//
// Tuples, calls, loops and branches, which the importer dissolves, and custom-calls.
#pragma once
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

std::optional<Shape> tuple_shape(const ShapeSite& site);
std::optional<Shape> get_tuple_element_shape(const ShapeSite& site);
std::optional<Shape> first_operand_shape(const ShapeSite& site);
std::optional<Shape> barrier_shape(const ShapeSite& site);
std::optional<Shape> call_shape(const ShapeSite& site);
std::optional<Shape> fusion_shape(const ShapeSite& site);
std::optional<Shape> while_shape(const ShapeSite& site);
std::optional<Shape> conditional_shape(const ShapeSite& site);

std::optional<graph::Rule> custom_call_rule(const RuleSite& site);

graph::Attributes custom_call_attributes(const AttributesSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/calls.ipp"
#endif
