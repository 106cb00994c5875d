// SPDX-License-Identifier: Apache-2.0
//
// The grammars of attribute values: checked when a module is read, and read again by whoever needs
// what they say.  Attributes that are not listed here are kept verbatim and mean nothing to us.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/number.hpp"
#include "tessera/graph/window.hpp"
#include "tessera/io/hlo/detail/scanner.hpp"

namespace tessera::io::hlo::detail {

enum class AttributeKind : std::uint8_t {
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

// Nothing for an attribute that is kept as it is.
constexpr const AttributeKind* attribute_kind(std::string_view name) {
  const auto at = std::lower_bound(
      attribute_grammars.begin(), attribute_grammars.end(), name,
      [](const AttributeGrammar& grammar, std::string_view n) { return grammar.name < n; });
  return at != attribute_grammars.end() && at->name == name ? &at->kind : nullptr;
}

using graph::PaddingRange;
using graph::SliceRange;
using graph::WindowDim;

// Each entry is 'b', 'f', 'i', 'o' or a spatial dim's digit, for one dim of a tensor.
struct DimLabels {
  std::string lhs, kernel, output;
};

// Reads one value.  The scanner stands at its beginning, and after it when done.
class AttributeReader {
 public:
  explicit AttributeReader(Scanner& scanner) : scan_(scanner) {}

  std::vector<std::int64_t> int_list() {
    std::vector<std::int64_t> numbers;
    scan_.expect('{', "before a list of integers");
    while (!scan_.take('}')) {
      numbers.push_back(scan_.integer("an integer or '}'"));
      if (!scan_.take(',') && scan_.peek() != '}') scan_.fail("',' or '}' in a list of integers");
    }
    return numbers;
  }

  std::vector<std::vector<std::int64_t>> int_lists() {
    std::vector<std::vector<std::int64_t>> lists;
    scan_.expect('{', "before a list of lists");
    while (!scan_.take('}')) {
      lists.push_back(int_list());
      if (!scan_.take(',') && scan_.peek() != '}') scan_.fail("',' or '}' in a list of lists");
    }
    return lists;
  }

  std::vector<SliceRange> slice() {
    std::vector<SliceRange> ranges;
    scan_.expect('{', "before the ranges of a slice");
    while (!scan_.take('}')) {
      SliceRange range;
      scan_.expect('[', "before a range");
      range.start = scan_.integer("the start of a range");
      scan_.expect(':', "after the start of a range");
      range.limit = scan_.integer("the limit of a range");
      if (scan_.take(':')) range.stride = scan_.integer("the stride of a range");
      scan_.expect(']', "after a range of two or three numbers");
      if (range.stride < 1) scan_.fail("a positive stride before this");
      ranges.push_back(range);
      if (!scan_.take(',') && scan_.peek() != '}') scan_.fail("',' or '}' after a range");
    }
    return ranges;
  }

  std::vector<PaddingRange> padding() {
    std::vector<PaddingRange> ranges;
    do {
      PaddingRange range;
      range.low = scan_.integer("the low padding of a dim");
      underscore();
      range.high = scan_.integer("the high padding of a dim");
      if (scan_.here() == '_') {
        underscore();
        range.interior = scan_.integer("the interior padding of a dim");
        if (range.interior < 0) scan_.fail("interior padding of at least 0 before this");
      }
      ranges.push_back(range);
    } while (next_factor());
    return ranges;
  }

  std::vector<WindowDim> window() {
    const std::size_t begin = scan_.at();
    std::vector<WindowDim> dims;
    scan_.expect('{', "before a window");
    while (!scan_.take('}')) {
      window_field(begin, dims);
      scan_.take(',');
    }
    return dims;
  }

  DimLabels dim_labels() {
    scan_.skip_space();
    const std::size_t begin = scan_.at();
    const Extract whole = scan_.value();
    const std::string_view text = scan_.text().substr(whole.begin, whole.end - whole.begin);
    const std::size_t bar = text.find('_'), arrow = text.find("->");
    if (bar == std::string_view::npos || arrow == std::string_view::npos || bar > arrow)
      scan_.fail_at(begin, excerpt(text) + " is not of the form b01f_01io->b01f");
    DimLabels labels{std::string(text.substr(0, bar)),
                     std::string(text.substr(bar + 1, arrow - bar - 1)),
                     std::string(text.substr(arrow + 2))};
    const auto check = [&](const std::string& part, const char* letters) {
      std::vector<char> seen(256, 0);
      for (const char c : part) {
        const bool is_spatial = Scanner::is_digit(c) &&
                                static_cast<std::size_t>(c - '0') + 2 < part.size();
        if ((c != letters[0] && c != letters[1] && !is_spatial) ||
            seen[static_cast<unsigned char>(c)]++ != 0)
          scan_.fail_at(begin, excerpt(text) + ": " + excerpt(part) + " is no list of dims");
      }
      if (part.size() != labels.lhs.size() || part.size() < 2)
        scan_.fail_at(begin, excerpt(text) + ": the tensors differ in their ranks");
    };
    check(labels.lhs, "bf");
    check(labels.kernel, "io");
    check(labels.output, "bf");
    return labels;
  }

  bool boolean() {
    if (scan_.take("true") || scan_.take('1')) return true;
    if (scan_.take("false") || scan_.take('0')) return false;
    scan_.fail("true or false");
  }

