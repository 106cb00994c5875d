// SPDX-License-Identifier: Apache-2.0
//
// solve(): the cheapest assignment, or the best found within the limits, with a lower bound.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/solver/result.hpp"

namespace tessera::solver {

/// Solves a problem.  The answer always has status and lower bound, whatever limit was reached; its
/// cost is that of evaluate(), which shares nothing with the search.
/// @post lower_bound <= cost, where there is an assignment
Result solve(const Problem& problem, const Options& options = {});

}  // namespace tessera::solver

#ifdef TESSERA_HEADER_ONLY
#include "tessera/solver/solve.ipp"
#endif
