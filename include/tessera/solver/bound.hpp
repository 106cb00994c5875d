// SPDX-License-Identifier: Apache-2.0
//
// A lower bound in exact integers, from any messages and any multipliers.
//
// The usage limit is relaxed: every row t gets a multiplier lambda_t >= 0, a unit of usage costs
// that much, and lambda_t * capacity_t is refunded (Lagrange).  What is left, a sum of unary and
// pairwise tables, is bounded by moving cost between tables (reparametrisation; Kolmogorov's TRW-S,
// PAMI 2006, computes good messages) and adding up every table's own minimum.  Messages and
// multipliers may be anything: the bound is valid for all of them, so floating point may choose
// them (relaxation.hpp). Only here is it decided what they prove, and every rounding is downward.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tessera/solver/component.hpp"
#include "tessera/solver/kernels.hpp"

namespace tessera::solver {

// lambda_t = numerators[t] / 2^shift, in scaled cost per unit of usage.
struct Multipliers {
  std::vector<std::int64_t> numerators;
  int shift = 0;
};

// The messages that a bound rests on: what every table hands to its two ends.  From them anyone can
// add the bound up again.
template<class Int>
struct Messages {
  std::vector<std::vector<Int>> to_u, to_v;  // by table, then by the end's value
};

template<class Int>
struct Bound {
  Wide value = 0;
  // By value: how much the bound rises at least when the variable must take it.  Never negative.
  std::vector<Int> reduced_costs;
};

namespace detail {

// What each value's usage costs under the multipliers, rounded down.
template<class Int>
std::vector<Int> usage_costs(const Component<Int>& component, const Multipliers& multipliers) {
  std::vector<Int> result(component.total_values(), Int(0));
  std::vector<Wide> before(component.capacity.size() + 1, 0);  // prefix sums over rows
  for (std::size_t row = 0; row < component.capacity.size(); ++row)
    before[row + 1] = before[row] + multipliers.numerators[row];
  std::vector<Wide> total;
  for (std::uint32_t i = 0; i < component.size(); ++i) {
    total.assign(component.value_count(i), Wide(0));
    for (std::uint32_t k = component.first_item[i]; k < component.first_item[i + 1]; ++k) {
      const auto& item = component.items[k];
      const Wide price = before[item.end] - before[item.begin];
      if (price == 0) continue;
      for (std::size_t x = 0; x < total.size(); ++x)
        total[x] += Wide(component.usages[item.usage + x]) * price;
    }
    for (std::size_t x = 0; x < total.size(); ++x)
      result[component.first[i] + x] = static_cast<Int>(total[x] >> multipliers.shift);
  }
  return result;
}

// Sum of lambda_t * capacity_t, rounded up.
template<class Int>
Wide refund(const Component<Int>& component, const Multipliers& multipliers) {
  Wide total = 0;
  for (std::size_t row = 0; row < component.capacity.size(); ++row)
    total += Wide(component.capacity[row]) * multipliers.numerators[row];
  const Wide unit = Wide(1) << multipliers.shift;
  return (total + unit - 1) / unit;
}

}  // namespace detail

// The multipliers nearest to `lambda` that the bound's integers can hold.
template<class Int>
Multipliers rounded_multipliers(const Component<Int>& component,
                                const std::vector<double>& lambda) {
  Multipliers result;
  result.numerators.assign(lambda.size(), 0);
  const double largest = lambda.empty() ? 0 : *std::max_element(lambda.begin(), lambda.end());
  if (!(largest > 0) || !std::isfinite(largest)) return result;
  // No product of a usage and a sum of numerators may leave 128 bits.
  Usage most_usage = 1;
  for (const Usage usage : component.usages) most_usage = std::max(most_usage, usage);
  for (const Usage capacity : component.capacity) most_usage = std::max(most_usage, capacity);
  const int free_bits = 125 -
                        static_cast<int>(std::bit_width(static_cast<std::uint64_t>(most_usage))) -
                        static_cast<int>(std::bit_width(lambda.size()));
  const int numerator_bits = std::min(62, free_bits);
  constexpr int max_shift = 60;
  result.shift = std::clamp(numerator_bits - std::ilogb(largest) - 1, 0, max_shift);
  const double unit = std::ldexp(1.0, result.shift);
  const double most = std::ldexp(1.0, numerator_bits) - 1024;
  for (std::size_t row = 0; row < lambda.size(); ++row)
    result.numerators[row] =
        static_cast<std::int64_t>(std::clamp(std::floor(lambda[row] * unit), 0.0, most));
  // What usage may cost must leave room for what everything else does.
  if (detail::refund(component, result) >= (Wide(1) << (Arithmetic<Int>::headroom_bits - 3)))
    result.numerators.assign(lambda.size(), 0);  // absurdly large: prove without
  return result;
}

namespace detail {

// From the last variable to the first.  By the time v is reached, every higher neighbour has sent
// its message down.  v's belief is shared out over the tables to its lower neighbours; each then
// sends down what it can, and keeps its minimum as part of the bound.
template<class Int>
class BoundPass {
 public:
  BoundPass(const Component<Int>& component, const std::vector<Int>& forward,
            const Multipliers& multipliers, Messages<Int>* used)
      : component_(component), forward_(forward), used_(used) {
    bound_.value = -refund(component, multipliers);
    bound_.reduced_costs.assign(component.total_values(), Int(0));
    belief_ = usage_costs(component, multipliers);
    for (std::size_t x = 0; x < belief_.size(); ++x) belief_[x] += component.cost[x];
    std::size_t at = 0;
    for (const auto& table : component.tables) {
      message_at_.push_back(at);
      for (std::uint32_t y = 0; y < component.value_count(table.v); ++y)
        belief_[component.first[table.v] + y] += forward[at + y];
      at += component.value_count(table.v);
    }
    if (used == nullptr) return;
    used->to_u.resize(component.tables.size());
    used->to_v.resize(component.tables.size());
  }

