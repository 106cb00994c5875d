// SPDX-License-Identifier: Apache-2.0
//
// Min-plus products of exact tables: what is left of a variable that is minimised out.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tessera/solver/detail/numbers/arithmetic.hpp"
#include "tessera/solver/detail/numbers/pool.hpp"

namespace tessera::solver::detail {

// result[y] = min over x of cost[x] + table[x][y]
template<class Int>
std::vector<Int> min_plus(const std::vector<Int>& cost, const std::vector<Int>& table,
                          std::size_t width) {
  std::vector<Int> result(width, Arithmetic<Int>::infinity());
  for (std::size_t x = 0; x < cost.size(); ++x)
    for (std::size_t y = 0; y < width; ++y)
      result[y] = std::min(result[y], add(cost[x], table[x * width + y]));
  return result;
}

// A table whose columns differ from one another.
template<class Int>
struct DistinctColumns {
  DistinctColumns(const std::vector<Int>& table, std::size_t columns) {
    const std::size_t rows = table.size() / columns;
    Pool<Int> seen;
    std::vector<Int> column(rows);
    for (std::size_t y = 0; y < columns; ++y) {
      for (std::size_t x = 0; x < rows; ++x) column[x] = table[x * columns + y];
      number.push_back(seen.add(std::span<const Int>(column)));
    }
    width = seen.size();
    entries.resize(rows * width);
    for (std::uint32_t y = 0; y < width; ++y)
      for (std::size_t x = 0; x < rows; ++x) entries[x * width + y] = seen[y][x];
  }

  std::vector<std::uint32_t> number;  // by column of the table: which one it is
  std::size_t width = 0;
  std::vector<Int> entries;
};

// result[y][z] = min over x of cost[x] + a[x][y] + b[x][z]
template<class Int>
std::vector<Int> plain_min_plus(const std::vector<Int>& cost, const std::vector<Int>& a,
                                std::size_t a_width, const std::vector<Int>& b,
                                std::size_t b_width) {
  std::vector<Int> result(a_width * b_width, Arithmetic<Int>::infinity());
  for (std::size_t x = 0; x < cost.size(); ++x)
    for (std::size_t y = 0; y < a_width; ++y) {
      const Int here = add(cost[x], a[x * a_width + y]);
      if (!Arithmetic<Int>::is_finite(here)) continue;
      // Infinite entries of b push the sum past every finite one, so a plain minimum will do.
      Int* out = result.data() + y * b_width;
      const Int* in = b.data() + x * b_width;
      for (std::size_t z = 0; z < b_width; ++z) out[z] = std::min<Int>(out[z], here + in[z]);
    }
  for (Int& entry : result)
    if (!Arithmetic<Int>::is_finite(entry)) entry = Arithmetic<Int>::infinity();
  return result;
}

// The same.  Variables with thousands of values have tables of some hundred different columns:
// equal columns are multiplied once.
template<class Int>
std::vector<Int> min_plus(const std::vector<Int>& cost, const std::vector<Int>& a,
                          const std::vector<Int>& b) {
  constexpr std::size_t large = 1U << 16U;  // enough to make a look at all columns worthwhile
  const std::size_t a_width = a.size() / cost.size(), b_width = b.size() / cost.size();
  if (cost.size() * a_width * b_width < large) return plain_min_plus(cost, a, a_width, b, b_width);
  const DistinctColumns of_a(a, a_width), of_b(b, b_width);
  const std::vector<Int> least =
      plain_min_plus(cost, of_a.entries, of_a.width, of_b.entries, of_b.width);
  std::vector<Int> result;
  result.reserve(a_width * b_width);
  for (const std::uint32_t y : of_a.number)
    for (const std::uint32_t z : of_b.number) result.push_back(least[y * of_b.width + z]);
  return result;
}

}  // namespace tessera::solver::detail
