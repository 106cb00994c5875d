// SPDX-License-Identifier: Apache-2.0
//
// How long a device works: as long as its arithmetic takes or its memory, whichever is slower.
//
// Small products do not reach the rate of large ones.  The curve: a product takes the time of one
// that is larger by 176 in each of its three dims, at the rate of the best product measured, after
// a launch of 7 us.  Against cuBLAS on an A100 in half precision (the table of Triton's tutorial on
// matrix multiplication) it is within 15% at every size from 256 to 4096, where the rate goes up by
// a factor of fifty.  Work bound by memory reaches seven tenths of its bandwidth, as AutoParallel
// has it.
#pragma once
#include <algorithm>

#include "tessera/cost/accelerator.hpp"
#include "tessera/cost/time.hpp"
#include "tessera/cost/work.hpp"

namespace tessera::cost {

inline constexpr Wide product_margin = 176;
inline constexpr int memory_percent = 70;

// The roofline itself: picoseconds, rounded up.  @pre rates > 0
inline Cost roofline(Wide flops, Rate rate, Wide bytes, Rate bandwidth) {
  return std::max(time_at(flops, 1, 1, rate), time_at(bytes, 1, 1, bandwidth));
}

// What the product amounts to at the best rate.
constexpr Wide padded_flops(const Product& product) noexcept {
  if (product.flops() == 0) return 0;
  return 2 * product.batch * (product.rows + product_margin) * (product.columns + product_margin) *
         (product.depth + product_margin);
}

// Throws std::overflow_error where it takes longer than a day.
inline Cost time_of(const Work& work, const Accelerator& device) {
  const Cost launch = work.launches ? device.launch : 0;
  return launch + roofline(padded_flops(work.product),
                           std::max<Rate>(1, device.best_rate(work.element)), work.bytes,
                           std::max<Rate>(1, device.memory_bandwidth / 100 * memory_percent));
}

}  // namespace tessera::cost
