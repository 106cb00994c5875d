// SPDX-License-Identifier: Apache-2.0
//
// An assignment with its exact cost and usage, and the effect of changing a few variables of it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/detail/search/descent.hpp"

namespace tessera::solver::detail {

class ChoiceState {
 public:
  explicit ChoiceState(const Component& component)
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

  // The change in cost of giving `changed` the values they have in `target`; nothing where
  // that takes a forbidden pair.
  std::optional<Wide> change_in_cost(std::span<const std::uint32_t> changed, const Choice& target) {
    for (const std::uint32_t v : changed) is_changed_[v] = 1;
    const std::optional<Wide> change =
        component_.costs->change_in_cost(component_, changed, is_changed_, choice_, target);
    for (const std::uint32_t v : changed) is_changed_[v] = 0;
    return change;
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
  // Fills change_ with the change of each row less that of the row before.  Returns the rows
  // touched.
  [[gnu::noinline]] std::pair<std::size_t, std::size_t> add_differences(
      std::span<const std::uint32_t> changed, const Choice& target) {
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

  const Component& component_;
  Choice choice_;
  Wide cost_ = 0;
  std::vector<UsageSum> usage_;   // by row
  std::vector<UsageSum> change_;  // zero between calls
  std::vector<char> is_changed_;
};

}  // namespace tessera::solver::detail
