// SPDX-License-Identifier: Apache-2.0
//
// The bodies of attribute_grammar.hpp.
#pragma once
#include "tessera/io/hlo/detail/attribute_grammar.hpp"

#include <algorithm>
#include <array>
#include <system_error>

#include "tessera/core/number.hpp"
#include "tessera/io/hlo/detail/literal.hpp"
#include "tessera/io/hlo/detail/shape_text.hpp"
#include "tessera/notation/hlo_sharding.hpp"

namespace tessera::io::hlo::detail {

struct AttributeGrammar {
  std::string_view name;
  AttributeKind kind;
};

// Sorted by name.
inline constexpr auto attribute_grammars = std::to_array<AttributeGrammar>({
    {"batch_group_count", AttributeKind::integer},
    {"body", AttributeKind::computation},
    {"branch_computations", AttributeKind::computations},
    {"called_computations", AttributeKind::computations},
    {"calls", AttributeKind::computation},
    {"channel_id", AttributeKind::integer},
    {"collapsed_slice_dims", AttributeKind::int_list},
    {"condition", AttributeKind::computation},
    {"delta", AttributeKind::integer},
    {"dim_labels", AttributeKind::dim_labels},
    {"dimensions", AttributeKind::int_list},
    {"direction", AttributeKind::direction},
    {"dynamic_slice_sizes", AttributeKind::int_list},
    {"epsilon", AttributeKind::number},
    {"exponent_bits", AttributeKind::integer},
    {"false_computation", AttributeKind::computation},
    {"feature_group_count", AttributeKind::integer},
    {"feature_index", AttributeKind::integer},
    {"fft_length", AttributeKind::int_list},
    {"index", AttributeKind::integer},
    {"index_vector_dim", AttributeKind::integer},
    {"indices_are_sorted", AttributeKind::boolean},
    {"input_batching_dims", AttributeKind::int_list},
    {"inserted_window_dims", AttributeKind::int_list},
    {"iota_dimension", AttributeKind::integer},
    {"is_stable", AttributeKind::boolean},
    {"k", AttributeKind::integer},
    {"left_side", AttributeKind::boolean},
    {"lhs_batch_dims", AttributeKind::int_list},
    {"lhs_contracting_dims", AttributeKind::int_list},
    {"literal", AttributeKind::literal},
    {"mantissa_bits", AttributeKind::integer},
    {"offset_dims", AttributeKind::int_list},
    {"operand_batching_dims", AttributeKind::int_list},
    {"padding", AttributeKind::padding},
    {"replica_groups", AttributeKind::replica_groups},
    {"rhs_batch_dims", AttributeKind::int_list},
    {"rhs_contracting_dims", AttributeKind::int_list},
    {"scatter", AttributeKind::computation},
    {"scatter_dims_to_operand_dims", AttributeKind::int_list},
    {"scatter_indices_batching_dims", AttributeKind::int_list},
    {"select", AttributeKind::computation},
    {"sharding", AttributeKind::sharding},
    {"slice", AttributeKind::slice},
    {"slice_sizes", AttributeKind::int_list},
    {"source_target_pairs", AttributeKind::int_lists},
    {"start_index_map", AttributeKind::int_list},
    {"start_indices_batching_dims", AttributeKind::int_list},
    {"to_apply", AttributeKind::computation},
    {"true_computation", AttributeKind::computation},
    {"unique_indices", AttributeKind::boolean},
    {"update_window_dims", AttributeKind::int_list},
    {"use_global_device_ids", AttributeKind::boolean},
    {"window", AttributeKind::window},
});
static_assert(std::is_sorted(attribute_grammars.begin(), attribute_grammars.end(),
                             [](const auto& a, const auto& b) { return a.name < b.name; }));

TESSERA_INLINE AttributeKind attribute_kind(std::string_view name) {
  const auto at = std::lower_bound(
      attribute_grammars.begin(), attribute_grammars.end(), name,
      [](const AttributeGrammar& grammar, std::string_view n) { return grammar.name < n; });
  return at != attribute_grammars.end() && at->name == name ? at->kind : AttributeKind::text;
}

// --- Lists
// ----------------------------------------------------------------------------------------

// {entry, entry, ...}, each read by read_entry().
template<class ReadEntry>
void read_braced(Scanner& scan, const char* what, ReadEntry&& read_entry) {
  if (!scan.take('{')) scan.fail(std::string("'{' before ") + what);
  while (!scan.take('}')) {
    read_entry();
    if (!scan.take(',') && scan.peek() != '}') scan.fail(std::string("',' or '}' in ") + what);
  }
}

TESSERA_INLINE std::vector<std::int64_t> read_int_list(Scanner& scan) {
  std::vector<std::int64_t> numbers;
  read_braced(scan, "a list of integers",
              [&] { numbers.push_back(scan.integer("an integer or '}'")); });
  return numbers;
}

TESSERA_INLINE std::vector<std::vector<std::int64_t>> read_int_lists(Scanner& scan) {
  std::vector<std::vector<std::int64_t>> lists;
  read_braced(scan, "a list of lists", [&] { lists.push_back(read_int_list(scan)); });
  return lists;
}

TESSERA_INLINE SliceRange read_slice_range(Scanner& scan) {
  SliceRange range;
  scan.expect('[', "before a range");
  range.start = scan.integer("the start of a range");
  scan.expect(':', "after the start of a range");
  range.limit = scan.integer("the limit of a range");
  if (scan.take(':')) range.stride = scan.integer("the stride of a range");
  scan.expect(']', "after a range of two or three numbers");
  if (range.stride < 1) scan.fail("a positive stride before this");
  return range;
}

TESSERA_INLINE std::vector<SliceRange> read_slice(Scanner& scan) {
  std::vector<SliceRange> ranges;
  read_braced(scan, "the ranges of a slice", [&] { ranges.push_back(read_slice_range(scan)); });
  return ranges;
}

// --- Windows and padding
// --------------------------------------------------------------------------

TESSERA_INLINE void expect_underscore(Scanner& scan) {
  if (!scan.take_here('_')) scan.fail("'_'");
}

TESSERA_INLINE PaddingRange read_padding_range(Scanner& scan) {
  PaddingRange range;
  range.low = scan.integer("the low padding of a dim");
  expect_underscore(scan);
  range.high = scan.integer("the high padding of a dim");
  if (scan.take_here('_')) {
    range.interior = scan.integer("the interior padding of a dim");
    if (range.interior < 0) scan.fail("interior padding of at least 0 before this");
  }
  return range;
}

TESSERA_INLINE std::vector<PaddingRange> read_padding(Scanner& scan) {
  std::vector<PaddingRange> ranges;
  do ranges.push_back(read_padding_range(scan));
  while (scan.take_here('x'));
  return ranges;
}

// The entries of one field, as in 3x3: read(dim) for each dim of the window that begins at `begin`.
// The first field says how many dims there are.
template<class Read>
void read_window_entries(Scanner& scan, std::size_t begin, std::vector<WindowDim>& dims,
                         Read&& read) {
  const bool is_first = dims.empty();
  const auto fail = [&] { scan.fail_at(begin, "the fields of this window differ in their ranks"); };
  std::size_t i = 0;
  do {
    if (i == dims.size()) {
      if (!is_first) fail();
      dims.emplace_back();
    }
    read(dims[i++]);
  } while (scan.take_here('x'));
  if (i != dims.size()) fail();
}

struct WindowNumber {
  std::string_view name;
  std::int64_t WindowDim::*member;
  std::int64_t least;
};
inline constexpr auto window_numbers = std::to_array<WindowNumber>({
    {"size", &WindowDim::size, 0},
    {"stride", &WindowDim::stride, 1},
    {"lhs_dilate", &WindowDim::lhs_dilate, 1},
    {"rhs_dilate", &WindowDim::rhs_dilate, 1},
});

TESSERA_INLINE void read_window_number(Scanner& scan, std::size_t begin,
                                       std::vector<WindowDim>& dims, const WindowNumber& number) {
  read_window_entries(scan, begin, dims, [&](WindowDim& dim) {
    dim.*number.member = scan.integer("an integer");
    if (dim.*number.member < number.least)
      scan.fail_at(begin, "a window's " + std::string(number.name) + " must be at least " +
                              std::to_string(number.least));
  });
}

TESSERA_INLINE void read_window_field(Scanner& scan, std::size_t begin,
                                      std::vector<WindowDim>& dims) {
  const std::string_view field = scan.identifier("a field of a window");
  scan.expect('=', "after a window's field");
  for (const WindowNumber& number : window_numbers)
    if (field == number.name) return read_window_number(scan, begin, dims, number);
  if (field == "rhs_reversal")
    return read_window_entries(
        scan, begin, dims, [&](WindowDim& dim) { dim.is_reversed = scan.integer("0 or 1") != 0; });
  if (field == "pad")
    return read_window_entries(scan, begin, dims, [&](WindowDim& dim) {
      dim.pad_low = scan.integer("the low padding");
      expect_underscore(scan);
      dim.pad_high = scan.integer("the high padding");
    });
  scan.fail_at(scan.at() - field.size() - 1, excerpt(field) + " is no field of a window");
}

TESSERA_INLINE std::vector<WindowDim> read_window(Scanner& scan) {
  const std::size_t begin = scan.at();
  std::vector<WindowDim> dims;
  scan.expect('{', "before a window");
  while (!scan.take('}')) {
    read_window_field(scan, begin, dims);
    scan.take(',');
  }
  return dims;
}

// --- Dim labels
// -----------------------------------------------------------------------------------

// Whether a part names every dim once: two letters, and the digits of its spatial dims.
TESSERA_INLINE bool are_dim_labels(std::string_view part, std::string_view letters) {
  std::array<bool, 256> seen{};
  for (const char c : part) {
    const bool is_spatial = Scanner::is_digit(c) &&
                            static_cast<std::size_t>(c - '0') + 2 < part.size();
    bool& is_seen = seen[static_cast<unsigned char>(c)];
    if ((letters.find(c) == std::string_view::npos && !is_spatial) || is_seen) return false;
    is_seen = true;
  }
  return true;
}

TESSERA_INLINE DimLabels read_dim_labels(Scanner& scan) {
  scan.skip_space();
  const std::size_t begin = scan.at();
  const Extract whole = scan.value();
  const std::string_view text = scan.text().substr(whole.begin, whole.end - whole.begin);
  const std::size_t bar = text.find('_'), arrow = text.find("->");
  if (bar == std::string_view::npos || arrow == std::string_view::npos || bar > arrow)
    scan.fail_at(begin, excerpt(text) + " is not of the form b01f_01io->b01f");
  const DimLabels labels{std::string(text.substr(0, bar)),
                         std::string(text.substr(bar + 1, arrow - bar - 1)),
                         std::string(text.substr(arrow + 2))};
  const auto check = [&](const std::string& part, const char* letters) {
    if (!are_dim_labels(part, letters))
      scan.fail_at(begin, excerpt(text) + ": " + excerpt(part) + " is no list of dims");
    if (part.size() != labels.lhs.size() || part.size() < 2)
      scan.fail_at(begin, excerpt(text) + ": the tensors differ in their ranks");
  };
  check(labels.lhs, "bf");
  check(labels.kernel, "io");
  check(labels.output, "bf");
  return labels;
}

// --- Devices
// --------------------------------------------------------------------------------------

TESSERA_INLINE std::vector<std::int64_t> read_bracketed(Scanner& scan) {
  std::vector<std::int64_t> numbers;
  scan.expect('[', "before a list of dims");
  do numbers.push_back(scan.integer("an integer"));
  while (scan.take(','));
  scan.expect(']', "after a list of dims");
  return numbers;
}

TESSERA_INLINE std::int64_t device_count(const Scanner& scan, const std::vector<std::int64_t>& dims,
                                         std::size_t at) {
  std::int64_t result = 1;
  for (const std::int64_t n : dims)
    if (n < 1 || __builtin_mul_overflow(result, n, &result))
      scan.fail_at(at, "the dims of groups are positive and their product fits in 64 bits");
  return result;
}

// [2,4]<=[8] and [4,2]<=[2,4]T(1,0); a named mesh may stand in place of the list.
TESSERA_INLINE void check_iota_groups(Scanner& scan) {
  const std::size_t begin = scan.at();
  const std::vector<std::int64_t> groups = read_bracketed(scan);
  if (groups.size() != 2)
    scan.fail_at(begin, "groups have two dims: how many groups, and how large");
  if (!scan.take("<=")) {
    scan.value();
    return;
  }
  const std::vector<std::int64_t> dims = read_bracketed(scan);
  if (device_count(scan, groups, begin) != device_count(scan, dims, begin))
    scan.fail_at(begin, "the groups do not hold as many devices as the list has");
  if (scan.take_here('T')) {
    if (scan.here() != '(') scan.fail("'(' after T");
    scan.balanced();
  } else if (dims.size() > 1) {
    scan.fail("T(...) after a list of several dims");
  }
}

// {{0,1},{2,3}}, {}, a product of dims as above, or axes of a named mesh: mesh[x=2,y=4] {x}.
TESSERA_INLINE void check_replica_groups(Scanner& scan) {
  if (scan.peek() == '{') {
    read_int_lists(scan);
  } else if (scan.peek() == '[') {
    check_iota_groups(scan);
  } else {
    scan.value();
    if (scan.peek() == '{') scan.balanced();
  }
}

TESSERA_INLINE void check_sharding(Scanner& scan) {
  scan.skip_space();
  const std::size_t begin = scan.at();
  if (scan.here() != '{') scan.fail("'{' before a sharding");
  scan.balanced();
  try {
    notation::parse_hlo_sharding(scan.text().substr(begin, scan.at() - begin));
  } catch (const notation::HloShardingError& error) {
    scan.fail_at(begin + error.offset(), std::string("sharding: ") + error.what());
  }
}

// --- Single values
// --------------------------------------------------------------------------------

TESSERA_INLINE bool read_boolean(Scanner& scan) {
  if (scan.take("true") || scan.take('1')) return true;
  if (scan.take("false") || scan.take('0')) return false;
  scan.fail("true or false");
}

TESSERA_INLINE void check_number(Scanner& scan) {
  scan.skip_space();
  const std::size_t begin = scan.at();
  const Extract whole = scan.value();
  double value = 0;
  const char* const first = scan.text().data() + whole.begin;
  const char* const last = scan.text().data() + whole.end;
  const auto [end, error] = read_double(first, last, value);
  if (error == std::errc::invalid_argument || end != last) {
    scan.go_to(begin);
    scan.fail("a number");
  }
}

// A shape and its value: s64[1] {0}.  The value of an array of elements stands in braces, which
// directly after the shape would be a layout.
TESSERA_INLINE void check_literal(Scanner& scan) {
  const Shape shape = read_shape(scan);
  const bool is_scalar = !shape.is_tuple && shape.array.dims.empty();
  if (is_scalar || scan.peek() == '{' || scan.peek() == '(') scan_literal(scan, shape);
}

TESSERA_INLINE void check_direction(Scanner& scan) {
  const std::string_view word = scan.identifier("a direction");
  for (const std::string_view known : {"EQ", "NE", "GE", "GT", "LE", "LT"})
    if (word == known) return;
  scan.fail_at(scan.at() - word.size(), excerpt(word) + " is no direction of a comparison");
}

TESSERA_INLINE void check_value(Scanner& scan, AttributeKind kind) {
  switch (kind) {
    case AttributeKind::boolean: read_boolean(scan); return;
    case AttributeKind::integer: scan.integer("an integer"); return;
    case AttributeKind::number: return check_number(scan);
    case AttributeKind::int_list: read_int_list(scan); return;
    case AttributeKind::int_lists: read_int_lists(scan); return;
    case AttributeKind::slice: read_slice(scan); return;
    case AttributeKind::padding: read_padding(scan); return;
    case AttributeKind::window: read_window(scan); return;
    case AttributeKind::dim_labels: read_dim_labels(scan); return;
    case AttributeKind::replica_groups: return check_replica_groups(scan);
    case AttributeKind::sharding: return check_sharding(scan);
    case AttributeKind::direction: return check_direction(scan);
    case AttributeKind::literal: return check_literal(scan);
    case AttributeKind::text:
    case AttributeKind::computation:
    case AttributeKind::computations: scan.value(); return;
  }
}

}  // namespace tessera::io::hlo::detail
