// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of in_flight.hpp.
#pragma once
#include <algorithm>
#include <string>
#include "tessera/pipeline/in_flight.hpp"

#include "tessera/core/error.hpp"

namespace tessera::pipeline {

TESSERA_INLINE std::int64_t in_flight(ScheduleKind kind, std::int64_t successors,
                                      std::int64_t microbatches) {
  switch (kind) {
    case ScheduleKind::gpipe: return microbatches;
    case ScheduleKind::one_f_one_b: return std::min(microbatches, successors + 1);
    case ScheduleKind::eager_one_f_one_b: return std::min(microbatches, 2 * successors + 1);
    case ScheduleKind::interleaved:
    case ScheduleKind::zero_bubble: break;
  }
  throw InvalidArgument(std::string("in_flight: under the schedule ") + to_string(kind) +
                        " the number of microbatches in flight depends on all stages; "
                        "simulate the schedule to find it");
}

TESSERA_INLINE std::int64_t most_successors(StageMemory memory, std::int64_t limit,
                                            ScheduleKind kind, std::int64_t microbatches) {
  if (fits(memory, in_flight(kind, microbatches - 1, microbatches), limit)) return any_successors;
  if (!fits(memory, in_flight(kind, 0, microbatches), limit)) return -1;
  // The number in flight grows with the successors here: under the other schedules it is the same
  // for every stage.
  const std::int64_t others = (limit - memory.fixed) / memory.per_microbatch - 1;
  const std::int64_t each = kind == ScheduleKind::eager_one_f_one_b ? 2 : 1;
  return std::min(others / each, any_successors - 1);
}

}  // namespace tessera::pipeline
