// SPDX-License-Identifier: Apache-2.0
//
// Plans at random: every op any of its strategies, as likely as any other.
//
// A cheapest plan uses the same few strategies again and again; the plans that are possible, which
// the executor must run correctly, are far more.  Ops that are tied, since one's result takes the
// other's place, get strategies that agree: of a problem in which each strategy has a random cost
// and each forbidden pair stays forbidden, the solver finds the cheapest assignment.
#pragma once
#include <cstdint>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/solver/solve.hpp"

namespace tessera::executor::detail {

// An assignment of the formulation's problem.  Throws InvalidArgument where there is none.
inline solver::Assignment random_assignment(const plan::Formulation& formulation,
                                            std::uint64_t seed) {
  std::uint64_t state = mix_bits(seed);
  const solver::Problem dice = plan::with_replaced_costs(
      formulation.problem, [&] { return static_cast<Cost>(mix_bits(++state) >> 40U); });
  solver::Result result = solver::solve(dice);
  if (!result.has_assignment()) throw InvalidArgument("the problem has no assignment at all");
  return std::move(result.assignment);
}

}  // namespace tessera::executor::detail
