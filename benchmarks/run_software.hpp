// SPDX-License-Identifier: Apache-2.0
//
// What the software of published runs does that the planner's prices know nothing of: the formulas,
// by themselves.  Each holds for every run of its kind; which kind a run is, published_run.hpp
// reads.  All are picoseconds on one device.
#pragma once
#include "tessera/cost/accelerator.hpp"
#include "tessera/cost/roofline.hpp"

namespace tessera::benchmarks {

// --- The first FlashAttention --------------------------------------------------------------------

// It, and Triton's, which MPT was trained by, were written for an A100's instructions, and what an
// A100 reaches by them is how fused attention is priced (cost/roofline.hpp).  An H100 runs kernels
// of that kind 1.66 times as fast (FlashAttention-2, figures 4 and 7: 203 and 338 TFLOP/s by the
// same source): 200 TFLOP/s for the first one's 120, where its price means the 350 of the second.
inline constexpr Cost first_flash_percent = 175;

// What attention on an H100 takes beyond its price by such a kernel.
constexpr Cost by_first_flash(Cost attention) noexcept {
  return attention / 100 * (first_flash_percent - 100);
}

// --- Heads that the matrix unit can not take -----------------------------------------------------

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
  const cost::Rate matrix = cost::typical_rate(device, element);
  const cost::Rate vector = device.peak.fp32 / 1000 * 7 * cost::typical_percent;
  if (vector == 0 || vector >= matrix) return 0;
  const Extent whole = ceil_div(features, tile_features) * tile_features;
  return cost::time_at(flops, whole, features, vector) - cost::time_at(flops, 1, 1, matrix);
}

// --- What is done to scores and to what blocks add -----------------------------------------------

// Megatron-LM drops a tenth of attention's weights by a kernel of its own (its default; Korthikanti
// et al. 2022, section 4.1, count the masks).  It reads a tensor and writes it and a mask, a byte
// for each element; backward the other way round.
constexpr Wide dropped_weights_bytes(Wide weights, graph::ElementType element) noexcept {
  return weights * (2 * graph::bytes_of(element) + 1);
}

// What attention and what the two linear layers leave is dropped by the kernel that adds it to what
// came in: forward that writes a mask more, backward it is a kernel of its own.
constexpr Wide dropped_sums_bytes(Wide sums, graph::ElementType element, bool is_forward) noexcept {
  return 2 * (is_forward ? sums : dropped_weights_bytes(sums, element));
}

// XLA ended a kernel with each reduction until Triton wrote its softmaxes, from 2023 on.  It reads
// scores for the largest of a row, for the sum and for the quotients, where a kernel that has rows
// whole reads them once; backward two tensors for a sum, and then once more.
constexpr Wide read_again_bytes(Wide scores, graph::ElementType element) noexcept {
  return 2 * scores * graph::bytes_of(element);
}

// --- Launches that are waited for ----------------------------------------------------------------

// With CUDA_LAUNCH_BLOCKING=1 the next kernel is prepared only after the one before has ended.  By
// that 80 GPUs of BigScience's came from 97.20 down to 91.04 TFLOP/s (chronicles-prequel, "dealing
// with JZ hanging": 80 layers of 14400 features on 10 stages, 512 microbatches of one sequence):
// 14.5 s more for 521 times 8 layers, 3.5 ms each.  As ours fuse such a layer is 16 kernels
// forward, which are run twice, and 25 backward; PyTorch has some more, which count as part of
// these.
inline constexpr Cost waited_in_layer = 3'500 * cost::microsecond;
inline constexpr Cost kernels_of_layer = 2 * 16 + 25;
constexpr Cost by_waiting(Cost kernels) noexcept {
  return kernels * (waited_in_layer / kernels_of_layer);
}

// --- Sums of gradients ---------------------------------------------------------------------------

// What a microbatch's gradients are added to what others before it have left in.
enum class Sums {
  // Single precision, as Megatron-LM has it.
  wide,
  // The same, after a kernel that casts: DeepSpeed's BF16_Optimizer (update_hp_grads).
  cast,
  // Their own type: DeepSpeed's first stage in half precision (BigScience, chronicles-prequel,
  // "Rebalancing layers"), and Alpa (add_gradient_accumulation).
  in_kind,
};

// By kernels of their own: both are read, and the sum is written.
constexpr Wide summed_bytes(Wide gradients, graph::ElementType element, Sums sums) noexcept {
  const Extent gradient = graph::bytes_of(element);
  switch (sums) {
    case Sums::wide: return gradients * (gradient + 2 * 4);
    case Sums::cast: return gradients * (gradient + 4 + 3 * 4);
    case Sums::in_kind: return gradients * 3 * gradient;
  }
  return 0;
}

}  // namespace tessera::benchmarks
