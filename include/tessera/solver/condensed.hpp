// SPDX-License-Identifier: Apache-2.0
//
// A component with most variables settled: what is left to choose, as a component of its own.
#pragma once
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "tessera/solver/component.hpp"
#include "tessera/solver/descent.hpp"

namespace tessera::solver {

template<class Int>
class Condensed {
 public:
  // Keeps the variables of which `domains` allows more than `choice` has; the others stay as
  // `choice` says.  @pre the choice is feasible, and within the domains.  O(size of the component)
  Condensed(const Component<Int>& whole, const Domains& domains, const Choice& choice)
      : whole_(whole), choice_(choice), number_(whole.size(), settled) {
    number_variables(domains);
    add_costs();
    add_tables();
    add_usage();
    detail::index_tables(component_);
  }

  const Component<Int>& component() const noexcept { return component_; }

  // The whole's row of each of its own.
  const std::vector<std::uint32_t>& rows() const noexcept { return rows_; }

  // The choice it was made with, as one of its own component; and back.
  Choice start() const {
    Choice start;
    for (std::uint32_t i = 0; i < component_.size(); ++i) {
      const std::uint32_t value = choice_[component_.origin[i]];
      const auto begin = values_.begin() + component_.first[i];
      start.push_back(static_cast<std::uint32_t>(
          std::lower_bound(begin, values_.begin() + component_.first[i + 1], value) - begin));
    }
    return start;
  }
  Choice lifted(const Choice& part) const {
    Choice whole = choice_;
    for (std::uint32_t i = 0; i < component_.size(); ++i)
      whole[component_.origin[i]] = values_[component_.first[i] + part[i]];
    return whole;
  }

 private:
  static constexpr std::uint32_t settled = 0xffffffff;

  void number_variables(const Domains& domains) {
    component_.first.push_back(0);
    for (std::uint32_t v = 0; v < whole_.size(); ++v) {
      const std::size_t begin = values_.size();
      for (std::uint32_t y = 0; y < whole_.value_count(v); ++y)
        if (domains[whole_.first[v] + y] != 0) values_.push_back(y);
      if (values_.size() - begin < 2) {
        values_.resize(begin);
        continue;
      }
      number_[v] = static_cast<std::uint32_t>(component_.origin.size());
      component_.origin.push_back(v);
      component_.first.push_back(static_cast<std::uint32_t>(values_.size()));
    }
  }

  void add_costs() {
    for (std::uint32_t i = 0; i < component_.size(); ++i) {
      const std::uint32_t v = component_.origin[i];
      const std::size_t begin = component_.cost.size();
      for (std::uint32_t x = component_.first[i]; x < component_.first[i + 1]; ++x)
        component_.cost.push_back(whole_.cost[whole_.first[v] + values_[x]]);
      const auto fold = [&](std::uint32_t e, std::uint32_t other) {
        if (number_[other] != settled) return;
        for (std::uint32_t x = component_.first[i]; x < component_.first[i + 1]; ++x) {
          Int& cost = component_.cost[begin + x - component_.first[i]];
          cost = add(cost, entry(e, v, values_[x], choice_[other]));
        }
      };
      for (const std::uint32_t e : whole_.lower[v]) fold(e, whole_.tables[e].u);
      for (const std::uint32_t e : whole_.higher[v]) fold(e, whole_.tables[e].v);
    }
  }
  const Int& entry(std::uint32_t e, std::uint32_t v, std::uint32_t value,
                   std::uint32_t other_value) const {
    const auto& table = whole_.tables[e];
    const std::size_t width = whole_.value_count(table.v);
    return whole_.cost_of(
        table)[table.u == v ? value * width + other_value : other_value * width + value];
  }

  void add_tables() {
    for (const std::uint32_t v : component_.origin)
      for (const std::uint32_t e : whole_.higher[v]) {
        const auto& table = whole_.tables[e];
        const std::uint32_t i = number_[v], j = number_[table.v];
        if (j == settled) continue;
        component_.tables.push_back({i, j, component_.tables_cost.size()});
        for (std::uint32_t x = component_.first[i]; x < component_.first[i + 1]; ++x)
          for (std::uint32_t y = component_.first[j]; y < component_.first[j + 1]; ++y)
            component_.tables_cost.push_back(entry(e, v, values_[x], values_[y]));
      }
  }

  // Only rows that what is left could overfill.
  void add_usage() {
    const std::size_t rows = whole_.capacity.size();
    std::vector<UsageSum> settled_usage(rows + 1, 0), most(rows + 1, 0);
    const auto add_between = [](std::vector<UsageSum>& list, const auto& item, Usage usage) {
      list[item.begin] += usage;
      list[item.end] -= usage;
    };
    for (std::uint32_t v = 0; v < whole_.size(); ++v)
      for (std::uint32_t k = whole_.first_item[v]; k < whole_.first_item[v + 1]; ++k) {
        const auto& item = whole_.items[k];
        const Usage* usage = whole_.usages.data() + item.usage;
        if (number_[v] == settled) {
          add_between(settled_usage, item, usage[choice_[v]]);
          continue;
        }
        Usage largest = 0;
        for_each_value(v, [&](std::uint32_t y) { largest = std::max(largest, usage[y]); });
        add_between(most, item, largest);
      }
    std::vector<std::uint32_t> row_number(rows + 1, 0);
    UsageSum taken = 0, possible = 0;
    for (std::size_t t = 0; t < rows; ++t) {
      taken += settled_usage[t];
      possible += most[t];
      const auto capacity = static_cast<Usage>(whole_.capacity[t] - taken);
      row_number[t + 1] = row_number[t] + (possible > capacity ? 1 : 0);
      if (possible <= capacity) continue;
      component_.capacity.push_back(capacity);
      rows_.push_back(static_cast<std::uint32_t>(t));
    }
    component_.first_item.push_back(0);
    for (const std::uint32_t v : component_.origin) {
      for (std::uint32_t k = whole_.first_item[v]; k < whole_.first_item[v + 1]; ++k) {
        const auto& item = whole_.items[k];
        const std::uint32_t begin = row_number[item.begin], end = row_number[item.end];
        if (begin == end) continue;
        component_.items.push_back({begin, end, component_.usages.size()});
        const Usage* usage = whole_.usages.data() + item.usage;
        for_each_value(v, [&](std::uint32_t y) { component_.usages.push_back(usage[y]); });
      }
      component_.first_item.push_back(static_cast<std::uint32_t>(component_.items.size()));
    }
  }
  template<class Visit>
  void for_each_value(std::uint32_t v, Visit&& visit) const {
    const std::uint32_t i = number_[v];
    for (std::uint32_t x = component_.first[i]; x < component_.first[i + 1]; ++x) visit(values_[x]);
  }

  const Component<Int>& whole_;
  Choice choice_;
  std::vector<std::uint32_t> number_;  // of each of whole's variables, here
  std::vector<std::uint32_t> values_;  // whole's value of each value here
  std::vector<std::uint32_t> rows_;
  Component<Int> component_;
};

}  // namespace tessera::solver
