// SPDX-License-Identifier: Apache-2.0
//
// Which integers the solver counts in, so that no sum it forms can overflow.
//
// Almost every problem fits in 64 bits with some bits to spare; one that does not is solved by the
// same code in 128.  Costs are scaled up by a power of two where bits are left, because bounds
// round down to whole units: finer units lose less.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver::detail {

// Infinity adds without overflow, and any sum with one infinite term is not finite.
template<class Int>
struct Arithmetic;

template<>
struct Arithmetic<std::int64_t> {
  static constexpr int headroom_bits = 57;  // |any sum of finite costs| < 2^57
  static constexpr std::int64_t infinity() noexcept { return std::int64_t{1} << 60; }
  static constexpr bool is_finite(std::int64_t x) noexcept { return x < std::int64_t{1} << 59; }
};

template<>
struct Arithmetic<Wide> {
  static constexpr int headroom_bits = 120;
  static Wide infinity() { return Wide(1) << 124; }
  static bool is_finite(Wide x) { return x < (Wide(1) << 123); }
};

template<class Int>
constexpr Int add(const Int& a, const Int& b) {
  using A = Arithmetic<Int>;
  return A::is_finite(a) && A::is_finite(b) ? Int(a + b) : A::infinity();
}

// An upper limit of |cost| over all assignments.
inline Wide magnitude_of(const Problem& problem) {
  const auto largest = [](std::span<const Cost> costs) {
    Wide result = 0;
    for (const Cost cost : costs)
      if (is_finite(cost)) result = std::max(result, cost < 0 ? -Wide(cost) : Wide(cost));
    return result;
  };
  Wide total = 1;
  for (NodeId v = 0; v < problem.node_count(); ++v) total += largest(problem.costs(v));
  std::vector<std::optional<Wide>> known(problem.edge_costs_ids());
  for (EdgeId e = 0; e < problem.edge_count(); ++e) {
    std::optional<Wide>& here = known[problem.edge_costs_id(e)];
    if (!here) here = largest(problem.edge_costs(e));
    total += *here;
  }
  return total;
}

// How far costs may be shifted up and still leave headroom; negative where even unshifted ones are
// too large for these integers.
template<class Int>
int spare_bits(Wide magnitude) {
  constexpr int wanted = 16;  // 65,536 parts of a unit: what rounding then loses does not matter
  for (int shift = wanted; shift >= 0; --shift)
    if (magnitude < (Wide(1) << (Arithmetic<Int>::headroom_bits - shift))) return shift;
  return -1;
}

}  // namespace tessera::solver::detail
