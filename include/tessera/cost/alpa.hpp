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
#include <boost/multiprecision/cpp_int.hpp>
#include <cstddef>
#include <limits>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/cost/model.hpp"

namespace tessera::cost {

class Alpa {
 public:
  using Coefficients = InlineVector<Decimal, max_axes>;

  // One coefficient of each kind per mesh axis, none negative.  Throws InvalidArgument.
  Alpa(const Coefficients& alpha, const Coefficients& beta) : alpha_(alpha), beta_(beta) {
    if (alpha.size() != beta.size())
      throw InvalidArgument("Alpa: " + std::to_string(alpha.size()) + " alphas and " +
                                  std::to_string(beta.size()) +
                                  " betas; give each axis one of each");
    for (const Coefficients* const coefficients : {&alpha, &beta})
      for (const Decimal& coefficient : *coefficients)
        if (coefficient.numerator < 0 || coefficient.denominator < 1)
          throw InvalidArgument("Alpa: a coefficient is negative, or divided by 0 or less");
  }

  // Alpha 1 everywhere; beta 1, but 0.1 on the last axis, whose links are the fast ones.
  static Alpa with_defaults(std::size_t mesh_rank) {
    Coefficients alpha(mesh_rank, Decimal{1, 1}), beta(mesh_rank, Decimal{1, 1});
    if (mesh_rank > 1) beta.back() = {1, 10};
    return {alpha, beta};
  }

  // For a mesh whose axis i is a part of axis origins[i] (mesh/refine.hpp): the same links.
  // Throws InvalidArgument where there are no coefficients for one of them.
  Alpa refined(const AxisList& origins) const {
    Coefficients alpha, beta;
    for (const Axis origin : origins) {
      check_axis(origin);
      alpha.push_back(alpha_[origin]);
      beta.push_back(beta_[origin]);
    }
    return {alpha, beta};
  }

  // How many mesh axes there are coefficients for.
  std::size_t axis_count() const noexcept { return alpha_.size(); }

  // Throws Overflow where the price does not fit in 64 bits, InvalidArgument where
  // there are no coefficients for the axis.
  Cost price(StepKind kind, Axis axis, Extent devices, Message message) const {
    if (!is_collective(kind)) return 0;
    check_axis(axis);
    const Terms terms = terms_of(kind, devices);
    const Decimal alpha = alpha_[axis], beta = beta_[axis];
    // floor(a/b + c/d) with every product exact: at most 60 + 60 + 127 + 63 bits.
    using VeryWide = boost::multiprecision::int512_t;
    const VeryWide numerator = VeryWide(beta.numerator) * terms.numerator * message.bytes;
    const VeryWide denominator = VeryWide(beta.denominator) * terms.denominator *
                                 message.divided_by;
    const VeryWide total =
        (VeryWide(alpha.numerator) * denominator + numerator * alpha.denominator) /
        (denominator * alpha.denominator);
    if (total > std::numeric_limits<Cost>::max() / (4 * thousandths))
      throw Overflow(
          "the price of one collective does not fit in 64 bits; choose smaller alpha and beta");
    return static_cast<Cost>(total) * thousandths + terms.tie_break;
  }

  static Cost denominator() noexcept { return thousandths; }
  static const char* unit() noexcept { return "alpa"; }
  static bool spreads_heavy_ops() noexcept { return true; }

 private:
  static constexpr Cost thousandths = 1000;

  void check_axis(Axis axis) const {
    if (axis >= axis_count())
      throw InvalidArgument("Alpa: no alpha and beta for mesh axis " + std::to_string(axis));
  }

  // The share of a message that one device's links carry, and the tie-breaking constant.
  struct Terms {
    Wide numerator, denominator;
    Cost tie_break;
  };
  static Terms terms_of(StepKind kind, Extent devices) {
    const Wide n = devices;
    switch (kind) {
      case StepKind::all_gather: return {n - 1, n, 100};
      case StepKind::all_reduce: return {2 * (n - 1), n, 10};
      case StepKind::reduce_scatter: return {n - 1, n, 1};
      case StepKind::halo_exchange: return {1, 1, 1};
      default: return {3 * (n - 1), 2 * n * n, 1};  // all-to-all
    }
  }

  Coefficients alpha_, beta_;
};

static_assert(CostModel<Alpa>);

}  // namespace tessera::cost
