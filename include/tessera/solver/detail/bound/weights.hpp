// SPDX-License-Identifier: Apache-2.0
//
// A component's costs and usages as padded rows of doubles.  Code that guides the search reads
// these; code that decides reads the exact costs of the component.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/numbers/kernels.hpp"

namespace tessera::solver::detail {

class Weights {
 public:
  [[gnu::cold]] explicit Weights(const Component& component) : component_(component) {
    std::size_t at = 0;
    for (std::uint32_t v = 0; v < component.size(); ++v) {
      value_at_.push_back(at);
      at += stride(v);
    }
    value_at_.push_back(at);
    copy_costs();
    copy_tables();
    usages_.assign(component.usages.begin(), component.usages.end());
  }

  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;
  [[gnu::noinline]] ~Weights() = default;

  const Component& component() const noexcept { return component_; }

  // Rows of variable v's values are this long; what is past its values is huge.
  std::size_t stride(std::uint32_t v) const { return kernels::padded(component_.value_count(v)); }
  // Where v's values begin in a vector of all padded values; v may be one past the last.
  std::size_t value_at(std::uint32_t v) const { return value_at_[v]; }
  const std::vector<double>& costs() const noexcept { return costs_; }

  // Table e by v's values, for its u's value x; then the same from the other end.
  const double* row(std::uint32_t e, std::size_t x) const {
    return rows_.data() + row_at_[e] + x * stride(component_.tables[e].v);
  }
  const double* column(std::uint32_t e, std::size_t y) const {
    return columns_.data() + column_at_[e] + y * stride(component_.tables[e].u);
  }
  // Table e by w's values, for the value that its other end takes.
  const double* towards(std::uint32_t w, std::uint32_t e, std::size_t other_value) const {
    return component_.tables[e].v == w ? row(e, other_value) : column(e, other_value);
  }
  const double* usage(std::size_t item) const {
    return usages_.data() + component_.items[item].usage;
  }

  // Adds to v's row in `unary` (all padded values) what its usage costs.  `before[t]` is the sum of
  // the prices of the rows before t.
  void add_usage_price(std::uint32_t v, const std::vector<double>& before, double* unary) const {
    for (std::uint32_t k = component_.first_item[v]; k < component_.first_item[v + 1]; ++k) {
      const auto& item = component_.items[k];
      const double price = before[item.end] - before[item.begin];
      if (price == 0) continue;
      for (std::uint32_t y = 0; y < component_.value_count(v); ++y) unary[y] += price * usage(k)[y];
    }
  }

  // Entries of all tables: what one pass over them costs.
  std::size_t entries() const noexcept { return entries_; }

 private:
  void copy_costs() {
    costs_.assign(value_at_.back(), kernels::huge);
    for (std::uint32_t v = 0; v < component_.size(); ++v)
      component_.costs->copy_values(component_.first[v], component_.value_count(v),
                                    costs_.data() + value_at_[v]);
  }

  // Lays out all tables; those that share their entries in the component, and have the same shape,
  // share them here too.  Returns one table of each kind.
  [[gnu::cold]] std::vector<std::uint32_t> lay_out_tables() {
    std::size_t rows_size = 0, columns_size = 0;
    KeyNumbers numbers;
    std::vector<std::uint32_t> distinct;
    for (std::uint32_t e = 0; e < component_.tables.size(); ++e) {
      const Component::Table& table = component_.tables[e];
      const std::size_t height = component_.value_count(table.u);
      const std::size_t width = component_.value_count(table.v);
      entries_ += height * stride(table.v);
      const std::uint32_t at = numbers.number_of({table.cost, width});
      const bool is_new = at == distinct.size();
      row_at_.push_back(is_new ? rows_size : row_at_[distinct[at]]);
      column_at_.push_back(is_new ? columns_size : column_at_[distinct[at]]);
      if (!is_new) continue;
      distinct.push_back(e);
      rows_size += height * stride(table.v);
      columns_size += width * stride(table.u);
    }
    rows_.assign(rows_size, kernels::huge);
    columns_.assign(columns_size, kernels::huge);
    return distinct;
  }

  [[gnu::noinline]] void copy_tables() {
    for (const std::uint32_t e : lay_out_tables()) {
      const Component::Table& table = component_.tables[e];
      const std::size_t height = component_.value_count(table.u);
      const std::size_t width = component_.value_count(table.v);
      const std::size_t column_stride = stride(table.u);
      for (std::size_t x = 0; x < height; ++x) {
        double* row = rows_.data() + row_at_[e] + x * stride(table.v);
        component_.costs->copy_entries(table.cost + x * width, width, row);
        double* column = columns_.data() + column_at_[e] + x;
        for (std::size_t y = 0; y < width; ++y) column[y * column_stride] = row[y];
      }
    }
  }

  const Component& component_;
  std::vector<std::size_t> value_at_, row_at_, column_at_;
  std::vector<double> costs_, rows_, columns_, usages_;
  std::size_t entries_ = 0;
};

// prefix[t] = the sum of prices[0..t), one longer than prices.
inline void prefix_sums(const std::vector<double>& prices, std::vector<double>& prefix) {
  prefix.resize(prices.size() + 1);
  prefix[0] = 0;
  for (std::size_t t = 0; t < prices.size(); ++t) prefix[t + 1] = prefix[t] + prices[t];
}

}  // namespace tessera::solver::detail
