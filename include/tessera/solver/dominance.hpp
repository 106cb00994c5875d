// SPDX-License-Identifier: Apache-2.0
//
// Which values of a variable another one can always replace: it uses no more, and whatever the
// neighbours have chosen it costs no more.
//
// A pair of values is usually told apart without reading their rows: at the partner that suits x
// best, y costs at least what it costs at best.  So y's least costs must not exceed x's, and
// while the rows are read, what is still unread can be bounded by the difference of its minima.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/arithmetic.hpp"
#include "tessera/solver/kernels.hpp"

namespace tessera::solver {

template<class Int>
class Dominance {
 public:
  // `tables` have the variable's values as rows, `usages` say what it uses in each of its
  // intervals.
  // @pre both outlive it
  Dominance(const std::vector<Int>& cost, std::vector<std::span<const Int>> tables,
            std::vector<std::span<const Usage>> usages)
      : cost_(cost), tables_(std::move(tables)), usages_(std::move(usages)), least_(cost) {
    for (const auto& table : tables_) {
      std::vector<Int> minima;
      const std::size_t width = table.size() / cost.size();
      for (std::size_t x = 0; x < cost.size(); ++x) {
        const Int* row = table.data() + x * width;
        minima.push_back(*std::min_element(row, row + width));
        least_[x] = add(least_[x], minima.back());
      }
      row_minima_.push_back(std::move(minima));
      std::vector<Int> allowed(table.begin(), table.end());
      for (Int& entry : allowed)
        if (!finite(entry)) entry = 2 * Arithmetic<Int>::infinity();
      if_allowed_.push_back(std::move(allowed));
    }
  }

  // For every value in turn one that has not been replaced so far and can stand in for it; itself
  // where there is none.  O(n^2 entries of a row) at worst, for n values
  std::vector<std::uint32_t> replacements() const {
    std::vector<std::uint32_t> instead(cost_.size());
    std::iota(instead.begin(), instead.end(), 0U);
    for (std::uint32_t x = 0; x < instead.size(); ++x)
      for (std::uint32_t y = 0; y < instead.size() && instead[x] == x; ++y)
        if (x != y && instead[y] == y && replaces(y, x)) instead[x] = y;
    return instead;
  }

 private:
  // A sum that did not fit (reduced.hpp): how large it is can not be compared.
  static constexpr Usage unknown_usage = std::numeric_limits<Usage>::max();

  static bool finite(const Int& cost) { return Arithmetic<Int>::is_finite(cost); }

  bool replaces(std::uint32_t y, std::uint32_t x) const {
    if (!finite(least_[y])) return false;
    for (const auto& usage : usages_)
      if (usage[y] > usage[x] || usage[y] == unknown_usage) return false;
    if (!finite(least_[x])) return true;  // it can not be chosen anyway
    // Of the change in cost, what is certain: read rows count in full, others by their minima.
    Int change = least_[y] - least_[x];
    for (std::size_t t = 0; t < tables_.size() && change <= 0; ++t) {
      const Int largest = largest_change(t, y, x);
      if (!finite(largest)) return false;
      change += largest - (row_minima_[t][y] - row_minima_[t][x]);
    }
    return change <= 0;
  }

  // From x's row to y's: not finite where y forbids what x allows.  @pre x allows something
  Int largest_change(std::size_t t, std::uint32_t y, std::uint32_t x) const {
    const std::size_t width = tables_[t].size() / cost_.size();
    const Int* of_y = tables_[t].data() + y * width;
    const Int* of_x = if_allowed_[t].data() + x * width;
    return kernels::largest_difference(of_y, of_x, width);
  }

  const std::vector<Int>& cost_;
  std::vector<std::span<const Int>> tables_;
  std::vector<std::span<const Usage>> usages_;
  std::vector<Int> least_;  // by value: its cost and each row's least
  std::vector<std::vector<Int>> row_minima_;
  // The tables again, with what is forbidden twice as far away: a change from there is below every
  // other one, whatever it leads to.
  std::vector<std::vector<Int>> if_allowed_;
};

}  // namespace tessera::solver