  void number() {
    scan_.skip_space();
    const std::size_t begin = scan_.at();
    const Extract whole = scan_.value();
    double value = 0;
    const char* const first = scan_.text().data() + whole.begin;
    const char* const last = scan_.text().data() + whole.end;
    const auto [end, error] = read_double(first, last, value);
    if (error == std::errc::invalid_argument || end != last) {
      scan_.go_to(begin);
      scan_.fail("a number");
    }
  }

  // {{0,1},{2,3}}, {}, or [2,4]<=[8] and [4,2]<=[2,4]T(1,0), or mesh[x=2,y=4] {x}.
  void replica_groups() {
    if (scan_.peek() == '{') {
      int_lists();
      return;
    }
    if (scan_.peek() != '[') {  // axes of a named mesh: kept as they are
      scan_.value();
      if (scan_.peek() == '{') scan_.balanced();
      return;
    }
    const std::size_t begin = scan_.at();
    const std::vector<std::int64_t> groups = bracketed();
    if (groups.size() != 2)
      scan_.fail_at(begin, "groups have two dims: how many groups, and how large");
    // A named mesh may stand in place of the list; it is kept as it is.
    if (!scan_.take("<=")) {
      scan_.value();
      return;
    }
    const std::vector<std::int64_t> dims = bracketed();
    if (product(groups, begin) != product(dims, begin))
      scan_.fail_at(begin, "the groups do not hold as many devices as the list has");
    if (scan_.here() == 'T') {
      scan_.take('T');
      if (scan_.here() != '(') scan_.fail("'(' after T");
      scan_.balanced();
    } else if (dims.size() > 1) {
      scan_.fail("T(...) after a list of several dims");
    }
  }

  void sharding() {
    scan_.skip_space();
    const std::size_t begin = scan_.at();
    if (scan_.here() != '{') scan_.fail("'{' before a sharding");
    scan_.balanced();
    try {
      notation::parse_hlo_sharding(scan_.text().substr(begin, scan_.at() - begin));
    } catch (const notation::HloShardingError& error) {
      scan_.fail_at(begin + error.offset(), std::string("sharding: ") + error.what());
    }
  }

  // A shape and its value: s64[1] {0}.  The value of an array of elements stands in braces, which
  // directly after the shape would be a layout.
  void literal() {
    const Shape shape = scan_.shape();
    const bool is_scalar = !shape.is_tuple && shape.array.dims.empty();
    if (is_scalar || scan_.peek() == '{' || scan_.peek() == '(') scan_.literal(shape);
  }

  void direction() {
    const std::string_view word = scan_.identifier("a direction");
    for (const std::string_view known : {"EQ", "NE", "GE", "GT", "LE", "LT"})
      if (word == known) return;
    scan_.fail_at(scan_.at() - word.size(), excerpt(word) + " is no direction of a comparison");
  }

 private:
  // One field of the window that begins at `begin`; the first one says how many dims there are.
  void window_field(std::size_t begin, std::vector<WindowDim>& dims) {
    const std::string_view field = scan_.identifier("a field of a window");
    scan_.expect('=', "after a window's field");
    const auto for_each_dim = [&, is_first = dims.empty()](auto&& read) {
      std::size_t i = 0;
      do {
        if (i == dims.size()) {
          if (!is_first) scan_.fail_at(begin, "the fields of this window differ in their ranks");
          dims.emplace_back();
        }
        read(dims[i++]);
      } while (next_factor());
      if (i != dims.size()) scan_.fail_at(begin, "the fields of this window differ in their ranks");
    };
    const auto read_into = [&](std::int64_t WindowDim::*member, std::int64_t least) {
      for_each_dim([&](WindowDim& dim) {
        dim.*member = scan_.integer("an integer");
        if (dim.*member < least)
          scan_.fail_at(begin, "a window's " + std::string(field) + " must be at least " +
                                   std::to_string(least));
      });
    };
    if (field == "size")
      read_into(&WindowDim::size, 0);
    else if (field == "stride")
      read_into(&WindowDim::stride, 1);
    else if (field == "lhs_dilate")
      read_into(&WindowDim::lhs_dilate, 1);
    else if (field == "rhs_dilate")
      read_into(&WindowDim::rhs_dilate, 1);
    else if (field == "rhs_reversal")
      for_each_dim([&](WindowDim& dim) { dim.is_reversed = scan_.integer("0 or 1") != 0; });
    else if (field == "pad")
      for_each_dim([&](WindowDim& dim) {
        dim.pad_low = scan_.integer("the low padding");
        underscore();
        dim.pad_high = scan_.integer("the high padding");
      });
    else
      scan_.fail_at(scan_.at() - field.size() - 1, excerpt(field) + " is no field of a window");
  }

  void underscore() {
    if (scan_.here() != '_') scan_.fail("'_'");
    scan_.go_to(scan_.at() + 1);
  }
  // The 'x' between the entries of 3x3.
  bool next_factor() {
    if (scan_.here() != 'x') return false;
    scan_.go_to(scan_.at() + 1);
    return true;
  }
  std::vector<std::int64_t> bracketed() {
    std::vector<std::int64_t> numbers;
    scan_.expect('[', "before a list of dims");
    do numbers.push_back(scan_.integer("an integer"));
    while (scan_.take(','));
    scan_.expect(']', "after a list of dims");
    return numbers;
  }
  std::int64_t product(const std::vector<std::int64_t>& numbers, std::size_t at) const {
    std::int64_t result = 1;
    for (const std::int64_t n : numbers)
      if (n < 1 || __builtin_mul_overflow(result, n, &result))
        scan_.fail_at(at, "the dims of groups are positive and their product fits in 64 bits");
    return result;
  }

  Scanner& scan_;
};

}  // namespace tessera::io::hlo::detail
