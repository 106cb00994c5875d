// SPDX-License-Identifier: Apache-2.0
//
// What an instruction's attributes say, by their names, for all who ask after a module was read.
//
// Their grammar was checked then (detail/attributes.hpp), and what they need not be found in the
// text stands here: lists are empty, windows points, numbers what the caller says.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tessera/io/hlo/detail/attributes.hpp"
#include "tessera/io/hlo/detail/scanner.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo::detail {

// Of one instruction.  Both it and its module must outlive this.
class AttributeAccess {
 public:
  AttributeAccess(const Module& module, const Instruction& instruction)
      : module_(module), instruction_(instruction) {}

  bool has(std::string_view name) const { return instruction_.find(name) != nullptr; }

  // Empty where the attribute is absent: HLO leaves empty lists out.
  std::vector<std::int64_t> ints(std::string_view name) const {
    return read(name, std::vector<std::int64_t>{},
                [](Scanner& scan) { return AttributeReader(scan).int_list(); });
  }
  std::int64_t integer(std::string_view name, std::int64_t absent) const {
    return read(name, absent, [](Scanner& scan) { return scan.integer("an integer"); });
  }
  bool boolean(std::string_view name, bool absent) const {
    return read(name, absent, [](Scanner& scan) { return AttributeReader(scan).boolean(); });
  }
  std::vector<SliceRange> slice() const {
    return read("slice", std::vector<SliceRange>{},
                [](Scanner& scan) { return AttributeReader(scan).slice(); });
  }
  std::vector<PaddingRange> padding() const {
    return read("padding", std::vector<PaddingRange>{},
                [](Scanner& scan) { return AttributeReader(scan).padding(); });
  }
  // One entry per dim; points where the attribute is absent.
  std::vector<WindowDim> window(std::size_t rank) const {
    return read("window", std::vector<WindowDim>(rank),
                [](Scanner& scan) { return AttributeReader(scan).window(); });
  }
  DimLabels dim_labels() const {
    return read("dim_labels", DimLabels{},
                [](Scanner& scan) { return AttributeReader(scan).dim_labels(); });
  }
  // A name or a string, without its quotes.
  std::string_view word(std::string_view name) const {
    const Attribute* attribute = instruction_.find(name);
    if (attribute == nullptr) return {};
    std::string_view text = module_.text_of(attribute->value);
    if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'')) {
      text.remove_prefix(1);
      text.remove_suffix(1);
    }
    return text;
  }

 private:
  template<class T, class Read>
  T read(std::string_view name, T absent, Read&& how) const {
    const Attribute* attribute = instruction_.find(name);
    if (attribute == nullptr) return absent;
    Scanner scan(module_.text, module_.source);
    scan.go_to(attribute->value.begin);
    return how(scan);
  }

  const Module& module_;
  const Instruction& instruction_;
};

}  // namespace tessera::io::hlo::detail
