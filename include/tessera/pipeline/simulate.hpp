// SPDX-License-Identifier: Apache-2.0
//
// Simulates a schedule: when each pass begins, how long a step takes, how much of it is bubble, and
// what each stage holds at most.
//
// A stage runs its passes in its order, each as soon as its inputs have arrived.  Transfers run
// beside computation: between two neighbouring chunks there is a link for each direction, which
// carries one transfer at a time, first come, first served.
#pragma once
#include <cstdint>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/pipeline/schedule.hpp"

namespace tessera::pipeline {

/// How long one microbatch takes on a chunk.  No number is negative; times are in the caller's
/// unit.
struct ChunkTimes {
  Cost forward = 0;
  Cost input_backward = 0, weight_backward = 0;  ///< a whole backward pass takes their sum
  Cost send_forward = 0;                         ///< to the chunk after it
  Cost send_backward = 0;                        ///< to the chunk before it
  std::int64_t bytes =
      0;  ///< held from the begin of its forward to the end of its last backward pass
};

/// A pass, or its transfer, with its time.
struct Event {
  Pass pass;
  Cost begin = 0, end = 0;
};

/// A simulated step.
struct Timeline {
  std::vector<std::vector<Event>> stages;  ///< by stage, in order of time
  std::vector<std::vector<Event>> links;   ///< forward ones out of each chunk, then backward ones
  Cost step_time = 0;                      ///< the end of the last pass
  std::vector<std::int64_t>
      peak_in_flight;                    ///< by stage: microbatches, one for each chunk it is in
  std::vector<std::int64_t> peak_bytes;  ///< by stage, without what does not change

  Wide idle = 0, total = 0;  ///< summed over the stages: idle time, and step_time
  /// The share of the stages' time that is idle.
  double bubble() const noexcept {
    return total == 0 ? 0 : static_cast<double>(idle) / static_cast<double>(total);
  }
};

/// Runs a schedule in simulation.  `times` has one entry for each chunk of the model.
///
/// Throws InvalidArgument for a schedule that can not run to its end, and for negative times or a
/// wrong number of them.  O(stages * microbatches * chunks)
Timeline simulate(const Schedule& schedule, const std::vector<ChunkTimes>& times);

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/simulate.ipp"
#endif
