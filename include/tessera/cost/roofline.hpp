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

// What the product amounts to at the usual rate.
constexpr Wide padded_flops(const Work& work, Wide margin) noexcept {
  const Product& product = work.product;
  if (product.flops() == 0) return 0;
  return work.halves * product.batch * (product.rows + margin / work.merged.rows) *
         (product.columns + margin / work.merged.columns) *
         (product.depth + margin / work.merged.depth);
}

// Fused attention reads its operands from the chip, and pays for what is done between its products.
// Of the usual rate it reaches 60%, less for heads of few features: 47% where they are 128, 38%
// where they are 64, which is 120 and 98 TFLOP/s of an A100's (FlashAttention, forward and
// backward) and 350 of an H100's (FlashAttention-2).
inline constexpr int fused_percent = 60;
inline constexpr Wide fused_margin = 36;

constexpr Wide fused_flops(const Work& work) noexcept {
  const Product& product = work.product;
  const Wide features = std::min({product.rows, product.columns, product.depth});
  const Wide flops = work.halves * (product.flops() / 2);
  return features == 0 ? 0 : flops * (features + fused_margin) / features * 100 / fused_percent;
}

// Throws Overflow where it takes longer than a day.
inline Cost time_of(const Work& work, const Accelerator& device) {
  const Cost launch = work.launches ? device.launch : 0;
  const Wide flops = work.is_fused ? fused_flops(work)
                                   : padded_flops(work, product_margin(device, work.element));
  return launch + roofline(flops, usual_rate(device, work.element), work.bytes,
                           std::max<Rate>(1, device.memory_bandwidth / 100 * memory_percent));
}

}  // namespace tessera::cost
