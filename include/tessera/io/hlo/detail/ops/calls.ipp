// SPDX-License-Identifier: Apache-2.0
//
// The bodies of calls.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/calls.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/graph/ops.hpp"
#include "tessera/io/hlo/detail/ops/linear_algebra.hpp"

namespace tessera::io::hlo::detail {

// --- Tuples
// ---------------------------------------------------------------------------------------

// Tuples of tuples grow exponentially, and need not be spelled out.
TESSERA_INLINE void check_tuple_size(const ShapeSite& site) {
  constexpr std::size_t max_parts = 1'000'000;
  std::size_t parts = 1;
  for (std::size_t i = 0; i < operand_count(site); ++i) {
    const ShapeSize size = size_of(shape(site, i));
    parts += size.parts;
    if (size.depth >= static_cast<std::size_t>(Scanner::max_nesting))
      fail(site, "tuples nest too deeply");
    if (parts > max_parts)
      fail_with(site, {"a tuple of over ", std::to_string(max_parts), " parts"});
  }
}

TESSERA_INLINE std::optional<Shape> tuple_shape(const ShapeSite& site) {
  check_tuple_size(site);
  Shape result;
  result.is_tuple = true;
  for (std::size_t i = 0; i < operand_count(site); ++i) result.elements.push_back(shape(site, i));
  return result;
}

TESSERA_INLINE std::optional<Shape> get_tuple_element_shape(const ShapeSite& site) {
  const Shape& tuple = shape(site, 0);
  if (!tuple.is_tuple) fail(site, "the operand is no tuple");
  const std::int64_t at = site.attributes.integer("index", 0);
  if (at < 0 || index(at) >= tuple.elements.size())
    fail_with(site, {"element ", std::to_string(at), " of a tuple of ",
                     std::to_string(tuple.elements.size())});
  return tuple.elements[index(at)];
}

TESSERA_INLINE std::optional<Shape> first_operand_shape(const ShapeSite& site) {
  return shape(site, 0);
}

TESSERA_INLINE std::optional<Shape> barrier_shape(const ShapeSite& site) {
  return operand_count(site) == 1 ? shape(site, 0) : tuple_shape(site);
}

// --- Calls
// ----------------------------------------------------------------------------------------

// Throws InputError where the called computation does not take these operands.
TESSERA_INLINE void check_parameters(const ShapeSite& site, const Computation& called,
                                     std::size_t first, std::size_t count) {
  if (called.parameters.size() != count)
    fail_with(site, {"computation ", shown_name(called.name), " takes ",
                     std::to_string(called.parameters.size()), " parameters, not ",
                     std::to_string(count)});
  for (std::size_t i = 0; i < count; ++i) {
    const Shape& wanted = called.instructions[called.parameters[i]].shape;
    if (!(wanted == shape(site, first + i)))
      fail_with(site, {"parameter ", std::to_string(i), " of ", shown_name(called.name), " is ",
                       to_string(wanted), ", the operand is ", to_string(shape(site, first + i))});
  }
}

TESSERA_INLINE std::optional<Shape> called_shape(const ShapeSite& site,
                                                 std::string_view attribute) {
  const Computation* const called = callee(site, attribute);
  if (called == nullptr) return std::nullopt;
  check_parameters(site, *called, 0, operand_count(site));
  return called->instructions[called->root].shape;
}

TESSERA_INLINE std::optional<Shape> call_shape(const ShapeSite& site) {
  return called_shape(site, "to_apply");
}

TESSERA_INLINE std::optional<Shape> fusion_shape(const ShapeSite& site) {
  return called_shape(site, "calls");
}

TESSERA_INLINE std::optional<Shape> while_shape(const ShapeSite& site) {
  for (const char* const attribute : {"condition", "body"})
    if (const Computation* const called = callee(site, attribute))
      check_parameters(site, *called, 0, 1);
  if (const Shape* const root = callee_root(site, "body"); root && !(*root == shape(site, 0)))
    fail_with(site, {"the body returns ", to_string(*root), ", the loop holds ",
                     to_string(shape(site, 0))});
  if (const Shape* const root = callee_root(site, "condition");
      root && (root->is_tuple || !(root->array == TensorType{ElementType::pred, {}})))
    fail(site, "the condition must return pred[]");
  return shape(site, 0);
}

// Throws InputError where operand 0 can not choose among the branches, or they are not one each.
TESSERA_INLINE void check_branches(const ShapeSite& site, std::size_t count) {
  const bool by_number = site.attributes.has("branch_computations");
  const ElementType wanted = by_number ? ElementType::s32 : ElementType::pred;
  if (!(array(site, 0).array == TensorType{wanted, {}}))
    fail_with(site, {"what chooses the branch must be ", to_string(array_of(wanted, {})),
                     ", but it is ", to_string(shape(site, 0))});
  if (!by_number)
    for (const char* const attribute : {"true_computation", "false_computation"})
      if (site.instruction.called_as(attribute).size() != 1)
        fail(site, std::string(attribute) + " must name one computation");
  if (count == 0) fail(site, "there are no branches");
  if (count + 1 != operand_count(site))
    fail_with(site, {std::to_string(count), " branches for ",
                     std::to_string(operand_count(site) - 1), " branch operands"});
}

TESSERA_INLINE std::optional<Shape> conditional_shape(const ShapeSite& site) {
  const std::vector<std::uint32_t> branches = branches_of(site.instruction);
  check_branches(site, branches.size());
  std::optional<Shape> result;
  for (std::size_t i = 0; i < branches.size(); ++i) {
    if (branches[i] == missing_computation) continue;
    const Computation& called = site.module.computations[branches[i]];
    check_parameters(site, called, i + 1, 1);
    const Shape& root = called.instructions[called.root].shape;
    if (result && !(*result == root)) fail(site, "the branches return different shapes");
    result = root;
  }
  return result;
}

// --- Custom-calls
// ---------------------------------------------------------------------------------

// All operands have the dims of the one result.
TESSERA_INLINE std::optional<graph::Rule> same_dims_rule(const RuleSite& site, bool is_identity) {
  const Dims& out = site.tensors.out();
  const std::vector<Dims>& in = site.tensors.operand_dims;
  const bool are_equal =
      std::all_of(in.begin(), in.end(), [&](const Dims& dims) { return dims == out; });
  if (!are_equal || site.tensors.results.size() != 1) return std::nullopt;
  const graph::PartialPass pass{graph::any_reduction, 0b1};
  return graph::elementwise_rule(in, out, std::span(&pass, is_identity ? 1U : 0U));
}

TESSERA_INLINE std::optional<graph::Rule> custom_call_rule(const RuleSite& site) {
  const auto known = site.custom_calls.find(site.attributes.word("custom_call_target"));
  if (known == site.custom_calls.end() || site.tensors.results.empty() ||
      site.tensors.operands.empty())
    return std::nullopt;
  switch (known->second) {
    case CustomCall::identity: return same_dims_rule(site, true);
    case CustomCall::elementwise: return same_dims_rule(site, false);
    case CustomCall::last_dim: return batched_rule(site, 1);
    case CustomCall::last_two_dims: return batched_rule(site, 2);
    case CustomCall::marker: break;  // no op
  }
  return std::nullopt;
}

TESSERA_INLINE graph::Attributes custom_call_attributes(const AttributesSite& site) {
  return graph::Target{std::string(site.attributes.word("custom_call_target"))};
}

}  // namespace tessera::io::hlo::detail
