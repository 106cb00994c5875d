// SPDX-License-Identifier: Apache-2.0
//
// A schedule: the order in which each stage runs its passes in one training step.
//
// A schedule holds orders and no times.  When a pass begins follows from the orders and from how
// long passes and transfers take: simulate.hpp computes it.
//
// The model is a row of chunks.  A microbatch goes forward through all of them and then back.
// Usually stage i has chunk i; interleaved, stage i of p has chunks i, i + p, i + 2 p, ...
#pragma once
#include <cstdint>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/pipeline/in_flight.hpp"

namespace tessera::pipeline {

/// The work that one microbatch is on one chunk.
enum class PassKind : std::uint8_t {
  forward,
  backward,        ///< both of the following at once
  input_backward,  ///< the gradient of the chunk's input, which the chunk before waits for
  weight_backward  ///< the gradients of the chunk's weights, which no other stage waits for
};

/// The name for reports and messages.
constexpr const char* to_string(PassKind kind) noexcept {
  switch (kind) {
    case PassKind::forward: return "forward";
    case PassKind::backward: return "backward";
    case PassKind::input_backward: return "input backward";
    case PassKind::weight_backward: return "weight backward";
  }
  return "";
}

/// One microbatch on one chunk.
struct Pass {
  PassKind kind{};
  std::int64_t microbatch = 0;
  std::int64_t chunk = 0;
  friend constexpr bool operator==(const Pass&, const Pass&) noexcept = default;
};

/// The order of passes on every stage.
struct Schedule {
  ScheduleKind kind{};
  std::int64_t stages = 0, microbatches = 0;
  std::int64_t chunks = 0;                ///< of the whole model, a multiple of stages
  std::vector<std::vector<Pass>> orders;  ///< one for each stage

  /// The stage that holds a chunk.  @pre 0 <= chunk < chunks
  std::int64_t stage_of(std::int64_t chunk) const noexcept { return chunk % stages; }
};

/// All forward passes, then all backward passes.
///
/// Throws InvalidArgument where there are no stages or no microbatches, as do all functions below.
/// O(stages * microbatches), as are all functions below.
Schedule gpipe(std::int64_t stages, std::int64_t microbatches);

/// One forward and one backward pass in turn (PipeDream with a flush).  A stage warms up with as
/// many forward passes as there are stages after it.
Schedule one_f_one_b(std::int64_t stages, std::int64_t microbatches);

/// 1F1B with a warm-up twice as long.  A transfer is then in flight like a microbatch of its own,
/// and no stage waits for a transfer that is faster than the stage (Zhuang et al., "On Optimizing
/// the Communication of Model Parallelism").  The price is activations of almost twice as many
/// microbatches.
Schedule eager_one_f_one_b(std::int64_t stages, std::int64_t microbatches);

/// 1F1B with several chunks per stage, as in Megatron.  Microbatches go in groups of as many as
/// there are stages: a group through a stage's first chunk, then the same group through its second,
/// and so on.  So a bubble lasts as long as a chunk and not as long as a stage.
///
/// Throws InvalidArgument also where `microbatches` is no multiple of `stages`.
Schedule interleaved(std::int64_t stages, std::int64_t microbatches, std::int64_t chunks_per_stage);

/// 1F1B with the backward pass in two halves, of which the weights' half fills bubbles: ZB-H1 (Qi
/// et al., "Zero Bubble Pipeline Parallelism").  The order is 1F1B's with the input's half as the
/// backward pass, so that gradients reach the first stage sooner.  Stage i is i microbatches behind
/// with the weights' half, so that every stage holds as many microbatches as the first stage of
/// 1F1B does, and no more.
Schedule zero_bubble(std::int64_t stages, std::int64_t microbatches);

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/schedule.ipp"
#endif
