// SPDX-License-Identifier: Apache-2.0
//
// A relaxation read as an assignment that fits, where a plain reading uses too much.
//
// Room for the thriftiest value of every variable not yet chosen is set aside, so what is chosen
// never has to be taken back.  It may fail where something fits: it looks at usage alone to keep
// room, and at cost alone to choose.
#pragma once
#include <cstdint>
#include <optional>

#include "tessera/solver/component.hpp"
#include "tessera/solver/descent.hpp"
#include "tessera/solver/relaxation.hpp"

namespace tessera::solver {

// For each variable, the value that uses least over all its rows.
template<class Int>
Choice thriftiest_values(const Component<Int>& component) {
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

// Variable by variable, the value that looks cheapest among those that leave room for the least
// that the rest needs.  False where there is none.
template<class Int>
bool squeeze(const Component<Int>& component, const Relaxation<Int>& relaxation, Choice& choice) {
  Room<Int> room(component);
  const Choice thriftiest = thriftiest_values(component);
  for (std::uint32_t i = 0; i < component.size(); ++i) room.take(i, thriftiest[i]);
  if (!room.is_within()) return false;
  for (std::uint32_t i = 0; i < component.size(); ++i) {
    room.give(i, thriftiest[i]);
    std::optional<std::uint32_t> best;
    double best_price = 0;
    for (std::uint32_t y = 0; y < component.value_count(i); ++y) {
      double price = relaxation.belief_from_above(i, y);
      for (const std::uint32_t e : component.lower[i]) {
        const auto& table = component.tables[e];
        const Int& pair =
            component.cost_of(table)[std::size_t{choice[table.u]} * component.value_count(i) + y];
        price += Arithmetic<Int>::is_finite(pair) ? static_cast<double>(pair) : kernels::huge;
      }
      if ((best && price >= best_price) || !room.fits(i, y)) continue;
      best = y;
      best_price = price;
    }
    if (!best) return false;
    choice[i] = *best;
    room.take(i, *best);
  }
  return true;
}

}  // namespace tessera::solver
