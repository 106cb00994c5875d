// SPDX-License-Identifier: Apache-2.0
//
// The pass over a component that computes an exact bound (exact_bound.hpp), in integers of one
// width.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/bound/exact_bound.hpp"
#include "tessera/solver/detail/numbers/arithmetic.hpp"
#include "tessera/solver/detail/numbers/kernels.hpp"

namespace tessera::solver::detail {

// From the last variable to the first.  By the time v is reached, every higher neighbour has sent
// its message down.  v's belief is shared out over the tables to its lower neighbours; each then
// sends down what it can, and keeps its minimum as part of the bound.
template<class Int>
class BoundPass {
 public:
  // `costs` are those of the values, `entries` those of the tables.
  BoundPass(const Component& component, const Int* costs, const Int* entries,
            const std::vector<double>& forward, const Multipliers& multipliers, Messages* used)
      : component_(component), entries_(entries), used_(used) {
    bound_.value = -refund(component, multipliers);
    bound_.reduced_costs.assign(component.total_values(), Wide(0));
    belief_.assign(costs, costs + component.total_values());
    add_usage_costs(multipliers);
    add_forward_messages(forward);
    if (used == nullptr) return;
    used->to_u.resize(component.tables.size());
    used->to_v.resize(component.tables.size());
  }

  Bound run() {
    for (auto v = static_cast<std::uint32_t>(component_.size()); v-- > 0;) {
      share_out(v);
      for (const std::uint32_t e : component_.lower[v]) send_down(e);
    }
    return std::move(bound_);
  }

 private:
  // Adds the cost of each value's usage under the multipliers, rounded down.
  void add_usage_costs(const Multipliers& multipliers) {
    std::vector<Wide> before(component_.capacity.size() + 1, 0);  // prefix sums over rows
    for (std::size_t row = 0; row < component_.capacity.size(); ++row)
      before[row + 1] = before[row] + multipliers.numerators[row];
    std::vector<Wide> total;
    for (std::uint32_t i = 0; i < component_.size(); ++i) {
      total.assign(component_.value_count(i), Wide(0));
      for (std::uint32_t k = component_.first_item[i]; k < component_.first_item[i + 1]; ++k) {
        const Component::Item& item = component_.items[k];
        const Wide price = before[item.end] - before[item.begin];
        if (price == 0) continue;
        for (std::size_t x = 0; x < total.size(); ++x)
          total[x] += Wide(component_.usages[item.usage + x]) * price;
      }
      for (std::size_t x = 0; x < total.size(); ++x)
        belief_[component_.first[i] + x] += static_cast<Int>(total[x] >> multipliers.shift);
    }
  }

  // Rounds them down to integers that this arithmetic can hold.
  void add_forward_messages(const std::vector<double>& forward) {
    const double most = std::ldexp(1.0, Arithmetic<Int>::headroom_bits - 1);
    forward_.reserve(forward.size());
    for (const double message : forward)
      forward_.push_back(static_cast<Int>(std::clamp(std::floor(message), -most, most)));
    std::size_t at = 0;
    for (const Component::Table& table : component_.tables) {
      message_at_.push_back(at);
      for (std::uint32_t y = 0; y < component_.value_count(table.v); ++y)
        belief_[component_.first[table.v] + y] += forward_[at + y];
      at += component_.value_count(table.v);
    }
  }

  // Each table to a lower neighbour gets as much of v's belief as any other; v keeps the rest.
  void share_out(std::uint32_t v) {
    const std::uint32_t first = component_.first[v], width = component_.value_count(v);
    const auto lower = static_cast<std::int64_t>(component_.lower[v].size());
    const auto parts =
        std::max<std::int64_t>({lower, static_cast<std::int64_t>(component_.higher[v].size()), 1});
    share_.resize(width);
    own_.resize(width);
    for (std::uint32_t y = 0; y < width; ++y) {
      share_[y] = belief_[first + y] / parts;
      own_[y] = belief_[first + y] - share_[y] * lower;
    }
    const Int least = *std::min_element(own_.begin(), own_.end());
    Wide* reduced = bound_.reduced_costs.data() + first;
    for (std::uint32_t y = 0; y < width; ++y) reduced[y] = own_[y] - least;
    bound_.value += least;
  }

  void send_down(std::uint32_t e) {
    const Component::Table& table = component_.tables[e];
    const Int* cost = entries_ + table.cost;
    const std::uint32_t rows = component_.value_count(table.u);
    const std::uint32_t width = component_.value_count(table.v);
    to_v_.resize(width);
    for (std::uint32_t y = 0; y < width; ++y) to_v_[y] = forward_[message_at_[e] + y] - share_[y];
    down_.resize(rows);
    for (std::uint32_t x = 0; x < rows; ++x)
      down_[x] = -kernels::largest_difference(to_v_.data(), cost + std::size_t{x} * width, width);
    const Int lowest = *std::min_element(down_.begin(), down_.end());
    bound_.value += lowest;
    Int* below = belief_.data() + component_.first[table.u];
    for (std::uint32_t x = 0; x < rows; ++x) below[x] += down_[x] - lowest;
    if (used_ != nullptr) {
      used_->to_v[e].assign(to_v_.begin(), to_v_.end());
      for (const Int& message : down_) used_->to_u[e].push_back(message - lowest);
    }
    // The least entry of each of v's columns, over what was sent down.
    kept_.assign(width, std::numeric_limits<Int>::max());
    for (std::uint32_t x = 0; x < rows; ++x)
      kernels::lower_to(kept_.data(), cost + std::size_t{x} * width, down_[x], width);
    Wide* reduced = bound_.reduced_costs.data() + component_.first[table.v];
    for (std::uint32_t y = 0; y < width; ++y) reduced[y] += kept_[y] - to_v_[y];
  }

  const Component& component_;
  const Int* entries_;
  Messages* used_;
  std::vector<Int> forward_;
  std::vector<std::size_t> message_at_;  // where each table's forward message begins
  std::vector<Int> belief_;              // by value
  std::vector<Int> share_, own_, to_v_, down_, kept_;
  Bound bound_;
};

}  // namespace tessera::solver::detail
