// SPDX-License-Identifier: Apache-2.0
//
// The bodies of module.hpp.
#pragma once
#include "tessera/io/hlo/module.hpp"

#include <algorithm>

#include "tessera/core/error.hpp"

namespace tessera::io::hlo {

TESSERA_INLINE std::size_t Shape::leaf_count() const {
  if (!is_tuple) return 1;
  std::size_t count = 0;
  for (const Shape& element : elements) count += element.leaf_count();
  return count;
}

TESSERA_INLINE std::vector<std::size_t> Shape::memory_order() const {
  std::vector<std::size_t> order;
  for (std::size_t d = 0; d < array.dims.size(); ++d)
    order.push_back(minor_to_major.empty() ? d : minor_to_major[array.dims.size() - 1 - d]);
  return order;
}

TESSERA_INLINE std::string to_string(const Shape& shape) {
  constexpr std::size_t limit = 100;
  if (!shape.is_tuple) return graph::to_string(shape.array);
  std::string text = "(";
  for (const Shape& element : shape.elements) {
    if (text.size() > 1) text += ", ";
    if (text.size() > limit) return text + "...)";
    text += to_string(element);
  }
  return text + ')';
}

TESSERA_INLINE std::vector<std::uint32_t> Instruction::called_as(std::string_view attribute) const {
  std::vector<std::uint32_t> found;
  for (std::size_t i = 0; i < called.size(); ++i)
    if (attributes[called_in[i]].name == attribute) found.push_back(called[i]);
  return found;
}

TESSERA_INLINE std::vector<std::uint32_t> branches_of(const Instruction& conditional) {
  std::vector<std::uint32_t> branches = conditional.called_as("branch_computations");
  for (const char* const attribute : {"true_computation", "false_computation"})
    for (const std::uint32_t id : conditional.called_as(attribute)) branches.push_back(id);
  return branches;
}

TESSERA_INLINE void Module::fail(std::size_t at, const std::string& message) const {
  throw InputError(source, position_of(text, at), message);
}

namespace detail {

TESSERA_INLINE ShapeSize size_of(const Shape& shape) {
  ShapeSize size;
  for (const Shape& element : shape.elements) {
    const ShapeSize inner = size_of(element);
    size.parts += inner.parts;
    size.depth = std::max(size.depth, inner.depth + 1);
  }
  return size;
}

TESSERA_INLINE std::string shown_name(std::string_view name) { return excerpt(name, 100); }

}  // namespace detail

}  // namespace tessera::io::hlo
