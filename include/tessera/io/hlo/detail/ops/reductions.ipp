// SPDX-License-Identifier: Apache-2.0
//
// The bodies of reductions.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/reductions.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "tessera/graph/ops.hpp"
#include "tessera/io/hlo/detail/ops/windows.hpp"

namespace tessera::io::hlo::detail {

// --- Shapes
// ---------------------------------------------------------------------------------------

// How many inputs there are: as many as initial values.
TESSERA_INLINE std::size_t input_count(const ShapeSite& site) {
  if (operand_count(site) % 2 != 0)
    fail(site, "as many initial values as inputs are needed for " + site.instruction.spelling);
  return operand_count(site) / 2;
}

// The element type that the reducer returns for input i of `count`, where a reducer is found.
TESSERA_INLINE std::optional<ElementType> returned_type(const ShapeSite& site, std::size_t i,
                                                        std::size_t count) {
  const Shape* const root = callee_root(site, "to_apply");
  if (root == nullptr) return std::nullopt;
  const bool fits = count == 1 ? !root->is_tuple : root->is_tuple && root->elements.size() == count;
  if (!fits)
    fail_with(site, {"the reducer returns ", to_string(*root), " for ", std::to_string(count),
                     " inputs"});
  const Shape& part = count == 1 ? *root : root->elements[i];
  if (part.is_tuple || !part.array.dims.empty()) fail(site, "the reducer must return scalars");
  return part.array.element;
}

// The element type of result i of `count`: the reducer's, or where that is not known the initial
// value's.  Floating types may be mixed, as in a bf16 tensor that is summed in f32.
TESSERA_INLINE ElementType reduced_type(const ShapeSite& site, std::size_t i, std::size_t count) {
  const ElementType type = returned_type(site, i, count).value_or(element_type(site, count + i));
  for (const std::size_t operand : {i, count + i}) {
    const ElementType from = element_type(site, operand);
    if (from != type && !(graph::is_floating(from) && graph::is_floating(type)))
      fail_with(site, {"operand ", std::to_string(operand), " ", to_string(shape(site, operand)),
                       " is reduced to ", std::string(graph::to_string(type))});
  }
  return type;
}

TESSERA_INLINE std::optional<Shape> reduce_shape(const ShapeSite& site) {
  const std::size_t count = input_count(site);
  const auto reduced = dims_in_range(site, "dimensions", rank(site, 0));
  std::vector<Shape> results;
  for (std::size_t i = 0; i < count; ++i) {
    if (dims(site, i) != dims(site, 0))
      fail_with(site, {"inputs ", to_string(shape(site, 0)), " and ", to_string(shape(site, i)),
                       " differ"});
    require_scalar(site, count + i, "an initial value");
    Dims kept;
    for (std::size_t d = 0; d < rank(site, i); ++d)
      if (!contains(reduced, d)) kept.push_back(dims(site, i)[d]);
    results.push_back(array_of(reduced_type(site, i, count), kept));
  }
  return tuple_of(std::move(results));
}

TESSERA_INLINE Dims windowed_dims(const ShapeSite& site, std::size_t i,
                                  const std::vector<WindowDim>& window) {
  Dims result;
  for (std::size_t d = 0; d < window.size(); ++d)
    result.push_back(windowed(site, dims(site, i)[d], window[d]));
  return result;
}

TESSERA_INLINE std::optional<Shape> reduce_window_shape(const ShapeSite& site) {
  const std::size_t count = input_count(site);
  const std::vector<WindowDim> window = window_of_rank(site, rank(site, 0));
  std::vector<Shape> results;
  for (std::size_t i = 0; i < count; ++i) {
    if (dims(site, i) != dims(site, 0)) fail(site, "inputs differ in shape");
    require_scalar(site, count + i, "an initial value");
    const Dims result = windowed_dims(site, i, window);
    results.push_back(array_of(reduced_type(site, i, count), result));
  }
  return tuple_of(std::move(results));
}

TESSERA_INLINE std::optional<Shape> select_and_scatter_shape(const ShapeSite& site) {
  const Dims selected = windowed_dims(site, 0, window_of_rank(site, rank(site, 0)));
  if (dims(site, 1) != selected || element_type(site, 1) != element_type(site, 0))
    fail_with(site, {"the source ", to_string(shape(site, 1)),
                     " is not what the window selects of ", to_string(shape(site, 0)), ": ",
                     to_string(array_of(element_type(site, 0), selected))});
  require_scalar(site, 2, "the initial value");
  if (element_type(site, 2) != element_type(site, 0))
    fail(site, "the initial value is of another type");
  return array(site, 0);
}

// --- Rules
// ----------------------------------------------------------------------------------------

TESSERA_INLINE std::optional<graph::Rule> reduce_rule(const RuleSite& site) {
  const std::vector<Extent> reduced = site.attributes.ints("dimensions");
  const std::size_t count = site.tensors.operands.size() / 2;
  const Dims& in = site.tensors.operand_dims[0];
  if (count > 1) return graph::variadic_reduce_rule(in, count, reduced);
  return graph::reduce_rule(in, reduced, reducer_of(site, "to_apply"));
}

TESSERA_INLINE std::optional<graph::Rule> reduce_window_rule(const RuleSite& site) {
  const std::vector<Dims>& in = site.tensors.operand_dims;
  return graph::reduce_window_rule(in[0], site.tensors.out(), in.size() / 2,
                                   site.attributes.window(in[0].size()),
                                   reducer_of(site, "to_apply"));
}

TESSERA_INLINE std::optional<graph::Rule> select_and_scatter_rule(const RuleSite& site) {
  const std::vector<Dims>& in = site.tensors.operand_dims;
  return graph::select_and_scatter_rule(in[0], in[1], site.attributes.window(in[0].size()),
                                        reducer_of(site, "scatter"));
}

// --- Attributes
// -----------------------------------------------------------------------------------

TESSERA_INLINE graph::Attributes reduce_attributes(const AttributesSite& site) {
  const Reduction reduction = reducer_of(site, "to_apply");
  if (reduction != Reduction::none)
    return graph::Reducing{site.attributes.ints("dimensions"), reduction};
  const Computation* const called = computation_called_by(site, "to_apply");
  auto how = called == nullptr ? std::nullopt : scalar_steps_of(site.module, *called);
  if (!how) return {};
  how->dims = site.attributes.ints("dimensions");
  return std::move(*how);
}

TESSERA_INLINE graph::Attributes reduce_window_attributes(const AttributesSite& site) {
  const Reduction reduction = reducer_of(site, "to_apply");
  if (reduction == Reduction::none) return {};
  return graph::WindowReducing{site.attributes.window(site.operand_rank), reduction};
}

TESSERA_INLINE graph::Attributes select_and_scatter_attributes(const AttributesSite& site) {
  const auto order = comparator_of(site, "select");
  const Reduction reduction = reducer_of(site, "scatter");
  if (!order || reduction == Reduction::none) return {};
  return graph::WindowScattering{site.attributes.window(site.operand_rank), *order, reduction};
}

}  // namespace tessera::io::hlo::detail
