// SPDX-License-Identifier: Apache-2.0
//
// CostTables (cost_tables.hpp) in integers of one width.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/detail/numbers/arithmetic.hpp"
#include "tessera/solver/detail/numbers/pool.hpp"
#include "tessera/solver/detail/presolve/cost_tables.hpp"
#include "tessera/solver/detail/presolve/dominance.hpp"
#include "tessera/solver/detail/presolve/min_plus.hpp"

namespace tessera::solver::detail {

// bound/exact_costs.hpp
template<class Int>
std::shared_ptr<const ExactCosts> make_exact_costs(std::vector<Int> costs, std::vector<Int> tables);

template<class Int>
class CostTablesOf final : public CostTables {
 public:
  void add_variable(std::span<const Cost> costs, int shift) override {
    costs_.push_back(scaled(costs, shift));
  }
  void add_variable(EntriesId entries, std::span<const std::uint32_t> indices) override {
    std::vector<Int> costs;
    for (const std::uint32_t index : indices) costs.push_back(pool_[entries][index]);
    costs_.push_back(std::move(costs));
  }
  void add_variable(std::span<const Int> costs) { costs_.emplace_back(costs.begin(), costs.end()); }
  EntriesId pooled(std::span<const Cost> costs, int shift) override {
    return pool_.add(scaled(costs, shift));
  }
  EntriesId pooled(std::span<const Int> entries) { return pool_.add(entries); }
  EntriesId pooled_costs(Variable w) override { return pool_.add(std::span<const Int>(costs_[w])); }
  EntriesId assignment_table(std::span<const Value> values, std::size_t columns) override {
    std::vector<Int> table(values.size() * columns, infinity());
    for (std::size_t x = 0; x < values.size(); ++x) table[x * columns + values[x]] = 0;
    return pool_.add(std::move(table));
  }

  std::vector<std::uint32_t> finite_indices(EntriesId entries) const override {
    std::vector<std::uint32_t> indices;
    for (std::uint32_t i = 0; i < pool_[entries].size(); ++i)
      if (finite(pool_[entries][i])) indices.push_back(i);
    return indices;
  }
  bool is_finite(Variable w, Value x) const override { return finite(costs_[w][x]); }
  bool all_finite(Variable w) const override {
    return std::all_of(costs_[w].begin(), costs_[w].end(), finite);
  }
  std::optional<Wide> least_cost(Variable w) const override {
    const Int least = *std::min_element(costs_[w].begin(), costs_[w].end());
    return finite(least) ? std::optional<Wide>(least) : std::nullopt;
  }
  std::vector<Value> supported_rows(EntriesId id, std::size_t columns,
                                    std::span<const Value> allowed) const override {
    std::vector<Value> rows;
    const std::vector<Int>& table = pool_[id];
    for (Value x = 0; x * columns < table.size(); ++x) {
      const Int* row = table.data() + x * columns;
      if (std::any_of(allowed.begin(), allowed.end(), [&](Value y) { return finite(row[y]); }))
        rows.push_back(x);
    }
    return rows;
  }
  std::vector<Value> only_columns(EntriesId id, std::size_t rows) const override {
    const std::vector<Int>& table = pool_[id];
    const std::size_t columns = table.size() / rows;
    std::vector<Value> image(rows);
    for (std::size_t x = 0; x < rows; ++x) {
      std::size_t partners = 0;
      for (std::size_t y = 0; y < columns; ++y)
        if (finite(table[x * columns + y])) {
          image[x] = static_cast<Value>(y);
          if (++partners > 1) return {};
        }
      if (partners == 0) return {};  // propagation has more to do
    }
    return image;
  }
  bool is_separable(EntriesId id, std::size_t columns) const override {
    const std::vector<Int>& cost = pool_[id];
    for (std::size_t i = 0; i < cost.size(); ++i)
      if (!finite(cost[i]) || cost[i] - cost[i - i % columns] != cost[i % columns] - cost[0])
        return false;
    return true;
  }
  std::vector<Value> replacements(Variable w, std::span<const EntriesId> tables,
                                  std::vector<std::span<const Usage>> usages) const override {
    std::vector<std::span<const Int>> rows;
    for (const EntriesId id : tables) rows.push_back(pool_[id]);
    return Dominance<Int>(costs_[w], rows, std::move(usages)).replacements();
  }
  Value best_value(EntriesId costs, std::span<const EntriesId> tables,
                   std::span<const Value> columns) const override {
    const std::vector<Int>& cost = pool_[costs];
    Int best = infinity();
    Value value = 0;
    for (Value x = 0; x < cost.size(); ++x) {
      Int total = cost[x];
      for (std::size_t i = 0; i < tables.size(); ++i) {
        const std::vector<Int>& table = pool_[tables[i]];
        total = add(total, table[x * (table.size() / cost.size()) + columns[i]]);
      }
      if (x == 0 || total < best) {
        best = total;
        value = x;
      }
    }
    return value;
  }

