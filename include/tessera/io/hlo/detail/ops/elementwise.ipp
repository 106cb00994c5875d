// SPDX-License-Identifier: Apache-2.0
//
// The bodies of elementwise.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/elementwise.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "tessera/graph/ops.hpp"

namespace tessera::io::hlo::detail {

// --- Shapes
// ---------------------------------------------------------------------------------------

// Operand 0's, with elements of this type.  Throws InputError where the operands differ.
TESSERA_INLINE Shape shape_of_equal_operands(const ShapeSite& site, ElementType element) {
  for (std::size_t i = 1; i < operand_count(site); ++i)
    if (!(array(site, i) == array(site, 0)))
      fail_with(site, {"operands ", to_string(shape(site, 0)), " and ", to_string(shape(site, i)),
                       " differ"});
  return array_of(element, dims(site, 0));
}

// The type of a complex number's parts; any other type is its own.
TESSERA_INLINE ElementType part_type(ElementType element) {
  if (element == ElementType::c64) return ElementType::f32;
  if (element == ElementType::c128) return ElementType::f64;
  return element;
}

TESSERA_INLINE std::optional<Shape> unary_shape(const ShapeSite& site) { return array(site, 0); }

TESSERA_INLINE std::optional<Shape> magnitude_shape(const ShapeSite& site) {
  return array_of(part_type(element_type(site, 0)), dims(site, 0));
}

TESSERA_INLINE std::optional<Shape> binary_shape(const ShapeSite& site) {
  return shape_of_equal_operands(site, element_type(site, 0));
}

TESSERA_INLINE std::optional<Shape> compare_shape(const ShapeSite& site) {
  return shape_of_equal_operands(site, ElementType::pred);
}

TESSERA_INLINE std::optional<Shape> predicate_shape(const ShapeSite& site) {
  return array_of(ElementType::pred, dims(site, 0));
}

TESSERA_INLINE std::optional<Shape> complex_shape(const ShapeSite& site) {
  const bool is_double = element_type(site, 0) == ElementType::f64;
  return shape_of_equal_operands(site, is_double ? ElementType::c128 : ElementType::c64);
}

TESSERA_INLINE std::optional<Shape> select_shape(const ShapeSite& site) {
  if (element_type(site, 0) != ElementType::pred)
    fail(site, "the first operand must be of type pred");
  if (rank(site, 0) != 0 && dims(site, 0) != dims(site, 1))
    fail_with(site, {"the predicate ", to_string(shape(site, 0)), " does not fit ",
                     to_string(shape(site, 1))});
  if (!(array(site, 1) == array(site, 2)))
    fail_with(site, {"operands ", to_string(shape(site, 1)), " and ", to_string(shape(site, 2)),
                     " differ"});
  return array(site, 1);
}

TESSERA_INLINE std::optional<Shape> clamp_shape(const ShapeSite& site) {
  for (const std::size_t bound : {std::size_t{0}, std::size_t{2}})
    if (element_type(site, bound) != element_type(site, 1) ||
        (rank(site, bound) != 0 && dims(site, bound) != dims(site, 1)))
      fail_with(site, {"the bound ", to_string(shape(site, bound)), " does not fit ",
                       to_string(shape(site, 1))});
  return array(site, 1);
}

TESSERA_INLINE std::optional<Shape> convert_shape(const ShapeSite& site) {
  return array_of(declared_type(site), dims(site, 0));
}

TESSERA_INLINE std::optional<Shape> copy_shape(const ShapeSite& site) { return shape(site, 0); }

TESSERA_INLINE std::optional<Shape> map_shape(const ShapeSite& site) {
  const Shape same = shape_of_equal_operands(site, element_type(site, 0));
  const Shape* const root = callee_root(site, "to_apply");
  if (root == nullptr || root->is_tuple) return same;
  return array_of(root->array.element, dims(site, 0));
}

// --- Rules
// ----------------------------------------------------------------------------------------

// Partial sums pass as `passes` says.
TESSERA_INLINE graph::Rule rule_with_passes(const RuleSite& site,
                                            const std::vector<graph::PartialPass>& passes) {
  return graph::elementwise_rule(site.tensors.operand_dims, site.tensors.out(), passes);
}

TESSERA_INLINE std::optional<graph::Rule> elementwise_rule(const RuleSite& site) {
  return rule_with_passes(site, {});
}

TESSERA_INLINE std::optional<graph::Rule> linear_rule(const RuleSite& site) {
  return rule_with_passes(site, {{graph::reduction_set(Reduction::sum), 0b1}});
}

TESSERA_INLINE std::optional<graph::Rule> binary_rule(const RuleSite& site) {
  return rule_with_passes(
      site, graph::binary_passes(site.instruction.opcode, site.tensors.results[0].element));
}

TESSERA_INLINE std::optional<graph::Rule> complex_rule(const RuleSite& site) {
  return rule_with_passes(site, {{graph::reduction_set(Reduction::sum), 0b11}});
}

TESSERA_INLINE std::optional<graph::Rule> select_rule(const RuleSite& site) {
  return rule_with_passes(site, {{graph::any_reduction, 0b110}});
}

TESSERA_INLINE std::optional<graph::Rule> convert_rule(const RuleSite& site) {
  return rule_with_passes(site, graph::convert_passes(site.tensors.operands[0].element,
                                                      site.tensors.results[0].element));
}

TESSERA_INLINE std::optional<graph::Rule> copy_rule(const RuleSite& site) {
  return rule_with_passes(site, {{graph::any_reduction, 0b1}});
}

// --- Attributes
// -----------------------------------------------------------------------------------

TESSERA_INLINE graph::Attributes compare_attributes(const AttributesSite& site) {
  const auto direction = direction_named(site.attributes.word("direction"));
  return direction ? graph::Attributes(graph::Comparison{*direction}) : graph::Attributes();
}

}  // namespace tessera::io::hlo::detail
