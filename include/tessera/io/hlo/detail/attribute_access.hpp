// SPDX-License-Identifier: Apache-2.0
//
// The values of an instruction's attributes, by name, once its module has been read.
//
// The grammar of each was checked by the reader (attribute_grammar.hpp).  An attribute that the
// text leaves out has a value here all the same: lists are empty, windows cover one element, and
// numbers are as the caller says.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/attribute_grammar.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo::detail {

// Of one instruction.  Both it and its module must outlive this.
class AttributeAccess {
 public:
  AttributeAccess(const Module& module, const Instruction& instruction)
      : module_(module), instruction_(instruction) {}

  bool has(std::string_view name) const { return instruction_.find(name) != nullptr; }
  std::vector<std::int64_t> ints(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t absent) const;
  bool boolean(std::string_view name, bool absent) const;
  std::vector<SliceRange> slice() const;
  std::vector<PaddingRange> padding() const;
  // One entry per dim; each covers one element where the attribute is absent.
  std::vector<WindowDim> window(std::size_t rank) const;
  DimLabels dim_labels() const;
  // A name or a string, without its quotes; empty where there is none.
  std::string_view word(std::string_view name) const;

 private:
  // At the attribute's value.
  Scanner scanner_at(const Attribute& attribute) const;

  const Module& module_;
  const Instruction& instruction_;
};

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/attribute_access.ipp"
#endif
