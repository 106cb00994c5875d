// SPDX-License-Identifier: Apache-2.0
//
// A component with most variables settled: the rest, as a component of its own.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/search/descent.hpp"

namespace tessera::solver::detail {

class Subproblem {
 public:
  // Keeps the variables of which `domains` allows more than `choice` has; the others stay as
  // `choice` says.  @pre the choice is feasible, and within the domains.  O(size of the component)
  [[gnu::cold]] Subproblem(const Component& whole, const Domains& domains, const Choice& choice)
      : whole_(whole), choice_(choice), number_(whole.size(), settled) {
    number_variables(domains);
    const std::shared_ptr<ExactCosts> costs = whole.costs->make_empty();
    add_costs(*costs);
    add_tables(*costs);
    component_.costs = costs;
    add_rows();
    add_items();
    index_tables(component_);
  }

  const Component& component() const noexcept { return component_; }

  // The whole's row of each of its own.
  const std::vector<std::uint32_t>& rows() const noexcept { return rows_; }

  // The choice it was made with, as one of its own component; and back.
  [[gnu::cold]] Choice start() const {
    Choice start;
    for (std::uint32_t i = 0; i < component_.size(); ++i) {
      const std::uint32_t value = choice_[component_.origin[i]];
      const auto begin = values_.begin() + component_.first[i];
      start.push_back(static_cast<std::uint32_t>(
          std::lower_bound(begin, values_.begin() + component_.first[i + 1], value) - begin));
    }
    return start;
  }
  [[gnu::cold]] Choice lifted(const Choice& part) const {
    Choice whole = choice_;
    for (std::uint32_t i = 0; i < component_.size(); ++i)
      whole[component_.origin[i]] = values_[component_.first[i] + part[i]];
    return whole;
  }

 private:
  static constexpr std::uint32_t settled = 0xffffffff;

  [[gnu::cold]] void number_variables(const Domains& domains) {
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

  // The values of variable i that are left, as numbers of the whole's variable.
  std::span<const std::uint32_t> values_of(std::uint32_t i) const {
    return std::span(values_).subspan(component_.first[i], component_.value_count(i));
  }

  // Costs of the values that are left, with the tables to settled variables.
  [[gnu::cold]] void add_costs(ExactCosts& costs) const {
    for (std::uint32_t i = 0; i < component_.size(); ++i) {
      const std::uint32_t v = component_.origin[i];
      std::vector<std::uint32_t> values;
      for (const std::uint32_t y : values_of(i)) values.push_back(whole_.first[v] + y);
      costs.append_values(*whole_.costs, values);
      for (const std::uint32_t e : whole_.lower[v]) {
        const Component::Table& table = whole_.tables[e];
        if (number_[table.u] != settled) continue;
        const std::size_t row = std::size_t{choice_[table.u]} * whole_.value_count(v);
        costs.add_to_values(component_.first[i], values_of(i), *whole_.costs, table.cost + row, 1);
      }
      for (const std::uint32_t e : whole_.higher[v]) {
        const Component::Table& table = whole_.tables[e];
        if (number_[table.v] != settled) continue;
        costs.add_to_values(component_.first[i], values_of(i), *whole_.costs,
                            table.cost + choice_[table.v], whole_.value_count(table.v));
      }
    }
  }

  [[gnu::cold]] void add_tables(ExactCosts& costs) {
    for (const std::uint32_t v : component_.origin)
      for (const std::uint32_t e : whole_.higher[v]) {
        const Component::Table& table = whole_.tables[e];
        const std::uint32_t i = number_[v], j = number_[table.v];
        if (j == settled) continue;
        const std::size_t at = costs.append_table(
            *whole_.costs, table.cost, whole_.value_count(table.v), values_of(i), values_of(j));
        component_.tables.push_back({i, j, at});
      }
  }

  // Only rows that the remaining variables could fill over capacity.
  [[gnu::cold]] void add_rows() {
    const std::size_t rows = whole_.capacity.size();
    std::vector<UsageSum> settled_usage(rows + 1, 0), most(rows + 1, 0);
    for (std::uint32_t v = 0; v < whole_.size(); ++v)
      for (std::uint32_t k = whole_.first_item[v]; k < whole_.first_item[v + 1]; ++k) {
        const Component::Item& item = whole_.items[k];
        const Usage* usage = whole_.usages.data() + item.usage;
        Usage largest = 0;
        if (number_[v] == settled)
          largest = usage[choice_[v]];
        else
          for (const std::uint32_t y : values_of(number_[v])) largest = std::max(largest, usage[y]);
        std::vector<UsageSum>& list = number_[v] == settled ? settled_usage : most;
        list[item.begin] += largest;
        list[item.end] -= largest;
      }
    row_number_.assign(rows + 1, 0);
    UsageSum taken = 0, possible = 0;
    for (std::size_t t = 0; t < rows; ++t) {
      taken += settled_usage[t];
      possible += most[t];
      const auto capacity = static_cast<Usage>(whole_.capacity[t] - taken);
      row_number_[t + 1] = row_number_[t] + (possible > capacity ? 1 : 0);
      if (possible <= capacity) continue;
      component_.capacity.push_back(capacity);
      rows_.push_back(static_cast<std::uint32_t>(t));
    }
  }

  [[gnu::cold]] void add_items() {
    component_.first_item.push_back(0);
    for (const std::uint32_t v : component_.origin) {
      for (std::uint32_t k = whole_.first_item[v]; k < whole_.first_item[v + 1]; ++k) {
        const Component::Item& item = whole_.items[k];
        const std::uint32_t begin = row_number_[item.begin], end = row_number_[item.end];
        if (begin == end) continue;
        component_.items.push_back({begin, end, component_.usages.size()});
        const Usage* usage = whole_.usages.data() + item.usage;
        for (const std::uint32_t y : values_of(number_[v])) component_.usages.push_back(usage[y]);
      }
      component_.first_item.push_back(static_cast<std::uint32_t>(component_.items.size()));
    }
  }

  const Component& whole_;
  Choice choice_;
  std::vector<std::uint32_t> number_;      // of each of whole's variables, here
  std::vector<std::uint32_t> values_;      // whole's value of each value here
  std::vector<std::uint32_t> rows_;        // the whole's row of each row here
  std::vector<std::uint32_t> row_number_;  // of each of whole's rows, here
  Component component_;
};

}  // namespace tessera::solver::detail
