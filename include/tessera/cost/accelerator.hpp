// SPDX-License-Identifier: Apache-2.0
//
// One accelerator: how fast it computes, how fast its memory is, how much of that there is.
//
// Rates are those that vendors publish for dense arithmetic.  What a kernel reaches of them is the
// roofline's concern (roofline.hpp); utilisation is counted against the published rate.
#pragma once
#include "tessera/core/wide.hpp"
#include "tessera/cost/time.hpp"
#include "tessera/graph/element_type.hpp"
#include "tessera/mesh/mesh.hpp"

namespace tessera::cost {

/// FLOP/s by kind of arithmetic, on the matrix unit where there is one; 0: not published.
struct Rates {
  Rate fp64 = 0, fp32 = 0, tf32 = 0, bf16 = 0, fp16 = 0, fp8 = 0, int8 = 0;
};

/// The published and measured rates of one device.
struct Accelerator {
  const char* name = "";
  Rates peak = {};
  Rate best_bf16 = 0, best_fp8 = 0;  ///< of the best single product measured; 0: not measured
  Extent memory_bytes = 0;
  Rate memory_bandwidth = 0;  ///< bytes per second
  Cost launch = 0;            ///< picoseconds that a kernel takes apart from its work

  /// The published rate of products of this type, in FLOP/s.  A type that the device has no rate
  /// for runs as the next one that can hold it; single precision runs as XLA has it by default, on
  /// the matrix unit (TF32, or bfloat16 on a TPU); a complex multiplication is four real ones.
  constexpr Rate peak_rate(graph::ElementType type) const noexcept {
    using graph::ElementType;
    if (type == ElementType::c64) return single_precision() / 4;
    if (type == ElementType::c128) return double_precision() / 4;
    if (type == ElementType::f64) return double_precision();
    if (type == ElementType::f16) return first_of(peak.fp16, peak.bf16, single_precision());
    if (type == ElementType::bf16) return first_of(peak.bf16, single_precision(), 0);
    if (graph::is_floating(type) && graph::bits_of(type) <= 8)
      return first_of(peak.fp8, peak.bf16, single_precision());
    if (graph::is_integer(type) && graph::bits_of(type) <= 8)
      return first_of(peak.int8, peak.fp8, first_of(peak.bf16, single_precision(), 0));
    return single_precision();
  }

  /// The rate that the best measured product reaches, in FLOP/s: seven tenths of the peak where
  /// nothing was measured, which is what AutoParallel takes for every device.
  constexpr Rate best_rate(graph::ElementType type) const noexcept {
    const bool is_short = graph::bits_of(type) <= 8 && peak.fp8 != 0 && best_fp8 != 0;
    const Rate best = is_short ? best_fp8 : best_bf16;
    const Rate of = is_short ? peak.fp8 : first_of(peak.bf16, peak.fp16, peak.fp32);
    if (best == 0 || of == 0) return peak_rate(type) / 10 * 7;
    return static_cast<Rate>(Wide(peak_rate(type)) * best / of);
  }

 private:
  static constexpr Rate first_of(Rate a, Rate b, Rate c) noexcept {
    return a != 0 ? a : b != 0 ? b : c;
  }
  constexpr Rate single_precision() const noexcept {
    return first_of(peak.tf32, peak.fp32, first_of(peak.bf16, peak.fp16, 0));
  }
  // Where no rate of double precision is published, the vector units need two turns for it.
  constexpr Rate double_precision() const noexcept {
    return first_of(peak.fp64, peak.fp32 / 2, first_of(peak.bf16, peak.fp16, 0) / 2);
  }
};

}  // namespace tessera::cost
