// SPDX-License-Identifier: Apache-2.0
//
// Integers wider than 64 bits, and exact decimal fractions.
//
// Sums of 64-bit costs can leave 64 bits (ten of IOPDDL's 10^18 do), and a price such as
// floor(alpha + beta * 2 * (n - 1) / n * bytes) must not depend on how a double rounds.
//
// The compiler's own 128-bit integer: it holds the sum of 2^63 values of 64 bits each, so no total
// that Tessera forms can overflow, and unlike a library's it costs nothing to include.  Where
// products need more, Boost.Multiprecision has it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tessera/core/inline.hpp"

namespace tessera {

/// A signed integer of 128 bits.  GCC and Clang have it, the standard does not.
__extension__ using Wide = __int128;

/// In decimal.
std::string to_string(Wide value);

/// A non-negative number written in decimal, kept exactly as numerator / denominator.
struct Decimal {
  std::int64_t numerator = 0;
  std::int64_t denominator = 1;  ///< a power of ten

  friend bool operator==(const Decimal&, const Decimal&) = default;
};

/// Reads "1", "0.01" or "2.5e-3", in lowest terms of powers of ten: "2.50" is 25 / 10.  Nothing
/// where the text is something else, or numerator or denominator would need over 18 digits.
std::optional<Decimal> parse_decimal(std::string_view text);

}  // namespace tessera

#ifdef TESSERA_HEADER_ONLY
#include "tessera/core/wide.ipp"
#endif
