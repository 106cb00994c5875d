// SPDX-License-Identifier: Apache-2.0
//
// Assignments of a component: what they cost, whether they fit, and how to make one cheaper by
// changing one variable at a time.  All in exact integers.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "tessera/solver/component.hpp"

namespace tessera::solver {

// The cost of a choice; nothing where it takes a pair that is forbidden.
template<class Int>
std::optional<Wide> cost_of(const Component<Int>& component, const Choice& choice) {
  Wide total = 0;
  for (std::uint32_t i = 0; i < component.size(); ++i)
    total += component.cost[component.first[i] + choice[i]];
  for (const auto& table : component.tables) {
    const std::size_t width = component.value_count(table.v);
    const Int& pair = component.cost_of(table)[choice[table.u] * width + choice[table.v]];
    if (!Arithmetic<Int>::is_finite(pair)) return std::nullopt;
    total += pair;
  }
  return total;
}

// How much room is left on each row.
template<class Int>
class Room {
 public:
  explicit Room(const Component<Int>& component)
      : component_(component), left_(component.capacity.begin(), component.capacity.end()) {}

  // Whether variable i could take value y where it now takes nothing.
  bool fits(std::uint32_t i, std::uint32_t y) const {
    for (std::uint32_t k = component_.first_item[i]; k < component_.first_item[i + 1]; ++k) {
      const auto& item = component_.items[k];
      const Usage usage = component_.usages[item.usage + y];
      if (usage == 0) continue;
      for (std::uint32_t row = item.begin; row < item.end; ++row)
        if (left_[row] < usage) return false;
    }
    return true;
  }
  void take(std::uint32_t i, std::uint32_t y) { change(i, y, -1); }
  void give(std::uint32_t i, std::uint32_t y) { change(i, y, 1); }
  bool is_within() const {
    return std::all_of(left_.begin(), left_.end(), [](UsageSum left) { return left >= 0; });
  }

 private:
  void change(std::uint32_t i, std::uint32_t y, int sign) {
    for (std::uint32_t k = component_.first_item[i]; k < component_.first_item[i + 1]; ++k) {
      const auto& item = component_.items[k];
      const UsageSum usage = UsageSum(component_.usages[item.usage + y]) * sign;
      if (usage == 0) continue;
      for (std::uint32_t row = item.begin; row < item.end; ++row) left_[row] += usage;
    }
  }

  const Component<Int>& component_;
  std::vector<UsageSum> left_;
};

// Lets each variable in turn take its best value given its neighbours', where that fits, until none
// wants to change.  @pre the choice is feasible.  @post it still is, and costs no more
template<class Int>
void descend(const Component<Int>& component, Choice& choice) {
  Room<Int> room(component);
  for (std::uint32_t i = 0; i < component.size(); ++i) room.take(i, choice[i]);
  constexpr int max_rounds = 20;
  std::vector<Int> price;
  for (int round = 0, changes = 1; round < max_rounds && changes > 0; ++round) {
    changes = 0;
    for (std::uint32_t i = 0; i < component.size(); ++i) {
      const std::uint32_t width = component.value_count(i);
      if (width == 1) continue;
      price.assign(component.cost.begin() + component.first[i],
                   component.cost.begin() + component.first[i + 1]);
      for (const std::uint32_t e : component.lower[i]) {
        const auto& table = component.tables[e];
        const Int* row = component.cost_of(table) + std::size_t{choice[table.u]} * width;
        for (std::uint32_t y = 0; y < width; ++y) price[y] = add(price[y], row[y]);
      }
      for (const std::uint32_t e : component.higher[i]) {
        const auto& table = component.tables[e];
        const std::size_t columns = component.value_count(table.v);
        const Int* column = component.cost_of(table) + choice[table.v];
        for (std::uint32_t y = 0; y < width; ++y) price[y] = add(price[y], column[y * columns]);
      }
      const std::uint32_t old = choice[i];
      room.give(i, old);
      std::uint32_t best = old;
      for (std::uint32_t y = 0; y < width; ++y)
        if (price[y] < price[best] && room.fits(i, y)) best = y;
      room.take(i, best);
      changes += best != old;
      choice[i] = best;
    }
  }
}

}  // namespace tessera::solver
