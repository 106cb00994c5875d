// SPDX-License-Identifier: Apache-2.0
//
// ExactCosts (exact_costs.hpp) in integers of one width.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/bound_pass.hpp"
#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/bound/exact_costs.hpp"
#include "tessera/solver/detail/numbers/arithmetic.hpp"
#include "tessera/solver/detail/numbers/kernels.hpp"
#include "tessera/solver/detail/presolve/exact_cost_tables.hpp"

namespace tessera::solver::detail {

template<class Int>
class ExactCostsOf final : public ExactCosts {
 public:
  ExactCostsOf() = default;
  ExactCostsOf(std::vector<Int> costs, std::vector<Int> entries)
      : costs_(std::move(costs)), entries_(std::move(entries)) {}

  std::size_t values() const noexcept override { return costs_.size(); }
  int headroom_bits() const noexcept override { return Arithmetic<Int>::headroom_bits; }
  CostRange range_of_values(std::size_t begin, std::size_t count) const override {
    return range_of(costs_.data() + begin, count);
  }
  CostRange range_of_entries(std::size_t at, std::size_t count) const override {
    return range_of(entries_.data() + at, count);
  }
  std::vector<char> finite_values() const override {
    return which_are_finite(costs_.data(), costs_.size());
  }
  std::vector<char> finite_entries(std::size_t at, std::size_t count) const override {
    return which_are_finite(entries_.data() + at, count);
  }
  void copy_values(std::size_t begin, std::size_t count, double* to) const override {
    to_doubles(costs_.data() + begin, count, to);
  }
  void copy_entries(std::size_t at, std::size_t count, double* to) const override {
    to_doubles(entries_.data() + at, count, to);
  }
  std::vector<std::uint32_t> classes_of_variables(const Component& component) const override {
    Pool<Int> costs;
    std::vector<std::uint32_t> classes;
    for (std::uint32_t i = 0; i < component.size(); ++i)
      classes.push_back(costs.add(
          std::span<const Int>(costs_.data() + component.first[i], component.value_count(i))));
    return classes;
  }

  std::optional<Wide> cost_of(const Component& component, const Choice& choice) const override {
    Wide total = 0;
    for (std::uint32_t i = 0; i < component.size(); ++i)
      total += costs_[component.first[i] + choice[i]];
    for (const Component::Table& table : component.tables) {
      const Int& pair = entry(component, table, choice[table.u], choice[table.v]);
      if (!finite(pair)) return std::nullopt;
      total += pair;
    }
    return total;
  }
  std::optional<Wide> change_in_cost(const Component& component,
                                     std::span<const std::uint32_t> changed,
                                     const std::vector<char>& is_changed, const Choice& choice,
                                     const Choice& target) const override {
    Wide change = 0;
    bool is_allowed = true;
    const auto value_after = [&](std::uint32_t w) {
      return is_changed[w] != 0 ? target[w] : choice[w];
    };
    const auto add_change = [&](const Component::Table& table) {
      const Int& after = entry(component, table, value_after(table.u), value_after(table.v));
      change += after - entry(component, table, choice[table.u], choice[table.v]);
      is_allowed = is_allowed && finite(after);
    };
    for (const std::uint32_t v : changed) {
      const std::uint32_t first = component.first[v];
      change += costs_[first + target[v]] - costs_[first + choice[v]];
      for (const std::uint32_t e : component.lower[v]) add_change(component.tables[e]);
      // A table between two that change is counted once, from its higher end.
      for (const std::uint32_t e : component.higher[v])
        if (is_changed[component.tables[e].v] == 0) add_change(component.tables[e]);
    }
    return is_allowed ? std::optional(change) : std::nullopt;
  }
  void price_values(const Component& component, std::uint32_t i, const Choice& choice,
                    std::vector<Wide>& prices) const override {
    const std::uint32_t width = component.value_count(i);
    const Int* costs = costs_.data() + component.first[i];
    prices.assign(costs, costs + width);
    const auto add_entries = [&](const Int* from, std::size_t step) {
      for (std::uint32_t y = 0; y < width; ++y)
        prices[y] = add<Int>(static_cast<Int>(prices[y]), from[y * step]);
    };
    for (const std::uint32_t e : component.lower[i])
      add_entries(&entry(component, component.tables[e], choice[component.tables[e].u], 0), 1);
    for (const std::uint32_t e : component.higher[i]) {
      const Component::Table& table = component.tables[e];
      add_entries(&entry(component, table, 0, choice[table.v]), component.value_count(table.v));
    }
  }
  Bound bound(const Component& component, const std::vector<double>& forward,
              const Multipliers& multipliers, Messages* used) const override {
    return BoundPass<Int>(component, costs_.data(), entries_.data(), forward, multipliers, used)
        .run();
  }

