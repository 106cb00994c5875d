// SPDX-License-Identifier: Apache-2.0
//
// The solver's progress as log lines, in the columns that users of MIP solvers know.
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/solver/options.hpp"

namespace tessera::report {

/// The headings of log_line()'s columns.
std::string log_header();

/// One event of the solver as a line.  Without the clock, the logs of two equal runs are equal.
std::string log_line(const solver::Progress& progress, bool with_clock = true);

}  // namespace tessera::report

#ifdef TESSERA_HEADER_ONLY
#include "tessera/report/solve_log.ipp"
#endif
