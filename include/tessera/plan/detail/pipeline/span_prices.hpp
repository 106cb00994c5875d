// SPDX-License-Identifier: Apache-2.0
//
// The prices of all spans of a program's layers, on all views of all submeshes: what the choice of
// stages asks.  pricing.hpp makes them.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/plan/detail/pipeline/pricing.hpp"

namespace tessera::plan::detail {

class SpanPrices {
 public:
  // Prices everything.  Throws the exceptions of plan() that concern all views.
  SpanPrices(const pipeline::LayeredProgram& program, const cost::Cluster& cluster,
             std::vector<View> views, PricingOptions options);

  const std::vector<View>& views() const noexcept { return pricing_.views; }
  const PricingStatistics& statistics() const noexcept { return pricing_.statistics; }
  bool is_layered() const noexcept { return pricing_.set.is_layered; }

  // Adds price tables under memory budgets.  Not to be called by two threads at a time.
  void add_levels(const std::vector<std::size_t>& views, const MemoryNeeds& needs) {
    add_budgeted_tables(pricing_, views, needs);
  }
  // The number of price tables of a view.
  std::size_t levels(std::size_t view) const noexcept { return pricing_.tables[view].size(); }

  // Of one layer, or, where spans are priced whole, of layers first to last.
  const Price& price(std::size_t view, std::size_t first, std::size_t last,
                     std::size_t level = 0) const {
    return pricing_.tables[view][level].prices[pricing_.set.number(first, last)];
  }
  const pipeline::SpanProgram& program(std::size_t first, std::size_t last) const {
    return pricing_.set.spans[pricing_.set.number(first, last)];
  }

  // The number of choices of ops to rematerialize: that of the repeated layers, or, where spans are
  // priced whole, the largest of any span.
  std::size_t rematerializations(std::size_t view, std::size_t level) const;
  // One of them; null where there is no price, or no such choice.  Layers that are not repeated
  // choose at the rate between time and bytes of the repeated ones.
  const Rematerialization* rematerialization(std::size_t view, std::size_t first, std::size_t last,
                                             std::size_t level, std::size_t number) const;

  // A lower bound on the memory of a span on so many devices: fixed, saved and given.
  const SpanPrice& least(std::size_t first, std::size_t last, Extent devices) const {
    return pricing_.least.at({pricing_.set.number(first, last), devices});
  }

  // Programs with the same number are interchangeable.
  std::size_t class_of(std::size_t first, std::size_t last) const {
    return pricing_.set.class_of[pricing_.set.number(first, last)];
  }
  // Visits the spans as which layers first to last are priced: one by one, or together.
  template<class Visit>
  void for_each_span(std::size_t first, std::size_t last, Visit&& visit) const {
    if (!is_layered()) return visit(first, last);
    for (std::size_t layer = first; layer <= last; ++layer) visit(layer, layer);
  }

  // The plan behind a price: solved once more, with the same result.  @pre it has a price
  Plan plan(std::size_t view, std::size_t first, std::size_t last, std::size_t level = 0) const {
    return plan_behind(pricing_, view, level, pricing_.set.number(first, last));
  }

 private:
  Pricing pricing_;
};

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/pipeline/span_prices.ipp"
#endif
