// SPDX-License-Identifier: Apache-2.0
//
// How long a device works: as long as its arithmetic takes or its memory, whichever is slower.
//
// The best product that a scan of shapes finds is not the usual one: cuBLAS on an A100 reaches 94%
// of it, in the mean of all sizes from 2560 to 4096 (the table of Triton's tutorial on matrix
// multiplication).  Small products do not reach that either, since reading their operands is hidden
// only in part: a product takes the time of one that is larger in each of its three dims by as many
// elements as the device could work off while it reads one, after a launch of 7 us.  That is 163
// for an A100 of 40 GB in half precision, and the curve is within a fifth of the table at every
// size from 256 on, while the rate goes up by a factor of fifty.  Work bound by memory reaches
// seven tenths of its bandwidth, as AutoParallel has it.
#pragma once
#include <algorithm>

#include "tessera/cost/accelerator.hpp"
#include "tessera/cost/time.hpp"
#include "tessera/cost/work.hpp"

namespace tessera::cost {

inline constexpr int memory_percent = 70;
inline constexpr int usual_percent = 94;

// What products reach that are neither small nor chosen.
constexpr Rate usual_rate(const Accelerator& device, graph::ElementType element) noexcept {
  return std::max<Rate>(1, device.best_rate(element) / 100 * usual_percent);
}

// Elements of this type by which products seem larger than they are, in each dim.
constexpr Wide product_margin(const Accelerator& device, graph::ElementType element) noexcept {
  const Wide bandwidth = std::max<Rate>(1, device.memory_bandwidth);
  return Wide(usual_rate(device, element)) * graph::bits_of(element) / (16 * bandwidth);
}

// The roofline itself: picoseconds, rounded up.  @pre rates > 0
inline Cost roofline(Wide flops, Rate rate, Wide bytes, Rate bandwidth) {
  return std::max(time_at(flops, 1, 1, rate), time_at(bytes, 1, 1, bandwidth));
}

// What the product amounts to at the best rate.
constexpr Wide padded_flops(const Work& work, Wide margin) noexcept {
  const Product& product = work.product;
  if (product.flops() == 0) return 0;
  return work.halves * product.batch * (product.rows + margin / work.merged.rows) *
         (product.columns + margin / work.merged.columns) *
         (product.depth + margin / work.merged.depth);
}

// Throws std::overflow_error where it takes longer than a day.
inline Cost time_of(const Work& work, const Accelerator& device) {
  const Cost launch = work.launches ? device.launch : 0;
  return launch + roofline(padded_flops(work, product_margin(device, work.element)),
                           usual_rate(device, work.element), work.bytes,
                           std::max<Rate>(1, device.memory_bandwidth / 100 * memory_percent));
}

}  // namespace tessera::cost
