// SPDX-License-Identifier: Apache-2.0
//
// The price of one thing, in a cost model's own unit: a 64-bit integer, with a named infinity.
//
// Prices of single nodes and edges fit in 64 bits; totals need not, and are Wide (core/wide.hpp).
#pragma once
#include <cstdint>
#include <limits>

namespace tessera {

using Cost = std::int64_t;

// Forbidden.  Any finite price is smaller, and adding to it changes nothing.
inline constexpr Cost infinite = std::numeric_limits<Cost>::max();

constexpr bool is_finite(Cost cost) noexcept { return cost != infinite; }

// a + b, `infinite` where either is.  @pre finite sums fit in 64 bits
constexpr Cost saturating_add(Cost a, Cost b) noexcept {
  return is_finite(a) && is_finite(b) ? a + b : infinite;
}

}  // namespace tessera
