// SPDX-License-Identifier: Apache-2.0
//
// The verdict on a certificate.  detail/certificate/steps.hpp verifies its lines.
#pragma once
#include "tessera/solver/check.hpp"

#include "tessera/solver/detail/certificate/checked_problem.hpp"
#include "tessera/solver/detail/certificate/checker.hpp"
#include "tessera/solver/detail/certificate/line.hpp"
#include "tessera/solver/detail/certificate/steps.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver {

TESSERA_INLINE Verdict check_certificate(const Problem& problem, std::string_view certificate) {
  namespace checking = detail::certificate;
  checking::Checker checker;
  checker.problem = checking::make_checked_problem(problem);
  Verdict verdict;
  try {
    checking::verify_lines(checker, certificate);
    verdict.is_valid = true;
    verdict.is_infeasible = checker.problem.is_infeasible;
    verdict.lower_bound = checker.proven.str();
  } catch (const checking::Fault& fault) {
    verdict.line = checker.line;
    verdict.fault = fault.what();
  }
  return verdict;
}

}  // namespace tessera::solver