  Bound<Int> run() {
    for (auto v = static_cast<std::uint32_t>(component_.size()); v-- > 0;) {
      share_out(v);
      for (const std::uint32_t e : component_.lower[v]) send_down(e);
    }
    return std::move(bound_);
  }

 private:
  // Each table to a lower neighbour gets as much of v's belief as any other; v keeps the rest.
  void share_out(std::uint32_t v) {
    const std::uint32_t first = component_.first[v], width = component_.value_count(v);
    const auto lower = static_cast<std::int64_t>(component_.lower[v].size());
    const auto parts =
        std::max<std::int64_t>({lower, static_cast<std::int64_t>(component_.higher[v].size()), 1});
    share_.resize(width);
    Int* reduced = bound_.reduced_costs.data() + first;
    for (std::uint32_t y = 0; y < width; ++y) {
      share_[y] = belief_[first + y] / parts;
      reduced[y] = belief_[first + y] - share_[y] * lower;
    }
    const Int least = *std::min_element(reduced, reduced + width);
    for (std::uint32_t y = 0; y < width; ++y) reduced[y] -= least;
    bound_.value += least;
  }

  void send_down(std::uint32_t e) {
    const auto& table = component_.tables[e];
    const Int* cost = component_.cost_of(table);
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
      used_->to_v[e] = to_v_;
      for (const Int& message : down_) used_->to_u[e].push_back(message - lowest);
    }
    // What the table keeps of each of v's values, over the best that each row has left.
    kept_.assign(width, std::numeric_limits<Int>::max());
    for (std::uint32_t x = 0; x < rows; ++x)
      kernels::lower_to(kept_.data(), cost + std::size_t{x} * width, down_[x], width);
    Int* reduced = bound_.reduced_costs.data() + component_.first[table.v];
    for (std::uint32_t y = 0; y < width; ++y) reduced[y] += kept_[y] - to_v_[y];
  }

  const Component<Int>& component_;
  const std::vector<Int>& forward_;
  Messages<Int>* used_;
  std::vector<std::size_t> message_at_;  // where each table's forward message begins
  std::vector<Int> belief_;              // by value
  std::vector<Int> share_, to_v_, down_, kept_;
  Bound<Int> bound_;
};

}  // namespace detail

// `forward` holds, for each table u < v in turn, the message from u to v by v's values.
// Messages may be any integers of at most the tables' magnitude.  O(entries of all tables).
// `used` receives what the bound rests on, if it is asked for.
// @pre every value has a partner in every table: propagated domains
template<class Int>
Bound<Int> exact_bound(const Component<Int>& component, const std::vector<Int>& forward,
                       const Multipliers& multipliers, Messages<Int>* used = nullptr) {
  return detail::BoundPass<Int>(component, forward, multipliers, used).run();
}

// A step of a certificate: the component costs at least this.
template<class Int>
void write_bound(Proof& proof, const Component<Int>& component, const Multipliers& multipliers,
                 const Messages<Int>& messages, Wide value) {
  proof.step("lower_bound") << value << multipliers.shift << "|";
  for (std::size_t t = 0; t < component.capacity.size(); ++t)
    if (multipliers.numerators[t] != 0)
      proof.pair(component.row_name[t], multipliers.numerators[t]);
  for (std::size_t e = 0; e < component.tables.size(); ++e) {
    const auto& table = component.tables[e];
    proof << "|" << component.name[table.u] << component.name[table.v] << ":";
    for (const Int& message : messages.to_u[e]) proof << Wide(message);
    proof << ":";
    for (const Int& message : messages.to_v[e]) proof << Wide(message);
  }
  proof.end();
}

}  // namespace tessera::solver
