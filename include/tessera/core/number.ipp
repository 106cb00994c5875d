// SPDX-License-Identifier: Apache-2.0
//
// std::from_chars for double where there is one, and else strtod on the same characters.
#pragma once
#include "tessera/core/number.hpp"

#include <locale.h>
#include <stdlib.h>

#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

namespace tessera {
namespace detail {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

TESSERA_INLINE std::size_t digit_count(std::string_view text, std::size_t from) {
  std::size_t at = from;
  while (at < text.size() && is_digit(text[at])) ++at;
  return at - from;
}

// How much of the text is "inf", "infinity", "nan" or "nan(...)"; 0 where none of them.
TESSERA_INLINE std::size_t named_length(std::string_view text) {
  const auto begins_with = [&](std::string_view word) {
    if (text.size() < word.size()) return false;
    for (std::size_t i = 0; i < word.size(); ++i)
      if ((text[i] | 0x20) != word[i]) return false;
    return true;
  };
  if (begins_with("infinity")) return 8;
  if (begins_with("inf")) return 3;
  if (!begins_with("nan")) return 0;
  std::size_t at = 3;
  if (at == text.size() || text[at] != '(') return 3;
  for (++at; at < text.size(); ++at) {
    const char c = static_cast<char>(text[at] | 0x20);
    if (text[at] == ')') return at + 1;
    if (!is_digit(text[at]) && text[at] != '_' && (c < 'a' || c > 'z')) break;
  }
  return 3;
}

// How much of the text is a decimal number without a sign; 0 where nothing is.
TESSERA_INLINE std::size_t decimal_length(std::string_view text) {
  const std::size_t before = digit_count(text, 0);
  std::size_t length = before, after = 0;
  if (length < text.size() && text[length] == '.') {
    after = digit_count(text, length + 1);
    length += 1 + after;
  }
  if (before + after == 0) return 0;
  if (length == text.size() || (text[length] | 0x20) != 'e') return length;
  std::size_t exponent = length + 1;
  if (exponent < text.size() && (text[exponent] == '-' || text[exponent] == '+')) ++exponent;
  const std::size_t digits = digit_count(text, exponent);
  return digits == 0 ? length : exponent + digits;
}

TESSERA_INLINE ReadEnd read_double_by_strtod(const char* first, const char* last, double& value) {
  const std::string_view text(first, static_cast<std::size_t>(last - first));
  const std::size_t sign = !text.empty() && text[0] == '-' ? 1 : 0;
  const std::string_view magnitude = text.substr(sign);
  const std::size_t named = named_length(magnitude);
  const std::size_t length = named != 0 ? named : decimal_length(magnitude);
  if (length == 0) return {first, std::errc::invalid_argument};
  const char* const end = first + sign + length;
  static const locale_t c_locale = newlocale(LC_ALL_MASK, "C", nullptr);
  const double read = strtod_l(std::string(first, end).c_str(), nullptr, c_locale);
  const std::string_view number = magnitude.substr(0, length);
  const std::string_view digits = number.substr(0, number.find_first_of("eE"));
  const bool is_zero = digits.find_first_of("123456789") == std::string_view::npos;
  if (named == 0 && (std::isinf(read) || (read == 0 && !is_zero)))
    return {end, std::errc::result_out_of_range};
  value = read;
  return {end, {}};
}

}  // namespace detail

TESSERA_INLINE ReadEnd read_double(const char* first, const char* last, double& value) {
#ifdef __cpp_lib_to_chars
  const auto [end, error] = std::from_chars(first, last, value);
  return {end, error};
#else
  return detail::read_double_by_strtod(first, last, value);
#endif
}

}  // namespace tessera
