// SPDX-License-Identifier: Apache-2.0
//
// Times as integers: picoseconds, from amounts and rates, exactly and rounded up.
#pragma once
#include <cstdint>

#include "tessera/core/cost.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/wide.hpp"

namespace tessera::cost {

/// Operations, or bytes, in a second.
using Rate = std::int64_t;

/// In picoseconds.
inline constexpr Cost nanosecond = 1'000, microsecond = 1'000'000, second = 1'000'000'000'000;

/// In picoseconds: no step may take longer than a day.  Sums of a few stay far from 64 bits.
inline constexpr Wide longest_time = Wide(86'400) * second;

/// Throws Overflow where it is longer than longest_time.
constexpr Cost checked_time(Wide picoseconds) {
  if (picoseconds > longest_time)
    throw Overflow("one step takes longer than a day; the tensor is too large");
  return static_cast<Cost>(picoseconds);
}

/// The least number of picoseconds in which `amount` * numerator / denominator passes at `rate`.
/// Throws Overflow where that is longer than a day.
/// @pre none is negative, denominator and rate are not 0; amount * numerator < 2^126,
/// denominator * rate < 2^86
constexpr Cost time_at(Wide amount, Wide numerator, Wide denominator, Rate rate) {
  const Wide per_second = denominator * rate;
  const Wide total = amount * numerator;
  // Whole seconds first, so that what is left times 10^12 fits.
  const Wide seconds = total / per_second;
  if (seconds > longest_time / second) return checked_time(longest_time + 1);
  const Wide rest = total % per_second * second;
  return checked_time(seconds * second + rest / per_second + (rest % per_second != 0 ? 1 : 0));
}

}  // namespace tessera::cost
