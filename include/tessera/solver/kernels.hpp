// SPDX-License-Identifier: Apache-2.0
//
// The inner loops of everything that guides the search: minima over rows of doubles.
//
// Rows are padded to whole groups of four with a huge value, so no loop has a remainder.  On x86
// each kernel exists twice, and the one for AVX2 is taken where the processor has it: a header
// can not choose its users' compiler flags, and this is where the solver spends its time.
#pragma once
#include <algorithm>
#include <cstddef>
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

#define TESSERA_KERNEL [[gnu::always_inline]] inline

TESSERA_KERNEL void load(Lanes& lanes_out, const double* from) {
  std::memcpy(&lanes_out, from, sizeof lanes_out);
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

// The least of base + rows[0] + rows[1] + ..., column by column.
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

#undef TESSERA_KERNEL

}  // namespace detail

// out[y] = min over x of in[x] + table[x][y], for rows of `stride`.  @pre rows > 0
inline void min_plus_plain(const double* in, std::size_t rows, const double* table,
                           std::size_t stride, double* out) {
  detail::min_plus(in, rows, table, stride, out);
}
inline double minimum_plain(const double* row, std::size_t stride) {
  return detail::minimum(row, stride);
}
inline double minimum_of_sum_plain(const double* base, const double* const* rows, std::size_t count,
                                   std::size_t stride) {
  return detail::minimum_of_sum(base, rows, count, stride);
}

#if defined(__x86_64__)

[[gnu::target("avx2")]] inline void min_plus_avx2(const double* in, std::size_t rows,
                                                  const double* table, std::size_t stride,
                                                  double* out) {
  detail::min_plus(in, rows, table, stride, out);
}
[[gnu::target("avx2")]] inline double minimum_avx2(const double* row, std::size_t stride) {
  return detail::minimum(row, stride);
}
[[gnu::target("avx2")]] inline double minimum_of_sum_avx2(const double* base,
                                                          const double* const* rows,
                                                          std::size_t count, std::size_t stride) {
  return detail::minimum_of_sum(base, rows, count, stride);
}
inline const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;

inline void min_plus(const double* in, std::size_t rows, const double* table, std::size_t stride,
                     double* out) {
  has_avx2 ? min_plus_avx2(in, rows, table, stride, out)
           : min_plus_plain(in, rows, table, stride, out);
}
inline double minimum(const double* row, std::size_t stride) {
  return has_avx2 ? minimum_avx2(row, stride) : minimum_plain(row, stride);
}
inline double minimum_of_sum(const double* base, const double* const* rows, std::size_t count,
                             std::size_t stride) {
  return has_avx2 ? minimum_of_sum_avx2(base, rows, count, stride)
                  : minimum_of_sum_plain(base, rows, count, stride);
}

#else

inline void min_plus(const double* in, std::size_t rows, const double* table, std::size_t stride,
                     double* out) {
  min_plus_plain(in, rows, table, stride, out);
}
inline double minimum(const double* row, std::size_t stride) { return minimum_plain(row, stride); }
inline double minimum_of_sum(const double* base, const double* const* rows, std::size_t count,
                             std::size_t stride) {
  return minimum_of_sum_plain(base, rows, count, stride);
}

#endif

}  // namespace tessera::solver::kernels
