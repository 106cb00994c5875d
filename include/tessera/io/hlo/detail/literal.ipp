// SPDX-License-Identifier: Apache-2.0
//
// The bodies of literal.hpp.
#pragma once
#include "tessera/io/hlo/detail/literal.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/core/number.hpp"

namespace tessera::io::hlo::detail {

// --- Grammar
// ---------------------------------------------------------------------------------------

TESSERA_INLINE bool is_scalar_literal(std::string_view word) {
  if (word == "true" || word == "false") return true;
  const bool is_signed = !word.empty() && (word[0] == '-' || word[0] == '+');
  const std::string_view digits = is_signed ? word.substr(1) : word;
  if (digits == "inf" || digits == "nan") return true;
  double value = 0;
  const char* const last = digits.data() + digits.size();
  const auto [end, error] = read_double(digits.data(), last, value);
  return error != std::errc::invalid_argument && end == last;
}

TESSERA_INLINE void scan_number(Scanner& scan) {
  scan.skip_space();
  const std::size_t begin = scan.at();
  std::size_t end = begin;
  while (end < scan.text().size() &&
         (Scanner::is_name_part(scan.text()[end]) || scan.text()[end] == '+'))
    ++end;
  scan.go_to(end);
  const std::string_view word = scan.text().substr(begin, end - begin);
  if ((word == "nan" || word == "-nan") && scan.here() == '(') scan.balanced();  // its payload
  if (is_scalar_literal(word)) return;
  scan.go_to(begin);
  scan.fail("a number");
}

TESSERA_INLINE void scan_element(Scanner& scan) {
  if (!scan.take('(')) {
    scan_number(scan);
    return;
  }
  scan_number(scan);  // complex
  scan.expect(',', "between the parts of a complex number");
  scan_number(scan);
  scan.expect(')', "after a complex number");
}

TESSERA_INLINE void scan_array(Scanner& scan, const TensorType& type, std::size_t dim) {
  if (dim == type.dims.size()) {
    scan_element(scan);
    return;
  }
  scan.skip_space();
  const std::size_t begin = scan.at();
  scan.expect('{', "in the literal of an array");
  if (scan.take("...")) {  // a large constant, left out of the dump
    scan.expect('}', "after an elided literal");
    return;
  }
  for (Extent i = 0; i < type.dims[dim]; ++i) {
    scan.take(',');
    if (scan.peek() == '}')
      scan.fail_at(begin, "the literal has " + std::to_string(i) + " elements where " +
                              std::to_string(type.dims[dim]) + " are required");
    scan_array(scan, type, dim + 1);
  }
  scan.take(',');
  if (!scan.take('}'))
    scan.fail("'}' after " + std::to_string(type.dims[dim]) + " elements of a literal");
}

TESSERA_INLINE void scan_literal_of(Scanner& scan, const Shape& shape, int depth) {
  if (depth > Scanner::max_nesting) scan.fail_at(scan.at(), "literals nest too deeply");
  if (shape.is_tuple) {
    scan.expect('(', "before the elements of a tuple literal");
    for (const Shape& element : shape.elements) {
      scan.take(',');
      scan_literal_of(scan, element, depth + 1);
    }
    scan.expect(')', "after the elements of a tuple literal");
  } else if (element_count(shape.array.dims) > 0) {
    scan_array(scan, shape.array, 0);
  } else if (scan.peek() == '{') {
    scan.balanced();  // braces around nothing, as many as there may be
  }
}

TESSERA_INLINE Extract scan_literal(Scanner& scan, const Shape& shape) {
  scan.skip_space();
  const std::size_t begin = scan.at();
  scan_literal_of(scan, shape, 0);
  return {begin, scan.at()};
}

// --- Numbers
// ---------------------------------------------------------------------------------------

TESSERA_INLINE bool holds_integers(ElementType element) {
  return !is_floating(element) && !is_complex(element);
}

// The next number of the text, which is dropped from it; empty at the end.
TESSERA_INLINE std::string_view next_number(std::string_view& rest) {
  constexpr std::string_view between = "{}(), \t\r\n";
  while (true) {
    rest.remove_prefix(std::min(rest.find_first_not_of(between), rest.size()));
    if (!rest.starts_with("/*")) break;
    rest.remove_prefix(rest.find("*/") + 2);
  }
  const std::string_view word = rest.substr(0, rest.find_first_of(between));
  rest.remove_prefix(word.size());
  if (word.ends_with("nan") && rest.starts_with('('))  // with its payload
    rest.remove_prefix(rest.find(')') + 1);
  return word;
}

TESSERA_INLINE std::int64_t integer_in(std::string_view word) {
  if (word == "true" || word == "false") return word == "true" ? 1 : 0;
  std::int64_t value = 0;
  const char* const end = word.data() + word.size();
  if (std::from_chars(word.data(), end, value).ec == std::errc()) return value;
  std::uint64_t bits = 0;
  std::from_chars(word.data(), end, bits);
  return std::bit_cast<std::int64_t>(bits);
}

TESSERA_INLINE double number_in(std::string_view word) {
  if (word == "true" || word == "false") return word == "true" ? 1 : 0;
  if (word.starts_with('+')) word.remove_prefix(1);
  double value = 0;
  const auto [end, error] = read_double(word.data(), word.data() + word.size(), value);
  if (error != std::errc::result_out_of_range) return value;
  // Too small or too large for double; the sign of the exponent says which.
  const bool is_small = word.find("e-") != std::string_view::npos;
  const double size = is_small ? 0 : std::numeric_limits<double>::infinity();
  return word.starts_with('-') ? -size : size;
}

// One element where all are identical, bit by bit.
template<class T>
std::vector<T> folded(std::vector<T> elements) {
  const auto bits = [](T value) { return std::bit_cast<std::uint64_t>(value); };
  const bool are_equal = std::all_of(elements.begin(), elements.end(),
                                     [&](T value) { return bits(value) == bits(elements[0]); });
  if (are_equal && elements.size() > 1) elements.resize(1);
  return elements;
}

TESSERA_INLINE std::optional<graph::Literal> parse_literal(std::string_view text,
                                                           ElementType element) {
  std::vector<std::int64_t> integers;
  std::vector<double> numbers;
  const bool is_integral = holds_integers(element);
  for (std::string_view word = next_number(text); !word.empty(); word = next_number(text)) {
    if (word == "...") return std::nullopt;
    if (is_integral)
      integers.push_back(integer_in(word));
    else
      numbers.push_back(number_in(word));
  }
  if (is_integral) return graph::Literal{folded(std::move(integers))};
  return graph::Literal{is_complex(element) ? std::move(numbers) : folded(std::move(numbers))};
}

// --- Text
// ------------------------------------------------------------------------------------------

TESSERA_INLINE std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end};
}

