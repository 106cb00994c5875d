// SPDX-License-Identifier: Apache-2.0
//
// An assignment with its exact cost and usage, and what changing a few variables of it would do.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/descent.hpp"

namespace tessera::solver {

template<class Int>
class Standing {
 public:
  explicit Standing(const Component<Int>& component)
      : component_(component),
        usage_(component.capacity.size(), 0),
        change_(component.capacity.size() + 1, 0),
        is_changed_(component.size(), 0) {}

  // @pre the choice takes no forbidden pair
  void set(Choice choice) {
    choice_ = std::move(choice);
    cost_ = cost_of(component_, choice_).value();
    usage_ = usage_of(component_, choice_);
  }

  const Choice& choice() const noexcept { return choice_; }
  Wide cost() const noexcept { return cost_; }
  UsageSum usage(std::size_t row) const noexcept { return usage_[row]; }
  // Whether a choice fits.  O(variables + items + rows)
  static bool is_within(const Component<Int>& component, const Choice& choice) {
    const std::vector<UsageSum> usage = usage_of(component, choice);
    for (std::size_t t = 0; t < usage.size(); ++t)
      if (usage[t] > component.capacity[t]) return false;
    return true;
  }

  static std::vector<UsageSum> usage_of(const Component<Int>& component, const Choice& choice) {
    std::vector<UsageSum> usage(component.capacity.size() + 1, 0);
    for (std::uint32_t i = 0; i < component.size(); ++i)
      for (std::uint32_t k = component.first_item[i]; k < component.first_item[i + 1]; ++k) {
        const auto& item = component.items[k];
        usage[item.begin] += component.usages[item.usage + choice[i]];
        usage[item.end] -= component.usages[item.usage + choice[i]];
      }
    for (std::size_t t = 1; t < usage.size(); ++t) usage[t] += usage[t - 1];
    usage.pop_back();
    return usage;
  }

  // What it would cost more to give `changed` the values they have in `target`; nothing where that
  // takes a forbidden pair.
  std::optional<Wide> change_in_cost(std::span<const std::uint32_t> changed, const Choice& target) {
    for (const std::uint32_t v : changed) is_changed_[v] = 1;
    Wide change = 0;
    bool is_allowed = true;
    for (const std::uint32_t v : changed) {
      const std::uint32_t first = component_.first[v];
      change += component_.cost[first + target[v]] - component_.cost[first + choice_[v]];
      for (const std::uint32_t e : component_.lower[v])
        is_allowed = add_change(e, target, change) && is_allowed;
      for (const std::uint32_t e : component_.higher[v]) {
        // A table between two that change is counted once, from its higher end.
        if (is_changed_[component_.tables[e].v] != 0) continue;
        is_allowed = add_change(e, target, change) && is_allowed;
      }
    }
    for (const std::uint32_t v : changed) is_changed_[v] = 0;
    return is_allowed ? std::optional(change) : std::nullopt;
  }

  // Calls visit(row, usage) for every row whose usage the change would raise.
  template<class Visit>
  void for_each_raised_row(std::span<const std::uint32_t> changed, const Choice& target,
                           Visit&& visit) {
    const auto [low, high] = add_differences(changed, target);
    UsageSum sum = 0;
    for (std::size_t t = low; t < high; ++t) {
      sum += std::exchange(change_[t], 0);
      if (sum > 0) visit(t, usage_[t] + sum);
    }
    if (low < high) change_[high] = 0;
  }
  bool fits(std::span<const std::uint32_t> changed, const Choice& target) {
    bool fits = true;
    for_each_raised_row(changed, target, [&](std::size_t t, UsageSum usage) {
      fits = fits && usage <= component_.capacity[t];
    });
    return fits;
  }

  // @pre change_in_cost(changed, target) == change
  void move(std::span<const std::uint32_t> changed, const Choice& target, Wide change) {
    const auto [low, high] = add_differences(changed, target);
    UsageSum sum = 0;
    for (std::size_t t = low; t < high; ++t) usage_[t] += sum += std::exchange(change_[t], 0);
    if (low < high) change_[high] = 0;
    for (const std::uint32_t v : changed) choice_[v] = target[v];
    cost_ += change;
  }

 private:
  bool add_change(std::uint32_t e, const Choice& target, Wide& change) const {
    const auto& table = component_.tables[e];
    const auto value_after = [&](std::uint32_t w) {
      return is_changed_[w] != 0 ? target[w] : choice_[w];
    };
    const Int* cost = component_.cost_of(table);
    const std::size_t width = component_.value_count(table.v);
    const Int& after = cost[value_after(table.u) * width + value_after(table.v)];
    change += after - cost[choice_[table.u] * width + choice_[table.v]];
    return Arithmetic<Int>::is_finite(after);
  }

  // Fills change_ with what each row gains over the one before.  Returns the rows touched.
  std::pair<std::size_t, std::size_t> add_differences(std::span<const std::uint32_t> changed,
                                                      const Choice& target) {
    std::size_t low = change_.size(), high = 0;
    for (const std::uint32_t v : changed)
      for (std::uint32_t k = component_.first_item[v]; k < component_.first_item[v + 1]; ++k) {
        const auto& item = component_.items[k];
        const Usage* usage = component_.usages.data() + item.usage;
        const UsageSum difference = UsageSum(usage[target[v]]) - usage[choice_[v]];
        if (difference == 0) continue;
        change_[item.begin] += difference;
        change_[item.end] -= difference;
        low = std::min<std::size_t>(low, item.begin);
        high = std::max<std::size_t>(high, item.end);
      }
    return {low, high};
  }

  const Component<Int>& component_;
  Choice choice_;
  Wide cost_ = 0;
  std::vector<UsageSum> usage_;   // by row
  std::vector<UsageSum> change_;  // zero between calls
  std::vector<char> is_changed_;
};

}  // namespace tessera::solver
