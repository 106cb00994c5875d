// SPDX-License-Identifier: Apache-2.0
//
// Assignments of a component: their cost, whether they fit, and how to make one cheaper by changing
// one variable at a time.  All in exact integers.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "tessera/solver/detail/bound/component.hpp"

namespace tessera::solver::detail {

// The cost of a choice; nothing where it takes a pair that is forbidden.
inline std::optional<Wide> cost_of(const Component& component, const Choice& choice) {
  return component.costs->cost_of(component, choice);
}

// By row.  O(variables + items + rows)
[[gnu::noinline]] inline std::vector<UsageSum> usage_of(const Component& component,
                                                        const Choice& choice) {
  std::vector<UsageSum> usage(component.capacity.size() + 1, 0);
  for (std::uint32_t i = 0; i < component.size(); ++i)
    for (std::uint32_t k = component.first_item[i]; k < component.first_item[i + 1]; ++k) {
      const Component::Item& item = component.items[k];
      usage[item.begin] += component.usages[item.usage + choice[i]];
      usage[item.end] -= component.usages[item.usage + choice[i]];
    }
  for (std::size_t t = 1; t < usage.size(); ++t) usage[t] += usage[t - 1];
  usage.pop_back();
  return usage;
}

// Whether a choice fits.  O(variables + items + rows)
inline bool is_within_capacity(const Component& component, const Choice& choice) {
  const std::vector<UsageSum> usage = usage_of(component, choice);
  for (std::size_t t = 0; t < usage.size(); ++t)
    if (usage[t] > component.capacity[t]) return false;
  return true;
}

// The part of the usage of a row that is over its capacity, as a share of that.  Negative: the
// share that is left.
inline double relative_excess(const Component& component, std::size_t row, UsageSum usage) {
  const auto capacity = static_cast<double>(component.capacity[row]);
  return (static_cast<double>(usage) - capacity) / std::max(capacity, 1.0);
}

// The capacity that is left on each row.
class FreeCapacity {
 public:
  explicit FreeCapacity(const Component& component)
      : component_(component), left_(component.capacity.begin(), component.capacity.end()) {}

  // Whether variable i could take value y where it now takes nothing.
  bool fits(std::uint32_t i, std::uint32_t y) const {
    for (std::uint32_t k = component_.first_item[i]; k < component_.first_item[i + 1]; ++k) {
      const Component::Item& item = component_.items[k];
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
  [[gnu::noinline]] void change(std::uint32_t i, std::uint32_t y, int sign) {
    for (std::uint32_t k = component_.first_item[i]; k < component_.first_item[i + 1]; ++k) {
      const Component::Item& item = component_.items[k];
      const UsageSum usage = UsageSum(component_.usages[item.usage + y]) * sign;
      if (usage == 0) continue;
      for (std::uint32_t row = item.begin; row < item.end; ++row) left_[row] += usage;
    }
  }

  const Component& component_;
  std::vector<UsageSum> left_;
};

// Coordinate descent: each variable in turn takes its best value given its neighbours', where that
// fits, until none wants to change.  @pre the choice is feasible.  @post it still is, and costs no
// more
inline void descend(const Component& component, Choice& choice) {
  FreeCapacity capacity(component);
  for (std::uint32_t i = 0; i < component.size(); ++i) capacity.take(i, choice[i]);
  constexpr int max_rounds = 20;
  std::vector<Wide> prices;
  for (int round = 0, changes = 1; round < max_rounds && changes > 0; ++round) {
    changes = 0;
    for (std::uint32_t i = 0; i < component.size(); ++i) {
      const std::uint32_t width = component.value_count(i);
      if (width == 1) continue;
      component.costs->price_values(component, i, choice, prices);
      const std::uint32_t old = choice[i];
      capacity.give(i, old);
      std::uint32_t best = old;
      for (std::uint32_t y = 0; y < width; ++y)
        if (prices[y] < prices[best] && capacity.fits(i, y)) best = y;
      capacity.take(i, best);
      changes += best != old;
      choice[i] = best;
    }
  }
}

}  // namespace tessera::solver::detail
