// SPDX-License-Identifier: Apache-2.0
//
// Constraint propagation: arc consistency over tables with forbidden pairs, and values that do not
// fit beside the least usage of all others.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/numbers/range_minimum.hpp"

namespace tessera::solver::detail {

inline bool all_have_values(const Component& component, const Domains& domains) {
  for (std::uint32_t i = 0; i < component.size(); ++i) {
    const auto end = domains.begin() + component.first[i + 1];
    if (std::find(domains.begin() + component.first[i], end, 1) == end) return false;
  }
  return true;
}

// Removes values that no neighbour allows or that can not fit.  False where a domain empties.
class Propagator {
 public:
  [[gnu::cold]] explicit Propagator(const Component& component) : component_(component) {
    KeyNumbers numbers;                // of the places where entries begin
    std::vector<std::uint32_t> masks;  // by such a number
    for (std::uint32_t e = 0; e < component.tables.size(); ++e) {
      const Component::Table& table = component.tables[e];
      const std::uint32_t at = numbers.number_of({table.cost});
      if (at == masks.size()) masks.push_back(add_mask(table));
      if (masks[at] != unrestricted) restrictive_.push_back({e, masks[at]});
    }
  }

  // Every removed value is explained to `proof`, unless that is null.
  bool run(Domains& domains, Proof* proof = nullptr) const {
    if (!all_have_values(component_, domains)) return false;
    for (bool changed = true; changed;) {
      changed = false;
      for (const auto& [e, mask] : restrictive_)
        if (!match(component_.tables[e], allowed_[mask], domains, changed, proof)) return false;
      if (!fit(domains, changed, proof)) return false;
    }
    return true;
  }

 private:
  // The number of a new mask, or `unrestricted` where the table forbids nothing.
  [[gnu::cold]] std::uint32_t add_mask(const Component::Table& table) {
    std::vector<char> allowed =
        component_.costs->finite_entries(table.cost, component_.entries(table));
    if (std::find(allowed.begin(), allowed.end(), 0) == allowed.end()) return unrestricted;
    allowed_.push_back(std::move(allowed));
    return static_cast<std::uint32_t>(allowed_.size() - 1);
  }

  // Removes the values of a table's ends that the other end does not support.
  bool match(const Component::Table& table, const std::vector<char>& allowed, Domains& domains,
             bool& changed, Proof* proof) const {
    const std::uint32_t u = component_.first[table.u], v = component_.first[table.v];
    const std::uint32_t rows = component_.value_count(table.u);
    const std::uint32_t columns = component_.value_count(table.v);
    std::vector<char> row_used(rows, 0), column_used(columns, 0);
    for (std::uint32_t x = 0; x < rows; ++x)
      for (std::uint32_t y = 0; y < columns; ++y)
        if (domains[u + x] != 0 && domains[v + y] != 0 &&
            allowed[std::size_t{x} * columns + y] != 0)
          row_used[x] = column_used[y] = 1;
    return keep(table.u, table.v, row_used, domains, changed, proof) &&
           keep(table.v, table.u, column_used, domains, changed, proof);
  }

  // Removes the values of w that `other` does not support.  False where none is left.
  bool keep(std::uint32_t w, std::uint32_t other, const std::vector<char>& supported,
            Domains& domains, bool& changed, Proof* proof) const {
    const std::uint32_t first = component_.first[w];
    bool any = false;
    for (std::size_t x = 0; x < supported.size(); ++x) {
      char& allowed = domains[first + x];
      if (allowed != 0 && supported[x] == 0) {
        changed = true;
        allowed = 0;
        if (proof != nullptr)
          (proof->step("unsupported")
           << component_.name[w] << component_.label[first + x] << component_.name[other])
              .end();
      }
      any = any || allowed != 0;
    }
    return any;
  }

  bool fit(Domains& domains, bool& changed, Proof* proof) const {
    if (component_.capacity.empty()) return true;
    const std::vector<Usage> least = least_usages(domains);
    if (proof != nullptr) proof->step("profile").end();
    std::vector<UsageSum> left = capacity_beside(least);
    for (std::size_t row = 0; row < left.size(); ++row)
      if (left[row] < 0) {
        if (proof != nullptr) (proof->step("oversubscribed") << component_.row_name[row]).end();
        return false;
      }
    const RangeMinimum<UsageSum> range(std::move(left));
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
            if (proof != nullptr) explain_over_capacity(*proof, i, y, item, range);
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

  // The capacity that is left on each row when every item uses so much.
  std::vector<UsageSum> capacity_beside(const std::vector<Usage>& usages) const {
    std::vector<UsageSum> change(component_.capacity.size() + 1, 0);
    for (std::size_t k = 0; k < usages.size(); ++k) {
      change[component_.items[k].begin] += usages[k];
      change[component_.items[k].end] -= usages[k];
    }
    std::vector<UsageSum> left(component_.capacity.begin(), component_.capacity.end());
    UsageSum used = 0;
    for (std::size_t row = 0; row < left.size(); ++row) {
      used += change[row];
      left[row] -= used;
    }
    return left;
  }

  [[gnu::cold]] void explain_over_capacity(Proof& proof, std::uint32_t i, std::uint32_t y,
                                           const Component::Item& item,
                                           const RangeMinimum<UsageSum>& left) const {
    std::uint32_t row = item.begin;
    while (left(row, row + 1) != left(item.begin, item.end)) ++row;
    (proof.step("over_capacity") << component_.name[i] << component_.label[component_.first[i] + y]
                                 << component_.row_name[row])
        .end();
  }

  const Component& component_;
  static constexpr std::uint32_t unrestricted = 0xffffffff;
  // Tables with forbidden pairs, each with the number of its mask.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> restrictive_;
  std::vector<std::vector<char>> allowed_;  // by mask: which entries are finite
};

}  // namespace tessera::solver::detail