TESSERA_INLINE std::string integer_text(std::int64_t value, ElementType element) {
  if (element == ElementType::pred) return value != 0 ? "true" : "false";
  return element == ElementType::u64 ? std::to_string(static_cast<std::uint64_t>(value))
                                     : std::to_string(value);
}

// Element `i`; a list of one element stands for any number of them.
TESSERA_INLINE std::string element_text(const graph::Literal& literal, ElementType element,
                                        std::size_t i) {
  if (const auto* const integers = std::get_if<0>(&literal.elements))
    return integer_text(integers->at(integers->size() == 1 ? 0 : i), element);
  const std::vector<double>& numbers = std::get<1>(literal.elements);
  if (!is_complex(element)) return number_text(numbers.at(numbers.size() == 1 ? 0 : i));
  return '(' + number_text(numbers.at(2 * i)) + ", " + number_text(numbers.at(2 * i + 1)) + ')';
}

// The elements from dim `dim` on, of which `next` is the first that is to be written.
TESSERA_INLINE void append_elements(std::string& text, const graph::Literal& literal,
                                    const TensorType& type, std::size_t dim, std::size_t& next) {
  if (dim == type.dims.size()) {
    text += element_text(literal, type.element, next++);
    return;
  }
  text += '{';
  for (Extent i = 0; i < type.dims[dim]; ++i) {
    if (i != 0) text += ", ";
    append_elements(text, literal, type, dim + 1, next);
  }
  text += '}';
}

TESSERA_INLINE std::string literal_text(const graph::Literal& literal, const TensorType& type) {
  std::string text;
  std::size_t next = 0;
  append_elements(text, literal, type, 0, next);
  return text;
}

}  // namespace tessera::io::hlo::detail
