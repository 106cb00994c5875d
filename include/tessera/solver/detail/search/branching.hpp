// SPDX-License-Identifier: Apache-2.0
//
// Where the tree splits: a variable, and which of its values go to which side.
//
// The relaxation pays for usage in proportion, so it can take a little of a value that uses much
// and a little of one that uses nothing.  That is where it is weakest and where a split helps most:
// the side without the values of low usage must use capacity, the other one must pay.  Where usage
// has no price, as when only fitting counts, capacity itself decides.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/bound/exact_bound.hpp"
#include "tessera/solver/detail/bound/relaxation.hpp"

namespace tessera::solver::detail {

struct Split {
  std::uint32_t variable = 0;
  std::vector<std::uint32_t> first, second;  // values; neither is empty
};

// An open node, by the values of `component`.
struct OpenNode {
  const Component& component;
  const Relaxation& relaxation;
  const Bound& bound;
  const Choice& reading;  // of the relaxation, which may use too much
  const Domains& open;    // what may still be chosen
  Wide gap;               // from the bound to the incumbent; 0 without one
};

// How good it seems to split a variable.  First comes the largest spread in the price of usage
// among values of small reduced cost; then the largest departure of the reading from the bound;
// then the worst second best value.
struct Promise {
  double spread = 0;
  Wide departure = 0, second = 0;

  bool is_nothing() const { return spread == 0 && departure == 0 && second == 0; }
  bool operator>(const Promise& other) const {
    if (spread != other.spread) return spread > other.spread;
    if (departure != other.departure) return departure > other.departure;
    return second > other.second;
  }
};

inline std::vector<std::uint32_t> open_values(const OpenNode& node, std::uint32_t i) {
  std::vector<std::uint32_t> values;
  for (std::uint32_t x = node.component.first[i]; x < node.component.first[i + 1]; ++x)
    if (node.open[x] != 0) values.push_back(x);
  return values;
}

// @pre i has two open values or more
inline Promise promise_of(const OpenNode& node, std::uint32_t i,
                          const std::vector<std::uint32_t>& values) {
  Wide least = -1, second = -1;
  double low = 0, high = 0;
  bool any_cheap = false;
  for (const std::uint32_t x : values) {
    const Wide reduced = node.bound.reduced_costs[x];
    if (least < 0 || reduced < least) {
      second = least;
      least = reduced;
    } else if (second < 0 || reduced < second) {
      second = reduced;
    }
    if (reduced * 10 > node.gap) continue;
    const double price = node.relaxation.messages().usage_price(i, x - node.component.first[i]);
    low = any_cheap ? std::min(low, price) : price;
    high = any_cheap ? std::max(high, price) : price;
    any_cheap = true;
  }
  return {high - low, node.bound.reduced_costs[node.component.first[i] + node.reading[i]], second};
}

// By the price of their usage, at the middle of the range; where that is the same for all, the
// value that the relaxation prefers against the rest.  The middle of two prices next to each other
// is one of them.
[[gnu::cold]] inline Split split_values(const OpenNode& node, std::uint32_t i,
                                        const std::vector<std::uint32_t>& values) {
  const auto price = [&](std::uint32_t x) {
    return node.relaxation.messages().usage_price(i, x - node.component.first[i]);
  };
  const auto [low, high] =
      std::minmax_element(values.begin(), values.end(),
                          [&](std::uint32_t a, std::uint32_t b) { return price(a) < price(b); });
  const double middle = (price(*low) + price(*high)) / 2;
  const std::uint32_t preferred =
      *std::min_element(values.begin(), values.end(), [&](std::uint32_t a, std::uint32_t b) {
        return node.bound.reduced_costs[a] < node.bound.reduced_costs[b];
      });
  const bool by_usage = price(*low) < middle;
  Split split{i, {}, {}};
  for (const std::uint32_t x : values) {
    const bool is_first = by_usage ? price(x) <= middle && price(x) < price(*high) : x == preferred;
    (is_first ? split.first : split.second).push_back(x);
  }
  return split;
}

// The largest share of a row's capacity that each open value takes; with the value.
inline std::vector<std::pair<double, std::uint32_t>> capacity_shares_of(const OpenNode& node,
                                                                        std::uint32_t i) {
  const Component& component = node.component;
  std::vector<std::pair<double, std::uint32_t>> shares;
  for (const std::uint32_t x : open_values(node, i)) shares.push_back({0, x});
  if (shares.size() < 2) return shares;
  for (std::uint32_t k = component.first_item[i]; k < component.first_item[i + 1]; ++k) {
    const auto& item = component.items[k];
    const auto tightest = *std::min_element(component.capacity.begin() + item.begin,
                                            component.capacity.begin() + item.end);
    const double capacity = std::max(1.0, static_cast<double>(tightest));
    for (auto& [share, x] : shares) {
      const auto usage = static_cast<double>(component.usages[item.usage + x - component.first[i]]);
      share = std::max(share, usage / capacity);
    }
  }
  return shares;
}

// The variable whose values differ most in the capacity they take, split where the step is widest.
[[gnu::cold]] inline std::optional<Split> split_by_capacity(const OpenNode& node) {
  std::optional<Split> split;
  double widest = 0;
  for (std::uint32_t i = 0; i < node.component.size(); ++i) {
    std::vector<std::pair<double, std::uint32_t>> values = capacity_shares_of(node, i);
    if (values.size() < 2) continue;
    std::sort(values.begin(), values.end());
    const double spread = values.back().first - values.front().first;
    if (spread <= widest) continue;
    widest = spread;
    std::size_t at = 1;  // where the second part begins
    for (std::size_t k = 2; k < values.size(); ++k)
      if (values[k].first - values[k - 1].first > values[at].first - values[at - 1].first) at = k;
    split = Split{i, {}, {}};
    for (std::size_t k = 0; k < values.size(); ++k)
      (k < at ? split->first : split->second).push_back(values[k].second);
  }
  return split;
}

// @pre some variable has two open values or more
[[gnu::cold]] inline Split choose_split(const OpenNode& node) {
  std::uint32_t chosen = 0;
  std::vector<std::uint32_t> values_of_chosen;
  Promise best;
  for (std::uint32_t i = 0; i < node.component.size(); ++i) {
    std::vector<std::uint32_t> values = open_values(node, i);
    if (values.size() < 2) continue;
    const Promise promise = promise_of(node, i, values);
    if (!values_of_chosen.empty() && !(promise > best)) continue;
    best = promise;
    chosen = i;
    values_of_chosen = std::move(values);
  }
  if (best.is_nothing())
    if (std::optional<Split> split = split_by_capacity(node)) return *std::move(split);
  return split_values(node, chosen, values_of_chosen);
}

}  // namespace tessera::solver::detail
