// SPDX-License-Identifier: Apache-2.0
//
// The bodies of attribute_access.hpp.
#pragma once
#include "tessera/io/hlo/detail/attribute_access.hpp"

namespace tessera::io::hlo::detail {

TESSERA_INLINE Scanner AttributeAccess::scanner_at(const Attribute& attribute) const {
  Scanner scan(module_.text, module_.source);
  scan.go_to(attribute.value.begin);
  return scan;
}

TESSERA_INLINE std::vector<std::int64_t> AttributeAccess::ints(std::string_view name) const {
  const Attribute* const found = instruction_.find(name);
  if (found == nullptr) return {};
  Scanner scan = scanner_at(*found);
  return read_int_list(scan);
}

TESSERA_INLINE std::int64_t AttributeAccess::integer(std::string_view name,
                                                     std::int64_t absent) const {
  const Attribute* const found = instruction_.find(name);
  return found == nullptr ? absent : scanner_at(*found).integer("an integer");
}

TESSERA_INLINE bool AttributeAccess::boolean(std::string_view name, bool absent) const {
  const Attribute* const found = instruction_.find(name);
  if (found == nullptr) return absent;
  Scanner scan = scanner_at(*found);
  return read_boolean(scan);
}

TESSERA_INLINE std::vector<SliceRange> AttributeAccess::slice() const {
  const Attribute* const found = instruction_.find("slice");
  if (found == nullptr) return {};
  Scanner scan = scanner_at(*found);
  return read_slice(scan);
}

TESSERA_INLINE std::vector<PaddingRange> AttributeAccess::padding() const {
  const Attribute* const found = instruction_.find("padding");
  if (found == nullptr) return {};
  Scanner scan = scanner_at(*found);
  return read_padding(scan);
}

TESSERA_INLINE std::vector<WindowDim> AttributeAccess::window(std::size_t rank) const {
  const Attribute* const found = instruction_.find("window");
  if (found == nullptr) return std::vector<WindowDim>(rank);
  Scanner scan = scanner_at(*found);
  return read_window(scan);
}

TESSERA_INLINE DimLabels AttributeAccess::dim_labels() const {
  const Attribute* const found = instruction_.find("dim_labels");
  if (found == nullptr) return {};
  Scanner scan = scanner_at(*found);
  return read_dim_labels(scan);
}

TESSERA_INLINE std::string_view AttributeAccess::word(std::string_view name) const {
  const Attribute* const found = instruction_.find(name);
  if (found == nullptr) return {};
  std::string_view text = module_.text_of(found->value);
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'')) {
    text.remove_prefix(1);
    text.remove_suffix(1);
  }
  return text;
}

}  // namespace tessera::io::hlo::detail
