// SPDX-License-Identifier: Apache-2.0
//
// Wide integers as text, and text as decimal fractions.
#pragma once
#include "tessera/core/wide.hpp"

namespace tessera {

TESSERA_INLINE std::string to_string(Wide value) {
  __extension__ using Magnitude = unsigned __int128;
  const bool is_negative = value < 0;
  Magnitude rest = is_negative ? -static_cast<Magnitude>(value) : static_cast<Magnitude>(value);
  char digits[40];
  char* const end = digits + sizeof digits;
  char* begin = end;
  do *--begin = static_cast<char>('0' + static_cast<int>(rest % 10));
  while ((rest /= 10) != 0);
  if (is_negative) *--begin = '-';
  return {begin, end};
}

namespace detail {

inline constexpr int max_decimal_digits = 18;

// The digits of a number without its sign, point and exponent, zeros at either end left out:
// "0.0250" is 25 * 10^-3.
struct Digits {
  std::int64_t value = 0;
  int count = 0;           // of value
  int exponent = 0;        // value * 10^exponent is the number
  std::size_t length = 0;  // of the text that was read
  bool has_any = false;    // a zero counts
};

// Nothing where they are more than max_decimal_digits.
TESSERA_INLINE std::optional<Digits> parse_digits(std::string_view text) {
  Digits read;
  int zeros = 0;  // since the last digit that is none
  bool is_after_point = false;
  for (; read.length < text.size(); ++read.length) {
    const char c = text[read.length];
    if (c == '.' && !is_after_point) {
      is_after_point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    read.has_any = true;
    read.exponent -= is_after_point ? 1 : 0;
    if (c == '0') {
      zeros += read.value != 0 ? 1 : 0;
      continue;
    }
    if (read.count + zeros + 1 > max_decimal_digits) return std::nullopt;
    for (; zeros > 0; --zeros, ++read.count) read.value *= 10;
    read.value = read.value * 10 + (c - '0');
    ++read.count;
  }
  read.exponent += zeros;
  return read;
}

// The exponent at the end of a decimal number, "e-3"; 0 where there is none, and nothing where
// there is something else.
TESSERA_INLINE std::optional<int> parse_exponent(std::string_view text) {
  if (text.empty()) return 0;
  if (text[0] != 'e' && text[0] != 'E') return std::nullopt;
  std::size_t at = 1;
  const bool is_negative = at < text.size() && text[at] == '-';
  if (is_negative || (at < text.size() && text[at] == '+')) ++at;
  if (at == text.size()) return std::nullopt;
  constexpr int enough = 1'000'000;  // larger ones all mean the same: too large, or too small
  int exponent = 0;
  for (; at < text.size(); ++at) {
    if (text[at] < '0' || text[at] > '9') return std::nullopt;
    if (exponent < enough) exponent = exponent * 10 + (text[at] - '0');
  }
  return is_negative ? -exponent : exponent;
}

}  // namespace detail

TESSERA_INLINE std::optional<Decimal> parse_decimal(std::string_view text) {
  const std::optional<detail::Digits> digits = detail::parse_digits(text);
  if (!digits || !digits->has_any) return std::nullopt;
  const std::optional<int> written = detail::parse_exponent(text.substr(digits->length));
  if (!written) return std::nullopt;
  if (digits->value == 0) return Decimal{};
  Decimal result{digits->value, 1};
  const int exponent = digits->exponent + *written;
  if (digits->count + exponent > detail::max_decimal_digits) return std::nullopt;
  if (exponent < -detail::max_decimal_digits) return std::nullopt;
  for (int i = 0; i < exponent; ++i) result.numerator *= 10;
  for (int i = 0; i > exponent; --i) result.denominator *= 10;
  return result;
}

}  // namespace tessera
