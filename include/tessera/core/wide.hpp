// SPDX-License-Identifier: Apache-2.0
//
// Integers wider than 64 bits, and exact decimal fractions.
//
// Sums of 64-bit costs can leave 64 bits (ten of IOPDDL's 10^18 do), and a price such as
// floor(alpha + beta * 2 * (n - 1) / n * bytes) must not depend on how a double rounds.
//
// The compiler's own 128-bit integer: it holds the sum of 2^63 values of 64 bits each, so no total
// we form can overflow, and unlike a library's it costs nothing to include.  Where products need
// more, Boost.Multiprecision has it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tessera {

__extension__ using Wide = __int128;  // __extension__: GCC and Clang have it, the standard does not

inline std::string to_string(Wide value) {
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

// A non-negative number written in decimal, kept exactly as numerator / denominator.
struct Decimal {
  std::int64_t numerator = 0;
  std::int64_t denominator = 1;  // a power of ten

  friend bool operator==(const Decimal&, const Decimal&) = default;
};

namespace detail {

// The exponent at the end of a decimal number, "e-3"; 0 where there is none, and nothing where
// there is something else.
inline std::optional<int> parse_exponent(std::string_view text) {
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

// Reads "1", "0.01" or "2.5e-3", in lowest terms of powers of ten: "2.50" is 25 / 10.  Nothing
// where the text is something else, or numerator or denominator would need over 18 digits.
inline std::optional<Decimal> parse_decimal(std::string_view text) {
  constexpr int max_digits = 18;
  Decimal result;
  int digits = 0, zeros = 0, places = 0;  // zeros: read, but not counted until a digit follows
  bool any = false, after_point = false;
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '.' && !after_point) {
      after_point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    any = true;
    places += after_point;
    if (c == '0') {
      zeros += result.numerator != 0;
      continue;
    }
    if (digits + zeros + 1 > max_digits) return std::nullopt;
    for (; zeros > 0; --zeros, ++digits) result.numerator *= 10;
    result.numerator = result.numerator * 10 + (c - '0');
    ++digits;
  }
  const std::optional<int> written = detail::parse_exponent(text.substr(at));
  if (!any || !written) return std::nullopt;
  if (result.numerator == 0) return result;
  int exponent = *written + zeros - places;
  for (; exponent > 0; --exponent) {
    if (++digits > max_digits) return std::nullopt;
    result.numerator *= 10;
  }
  for (; exponent < 0; ++exponent) {
    if (result.denominator >= 1'000'000'000'000'000'000) return std::nullopt;
    result.denominator *= 10;
  }
  return result;
}

}  // namespace tessera
