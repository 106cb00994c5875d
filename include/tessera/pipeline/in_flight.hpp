// SPDX-License-Identifier: Apache-2.0
//
// The kinds of schedules, and how many microbatches a stage holds at once under each.
//
// A microbatch is in flight on a stage from its forward pass to its backward pass.  During that
// time its activations stay in memory.  The choice of stages needs no more of a schedule than this
// number; schedule.hpp says in what order the passes run.
#pragma once
#include <cstdint>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"

namespace tessera::pipeline {

/// The schedules that Tessera knows.
enum class ScheduleKind : std::uint8_t {
  gpipe,        ///< all forward passes, then all backward passes
  one_f_one_b,  ///< backward as soon as possible: PipeDream's order with a flush
  interleaved,  ///< 1F1B over several chunks of layers per stage, as in Megatron
  zero_bubble,  ///< 1F1B with the backward pass split: the weights' half fills bubbles (ZB-H1)
  eager_one_f_one_b,  ///< 1F1B with more microbatches in flight, enough to hide transfers
};

/// The name that the command line and all reports use.
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

/// The most microbatches that a stage with `successors` stages after it holds at once.
///
/// Throws InvalidArgument for the interleaved and the zero-bubble schedule: there the number
/// depends on the stages before it too.  @pre successors >= 0, microbatches >= 1
std::int64_t in_flight(ScheduleKind kind, std::int64_t successors, std::int64_t microbatches);

/// The stage fits in memory, however many stages follow it.
inline constexpr std::int64_t any_successors = INT32_MAX;

/// The memory that a stage needs on its fullest device, in bytes.
struct StageMemory {
  std::int64_t fixed = 0;           ///< independent of what is in flight: weights, gradients, ...
  std::int64_t per_microbatch = 0;  ///< for each microbatch in flight
};

/// Whether the stage fits in `limit` bytes with so many microbatches in flight.
/// @pre no argument is negative
constexpr bool fits(StageMemory memory, std::int64_t microbatches, std::int64_t limit) noexcept {
  return Wide(memory.per_microbatch) * microbatches + memory.fixed <= limit;
}

/// The largest number of stages that may follow a stage so that it still fits in `limit` bytes:
/// any_successors where every number does, -1 where none does.
///
/// Throws as in_flight() does.  @pre no argument is negative, microbatches >= 1
std::int64_t most_successors(StageMemory memory, std::int64_t limit, ScheduleKind kind,
                             std::int64_t microbatches);

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/in_flight.ipp"
#endif
