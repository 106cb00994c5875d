// SPDX-License-Identifier: Apache-2.0
//
// Ops that read or write places that are known only when the program runs.
#pragma once
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

std::optional<Shape> dynamic_slice_shape(const ShapeSite& site);
std::optional<Shape> dynamic_update_slice_shape(const ShapeSite& site);
std::optional<Shape> gather_shape(const ShapeSite& site);
std::optional<Shape> scatter_shape(const ShapeSite& site);

std::optional<graph::Rule> dynamic_slice_rule(const RuleSite& site);
std::optional<graph::Rule> dynamic_update_slice_rule(const RuleSite& site);
std::optional<graph::Rule> gather_rule(const RuleSite& site);
std::optional<graph::Rule> scatter_rule(const RuleSite& site);

graph::Attributes gather_attributes(const AttributesSite& site);
graph::Attributes scatter_attributes(const AttributesSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/lookups.ipp"
#endif
