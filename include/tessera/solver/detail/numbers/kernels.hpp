// SPDX-License-Identifier: Apache-2.0
//
// The inner loops: sums and minima over rows of doubles for all that guides the search, and the
// comparison of rows of integers for dominance and bounds.
//
// Rows are padded to whole groups of four with a huge value, so no loop has a remainder.  On x86
// each kernel exists twice, and the one for AVX2 is taken where the processor has it: a header
// can not choose its users' compiler flags, and this is where the solver spends its time.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tessera::solver::detail::kernels {

inline constexpr std::size_t lanes = 4;
inline constexpr double huge = 1e30;  // stands for infinity: finite, so that sums stay numbers

// The stride of a row of `size` doubles.
constexpr std::size_t padded(std::size_t size) noexcept {
  return (size + lanes - 1) / lanes * lanes;
}

// The share of a variable's belief that goes to one of its tables: a part of the belief, less the
// message that it received from that table.
struct Share {
  const double* belief;
  double weight;
  const double* received;
  std::size_t count;  // of the variable's values
  double* outgoing;   // space for as many, padded
};

namespace vectorized {

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

TESSERA_KERNEL double least_of(const Lanes& best) {
  return std::min(std::min(best[0], best[1]), std::min(best[2], best[3]));
}

TESSERA_KERNEL double minimum(const double* row, std::size_t stride) {
  Lanes best, next;
  load(best, row);
  for (std::size_t y = lanes; y < stride; y += lanes) {
    load(next, row + y);
    best = next < best ? next : best;
  }
  return least_of(best);
}

TESSERA_KERNEL double send(const Share& share, const double* table, std::size_t stride,
                           double* message) {
  Lanes belief, received;
  for (std::size_t x = 0; x < share.count; x += lanes) {
    load(belief, share.belief + x);
    load(received, share.received + x);
    store(share.outgoing + x, share.weight * belief - received);
  }
  min_plus(share.outgoing, share.count, table, stride, message);
  const double least = minimum(message, stride);
  Lanes entries;
  for (std::size_t y = 0; y < stride; y += lanes) {
    load(entries, message + y);
    store(message + y, entries - least);
  }
  return least;
}

// Columns [y, y + 4) of base and all rows, added up.
TESSERA_KERNEL void add_up(Lanes& total, const double* base, const double* const* rows,
                           std::size_t count, std::size_t y) {
  Lanes next;
  load(total, base + y);
  for (std::size_t i = 0; i < count; ++i) {
    load(next, rows[i] + y);
    total += next;
  }
}

TESSERA_KERNEL double sum(const double* base, const double* const* rows, std::size_t count,
                          std::size_t stride, double* out) {
  Lanes best = Lanes{} + huge * 1e10, total;
  for (std::size_t y = 0; y < stride; y += lanes) {
    add_up(total, base, rows, count, y);
    store(out + y, total);
    best = total < best ? total : best;
  }
  return least_of(best);
}

TESSERA_KERNEL void carry_on(double factor, double* now, double* last, std::size_t size) {
  Lanes here, before;
  for (std::size_t i = 0; i < size; i += lanes) {
    load(here, now + i);
    load(before, last + i);
    const auto is_number = (here < huge / 2) & (before < huge / 2);
    store(now + i, is_number ? here + factor * (here - before) : here);
    store(last + i, here);
  }
}

TESSERA_KERNEL double minimum_of_sum(const double* base, const double* const* rows,
                                     std::size_t count, std::size_t stride) {
  Lanes best = Lanes{} + huge * 1e10, total;
  for (std::size_t y = 0; y < stride; y += lanes) {
    add_up(total, base, rows, count, y);
    best = total < best ? total : best;
  }
  return least_of(best);
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

TESSERA_KERNEL void lower_to(std::int64_t* least, const std::int64_t* row, std::int64_t by,
                             std::size_t size) {
  std::size_t z = 0;
  for (Integers best, next; z + lanes <= size; z += lanes) {
    load(best, least + z);
    load(next, row + z);
    next -= by;
    best = next < best ? next : best;
    std::memcpy(least + z, &best, sizeof best);
  }
  for (; z < size; ++z) least[z] = std::min(least[z], row[z] - by);
}

#undef TESSERA_KERNEL

#if defined(__x86_64__)

inline const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;

[[gnu::target("avx2")]] inline double send_avx2(const Share& share, const double* table,
                                                std::size_t stride, double* message) {
  return send(share, table, stride, message);
}
[[gnu::target("avx2")]] inline double sum_avx2(const double* base, const double* const* rows,
                                               std::size_t count, std::size_t stride, double* out) {
  return sum(base, rows, count, stride, out);
}
[[gnu::target("avx2")]] inline void carry_on_avx2(double factor, double* now, double* last,
                                                  std::size_t size) {
  carry_on(factor, now, last, size);
}
[[gnu::target("avx2")]] inline void lower_to_avx2(std::int64_t* least, const std::int64_t* row,
                                                  std::int64_t by, std::size_t size) {
  lower_to(least, row, by, size);
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

#define TESSERA_DISPATCH(kernel, ...)                                  \
  return vectorized::has_avx2 ? vectorized::kernel##_avx2(__VA_ARGS__) \
                              : vectorized::kernel(__VA_ARGS__)
#else
#define TESSERA_DISPATCH(kernel, ...) return vectorized::kernel(__VA_ARGS__)
#endif

}  // namespace vectorized

// A message: message[y] = min over x of the share's entry x + table[x][y], for rows of `stride`,
// less the least of all, which is returned.  @pre share.count > 0
inline double send(const Share& share, const double* table, std::size_t stride, double* message) {
  TESSERA_DISPATCH(send, share, table, stride, message);
}
// out = base + rows[0] + rows[1] + ..., column by column.  Returns the least.
inline double sum(const double* base, const double* const* rows, std::size_t count,
                  std::size_t stride, double* out) {
  TESSERA_DISPATCH(sum, base, rows, count, stride, out);
}
// Takes every entry of `now` on by `factor` times what it has moved since `last`, which becomes
// what `now` was.  Infinite ones stay.
inline void carry_on(double factor, double* now, double* last, std::size_t size) {
  TESSERA_DISPATCH(carry_on, factor, now, last, size);
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
// least[z] = min(least[z], row[z] - by)
inline void lower_to(std::int64_t* least, const std::int64_t* row, std::int64_t by,
                     std::size_t size) {
  TESSERA_DISPATCH(lower_to, least, row, by, size);
}

#undef TESSERA_DISPATCH

// The same in wider arithmetic.
template<class Int>
Int largest_difference(const Int* a, const Int* b, std::size_t size) {
  Int largest = a[0] - b[0];
  for (std::size_t z = 1; z < size; ++z) largest = std::max<Int>(largest, a[z] - b[z]);
  return largest;
}
template<class Int>
void lower_to(Int* least, const Int* row, Int by, std::size_t size) {
  for (std::size_t z = 0; z < size; ++z) least[z] = std::min<Int>(least[z], row[z] - by);
}

}  // namespace tessera::solver::detail::kernels
