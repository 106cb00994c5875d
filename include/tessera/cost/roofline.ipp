// SPDX-License-Identifier: Apache-2.0
//
// How long a device works.
#pragma once
#include <algorithm>

#include "tessera/cost/roofline.hpp"

namespace tessera::cost {

TESSERA_INLINE Rate typical_rate(const Accelerator& device, graph::ElementType element) noexcept {
  return std::max<Rate>(1, device.best_rate(element) / 100 * typical_percent);
}

TESSERA_INLINE Wide product_margin(const Accelerator& device, graph::ElementType element) noexcept {
  const Wide bandwidth = std::max<Rate>(1, device.memory_bandwidth);
  return Wide(typical_rate(device, element)) * graph::bits_of(element) / (16 * bandwidth);
}

TESSERA_INLINE Cost roofline(Wide flops, Rate rate, Wide bytes, Rate bandwidth) {
  return std::max(time_at(flops, 1, 1, rate), time_at(bytes, 1, 1, bandwidth));
}

TESSERA_INLINE Wide padded_flops(const Work& work, Wide margin) noexcept {
  const Product& product = work.product;
  if (product.flops() == 0) return 0;
  return work.halves * product.batch * (product.rows + margin / work.merged.rows) *
         (product.columns + margin / work.merged.columns) *
         (product.depth + margin / work.merged.depth);
}

TESSERA_INLINE Wide fused_flops(const Work& work) noexcept {
  const Product& product = work.product;
  const Wide features = std::min({product.rows, product.columns, product.depth});
  const Wide flops = work.halves * (product.flops() / 2);
  return features == 0 ? 0 : flops * (features + fused_margin) / features * 100 / fused_percent;
}

TESSERA_INLINE Cost time_of(const Work& work, const Accelerator& device) {
  const Cost launch = work.launches ? device.launch : 0;
  const Wide flops = work.is_fused ? fused_flops(work)
                                   : padded_flops(work, product_margin(device, work.element));
  return launch + roofline(flops, typical_rate(device, work.element), work.bytes,
                           std::max<Rate>(1, device.memory_bandwidth / 100 * memory_percent));
}

}  // namespace tessera::cost
