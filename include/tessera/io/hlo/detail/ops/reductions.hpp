// SPDX-License-Identifier: Apache-2.0
//
// Reductions over whole dims and over windows.
#pragma once
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

std::optional<Shape> reduce_shape(const ShapeSite& site);
std::optional<Shape> reduce_window_shape(const ShapeSite& site);
std::optional<Shape> select_and_scatter_shape(const ShapeSite& site);

std::optional<graph::Rule> reduce_rule(const RuleSite& site);
std::optional<graph::Rule> reduce_window_rule(const RuleSite& site);
std::optional<graph::Rule> select_and_scatter_rule(const RuleSite& site);

graph::Attributes reduce_attributes(const AttributesSite& site);
graph::Attributes reduce_window_attributes(const AttributesSite& site);
graph::Attributes select_and_scatter_attributes(const AttributesSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/reductions.ipp"
#endif
