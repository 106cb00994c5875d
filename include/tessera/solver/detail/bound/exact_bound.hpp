// SPDX-License-Identifier: Apache-2.0
//
// A lower bound in exact integers, from any messages and any multipliers.
//
// The usage limit is relaxed: every row t gets a multiplier lambda_t >= 0, a unit of usage costs
// that much, and lambda_t * capacity_t is refunded (Lagrangian relaxation).  The rest, a sum of
// unary and pairwise tables, is bounded by moving cost between tables (reparametrization;
// Kolmogorov's TRW-S, PAMI 2006, computes good messages) and adding up every table's own minimum.
// The bound is valid for all messages and multipliers, so floating point may choose them
// (relaxation.hpp).  Only here is it decided what they prove, and every rounding is downward.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/numbers/kernels.hpp"

namespace tessera::solver::detail {

// lambda_t = numerators[t] / 2^shift, in scaled cost per unit of usage.
struct Multipliers {
  std::vector<std::int64_t> numerators;
  int shift = 0;
};

// The reparametrization that a bound rests on: the messages that every table sends to its two ends.
// With them the bound can be added up again.
struct Messages {
  std::vector<std::vector<Wide>> to_u, to_v;  // by table, then by the end's value
};

struct Bound {
  Wide value = 0;
  // By value: how much the bound rises at least when the variable must take it.  Never negative.
  std::vector<Wide> reduced_costs;
};

// Sum of lambda_t * capacity_t, rounded up.
inline Wide refund(const Component& component, const Multipliers& multipliers) {
  Wide total = 0;
  for (std::size_t row = 0; row < component.capacity.size(); ++row)
    total += Wide(component.capacity[row]) * multipliers.numerators[row];
  const Wide unit = Wide(1) << multipliers.shift;
  return (total + unit - 1) / unit;
}

// The multipliers nearest to `lambda` that the bound's integers can hold.
[[gnu::cold]] inline Multipliers rounded_multipliers(const Component& component,
                                                     const std::vector<double>& lambda) {
  Multipliers result;
  result.numerators.assign(lambda.size(), 0);
  const double largest = lambda.empty() ? 0 : *std::max_element(lambda.begin(), lambda.end());
  if (!(largest > 0) || !std::isfinite(largest)) return result;
  // No product of a usage and a sum of numerators may leave 128 bits.
  Usage most_usage = 1;
  for (const Usage usage : component.usages) most_usage = std::max(most_usage, usage);
  for (const Usage capacity : component.capacity) most_usage = std::max(most_usage, capacity);
  const int free_bits = 125 -
                        static_cast<int>(std::bit_width(static_cast<std::uint64_t>(most_usage))) -
                        static_cast<int>(std::bit_width(lambda.size()));
  const int numerator_bits = std::min(62, free_bits);
  constexpr int max_shift = 60;
  result.shift = std::clamp(numerator_bits - std::ilogb(largest) - 1, 0, max_shift);
  const double unit = std::ldexp(1.0, result.shift);
  const double most = std::ldexp(1.0, numerator_bits) - 1024;
  for (std::size_t row = 0; row < lambda.size(); ++row)
    result.numerators[row] =
        static_cast<std::int64_t>(std::clamp(std::floor(lambda[row] * unit), 0.0, most));
  // Costs of usage must leave bits for all other costs.
  if (refund(component, result) >= (Wide(1) << (component.costs->headroom_bits() - 3)))
    result.numerators.assign(lambda.size(), 0);  // absurdly large: prove without
  return result;
}

// `forward` holds, for each table u < v in turn, the message from u to v by v's values.
// Messages are rounded down; they may be anything of at most the tables' magnitude.  O(entries of
// all tables). `used` receives what the bound rests on, if it is asked for.
// @pre every value has a partner in every table: propagated domains
inline Bound exact_bound(const Component& component, const std::vector<double>& forward,
                         const Multipliers& multipliers, Messages* used = nullptr) {
  return component.costs->bound(component, forward, multipliers, used);
}

// A step of a certificate: the component costs at least this.
[[gnu::cold]] inline void write_bound(Proof& proof, const Component& component,
                                      const Multipliers& multipliers, const Messages& messages,
                                      Wide value) {
  proof.step("lower_bound") << value << multipliers.shift << "|";
  for (std::size_t t = 0; t < component.capacity.size(); ++t)
    if (multipliers.numerators[t] != 0)
      proof.pair(component.row_name[t], multipliers.numerators[t]);
  for (std::size_t e = 0; e < component.tables.size(); ++e) {
    const auto& table = component.tables[e];
    proof << "|" << component.name[table.u] << component.name[table.v] << ":";
    for (const Wide message : messages.to_u[e]) proof << message;
    proof << ":";
    for (const Wide message : messages.to_v[e]) proof << message;
  }
  proof.end();
}

}  // namespace tessera::solver::detail
