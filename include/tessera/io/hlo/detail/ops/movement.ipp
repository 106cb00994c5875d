// SPDX-License-Identifier: Apache-2.0
//
// The bodies of movement.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/movement.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/integer.hpp"
#include "tessera/graph/ops.hpp"
#include "tessera/io/hlo/detail/literal.hpp"

namespace tessera::io::hlo::detail {

// --- Shapes
// ---------------------------------------------------------------------------------------

TESSERA_INLINE std::optional<Shape> iota_shape(const ShapeSite& site) {
  declared_type(site);
  dim_in_range(site, "iota_dimension", site.declared->array.dims.size());
  return *site.declared;
}

TESSERA_INLINE std::optional<Shape> broadcast_shape(const ShapeSite& site) {
  declared_type(site);
  const Dims& out = site.declared->array.dims;
  const auto mapping = dims_in_range(site, "dimensions", out.size());
  if (mapping.size() != rank(site, 0))
    fail_with(site, {"dimensions has ", std::to_string(mapping.size()),
                     " entries for an operand of ", std::to_string(rank(site, 0)), " dims"});
  for (std::size_t i = 0; i < mapping.size(); ++i)
    if (out[index(mapping[i])] != dims(site, 0)[i])
      fail_with(site,
                {"dim ", std::to_string(i), " of ", to_string(shape(site, 0)), " does not fit dim ",
                 std::to_string(mapping[i]), " of ", to_string(*site.declared)});
  return array_of(element_type(site, 0), out);
}

TESSERA_INLINE std::optional<Shape> reshape_shape(const ShapeSite& site) {
  declared_type(site);
  const Dims& out = site.declared->array.dims;
  if (element_count(dims(site, 0)) != element_count(out))
    fail_with(site, {to_string(shape(site, 0)), " and ", to_string(*site.declared),
                     " have different numbers of elements"});
  return array_of(element_type(site, 0), out);
}

TESSERA_INLINE std::optional<Shape> bitcast_shape(const ShapeSite& site) {
  declared_type(site);
  if (byte_count(array(site, 0).array) != byte_count(site.declared->array))
    fail_with(site,
              {to_string(shape(site, 0)), " and ", to_string(*site.declared), " differ in size"});
  return *site.declared;
}

TESSERA_INLINE std::optional<Shape> bitcast_convert_shape(const ShapeSite& site) {
  const ElementType to = declared_type(site);
  const int from_bits = graph::bits_of(element_type(site, 0)), to_bits = graph::bits_of(to);
  Dims result = dims(site, 0);
  if (from_bits > to_bits && to_bits > 0) {
    result.push_back(from_bits / to_bits);
  } else if (from_bits < to_bits) {
    if (result.empty() || from_bits <= 0 || result.back() != to_bits / from_bits)
      fail_with(site, {"the minor dim of ", to_string(shape(site, 0)), " does not make up one ",
                       std::string(graph::to_string(to))});
    result.pop_back();
  }
  return array_of(to, result);
}

TESSERA_INLINE std::optional<Shape> transpose_shape(const ShapeSite& site) {
  const auto permutation = dims_in_range(site, "dimensions", rank(site, 0));
  if (permutation.size() != rank(site, 0)) fail(site, "dimensions must name every dim");
  Dims result;
  for (const std::int64_t from : permutation) result.push_back(dims(site, 0)[index(from)]);
  return array_of(element_type(site, 0), result);
}

TESSERA_INLINE std::optional<Shape> reverse_shape(const ShapeSite& site) {
  dims_in_range(site, "dimensions", rank(site, 0));
  return array(site, 0);
}

TESSERA_INLINE std::optional<Shape> concatenate_shape(const ShapeSite& site) {
  const std::size_t along = only_dimension(site);
  Dims result = dims(site, 0);
  for (std::size_t i = 1; i < operand_count(site); ++i) {
    bool fits = rank(site, i) == rank(site, 0) && element_type(site, i) == element_type(site, 0);
    for (std::size_t d = 0; fits && d < rank(site, 0); ++d)
      fits = d == along || dims(site, i)[d] == dims(site, 0)[d];
    if (!fits)
      fail_with(site, {"operands ", to_string(shape(site, 0)), " and ", to_string(shape(site, i)),
                       " do not join"});
    result[along] = size_of_dim(site, Wide(result[along]) + dims(site, i)[along]);
  }
  return array_of(element_type(site, 0), result);
}

TESSERA_INLINE std::optional<Shape> slice_shape(const ShapeSite& site) {
  const std::vector<SliceRange> ranges = site.attributes.slice();
  require_count(site, "slice", ranges.size(), "ranges", rank(site, 0));
  Dims result;
  for (std::size_t d = 0; d < ranges.size(); ++d) {
    const SliceRange& range = ranges[d];
    if (range.start < 0 || range.start > range.limit || range.limit > dims(site, 0)[d])
      fail_with(site,
                {"range [", std::to_string(range.start), ":", std::to_string(range.limit),
                 "] is not within dim ", std::to_string(d), " of ", to_string(shape(site, 0))});
    result.push_back(ceil_div(range.limit - range.start, range.stride));
  }
  return array_of(element_type(site, 0), result);
}

// The size of a padded dim; nothing where it is negative or too large.
TESSERA_INLINE std::optional<Extent> padded(Extent dim, const PaddingRange& range) {
  Extent size = 0;
  const bool overflows =
      __builtin_mul_overflow(std::max<Extent>(dim - 1, 0), range.interior, &size) ||
      __builtin_add_overflow(size, dim, &size) || __builtin_add_overflow(size, range.low, &size) ||
      __builtin_add_overflow(size, range.high, &size);
  if (overflows || size < 0) return std::nullopt;
  return size;
}

TESSERA_INLINE std::optional<Shape> pad_shape(const ShapeSite& site) {
  const std::vector<PaddingRange> ranges = site.attributes.padding();
  require_count(site, "padding", ranges.size(), "entries", rank(site, 0));
  require_scalar(site, 1, "the padding value");
  if (element_type(site, 1) != element_type(site, 0))
    fail(site, "the padding value is of another type");
  Dims result;
  for (std::size_t d = 0; d < ranges.size(); ++d) {
    const std::optional<Extent> size = padded(dims(site, 0)[d], ranges[d]);
    if (!size)
      fail_with(site, {"padding makes dim ", std::to_string(d), " of ", to_string(shape(site, 0)),
                       " negative, or too large"});
    result.push_back(*size);
  }
  return array_of(element_type(site, 0), result);
}

// --- Rules
// ----------------------------------------------------------------------------------------

TESSERA_INLINE std::optional<graph::Rule> iota_rule(const RuleSite& site) {
  return graph::source_rule(site.tensors.out());
}

TESSERA_INLINE std::optional<graph::Rule> broadcast_rule(const RuleSite& site) {
  return graph::broadcast_rule(site.tensors.out(), site.attributes.ints("dimensions"));
}

TESSERA_INLINE std::optional<graph::Rule> reshape_rule(const RuleSite& site) {
  return graph::reshape_rule(site.tensors.operand_dims[0], site.tensors.out());
}

TESSERA_INLINE Dims in_memory(const Dims& dims, const std::vector<std::size_t>& order) {
  Dims result;
  for (const std::size_t dim : order) result.push_back(dims[dim]);
  return result;
}

// The dims of tensor `tensor` of another rule, each in the place that `order` gives it.
TESSERA_INLINE void add_reordered_dims(graph::Rule& rule, const graph::Rule& other,
                                       std::size_t tensor, const std::vector<std::size_t>& order) {
  for (std::size_t dim = 0; dim < order.size(); ++dim) {
    const auto place = std::find(order.begin(), order.end(), dim) - order.begin();
    rule.add_dim(other.dim(tensor, static_cast<std::size_t>(place)));
  }
}

// The same bytes seen as other dims: where the elements keep their type, this is a reshape of the
// dims in the order of memory, with each tensor's dims back in their own order.
TESSERA_INLINE std::optional<graph::Rule> bitcast_rule(const RuleSite& site) {
  const Shape& from = site.computation.instructions[site.instruction.operands[0]].shape;
  const Shape& to = site.instruction.shape;
  if (from.array.element != to.array.element ||
      element_count(from.array.dims) != element_count(to.array.dims))
    return std::nullopt;
  const std::vector<std::size_t> from_order = from.memory_order(), to_order = to.memory_order();
  const graph::Rule memory =
      graph::reshape_rule(in_memory(site.tensors.operand_dims[0], from_order),
                          in_memory(site.tensors.result_dims[0], to_order));
  graph::Rule rule;
  for (std::size_t f = 0; f < memory.factor_count(); ++f) rule.add_factor(memory.factor(f));
  rule.begin_operand();
  add_reordered_dims(rule, memory, 0, from_order);
  rule.begin_result();
  add_reordered_dims(rule, memory, 1, to_order);
  for (std::size_t p = 0; p < memory.pass_count(); ++p) rule.add_pass(memory.pass(p));
  return rule;
}

TESSERA_INLINE std::optional<graph::Rule> bitcast_convert_rule(const RuleSite& site) {
  const Dims& from = site.tensors.operand_dims[0];
  const Dims& to = site.tensors.result_dims[0];
  if (from == to) return graph::elementwise_rule(site.tensors.operand_dims, to);
  // The tensor of smaller elements has a minor dim more, of an element's parts; it stays whole.
  const Dims& longer = from.size() > to.size() ? from : to;
  graph::Rule rule;
  std::vector<graph::FactorId> factors;
  for (std::size_t d = 0; d < longer.size(); ++d)
    factors.push_back(
        rule.add_factor({longer[d], d + 1 == longer.size() ? graph::FactorKind::whole
                                                           : graph::FactorKind::parallel}));
  rule.begin_operand();
  for (std::size_t d = 0; d < from.size(); ++d) rule.add_dim(factors[d]);
  rule.begin_result();
  for (std::size_t d = 0; d < to.size(); ++d) rule.add_dim(factors[d]);
  return rule;
}

TESSERA_INLINE std::optional<graph::Rule> transpose_rule(const RuleSite& site) {
  return graph::transpose_rule(site.tensors.operand_dims[0], site.attributes.ints("dimensions"));
}

TESSERA_INLINE std::optional<graph::Rule> reverse_rule(const RuleSite& site) {
  return graph::reverse_rule(site.tensors.operand_dims[0], site.attributes.ints("dimensions"));
}

TESSERA_INLINE std::optional<graph::Rule> concatenate_rule(const RuleSite& site) {
  return graph::concatenate_rule(site.tensors.operand_dims, site.tensors.out(),
                                 site.attributes.ints("dimensions")[0]);
}

TESSERA_INLINE std::optional<graph::Rule> slice_rule(const RuleSite& site) {
  return graph::slice_rule(site.tensors.operand_dims[0], site.tensors.out(),
                           site.attributes.slice());
}

TESSERA_INLINE std::optional<graph::Rule> pad_rule(const RuleSite& site) {
  return graph::pad_rule(site.tensors.operand_dims[0], site.tensors.out(),
                         site.attributes.padding());
}

TESSERA_INLINE std::optional<graph::Rule> dimension_size_rule(const RuleSite& site) {
  return graph::batched_rule(site.tensors.operand_dims[0], site.tensors.operand_dims,
                             site.tensors.result_dims, 0);
}

TESSERA_INLINE std::optional<graph::Rule> set_dimension_size_rule(const RuleSite& site) {
  if (site.tensors.operand_dims[0] != site.tensors.out()) return std::nullopt;
  return graph::along_whole_rule(site.tensors.operand_dims, site.tensors.result_dims,
                                 site.attributes.ints("dimensions"));
}

// --- Attributes
// -----------------------------------------------------------------------------------

TESSERA_INLINE graph::Attributes constant_attributes(const AttributesSite& site) {
  const Shape& shape = site.instruction.shape;
  if (shape.is_tuple) return {};
  const auto literal =
      parse_literal(site.module.text_of(site.instruction.literal), shape.array.element);
  return literal ? graph::Attributes(*literal) : graph::Attributes();
}

TESSERA_INLINE graph::Attributes iota_attributes(const AttributesSite& site) {
  return graph::Dim{site.attributes.integer("iota_dimension", 0)};
}

TESSERA_INLINE graph::Attributes dim_list_attributes(const AttributesSite& site) {
  return graph::DimList{site.attributes.ints("dimensions")};
}

TESSERA_INLINE graph::Attributes concatenate_attributes(const AttributesSite& site) {
  return graph::Dim{site.attributes.ints("dimensions")[0]};
}

TESSERA_INLINE graph::Attributes slice_attributes(const AttributesSite& site) {
  return graph::Slicing{site.attributes.slice()};
}

TESSERA_INLINE graph::Attributes pad_attributes(const AttributesSite& site) {
  return graph::Padding{site.attributes.padding()};
}

}  // namespace tessera::io::hlo::detail
