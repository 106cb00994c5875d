// SPDX-License-Identifier: Apache-2.0
//
// The bodies of ordering.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/ordering.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/graph/ops.hpp"

namespace tessera::io::hlo::detail {

TESSERA_INLINE std::optional<Shape> sort_shape(const ShapeSite& site) {
  only_dimension(site);
  std::vector<Shape> results;
  for (std::size_t i = 0; i < operand_count(site); ++i) {
    if (dims(site, i) != dims(site, 0)) fail(site, "operands differ in their dims");
    results.push_back(array(site, i));
  }
  return tuple_of(std::move(results));
}

TESSERA_INLINE std::optional<graph::Rule> sort_rule(const RuleSite& site) {
  return graph::along_whole_rule(site.tensors.operand_dims, site.tensors.result_dims,
                                 site.attributes.ints("dimensions"));
}

TESSERA_INLINE graph::Attributes sort_attributes(const AttributesSite& site) {
  const auto order = comparator_of(site, "to_apply");
  const std::vector<Extent> dims = site.attributes.ints("dimensions");
  if (!order || dims.size() != 1) return {};
  return graph::Sorting{dims[0], *order, site.attributes.word("is_stable") == "true"};
}

TESSERA_INLINE std::optional<Shape> topk_shape(const ShapeSite& site) {
  if (rank(site, 0) == 0) fail(site, "the operand has no dims");
  Dims result = dims(site, 0);
  const std::int64_t k = site.attributes.integer("k", 0);
  if (k < 0 || k > result.back())
    fail_with(site,
              {"k is ", std::to_string(k), " of ", std::to_string(result.back()), " elements"});
  result.back() = k;
  return tuple_of({array_of(element_type(site, 0), result), array_of(ElementType::s32, result)});
}

TESSERA_INLINE std::optional<graph::Rule> topk_rule(const RuleSite& site) {
  const std::vector<Dims>& in = site.tensors.operand_dims;
  const Extent last = static_cast<Extent>(in[0].size()) - 1;
  return graph::along_whole_rule(in, site.tensors.result_dims, std::span(&last, 1));
}

TESSERA_INLINE graph::Attributes topk_attributes(const AttributesSite& site) {
  return graph::TopK{site.attributes.integer("k", 0), site.attributes.word("largest") != "false"};
}

}  // namespace tessera::io::hlo::detail
