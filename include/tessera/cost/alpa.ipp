// SPDX-License-Identifier: Apache-2.0
//
// The bodies of alpa.hpp.
#pragma once
#include "tessera/cost/alpa.hpp"

#include <boost/multiprecision/cpp_int.hpp>
#include <limits>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/core/wide.hpp"

namespace tessera::cost {

namespace detail {

// The share of a message that one device's links carry, and the constant that breaks ties.
struct AlpaTerms {
  Wide numerator, denominator;
  Cost tie_break;
};
TESSERA_INLINE AlpaTerms alpa_terms(StepKind kind, Extent devices) {
  const Wide n = devices;
  switch (kind) {
    case StepKind::all_gather: return {n - 1, n, 100};
    case StepKind::all_reduce: return {2 * (n - 1), n, 10};
    case StepKind::reduce_scatter: return {n - 1, n, 1};
    case StepKind::halo_exchange: return {1, 1, 1};
    default: return {3 * (n - 1), 2 * n * n, 1};  // all-to-all
  }
}

}  // namespace detail

TESSERA_INLINE Alpa::Alpa(const Coefficients& alpha, const Coefficients& beta)
    : alpha_(alpha), beta_(beta) {
  if (alpha.size() != beta.size())
    throw InvalidArgument("Alpa: " + std::to_string(alpha.size()) + " alphas and " +
                          std::to_string(beta.size()) + " betas; give each axis one of each");
  for (const Coefficients* const coefficients : {&alpha, &beta})
    for (const Decimal& coefficient : *coefficients)
      if (coefficient.numerator < 0 || coefficient.denominator < 1)
        throw InvalidArgument("Alpa: a coefficient is negative, or divided by 0 or less");
}

TESSERA_INLINE Alpa Alpa::with_defaults(std::size_t mesh_rank) {
  Coefficients alpha(mesh_rank, Decimal{1, 1}), beta(mesh_rank, Decimal{1, 1});
  if (mesh_rank > 1) beta.back() = {1, 10};
  return {alpha, beta};
}

TESSERA_INLINE Alpa Alpa::refined(const AxisList& origins) const {
  Coefficients alpha, beta;
  for (const Axis origin : origins) {
    check_axis(origin);
    alpha.push_back(alpha_[origin]);
    beta.push_back(beta_[origin]);
  }
  return {alpha, beta};
}

TESSERA_INLINE Cost Alpa::price(StepKind kind, Axis axis, Extent devices, Message message) const {
  if (!is_collective(kind)) return 0;
  check_axis(axis);
  const detail::AlpaTerms terms = detail::alpa_terms(kind, devices);
  const Decimal alpha = alpha_[axis], beta = beta_[axis];
  // floor(a/b + c/d) with every product exact: at most 60 + 60 + 127 + 63 bits.
  using VeryWide = boost::multiprecision::int512_t;
  const VeryWide numerator = VeryWide(beta.numerator) * terms.numerator * message.bytes;
  const VeryWide denominator = VeryWide(beta.denominator) * terms.denominator * message.divided_by;
  const VeryWide total = (VeryWide(alpha.numerator) * denominator + numerator * alpha.denominator) /
                         (denominator * alpha.denominator);
  if (total > std::numeric_limits<Cost>::max() / (4 * thousandths))
    throw Overflow(
        "the price of one collective does not fit in 64 bits; choose smaller alpha and beta");
  return static_cast<Cost>(total) * thousandths + terms.tie_break;
}

TESSERA_INLINE void Alpa::check_axis(Axis axis) const {
  if (axis >= axis_count())
    throw InvalidArgument("Alpa: no alpha and beta for mesh axis " + std::to_string(axis));
}

}  // namespace tessera::cost
