// SPDX-License-Identifier: Apache-2.0
//
// How long a device works: as long as its arithmetic takes or its memory, whichever is slower.
//
// The best product that a scan of shapes finds is not the usual one: cuBLAS on an A100 reaches 94%
// of it, in the mean of all sizes from 2560 to 4096 (the table of Triton's tutorial on matrix
// multiplication).  Small products do not reach that either, since reading their operands is hidden
// only in part: a product takes the time of one that is larger in each of its three dims by as many
// elements as the device could compute while it reads one, after a launch of 7 us.  That is 163
// for an A100 of 40 GB in half precision, and the curve is within a fifth of the table at every
// size from 256 on, while the rate goes up by a factor of fifty.  Work bound by memory reaches
// seven tenths of its bandwidth, as AutoParallel has it.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/cost/accelerator.hpp"
#include "tessera/cost/time.hpp"
#include "tessera/cost/work.hpp"

namespace tessera::cost {

/// The share reached of the memory's bandwidth, and of the best measured product's rate, in
/// hundredths.
inline constexpr int memory_percent = 70;
inline constexpr int typical_percent = 94;

/// FLOP/s of products that are neither small nor chosen.
Rate typical_rate(const Accelerator& device, graph::ElementType element) noexcept;

/// Elements of this type by which products seem larger than they are, in each dim.
Wide product_margin(const Accelerator& device, graph::ElementType element) noexcept;

/// The roofline itself: picoseconds, rounded up.  @pre rates > 0
Cost roofline(Wide flops, Rate rate, Wide bytes, Rate bandwidth);

/// FLOPs that the product amounts to at the typical rate.
Wide padded_flops(const Work& work, Wide margin) noexcept;

/// Fused attention reads its operands from the chip, and pays for what is done between its
/// products. Of the typical rate it reaches 60%, less for heads of few features: 47% where they are
/// 128, 38% where they are 64, which is 120 and 98 TFLOP/s of an A100's (FlashAttention, forward
/// and backward) and 350 of an H100's (FlashAttention-2).
inline constexpr int fused_percent = 60;
inline constexpr Wide fused_margin = 36;

/// FLOPs that a product inside fused attention amounts to at the typical rate.
Wide fused_flops(const Work& work) noexcept;

/// Picoseconds of one device.  Throws Overflow where it takes longer than a day.
Cost time_of(const Work& work, const Accelerator& device);

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/roofline.ipp"
#endif
