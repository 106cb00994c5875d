// SPDX-License-Identifier: Apache-2.0
//
// The bodies of shape_text.hpp.
#pragma once
#include "tessera/io/hlo/detail/shape_text.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"

namespace tessera::io::hlo::detail {

TESSERA_INLINE bool at_shape(Scanner& scan) {
  if (scan.peek() == '(') return true;
  const std::string_view word = scan.peek_identifier();
  if (word == "b" && scan.text().substr(scan.at() + 1, 1) == "(") return true;
  return !word.empty() && scan.text().substr(scan.at() + word.size(), 1) == "[";
}

TESSERA_INLINE Shape read_tuple_shape(Scanner& scan, int depth) {
  Shape result;
  result.is_tuple = true;
  if (scan.take(')')) return result;
  do result.elements.push_back(read_shape(scan, depth + 1));
  while (scan.take(','));
  scan.expect(')', "after the elements of a tuple shape");
  return result;
}

TESSERA_INLINE void read_dim(Scanner& scan, Shape& shape) {
  scan.skip_space();
  const std::size_t begin = scan.at();
  if (shape.array.dims.size() == max_dims)
    scan.fail_at(begin, "a tensor of more than " + std::to_string(max_dims) + " dims");
  if (scan.take('?')) {
    shape.is_unbounded = true;
    shape.array.dims.push_back(1);
    return;
  }
  scan.take("<=");  // bounded: the bound is the size to plan for
  const std::int64_t size = scan.integer("the size of a dim");
  if (size < 0) scan.fail_at(begin, "a dim of negative size");
  shape.array.dims.push_back(size);
}

// The dims of a layout, up to whatever follows them.
TESSERA_INLINE void read_minor_to_major(Scanner& scan, Shape& shape, std::size_t begin) {
  std::vector<char> seen(shape.array.dims.size(), 0);
  auto& order = shape.minor_to_major;
  while (Scanner::is_digit(scan.peek())) {
    const std::size_t number_at = scan.at();
    const auto entry = static_cast<std::size_t>(scan.integer("a dim of a layout"));
    if (entry >= seen.size() || seen[entry] != 0)
      scan.fail_at(number_at, "a layout lists every dim of its shape once");
    seen[entry] = 1;
    order.push_back(static_cast<std::uint8_t>(entry));
    if (!scan.take(',')) break;
  }
  const bool is_default = order.empty() && (scan.peek() == '}' || scan.peek() == ':');
  if (order.size() != seen.size() && !is_default)
    scan.fail_at(begin, "the layout lists " + std::to_string(order.size()) +
                            " dims of a shape that has " + std::to_string(seen.size()));
}

// A '{' after a shape is a layout only when an int, ':' or '}' follows; else it is a body.
TESSERA_INLINE void read_layout(Scanner& scan, Shape& shape) {
  const std::size_t begin = scan.at();
  scan.go_to(begin + 1);
  const char next = scan.peek();
  const bool is_layout = Scanner::is_digit(next) || next == ':' || next == '}';
  if (is_layout) read_minor_to_major(scan, shape, begin);
  scan.go_to(begin);
  if (is_layout) scan.balanced();  // tiles, memory spaces and the like are kept as text
}

TESSERA_INLINE Shape read_array_shape(Scanner& scan, std::size_t begin, std::string_view word) {
  const auto element = graph::parse_element_type(word);
  if (!element) scan.fail_at(begin, excerpt(word) + " is no element type");
  Shape result;
  result.array.element = *element;
  scan.expect('[', "after an element type");
  if (!scan.take(']')) {
    do read_dim(scan, result);
    while (scan.take(','));
    scan.expect(']', "after the dims of a shape");
  }
  try {
    byte_count(result.array);
  } catch (const Overflow&) {
    scan.fail_at(begin, "the size of this tensor does not fit in 64 bits");
  }
  if (scan.here() == '{') read_layout(scan, result);
  return result;
}

TESSERA_INLINE Shape read_shape(Scanner& scan, int depth) {
  scan.skip_space();
  if (depth > Scanner::max_nesting) scan.fail_at(scan.at(), "shapes nest too deeply");
  if (scan.take('(')) return read_tuple_shape(scan, depth);
  const std::size_t begin = scan.at();
  const std::string_view word = scan.identifier("a shape");
  if (word != "b") return read_array_shape(scan, begin, word);
  scan.expect('(', "after 'b'");  // a buffer: its contents' shape is what counts
  Shape result = read_shape(scan, depth + 1);
  scan.expect(')', "after a buffer's shape");
  return result;
}

}  // namespace tessera::io::hlo::detail
