// SPDX-License-Identifier: Apache-2.0
//
// The grammars of attribute values: checked when a module is read, and read again where a value is
// used.  Attributes that are not listed here are kept verbatim and mean nothing to us.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/window.hpp"
#include "tessera/io/hlo/detail/scanner.hpp"

namespace tessera::io::hlo::detail {

using graph::PaddingRange;
using graph::SliceRange;
using graph::WindowDim;

enum class AttributeKind : std::uint8_t {
  text,  // any value, kept as it is
  boolean,
  integer,
  number,
  int_list,
  int_lists,
  slice,
  padding,
  window,
  dim_labels,
  computation,
  computations,
  replica_groups,
  sharding,
  direction,
  literal,
};

// By the attribute's name.  O(log attributes)
AttributeKind attribute_kind(std::string_view name);

// Passes over a value of this kind.  Throws InputError where the value is not one.
void check_value(Scanner& scan, AttributeKind kind);

// Each entry is 'b', 'f', 'i', 'o' or a spatial dim's digit, for one dim of a tensor.
struct DimLabels {
  std::string lhs, kernel, output;
};

// Each reads one value: the scanner stands at its beginning, and after it when done.
std::vector<std::int64_t> read_int_list(Scanner& scan);
std::vector<std::vector<std::int64_t>> read_int_lists(Scanner& scan);
std::vector<SliceRange> read_slice(Scanner& scan);
std::vector<PaddingRange> read_padding(Scanner& scan);
std::vector<WindowDim> read_window(Scanner& scan);
DimLabels read_dim_labels(Scanner& scan);
bool read_boolean(Scanner& scan);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/attribute_grammar.ipp"
#endif
