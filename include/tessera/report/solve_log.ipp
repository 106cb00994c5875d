// SPDX-License-Identifier: Apache-2.0
//
// One line per event.
#pragma once
#include "tessera/report/solve_log.hpp"

#include <cstdio>

#include "tessera/core/wide.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {

TESSERA_INLINE std::string log_header() {
  return "    time      nodes             incumbent                 bound       gap  event";
}

TESSERA_INLINE std::string log_line(const solver::Progress& progress, bool with_clock) {
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
