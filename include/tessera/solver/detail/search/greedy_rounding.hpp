// SPDX-License-Identifier: Apache-2.0
//
// Greedy rounding: an assignment that fits, from a relaxation whose plain reading uses too much.
//
// Capacity for the value of least usage of every variable not yet chosen is reserved, so a choice
// never has to be taken back.  It may fail where something fits: it looks at usage alone to reserve
// capacity, and at cost alone to choose.
#pragma once
#include <cstdint>
#include <optional>

#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/bound/relaxation.hpp"
#include "tessera/solver/detail/search/descent.hpp"

namespace tessera::solver::detail {

// For each variable, the value of least usage over all its rows.
inline Choice least_usage_values(const Component& component) {
  Choice result(component.size(), 0);
  for (std::uint32_t i = 0; i < component.size(); ++i) {
    double least = 0;
    for (std::uint32_t y = 0; y < component.value_count(i); ++y) {
      double total = 0;
      for (std::uint32_t k = component.first_item[i]; k < component.first_item[i + 1]; ++k) {
        const auto& item = component.items[k];
        total += static_cast<double>(component.usages[item.usage + y]) * (item.end - item.begin);
      }
      if (y == 0 || total < least) {
        least = total;
        result[i] = y;
      }
    }
  }
  return result;
}

// Variable by variable, the value that looks cheapest among those that leave the capacity that the
// rest needs at least.  False where there is none.
[[gnu::cold]] inline bool round_greedily(const Weights& weights, const Relaxation& relaxation,
                                         Choice& choice) {
  const Component& component = weights.component();
  FreeCapacity capacity(component);
  const Choice least = least_usage_values(component);
  for (std::uint32_t i = 0; i < component.size(); ++i) capacity.take(i, least[i]);
  if (!capacity.is_within()) return false;
  for (std::uint32_t i = 0; i < component.size(); ++i) {
    capacity.give(i, least[i]);
    std::optional<std::uint32_t> best;
    double best_price = 0;
    for (std::uint32_t y = 0; y < component.value_count(i); ++y) {
      double price = relaxation.messages().belief_from_above(i, y);
      for (const std::uint32_t e : component.lower[i])
        price += weights.row(e, choice[component.tables[e].u])[y];
      if ((best && price >= best_price) || !capacity.fits(i, y)) continue;
      best = y;
      best_price = price;
    }
    if (!best) return false;
    choice[i] = *best;
    capacity.take(i, *best);
  }
  return true;
}

}  // namespace tessera::solver::detail
