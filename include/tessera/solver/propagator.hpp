// SPDX-License-Identifier: Apache-2.0
//
// What a restriction of domains implies at once: values without a partner, values without room.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/solver/component.hpp"
#include "tessera/solver/range_minimum.hpp"

namespace tessera::solver {

template<class Int>
bool all_have_values(const Component<Int>& component, const Domains& domains) {
  for (std::uint32_t i = 0; i < component.size(); ++i) {
    const auto end = domains.begin() + component.first[i + 1];
    if (std::find(domains.begin() + component.first[i], end, 1) == end) return false;
  }
  return true;
}

// Removes values that no neighbour allows or that can not fit.  False where a domain empties.
template<class Int>
class Propagator {
 public:
  explicit Propagator(const Component<Int>& component) : component_(component) {
    std::unordered_map<std::size_t, bool> is_restrictive;  // by where the entries begin
    for (std::uint32_t e = 0; e < component.tables.size(); ++e) {
      const auto& table = component.tables[e];
      const auto [known, is_new] = is_restrictive.emplace(table.cost, false);
      if (is_new) {
        const std::size_t entries = std::size_t{component.value_count(table.u)} *
                                    component.value_count(table.v);
        const Int* cost = component.cost_of(table);
        known->second = !std::all_of(cost, cost + entries, Arithmetic<Int>::is_finite);
      }
      if (known->second) restrictive_.push_back(e);
    }
  }

  // What goes is explained to `proof`, if there is one.
  bool run(Domains& domains, Proof* proof = nullptr) const {
    if (!all_have_values(component_, domains)) return false;
    for (bool changed = true; changed;) {
      changed = false;
      for (const std::uint32_t e : restrictive_)
        if (!match(component_.tables[e], domains, changed, proof)) return false;
      if (!fit(domains, changed, proof)) return false;
    }
    return true;
  }

 private:
  bool match(const typename Component<Int>::Table& table, Domains& domains, bool& changed,
             Proof* proof) const {
    const std::uint32_t u = component_.first[table.u], v = component_.first[table.v];
    const std::uint32_t rows = component_.value_count(table.u);
    const std::uint32_t columns = component_.value_count(table.v);
    const Int* cost = component_.cost_of(table);
    std::vector<char> row_used(rows, 0), column_used(columns, 0);
    for (std::uint32_t x = 0; x < rows; ++x)
      for (std::uint32_t y = 0; y < columns; ++y)
        if (domains[u + x] != 0 && domains[v + y] != 0 &&
            Arithmetic<Int>::is_finite(cost[std::size_t{x} * columns + y]))
          row_used[x] = column_used[y] = 1;
    const auto keep = [&](std::uint32_t w, std::uint32_t other, const std::vector<char>& used) {
      const std::uint32_t first = component_.first[w];
      bool any = false;
      for (std::size_t x = 0; x < used.size(); ++x) {
        if (domains[first + x] != 0 && used[x] == 0) {
          changed = true;
          domains[first + x] = 0;
          if (proof != nullptr)
            (proof->step("unsupported")
             << component_.name[w] << component_.label[first + x] << component_.name[other])
                .end();
        }
        any = any || domains[first + x] != 0;
      }
      return any;
    };
    return keep(table.u, table.v, row_used) && keep(table.v, table.u, column_used);
  }

  bool fit(Domains& domains, bool& changed, Proof* proof) const {
    if (component_.capacity.empty()) return true;
    const std::vector<Usage> least = least_usages(domains);
    if (proof != nullptr) proof->step("profile").end();
    std::vector<UsageSum> room = room_beside(least);
    for (std::size_t row = 0; row < room.size(); ++row)
      if (room[row] < 0) {
        if (proof != nullptr) (proof->step("oversubscribed") << component_.row_name[row]).end();
        return false;
      }
    const RangeMinimum<UsageSum> range(std::move(room));
    for (std::uint32_t i = 0; i < component_.size(); ++i)
      for (std::uint32_t k = component_.first_item[i]; k < component_.first_item[i + 1]; ++k) {
        const auto& item = component_.items[k];
        const UsageSum most = least[k] + range(item.begin, item.end);
        bool any = false;
        for (std::uint32_t y = 0; y < component_.value_count(i); ++y) {
          char& allowed = domains[component_.first[i] + y];
          if (allowed != 0 && component_.usages[item.usage + y] > most) {
            allowed = 0;
            changed = true;
            if (proof != nullptr) explain_crowded(*proof, i, y, item, range);
          }
          any = any || allowed != 0;
        }
        if (!any) return false;
      }
    return true;
  }

  // The least of each of the component's items.
  std::vector<Usage> least_usages(const Domains& domains) const {
    std::vector<Usage> least(component_.items.size(), std::numeric_limits<Usage>::max());
    for (std::uint32_t i = 0; i < component_.size(); ++i)
      for (std::uint32_t k = component_.first_item[i]; k < component_.first_item[i + 1]; ++k)
        for (std::uint32_t y = 0; y < component_.value_count(i); ++y)
          if (domains[component_.first[i] + y] != 0)
            least[k] = std::min(least[k], component_.usages[component_.items[k].usage + y]);
    return least;
  }

  // What is left of each row when every item uses so much.
  std::vector<UsageSum> room_beside(const std::vector<Usage>& usages) const {
    std::vector<UsageSum> change(component_.capacity.size() + 1, 0);
    for (std::size_t k = 0; k < usages.size(); ++k) {
      change[component_.items[k].begin] += usages[k];
      change[component_.items[k].end] -= usages[k];
    }
    std::vector<UsageSum> room(component_.capacity.begin(), component_.capacity.end());
    UsageSum used = 0;
    for (std::size_t row = 0; row < room.size(); ++row) {
      used += change[row];
      room[row] -= used;
    }
    return room;
  }

  void explain_crowded(Proof& proof, std::uint32_t i, std::uint32_t y,
                       const typename Component<Int>::Item& item,
                       const RangeMinimum<UsageSum>& room) const {
    std::uint32_t row = item.begin;
    while (room(row, row + 1) != room(item.begin, item.end)) ++row;
    (proof.step("over_capacity") << component_.name[i] << component_.label[component_.first[i] + y]
                                 << component_.row_name[row])
        .end();
  }

  const Component<Int>& component_;
  std::vector<std::uint32_t> restrictive_;  // tables with forbidden pairs
};

}  // namespace tessera::solver
