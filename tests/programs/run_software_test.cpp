// SPDX-License-Identifier: Apache-2.0
// What published runs' software takes beyond the planner's prices: worked examples.
#include <doctest/doctest.h>

#include "run_software.hpp"
#include "tessera/cost/devices.hpp"

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

TEST_CASE(
    "dropout moves five bytes for a number of two, and a mask where a kernel is there already") {
  static_assert(dropped_weights_bytes(1'000, ElementType::f16) == 5'000);
  static_assert(dropped_weights_bytes(1'000, ElementType::f32) == 9'000);
  static_assert(dropped_sums_bytes(1'000, ElementType::f16, true) == 2'000);
  static_assert(dropped_sums_bytes(1'000, ElementType::f16, false) == 10'000);
  // 22 billion parameters on eight A100s, by Korthikanti et al.: 64 heads, four sequences of 2048.
  cost::Work work;
  work.bytes = dropped_weights_bytes(Wide(4) * 2048 * 2048 * 64 / 8, ElementType::f16);
  const Cost time = cost::time_of(work, cost::devices::a100_80);
  CHECK(static_cast<double>(time) / 1e9 == doctest::Approx(0.470).epsilon(0.01));  // ms, of 7.7
}

TEST_CASE("a softmax of three kernels reads its scores three times, not once") {
  static_assert(read_again_bytes(1'000, ElementType::f16) == 4'000);
  static_assert(read_again_bytes(1'000, ElementType::f32) == 8'000);
}

TEST_CASE("waiting for launches takes as long as it took BigScience's 80 GPUs") {
  // 512 sequences came to 854 / 4 s at 97.82 TFLOP/s; 521 slots of 8 layers on each stage.
  const double work = 853.81 / 4 * 97.82;
  const double more = (work / 91.04 - work / 97.20) / (521 * 8);
  const Cost ours = 2 * by_waiting(16) + by_waiting(25);  // forward, again, backward
  CHECK(static_cast<double>(ours) / 1e12 == doctest::Approx(more).epsilon(0.01));
  CHECK(by_waiting(0) == 0);
}

TEST_CASE("adding a gradient up moves as many bytes as the sum's type asks for") {
  static_assert(summed_bytes(1'000, ElementType::f16, Sums::wide) == 10'000);
  static_assert(summed_bytes(1'000, ElementType::bf16, Sums::cast) == 18'000);
  static_assert(summed_bytes(1'000, ElementType::f16, Sums::in_kind) == 6'000);
  static_assert(summed_bytes(1'000, ElementType::f32, Sums::wide) == 12'000);
  static_assert(summed_bytes(0, ElementType::f16, Sums::wide) == 0);
}

}  // namespace
