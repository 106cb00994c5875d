// SPDX-License-Identifier: Apache-2.0
//
// What the software of published runs does that the planner's prices know nothing of: the formulas,
// by themselves.  Each holds for every run of its kind; which kind a run is, published_run.hpp
// reads.  All are picoseconds on one device.
#pragma once
#include "tessera/cost/accelerator.hpp"
#include "tessera/cost/roofline.hpp"

namespace tessera::benchmarks {

// --- The first FlashAttention
// ---------------------------------------------------------------------

// It, and Triton's, which MPT was trained by, were written for an A100's instructions, and what an
// A100 reaches by them is how fused attention is priced (cost/roofline.hpp).  An H100 runs kernels
// of that kind 1.66 times as fast (FlashAttention-2, figures 4 and 7: 203 and 338 TFLOP/s by the
// same source): 200 TFLOP/s for the first one's 120, where its price means the 350 of the second.
inline constexpr Cost first_flash_percent = 175;

// What attention on an H100 takes beyond its price by such a kernel.
constexpr Cost by_first_flash(Cost attention) noexcept {
  return attention / 100 * (first_flash_percent - 100);
}

// --- Heads that the matrix unit can not take
// ------------------------------------------------------

// Matrix units are fed 16 bytes at a time (NVIDIA's guide to matrix multiplication).  Products of
// heads that are no multiple of that ran on the vector units, in single precision: 108 features in
// half precision made a whole step of BLOOM's search a third slower, in each of the four plans that
// tried them (BigScience, chronicles-prequel, "NHEADs comparison" and "Another round").  The
// planner's prices leave this out: by them less work never takes longer.
constexpr bool fits_matrix_unit(Extent features, graph::ElementType element) noexcept {
  return features * graph::bits_of(element) % 128 == 0;
}

// Kernels work on tiles, and features of 64 (the same guide, "tile quantization").
inline constexpr Extent tile_features = 64;

// How much longer so many FLOPs of such heads take without the matrix unit; nothing where a device
// has no other.  What vector units reach of their peak nobody measured, and so is seven tenths of
// what is usual (cost/accelerator.hpp).
inline Cost off_matrix_unit(Wide flops, Extent features, const cost::Accelerator& device,
                            graph::ElementType element) {
  const cost::Rate matrix = cost::usual_rate(device, element);
  const cost::Rate vector = device.peak.fp32 / 1000 * 7 * cost::usual_percent;
  if (vector == 0 || vector >= matrix) return 0;
  const Extent whole = ceil_div(features, tile_features) * tile_features;
  return cost::time_at(flops, whole, features, vector) - cost::time_at(flops, 1, 1, matrix);
}

// --- Sums of gradients
// ----------------------------------------------------------------------------

// A microbatch's gradients are added to what others before it have left, by kernels of their own:
// both are read, and the sum is written.  It has single precision in Megatron-LM and Alpa; by
// DeepSpeed's first stage that of the gradients (BigScience, chronicles-prequel, "Rebalancing
// layers").
constexpr Wide summed_bytes(Wide gradients, graph::ElementType element, bool is_wide) noexcept {
  const Extent gradient = graph::bytes_of(element);
  return gradients * (gradient + 2 * (is_wide ? 4 : gradient));
}

}  // namespace tessera::benchmarks
