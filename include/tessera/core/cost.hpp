// SPDX-License-Identifier: Apache-2.0
//
// The price of one thing, in a cost model's own unit: a 64-bit integer, with a named infinity.
//
// Prices of single nodes and edges fit in 64 bits; totals need not, and are Wide (core/wide.hpp).
#pragma once
#include <cstdint>
#include <limits>

namespace tessera {

/// A price, in the unit of the cost model that it comes from.
using Cost = std::int64_t;

/// Forbidden.  Any finite price is smaller, and adding to it changes nothing.
inline constexpr Cost infinite = std::numeric_limits<Cost>::max();

/// Whether a price is not forbidden.
constexpr bool is_finite(Cost cost) noexcept { return cost != infinite; }

/// a + b, `infinite` where either is.  A sum that reaches `infinite` is infinite, and one below the
/// least Cost is the least: a caller that must distinguish a large price from a forbidden one looks
/// at the summands.
constexpr Cost saturating_add(Cost a, Cost b) noexcept {
  if (!is_finite(a) || !is_finite(b)) return infinite;
  Cost sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a > 0 ? infinite : std::numeric_limits<Cost>::min();
}

}  // namespace tessera