  std::unique_ptr<CostTables> tables_of(const Component& component) const override {
    auto tables = std::make_unique<CostTablesOf<Int>>();
    for (std::uint32_t i = 0; i < component.size(); ++i)
      tables->add_variable(
          std::span<const Int>(costs_.data() + component.first[i], component.value_count(i)));
    return tables;
  }
  EntriesId pooled(CostTables& tables, std::size_t at, std::size_t count) const override {
    return static_cast<CostTablesOf<Int>&>(tables).pooled(
        std::span<const Int>(entries_.data() + at, count));
  }

  std::shared_ptr<ExactCosts> make_empty() const override {
    return std::make_shared<ExactCostsOf>();
  }
  void append_values(const ExactCosts& from, std::span<const std::uint32_t> values,
                     std::int64_t factor) override {
    for (const std::uint32_t x : values) costs_.push_back(times(same_type(from).costs_[x], factor));
  }
  std::size_t append_table(const ExactCosts& from, std::size_t at, std::size_t columns,
                           std::span<const std::uint32_t> rows,
                           std::span<const std::uint32_t> picked) override {
    const std::size_t begin = append_zeros(rows.size() * picked.size());
    Int* to = entries_.data() + begin;
    for (const std::uint32_t x : rows) {
      const Int* row = same_type(from).entries_.data() + at + x * columns;
      for (const std::uint32_t y : picked) *to++ = row[y];
    }
    return begin;
  }
  std::size_t append_zeros(std::size_t count) override {
    const std::size_t begin = entries_.size();
    entries_.resize(begin + count, 0);
    return begin;
  }
  void add_to_table(std::size_t to, std::size_t rows, std::size_t columns, const ExactCosts& from,
                    std::size_t at, std::size_t row_step, std::size_t column_step,
                    std::int64_t factor) override {
    const Int* const source = same_type(from).entries_.data() + at;
    Int* entry = entries_.data() + to;
    for (std::size_t x = 0; x < rows; ++x)
      for (std::size_t y = 0; y < columns; ++y, ++entry)
        *entry = add(*entry, times(source[x * row_step + y * column_step], factor));
  }
  void add_to_values(std::size_t begin, std::span<const std::uint32_t> values,
                     const ExactCosts& from, std::size_t at, std::size_t step,
                     std::int64_t factor) override {
    for (std::size_t k = 0; k < values.size(); ++k) {
      Int& cost = costs_[begin + k];
      cost = add(cost, times(same_type(from).entries_[at + values[k] * step], factor));
    }
  }

 private:
  static bool finite(const Int& cost) { return Arithmetic<Int>::is_finite(cost); }
  static Int times(const Int& cost, std::int64_t factor) {
    return finite(cost) ? Int(cost * factor) : cost;
  }
  static const ExactCostsOf& same_type(const ExactCosts& costs) {
    return static_cast<const ExactCostsOf&>(costs);
  }
  const Int& entry(const Component& component, const Component::Table& table, std::size_t x,
                   std::size_t y) const {
    return entries_[table.cost + x * component.value_count(table.v) + y];
  }
  static CostRange range_of(const Int* costs, std::size_t count) {
    CostRange range{*std::min_element(costs, costs + count), 0, 0};
    bool is_first = true;
    for (std::size_t i = 0; i < count; ++i) {
      if (!finite(costs[i])) continue;
      range.largest = is_first ? Wide(costs[i]) : std::max<Wide>(range.largest, costs[i]);
      range.magnitude = std::max<Wide>({range.magnitude, costs[i], -costs[i]});
      is_first = false;
    }
    return range;
  }
  static std::vector<char> which_are_finite(const Int* costs, std::size_t count) {
    std::vector<char> result(count);
    for (std::size_t i = 0; i < count; ++i) result[i] = finite(costs[i]) ? 1 : 0;
    return result;
  }
  static void to_doubles(const Int* costs, std::size_t count, double* to) {
    for (std::size_t i = 0; i < count; ++i)
      to[i] = finite(costs[i]) ? static_cast<double>(costs[i]) : kernels::huge;
  }

  std::vector<Int> costs_, entries_;
};

template<class Int>
std::shared_ptr<const ExactCosts> make_exact_costs(std::vector<Int> costs,
                                                   std::vector<Int> tables) {
  return std::make_shared<ExactCostsOf<Int>>(std::move(costs), std::move(tables));
}

// The costs of an empty problem, in the narrowest integers that hold all sums.
inline std::unique_ptr<CostTables> make_cost_tables(bool is_wide) {
  if (is_wide) return std::make_unique<CostTablesOf<Wide>>();
  return std::make_unique<CostTablesOf<std::int64_t>>();
}

}  // namespace tessera::solver::detail
