// SPDX-License-Identifier: Apache-2.0
//
// Exact 64-bit arithmetic that says so when it can not be exact.  Wider totals: core/wide.hpp.
#pragma once
#include <cstdint>
#include <limits>

#include "tessera/core/error.hpp"

namespace tessera {

/// a * b.  @pre a >= 0, b >= 0.  Throws Overflow (in a constant expression: does not compile).
constexpr std::int64_t checked_mul(std::int64_t a, std::int64_t b) {
  if (a != 0 && b > std::numeric_limits<std::int64_t>::max() / a)
    throw Overflow("a product of sizes does not fit in 64 bits");
  return a * b;
}

/// The least q with q * b >= a.  @pre a >= 0, b > 0
constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) noexcept {
  return a / b + (a % b != 0 ? 1 : 0);
}

/// One round of splitmix64: cheap, and every input bit reaches every output bit.
constexpr std::uint64_t mix_bits(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

}  // namespace tessera
