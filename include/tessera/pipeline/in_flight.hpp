// SPDX-License-Identifier: Apache-2.0
//
// The schedules there are, and how many microbatches a stage holds at once under each.
//
// A microbatch is in flight on a stage from its forward pass to its backward pass: so long, its
// activations stay in memory.  This is all that the choice of stages needs to know of a schedule;
// what runs when is schedule.hpp's concern.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/core/wide.hpp"

namespace tessera::pipeline {

enum class ScheduleKind : std::uint8_t {
  gpipe,        // all forward passes, then all backward passes
  one_f_one_b,  // backward as soon as can be: PipeDream's order with a flush
  interleaved,  // 1F1B over several chunks of layers per stage, as in Megatron
  zero_bubble,  // 1F1B with the backward pass in two, the weights' half filling the gaps (ZB-H1)
  eager_one_f_one_b,  // 1F1B with as many more in flight as hide transfers
};

constexpr const char* to_string(ScheduleKind kind) noexcept {
  switch (kind) {
    case ScheduleKind::gpipe: return "gpipe";
    case ScheduleKind::one_f_one_b: return "1f1b";
    case ScheduleKind::interleaved: return "interleaved";
    case ScheduleKind::zero_bubble: return "zero-bubble";
    case ScheduleKind::eager_one_f_one_b: return "eager-1f1b";
  }
  return "";
}

// The most microbatches that a stage with `successors` stages after it holds at once.
// Throws InvalidArgument for the two schedules where it depends on the stages before it too.
// @pre successors >= 0, microbatches >= 1
inline std::int64_t in_flight(ScheduleKind kind, std::int64_t successors,
                              std::int64_t microbatches) {
  switch (kind) {
    case ScheduleKind::gpipe: return microbatches;
    case ScheduleKind::one_f_one_b: return std::min(microbatches, successors + 1);
    case ScheduleKind::eager_one_f_one_b: return std::min(microbatches, 2 * successors + 1);
    case ScheduleKind::interleaved:
    case ScheduleKind::zero_bubble: break;
  }
  throw InvalidArgument(std::string("in_flight: ") + to_string(kind) +
                              ": depends on all stages; simulate the schedule");
}

// No number of stages after it is too large.
inline constexpr std::int64_t any_successors = INT32_MAX;

// What a stage needs on its fullest device.
struct StageMemory {
  std::int64_t fixed = 0;           // bytes, whatever is in flight: weights, gradients, ...
  std::int64_t per_microbatch = 0;  // bytes for each microbatch in flight
};

// @pre no argument is negative
constexpr bool fits(StageMemory memory, std::int64_t microbatches, std::int64_t limit) noexcept {
  return Wide(memory.per_microbatch) * microbatches + memory.fixed <= limit;
}

// The most stages that may follow a stage so that it still fits in `limit` bytes: any_successors
// where nothing that follows makes it too large, -1 where it fits nowhere.
// Throws as in_flight does.  @pre no argument is negative, microbatches >= 1
inline std::int64_t most_successors(StageMemory memory, std::int64_t limit, ScheduleKind kind,
                                    std::int64_t microbatches) {
  if (fits(memory, in_flight(kind, microbatches - 1, microbatches), limit)) return any_successors;
  if (!fits(memory, in_flight(kind, 0, microbatches), limit)) return -1;
  // What is in flight besides one rises with the successors: other schedules hold the same wherever
  // they are.
  const std::int64_t others = (limit - memory.fixed) / memory.per_microbatch - 1;
  const std::int64_t each = kind == ScheduleKind::eager_one_f_one_b ? 2 : 1;
  return std::min(others / each, any_successors - 1);
}

}  // namespace tessera::pipeline
