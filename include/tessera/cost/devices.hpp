// SPDX-License-Identifier: Apache-2.0
//
// Accelerators that vendors describe, with the rates that were measured of them.
#pragma once
#include "tessera/cost/accelerator.hpp"

namespace tessera::cost {

namespace devices {

inline constexpr Rate mega = 1'000'000, giga = 1000 * mega, tera = 1000 * giga;
inline constexpr Extent gibi = Extent{1} << 30;
inline constexpr Cost gpu_launch = 7 * microsecond;

// Peaks: stas00/ml-engineering, compute/accelerator (vendors' figures without sparsity); TPUs: the
// JAX scaling book.  Best products: the same page's scan of shapes ("MAMF"); of a V100, cuBLAS at
// 8192 as reported in NVIDIA's forum, 101 of 112 TFLOP/s with the PCIe card's clock.
// In this order: fp64, fp32, tf32, bf16, fp16, fp8, int8; best bf16, best fp8; memory; launch.
// clang-format off
inline constexpr Accelerator v100_16{"V100 16GB",
    {7'800 * giga, 15'700 * giga, 0, 0, 125 * tera, 0, 0}, 112'700 * giga, 0,
    16 * gibi, 900 * giga, gpu_launch};
inline constexpr Accelerator v100_32{"V100 32GB",
    {7'800 * giga, 15'700 * giga, 0, 0, 125 * tera, 0, 0}, 112'700 * giga, 0,
    32 * gibi, 900 * giga, gpu_launch};
inline constexpr Accelerator a100_40{"A100 40GB",
    {19'500 * giga, 19'500 * giga, 156 * tera, 312 * tera, 312 * tera, 0, 0}, 271'200 * giga, 0,
    40 * giga, 1'555 * giga, gpu_launch};
inline constexpr Accelerator a100_80{"A100 80GB",
    {19'500 * giga, 19'500 * giga, 156 * tera, 312 * tera, 312 * tera, 0, 0}, 271'200 * giga, 0,
    80 * giga, 2'039 * giga, gpu_launch};
inline constexpr Accelerator h100{"H100 80GB",
    {67 * tera, 67 * tera, 494'500 * giga, 989 * tera, 989 * tera, 1'979 * tera, 0},
    794'500 * giga, 1'402'600 * giga, 80 * giga, 3'350 * giga, gpu_launch};
// Half a kilowatt instead of 0.7: its real peak is lower, and is not published.
inline constexpr Accelerator h100_hbm2e{"H100 96GB HBM2e",
    {67 * tera, 67 * tera, 494'500 * giga, 989 * tera, 989 * tera, 1'979 * tera, 0}, 0, 0,
    96 * giga, 2'400 * giga, gpu_launch};
inline constexpr Accelerator h800{"H800 80GB",
    {1 * tera, 67 * tera, 494'500 * giga, 989 * tera, 989 * tera, 1'979 * tera, 0}, 0, 0,
    80 * giga, 3'350 * giga, gpu_launch};
inline constexpr Accelerator h200{"H200 141GB",
    {67 * tera, 67 * tera, 494'500 * giga, 989 * tera, 989 * tera, 1'979 * tera, 0},
    794'500 * giga, 1'453'400 * giga, 141 * giga, 4'800 * giga, gpu_launch};
inline constexpr Accelerator b200{"B200",
    {0, 80 * tera, 1'125 * tera, 2'250 * tera, 2'250 * tera, 4'500 * tera, 0},
    1'745 * tera, 3'432'500 * giga, 180 * giga, 8 * tera, gpu_launch};
inline constexpr Accelerator b300{"B300",
    {0, 80 * tera, 1'125 * tera, 2'250 * tera, 2'250 * tera, 4'500 * tera, 0},
    1'769 * tera, 3'353'300 * giga, 288 * giga, 8 * tera, gpu_launch};
inline constexpr Accelerator gb200{"GB200",
    {0, 80 * tera, 1'250 * tera, 2'500 * tera, 2'500 * tera, 5'000 * tera, 0},
    1'822 * tera, 3'615'600 * giga, 186 * giga, 8 * tera, gpu_launch};
inline constexpr Accelerator gb300{"GB300",
    {0, 80 * tera, 1'250 * tera, 2'500 * tera, 2'500 * tera, 5'000 * tera, 0}, 0, 0,
    288 * giga, 8 * tera, gpu_launch};
inline constexpr Accelerator mi300x{"MI300X",
    {163'400 * giga, 163'400 * giga, 653'700 * giga, 1'307'400 * giga, 1'307'400 * giga,
     2'614'900 * giga, 0}, 668'400 * giga, 0, 192 * giga, 5'300 * giga, gpu_launch};
inline constexpr Accelerator tpu_v3{"TPU v3",
    {0, 0, 0, 123 * tera, 0, 0, 0}, 0, 0, 32 * giga, 900 * giga, 0};
inline constexpr Accelerator tpu_v4{"TPU v4",
    {0, 0, 0, 275 * tera, 0, 0, 275 * tera}, 0, 0, 32 * giga, 1'200 * giga, 0};
inline constexpr Accelerator tpu_v5e{"TPU v5e",
    {0, 0, 0, 197 * tera, 0, 0, 394 * tera}, 0, 0, 16 * giga, 810 * giga, 0};
inline constexpr Accelerator tpu_v5p{"TPU v5p",
    {0, 0, 0, 459 * tera, 0, 0, 918 * tera}, 0, 0, 95 * giga, 2'765 * giga, 0};
inline constexpr Accelerator tpu_v6e{"TPU v6e",
    {0, 0, 0, 918 * tera, 0, 918 * tera, 1'836 * tera}, 0, 0, 32 * giga, 1'640 * giga, 0};
// clang-format on

}  // namespace devices

}  // namespace tessera::cost
