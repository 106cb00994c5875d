// SPDX-License-Identifier: Apache-2.0
//
// The inner loops: minima over rows of doubles for all that guides the search, and the comparison
// of rows of integers for dominance.
//
// Rows are padded to whole groups of four with a huge value, so no loop has a remainder.  On x86
// each kernel exists twice, and the one for AVX2 is taken where the processor has it: a header
// can not choose its users' compiler flags, and this is where the solver spends its time.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tessera::solver::kernels {

inline constexpr std::size_t lanes = 4;
inline constexpr double huge = 1e30;  // stands for infinity: finite, so that sums stay numbers

// The stride of a row of `size` doubles.
constexpr std::size_t padded(std::size_t size) noexcept {
  return (size + lanes - 1) / lanes * lanes;
}

namespace detail {

typedef double Lanes __attribute__((vector_size(lanes * sizeof(double))));
typedef std::int64_t Integers __attribute__((vector_size(lanes * sizeof(std::int64_t))));

#define TESSERA_KERNEL [[gnu::always_inline]] inline

template<class Vector, class Number>
TESSERA_KERNEL void load(Vector& vector, const Number* from) {
  std::memcpy(&vector, from, sizeof vector);
}
TESSERA_KERNEL void store(double* to, const Lanes& from) { std::memcpy(to, &from, sizeof from); }

// Columns [0, 4 * groups) of out[y] = min over x of in[x] + table[x][y].
template<int groups>
TESSERA_KERNEL void min_plus_columns(const double* in, std::size_t rows, const double* table,
                                     std::size_t stride, double* out) {
  Lanes best[groups], row;
  for (int g = 0; g < groups; ++g) {
    load(row, table + g * static_cast<std::ptrdiff_t>(lanes));
    best[g] = row + in[0];
  }
  for (std::size_t x = 1; x < rows; ++x) {
    table += stride;
    for (int g = 0; g < groups; ++g) {
      load(row, table + g * static_cast<std::ptrdiff_t>(lanes));
      row += in[x];
      best[g] = row < best[g] ? row : best[g];
    }
  }
  for (int g = 0; g < groups; ++g) store(out + g * static_cast<std::ptrdiff_t>(lanes), best[g]);
}

TESSERA_KERNEL void min_plus(const double* in, std::size_t rows, const double* table,
                             std::size_t stride, double* out) {
  std::size_t y = 0;
  for (; y + 4 * lanes <= stride; y += 4 * lanes)
    min_plus_columns<4>(in, rows, table + y, stride, out + y);
  switch ((stride - y) / lanes) {
    case 3: min_plus_columns<3>(in, rows, table + y, stride, out + y); break;
    case 2: min_plus_columns<2>(in, rows, table + y, stride, out + y); break;
    case 1: min_plus_columns<1>(in, rows, table + y, stride, out + y); break;
    default: break;
  }
}

TESSERA_KERNEL double minimum(const double* row, std::size_t stride) {
  Lanes best, next;
  load(best, row);
  for (std::size_t y = lanes; y < stride; y += lanes) {
    load(next, row + y);
    best = next < best ? next : best;
  }
  return std::min(std::min(best[0], best[1]), std::min(best[2], best[3]));
}

TESSERA_KERNEL double minimum_of_sum(const double* base, const double* const* rows,
                                     std::size_t count, std::size_t stride) {
  Lanes best = Lanes{} + huge * 1e10, sum, next;
  for (std::size_t y = 0; y < stride; y += lanes) {
    load(sum, base + y);
    for (std::size_t i = 0; i < count; ++i) {
      load(next, rows[i] + y);
      sum += next;
    }
    best = sum < best ? sum : best;
  }
  return std::min(std::min(best[0], best[1]), std::min(best[2], best[3]));
}

// The largest of a[z] - b[z].  Rows of integers come unpadded, as presolve has them.
TESSERA_KERNEL std::int64_t largest_difference(const std::int64_t* a, const std::int64_t* b,
                                               std::size_t size) {
  std::int64_t largest = a[0] - b[0];
  std::size_t z = 0;
  if (size >= lanes) {
    Integers best, from, next;
    load(best, a);
    load(from, b);
    best -= from;
    for (z = lanes; z + lanes <= size; z += lanes) {
      load(next, a + z);
      load(from, b + z);
      next -= from;
      best = next > best ? next : best;
    }
    largest = std::max(std::max(best[0], best[1]), std::max(best[2], best[3]));
  }
  for (; z < size; ++z) largest = std::max(largest, a[z] - b[z]);
  return largest;
}

#undef TESSERA_KERNEL

#if defined(__x86_64__)

inline const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;

[[gnu::target("avx2")]] inline void min_plus_avx2(const double* in, std::size_t rows,
                                                  const double* table, std::size_t stride,
                                                  double* out) {
  min_plus(in, rows, table, stride, out);
}
[[gnu::target("avx2")]] inline double minimum_avx2(const double* row, std::size_t stride) {
  return minimum(row, stride);
}
[[gnu::target("avx2")]] inline double minimum_of_sum_avx2(const double* base,
                                                          const double* const* rows,
                                                          std::size_t count, std::size_t stride) {
  return minimum_of_sum(base, rows, count, stride);
}
[[gnu::target("avx2")]] inline std::int64_t largest_difference_avx2(const std::int64_t* a,
                                                                    const std::int64_t* b,
                                                                    std::size_t size) {
  return largest_difference(a, b, size);
}

#define TESSERA_DISPATCH(kernel, ...) \
  return detail::has_avx2 ? detail::kernel##_avx2(__VA_ARGS__) : detail::kernel(__VA_ARGS__)
#else
#define TESSERA_DISPATCH(kernel, ...) return detail::kernel(__VA_ARGS__)
#endif

}  // namespace detail

// out[y] = min over x of in[x] + table[x][y], for rows of `stride`.  @pre rows > 0
inline void min_plus(const double* in, std::size_t rows, const double* table, std::size_t stride,
                     double* out) {
  TESSERA_DISPATCH(min_plus, in, rows, table, stride, out);
}
// The least of a row.
inline double minimum(const double* row, std::size_t stride) {
  TESSERA_DISPATCH(minimum, row, stride);
}
// The least of base + rows[0] + rows[1] + ..., column by column.
inline double minimum_of_sum(const double* base, const double* const* rows, std::size_t count,
                             std::size_t stride) {
  TESSERA_DISPATCH(minimum_of_sum, base, rows, count, stride);
}
// The largest of a[z] - b[z].  @pre size > 0
inline std::int64_t largest_difference(const std::int64_t* a, const std::int64_t* b,
                                       std::size_t size) {
  TESSERA_DISPATCH(largest_difference, a, b, size);
}

#undef TESSERA_DISPATCH

}  // namespace tessera::solver::kernels