  EntriesId transposed(EntriesId id, std::size_t columns) override {
    const std::vector<Int>& from = pool_[id];
    const std::size_t rows = columns == 0 ? 0 : from.size() / columns;
    std::vector<Int> result(from.size());
    for (std::size_t x = 0; x < rows; ++x)
      for (std::size_t y = 0; y < columns; ++y) result[y * rows + x] = from[x * columns + y];
    return pool_.add(std::move(result));
  }
  EntriesId picked_rows(EntriesId id, std::size_t columns, std::span<const Value> rows) override {
    std::vector<Int> result;
    result.reserve(rows.size() * columns);
    for (const Value x : rows) {
      const Int* row = pool_[id].data() + x * columns;
      result.insert(result.end(), row, row + columns);
    }
    return pool_.add(std::move(result));
  }
  EntriesId picked_columns(EntriesId id, std::size_t columns,
                           std::span<const Value> picked) override {
    const std::vector<Int>& from = pool_[id];
    const std::size_t rows = columns == 0 ? 0 : from.size() / columns;
    std::vector<Int> result(rows * picked.size());
    Int* to = result.data();
    for (std::size_t x = 0; x < rows; ++x)
      for (const Value y : picked) *to++ = from[x * columns + y];
    return pool_.add(std::move(result));
  }
  EntriesId sum(EntriesId a, EntriesId b) override {
    std::vector<Int> result = pool_[a];
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = add(result[i], pool_[b][i]);
    return pool_.add(std::move(result));
  }
  EntriesId min_plus(EntriesId costs, EntriesId a, EntriesId b) override {
    return pool_.add(detail::min_plus(pool_[costs], pool_[a], pool_[b]));
  }

  void pick_values(Variable w, std::span<const Value> kept) override {
    std::vector<Int>& cost = costs_[w];
    for (std::size_t i = 0; i < kept.size(); ++i) cost[i] = cost[kept[i]];
    cost.resize(kept.size());
  }
  void add_costs(Variable w, EntriesId entries, std::size_t step) override {
    std::vector<Int>& cost = costs_[w];
    for (std::size_t x = 0; x < cost.size(); ++x) cost[x] = add(cost[x], pool_[entries][x * step]);
  }
  void add_minima(Variable to, Variable w, EntriesId table) override {
    std::vector<Int>& cost = costs_[to];
    const std::vector<Int> least = detail::min_plus(costs_[w], pool_[table], cost.size());
    for (std::size_t y = 0; y < cost.size(); ++y) cost[y] = add(cost[y], least[y]);
  }
  void add_separable(EntriesId id, Variable u, Variable v) override {
    const std::vector<Int>& table = pool_[id];
    const std::size_t columns = costs_[v].size();
    for (std::size_t x = 0; x < costs_[u].size(); ++x)
      costs_[u][x] = add(costs_[u][x], table[x * columns]);
    for (std::size_t y = 0; y < columns; ++y)
      costs_[v][y] = add(costs_[v][y], Int(table[y] - table[0]));
  }
  void add_image(Variable into, Variable from, EntriesId table,
                 std::span<const Value> image) override {
    const std::size_t columns = costs_[from].size();
    for (std::size_t x = 0; x < image.size(); ++x) {
      Int& cost = costs_[into][x];
      cost = add(cost, add(costs_[from][image[x]], pool_[table][x * columns + image[x]]));
    }
  }

  std::shared_ptr<const ExactCosts> extract(std::span<const Variable> variables,
                                            std::span<const EntriesId> tables) const override {
    std::vector<Int> costs, entries;
    for (const Variable w : variables)
      costs.insert(costs.end(), costs_[w].begin(), costs_[w].end());
    for (const EntriesId id : tables)
      entries.insert(entries.end(), pool_[id].begin(), pool_[id].end());
    return make_exact_costs(std::move(costs), std::move(entries));
  }

 private:
  static bool finite(const Int& x) { return Arithmetic<Int>::is_finite(x); }
  static Int infinity() { return Arithmetic<Int>::infinity(); }

  static std::vector<Int> scaled(std::span<const Cost> costs, int shift) {
    std::vector<Int> result(costs.size(), infinity());
    for (std::size_t x = 0; x < costs.size(); ++x)
      if (tessera::is_finite(costs[x])) result[x] = Int(costs[x]) * (Int(1) << shift);
    return result;
  }

  std::vector<std::vector<Int>> costs_;  // by variable
  Pool<Int> pool_;
};

}  // namespace tessera::solver::detail
