// SPDX-License-Identifier: Apache-2.0
//
// Verifies the certificate of a lower bound: it replays every step on the problem as the steps
// before it left it, and adds up what they prove.
//
// It shares no code with the solver except Problem.  The solver rounds and hurries; the checker
// does the plain thing in integers that cannot overflow.  detail/certificate/README.md has the
// format.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "tessera/core/inline.hpp"

namespace tessera::solver {

class Problem;

/// The result of check_certificate().
struct Verdict {
  bool is_valid = false;
  bool is_infeasible =
      false;                ///< proven: no assignment is feasible; lower_bound means nothing then
  std::string lower_bound;  ///< proven: no assignment costs less; a decimal integer
  std::size_t line = 0;     ///< the faulty step's line if it is not valid; 1 is the first
  std::string fault;        ///< what is wrong with that step
};

/// Checks whether a certificate, as Options::on_proof receives it, proves its claim about a
/// problem. A faulty certificate gives a verdict, not an exception. Complexity: about the time of
/// the solver that wrote it.
Verdict check_certificate(const Problem& problem, std::string_view certificate);

}  // namespace tessera::solver

#ifdef TESSERA_HEADER_ONLY
#include "tessera/solver/check.ipp"
#endif
