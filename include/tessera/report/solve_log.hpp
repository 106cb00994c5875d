// SPDX-License-Identifier: Apache-2.0
//
// A solver's progress as log lines, in the columns that users of MIP solvers know.
#pragma once
#include <cstdio>
#include <string>

#include "tessera/report/text.hpp"
#include "tessera/solver/options.hpp"

namespace tessera::report {

// The columns of log_line().
inline std::string log_header() {
  return "    time      nodes             incumbent                 bound       gap  event";
}

// One line for one event; the clock is left out on request, so that two logs compare.
inline std::string log_line(const solver::Progress& progress, bool with_clock = true) {
  char buffer[160];
  const std::string clock = with_clock ? std::to_string(progress.seconds) : "-";
  std::snprintf(
      buffer, sizeof buffer, "%8.8s %10llu  %20s  %20s  %8s  %s", clock.c_str(),
      static_cast<unsigned long long>(progress.nodes),
      progress.has_incumbent ? to_string(progress.incumbent).c_str() : "-",
      to_string(progress.lower_bound).c_str(),
      progress.has_incumbent ? gap_text(progress.incumbent, progress.lower_bound).c_str() : "-",
      progress.event);
  return buffer;
}

}  // namespace tessera::report
