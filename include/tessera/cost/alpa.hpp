// SPDX-License-Identifier: Apache-2.0
//
// Alpa's cost model, exactly: a latency alpha and an inverse bandwidth beta for each mesh axis, no
// price for work, and no unit.
//
//   all-gather      floor(alpha + beta * (n - 1) / n * bytes) + 0.1
//   all-reduce      floor(alpha + beta * 2 * (n - 1) / n * bytes) + 0.01
//   reduce-scatter  floor(alpha + beta * (n - 1) / n * bytes) + 0.001
//   all-to-all      floor(alpha + beta * (n - 1) / n / n * bytes * 1.5) + 0.001
//   halo-exchange   floor(alpha + beta * bytes) + 0.001, for the bytes that one device sends (ours)
//
// The small constants break ties.  Prices are kept in thousandths, so they are integers, and the
// floor is taken of an exact fraction.  (Zheng et al., Alpa, OSDI 2022, section 4; the constants
// are those of its implementation in XLA; the older one in Python punishes all-to-all by n / 2.)
#pragma once
#include <cstddef>

#include "tessera/core/inline.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/cost/model.hpp"

namespace tessera::cost {

/// Alpa's cost model.  It satisfies CostModel.
class Alpa {
 public:
  /// One for each mesh axis.
  using Coefficients = InlineVector<Decimal, max_axes>;

  /// One coefficient of each kind per mesh axis, none negative.  Throws InvalidArgument.
  Alpa(const Coefficients& alpha, const Coefficients& beta);

  /// Alpha 1 everywhere; beta 1, but 0.1 on the last axis, whose links are the fast ones.
  static Alpa with_defaults(std::size_t mesh_rank);

  /// For a mesh whose axis i is a part of axis origins[i] (mesh/refine.hpp): the same links.
  /// Throws InvalidArgument where there are no coefficients for one of them.
  Alpa refined(const AxisList& origins) const;

  /// How many mesh axes there are coefficients for.
  std::size_t axis_count() const noexcept { return alpha_.size(); }

  /// Throws Overflow where the price does not fit in 64 bits, InvalidArgument where there are no
  /// coefficients for the axis.
  Cost price(StepKind kind, Axis axis, Extent devices, Message message) const;

  static Cost denominator() noexcept { return thousandths; }
  static const char* unit() noexcept { return "alpa"; }
  static bool spreads_heavy_ops() noexcept { return true; }

 private:
  static constexpr Cost thousandths = 1000;

  void check_axis(Axis axis) const;

  Coefficients alpha_, beta_;
};

static_assert(CostModel<Alpa>);

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/alpa.ipp"
#endif
