// SPDX-License-Identifier: Apache-2.0
//
// The cost and usage of an assignment: the definition of the problem, plainly, in wide integers.
// The solver's answers are judged here, by code that shares nothing with the search.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver {

struct Evaluation {
  Wide cost = 0;               ///< the sum of the finite costs chosen
  std::size_t forbidden = 0;   ///< how many infinite costs were chosen
  Wide peak_usage = 0;         ///< over all points of time
  std::int64_t peak_time = 0;  ///< the first point at which it is reached
  bool within_limit = true;

  bool is_feasible() const noexcept { return forbidden == 0 && within_limit; }
};

/// Throws InvalidArgument where the assignment is not one of this problem.
/// O(nodes log nodes + edges).
Evaluation evaluate(const Problem& problem, const Assignment& assignment);

}  // namespace tessera::solver

#ifdef TESSERA_HEADER_ONLY
#include "tessera/solver/evaluate.ipp"
#endif
