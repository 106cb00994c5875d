// SPDX-License-Identifier: Apache-2.0
//
// Which values of a variable another one can always replace: it uses no more, and whatever the
// neighbours have chosen it costs no more.
//
// A pair of values is usually decided without reading their rows: at the partner that suits x
// best, y costs at least what it costs at best.  So y's least costs must not exceed x's, and
// while the rows are read, what is still unread can be bounded by the difference of its minima.
//
// Variables with thousands of values have tables of some hundred different rows, because an op's
// table with a reader depends on its output sharding alone.  So rows and columns that repeat are
// kept once, and two rows are compared once.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/detail/numbers/arithmetic.hpp"
#include "tessera/solver/detail/numbers/kernels.hpp"
#include "tessera/solver/detail/numbers/pool.hpp"

namespace tessera::solver::detail {

template<class Int>
class Dominance {
 public:
  // `tables` have the variable's values as rows, `usages` say what it uses in each of its
  // intervals.
  // @pre both outlive it
  Dominance(const std::vector<Int>& cost, const std::vector<std::span<const Int>>& tables,
            std::vector<std::span<const Usage>> usages)
      : cost_(cost), usages_(std::move(usages)), least_(cost) {
    for (const auto& table : tables) {
      tables_.push_back(distinct(table, cost.size()));
      for (std::uint32_t x = 0; x < cost.size(); ++x)
        least_[x] = add(least_[x], least_of_row(tables_.size() - 1, x));
    }
  }

  // For every value in turn one that has not been replaced so far and can stand in for it; itself
  // where there is none.  O(n^2 entries of a row) at worst, for n values
  std::vector<std::uint32_t> replacements() {
    std::vector<std::uint32_t> instead(cost_.size());
    std::iota(instead.begin(), instead.end(), 0U);
    for (std::uint32_t x = 0; x < instead.size(); ++x)
      for (std::uint32_t y = 0; y < instead.size() && instead[x] == x; ++y)
        if (x != y && instead[y] == y && replaces(y, x)) instead[x] = y;
    return instead;
  }

 private:
  // A sum that did not fit (reduced.hpp), which can not be compared.
  static constexpr Usage unknown_usage = std::numeric_limits<Usage>::max();

  static bool finite(const Int& cost) { return Arithmetic<Int>::is_finite(cost); }

  // A table without its repetitions.
  struct Distinct {
    std::vector<std::uint32_t> row_of;  // of each value
    std::size_t rows = 0, width = 0;
    std::vector<Int> entries;
    // The same with what is forbidden twice as far away: a change from there is below every other
    // one, whatever it leads to.
    std::vector<Int> if_allowed;
    std::vector<Int> minima;          // of each row
    std::vector<Int> largest_change;  // from each row to each, where it is known
  };
  static constexpr Int unknown = std::numeric_limits<Int>::max();

  static Distinct distinct(std::span<const Int> table, std::size_t values) {
    Distinct result;
    Pool<Int> rows, columns;
    const std::size_t width = table.size() / values;
    for (std::size_t x = 0; x < values; ++x)
      result.row_of.push_back(rows.add(table.subspan(x * width, width)));
    result.rows = rows.size();
    for (std::size_t z = 0; z < width; ++z) {
      std::vector<Int> column;
      for (std::uint32_t row = 0; row < result.rows; ++row) column.push_back(rows[row][z]);
      columns.add(std::move(column));
    }
    result.width = columns.size();
    for (std::uint32_t row = 0; row < result.rows; ++row)
      for (std::uint32_t z = 0; z < result.width; ++z) {
        const Int& entry = columns[z][row];
        result.entries.push_back(entry);
        result.if_allowed.push_back(finite(entry) ? entry : 2 * Arithmetic<Int>::infinity());
      }
    for (auto row = result.entries.begin(); row != result.entries.end();) {
      const auto end = row + static_cast<std::ptrdiff_t>(result.width);
      result.minima.push_back(*std::min_element(row, end));
      row = end;
    }
    result.largest_change.assign(result.rows * result.rows, unknown);
    return result;
  }

  bool replaces(std::uint32_t y, std::uint32_t x) {
    if (!finite(least_[y])) return false;
    for (const auto& usage : usages_)
      if (usage[y] > usage[x] || usage[y] == unknown_usage) return false;
    if (!finite(least_[x])) return true;  // it can not be chosen anyway
    // Of the change in cost, what is certain: read rows count in full, others by their minima.
    Int change = least_[y] - least_[x];
    for (std::size_t t = 0; t < tables_.size() && change <= 0; ++t) {
      const Int largest = largest_change(tables_[t], y, x);
      if (!finite(largest)) return false;
      change += largest - (least_of_row(t, y) - least_of_row(t, x));
    }
    return change <= 0;
  }

  const Int& least_of_row(std::size_t t, std::uint32_t value) const {
    return tables_[t].minima[tables_[t].row_of[value]];
  }

  // From x's row to y's: not finite where y forbids what x allows.  @pre x allows something
  static Int largest_change(Distinct& table, std::uint32_t y, std::uint32_t x) {
    const std::size_t to = table.row_of[y], from = table.row_of[x];
    Int& known = table.largest_change[to * table.rows + from];
    if (known == unknown)
      known = kernels::largest_difference(table.entries.data() + to * table.width,
                                          table.if_allowed.data() + from * table.width,
                                          table.width);
    return known;
  }

  const std::vector<Int>& cost_;
  std::vector<Distinct> tables_;
  std::vector<std::span<const Usage>> usages_;
  std::vector<Int> least_;  // by value: its cost and each row's least
};

}  // namespace tessera::solver::detail
