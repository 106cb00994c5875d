// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of span_prices.hpp.
#pragma once
#include "tessera/plan/detail/pipeline/span_prices.hpp"

#include <algorithm>

namespace tessera::plan::detail {

TESSERA_INLINE SpanPrices::SpanPrices(const pipeline::LayeredProgram& program,
                                      const cost::Cluster& cluster, std::vector<View> views,
                                      PricingOptions options)
    : pricing_(cluster, std::move(views), options, span_set_of(program, options.whole_spans)) {
  price_views(pricing_);
  pricing_.statistics.layers = program.layers();
}

TESSERA_INLINE std::size_t SpanPrices::rematerializations(std::size_t view,
                                                          std::size_t level) const {
  const std::vector<Price>& prices = pricing_.tables[view][level].prices;
  if (is_layered()) {
    const Price& repeated = prices[pricing_.set.repeated.first];
    return repeated ? repeated->rematerializations.size() : 0;
  }
  std::size_t most = 0;
  for (const Price& price : prices)
    if (price) most = std::max(most, price->rematerializations.size());
  return most;
}

TESSERA_INLINE const Rematerialization* SpanPrices::rematerialization(std::size_t view,
                                                                      std::size_t first,
                                                                      std::size_t last,
                                                                      std::size_t level,
                                                                      std::size_t number) const {
  const Price& own = price(view, first, last, level);
  if (!own) return nullptr;
  const std::vector<Rematerialization>& choices = own->rematerializations;
  if (!is_layered()) return number < choices.size() ? &choices[number] : nullptr;
  const Price& repeated = pricing_.tables[view][level].prices[pricing_.set.repeated.first];
  return &rematerialization_at_rate_of(choices, repeated->rematerializations, number);
}

}  // namespace tessera::plan::detail
