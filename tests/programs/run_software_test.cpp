// SPDX-License-Identifier: Apache-2.0
// What published runs' software takes beyond the planner's prices: worked examples.
#include <doctest/doctest.h>

#include "run_software.hpp"
#include "tessera/cost/presets.hpp"

namespace {
using namespace tessera;
using namespace tessera::benchmarks;
using graph::ElementType;

constexpr double tera = 1e12;

TEST_CASE("the first FlashAttention on an H100: 200 TFLOP/s where the second one reaches 350") {
  cost::Work work{{64, 4096, 4096, 128}, ElementType::bf16, 0, false};
  work.is_fused = true;
  const Cost second = cost::time_of(work, cost::devices::h100);
  const double seconds = static_cast<double>(second + by_first_flash(second)) / 1e12;
  CHECK(static_cast<double>(work.product.flops()) / seconds / tera ==
        doctest::Approx(120 * 338 / 203.0).epsilon(0.02));
  CHECK(by_first_flash(0) == 0);
}

TEST_CASE("heads are whole pieces of 16 bytes, or the matrix unit is of no use") {
  for (const Extent features : {56, 96, 104, 112, 128, 216})  // that BLOOM's search had, and fast
    CHECK(fits_matrix_unit(features, ElementType::f16));
  for (const Extent features : {108, 150, 450})  // and slow
    CHECK_FALSE(fits_matrix_unit(features, ElementType::bf16));
  CHECK(fits_matrix_unit(108, ElementType::f32));
  // BLOOM's search, 13824 by 78 over 384 devices: forward, again, and twice that backward, of four
  // FLOPs per feature and pair of positions: at 12.8 TFLOP/s and with 128 features instead of 108,
  // less at 255.  128 heads took 41 to 47 s longer than 64, a bubble of a twelfth included.
  const Wide flops = Wide(4) * 4 * 2048 * 2048 * 2048 * 13824 * 78 / 384;
  const Cost more = off_matrix_unit(flops, 108, cost::devices::a100_80, ElementType::f16);
  CHECK(static_cast<double>(more) / 1e12 == doctest::Approx(34.13).epsilon(0.001));
  CHECK(off_matrix_unit(flops, 108, cost::devices::tpu_v4, ElementType::bf16) == 0);
}

TEST_CASE("adding a gradient up moves ten bytes, six where the sum is in half precision") {
  static_assert(summed_bytes(1'000, ElementType::f16, true) == 10'000);
  static_assert(summed_bytes(1'000, ElementType::bf16, false) == 6'000);
  static_assert(summed_bytes(1'000, ElementType::f32, true) == 12'000);
  static_assert(summed_bytes(0, ElementType::f16, true) == 0);
}

}  // namespace
