// SPDX-License-Identifier: Apache-2.0
//
// Slices, paddings and sliding windows along one dim, as HLO counts them.
#pragma once
#include <cstdint>

namespace tessera::graph {

/// Elements start, start + stride, ... below limit.
struct SliceRange {
  std::int64_t start = 0, limit = 0, stride = 1;

  friend constexpr bool operator==(const SliceRange&, const SliceRange&) noexcept = default;
};

/// How many elements are added before the first, after the last and between neighbours.  Where
/// `low` or `high` is negative, elements are cut off instead.
struct PaddingRange {
  std::int64_t low = 0, high = 0, interior = 0;

  friend constexpr bool operator==(const PaddingRange&, const PaddingRange&) noexcept = default;
};

/// One dim of a window.  Output element o reads, at tap t, element
/// (o stride - pad_low + t rhs_dilate) / lhs_dilate, where that divides and exists.
struct WindowDim {
  std::int64_t size = 1, stride = 1, pad_low = 0, pad_high = 0;
  std::int64_t lhs_dilate = 1, rhs_dilate = 1;
  bool is_reversed = false;  ///< the taps of a kernel are taken from its end

  constexpr bool is_point() const noexcept {
    return size == 1 && stride == 1 && pad_low == 0 && pad_high == 0 && lhs_dilate == 1 &&
           rhs_dilate == 1;
  }
  /// From the first tap to the last, both included.
  constexpr std::int64_t reach() const noexcept { return (size - 1) * rhs_dilate + 1; }
  /// How many places the window has along a dim of this size.
  constexpr std::int64_t output_size(std::int64_t input) const noexcept {
    const std::int64_t spread = input == 0 ? 0 : (input - 1) * lhs_dilate + 1;
    const std::int64_t free = spread + pad_low + pad_high - reach();
    return free < 0 ? 0 : free / stride + 1;
  }

  friend constexpr bool operator==(const WindowDim&, const WindowDim&) noexcept = default;
};

}  // namespace tessera::graph
