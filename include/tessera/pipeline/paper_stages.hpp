// SPDX-License-Identifier: Apache-2.0
//
// The choice of stages by the algorithm of the Alpa paper (OSDI 2022, section 5.2), as a yardstick.
//
// For every value that the largest period can have, from the least up, a dynamic program over
// (stages, layers, devices) finds the least sum; the scan ends when B times the value alone costs
// more than the best choice.  This version has 64-bit integers, our innermost loop and options per
// submesh, and leaves everything else as it is.  Per-step times are not part of it.
//
// Alpa's implementation skips values closer than a microsecond to the last one it tried.  That
// loses optima: `skip` is here so that a test can show it, and 0 skips nothing.
#pragma once
#include <cstddef>

#include "tessera/core/inline.hpp"
#include "tessera/pipeline/stage_problem.hpp"

namespace tessera::pipeline {

struct PaperOptions {
  Cost skip = 0;          ///< values at most so far above the last one tried are not tried
  double seconds = 1e30;  ///< give up after so long
};

struct PaperAnswer {
  bool is_feasible = false;
  bool is_finished = false;  ///< did not give up
  Wide cost = 0;             ///< of the best choice found; without per-step times
  std::size_t values = 0;    ///< how many values the largest period can have
  StageStatistics statistics;
};

/// @pre no sum of latencies reaches 2^61, no option has a per-step time
/// O(layers^3 * sizes * devices) for each of up to layers^2 / 2 * sizes values.
PaperAnswer paper_stages(const StageProblem& problem, const PaperOptions& options = {});

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/paper_stages.ipp"
#endif
