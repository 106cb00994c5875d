// SPDX-License-Identifier: Apache-2.0
//
// A schedule: in what order each stage runs its passes in one training step.
//
// A schedule holds orders and no times.  What begins when follows from the orders and from how long
// passes and transfers take: simulate.hpp plays it.
//
// The model is a row of chunks, and a microbatch goes forward through all of them and back. Usually
// stage i has chunk i; interleaved, stage i of p has chunks i, i + p, i + 2 p, ...
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/pipeline/in_flight.hpp"

namespace tessera::pipeline {

enum class PassKind : std::uint8_t {
  forward,
  backward,        // both of the following at once
  input_backward,  // the gradient of the chunk's input, for which the chunk before waits
  weight_backward  // the gradients of its weights, for which nobody waits
};

constexpr const char* to_string(PassKind kind) noexcept {
  switch (kind) {
    case PassKind::forward: return "forward";
    case PassKind::backward: return "backward";
    case PassKind::input_backward: return "input backward";
    case PassKind::weight_backward: return "weight backward";
  }
  return "";
}

struct Pass {
  PassKind kind{};
  std::int64_t microbatch = 0;
  std::int64_t chunk = 0;
  friend constexpr bool operator==(const Pass&, const Pass&) noexcept = default;
};

struct Schedule {
  ScheduleKind kind{};
  std::int64_t stages = 0, microbatches = 0;
  std::int64_t chunks = 0;                // of the whole model, a multiple of stages
  std::vector<std::vector<Pass>> orders;  // one for each stage

  // @pre 0 <= chunk < chunks
  std::int64_t stage_of(std::int64_t chunk) const noexcept { return chunk % stages; }
};

namespace detail {

inline Schedule empty_schedule(ScheduleKind kind, std::int64_t stages, std::int64_t microbatches,
                               std::int64_t chunks_per_stage) {
  const auto check = [](const char* what, std::int64_t count) {
    if (count < 1)
      throw InvalidArgument("schedule: " + std::to_string(count) + ' ' + what +
                                  ", must be at least 1");
  };
  check("stages", stages);
  check("microbatches", microbatches);
  check("chunks per stage", chunks_per_stage);
  return {kind, stages, microbatches, stages * chunks_per_stage,
          std::vector<std::vector<Pass>>(static_cast<std::size_t>(stages))};
}

// Forward passes only at first, so many; then a forward and a backward pass in turn; then the
// backward passes that are left.  forward(k) and backward(k) say what the k-th of either is.
template<class Forward, class Backward>
std::vector<Pass> one_f_one_b_order(std::int64_t count, std::int64_t warm_up, Forward&& forward,
                                    Backward&& backward) {
  std::vector<Pass> order;
  for (std::int64_t k = 0; k < count + warm_up; ++k) {
    if (k < count) order.push_back(forward(k));
    if (k >= warm_up) order.push_back(backward(k - warm_up));
  }
  return order;
}

// A stage begins with `lead` forward passes for each stage after it.
inline Schedule one_f_one_b_with(ScheduleKind kind, std::int64_t lead, std::int64_t stages,
                                 std::int64_t microbatches) {
  Schedule schedule = empty_schedule(kind, stages, microbatches, 1);
  for (std::int64_t stage = 0; stage < stages; ++stage)
    schedule.orders[static_cast<std::size_t>(stage)] = one_f_one_b_order(
        microbatches, std::min(microbatches, lead * (stages - 1 - stage)),
        [&](std::int64_t k) {
          return Pass{PassKind::forward, k, stage};
        },
        [&](std::int64_t k) {
          return Pass{PassKind::backward, k, stage};
        });
  return schedule;
}

}  // namespace detail

// All forward passes, then all backward passes.  Throws InvalidArgument where there are no
// stages or no microbatches, as do all of these.
inline Schedule gpipe(std::int64_t stages, std::int64_t microbatches) {
  Schedule schedule = detail::empty_schedule(ScheduleKind::gpipe, stages, microbatches, 1);
  for (std::int64_t stage = 0; stage < stages; ++stage)
    for (const PassKind kind : {PassKind::forward, PassKind::backward})
      for (std::int64_t m = 0; m < microbatches; ++m)
        schedule.orders[static_cast<std::size_t>(stage)].push_back({kind, m, stage});
  return schedule;
}

// A stage begins with as many forward passes as there are stages after it.
inline Schedule one_f_one_b(std::int64_t stages, std::int64_t microbatches) {
  return detail::one_f_one_b_with(ScheduleKind::one_f_one_b, 1, stages, microbatches);
}

// Twice as many: a transfer is then on its way as a microbatch of its own, and nobody waits for it
// who is not slower than it (Zhuang et al., "On Optimizing the Communication of Model Parallelism",
// call it eager-1F1B).  Paid for by activations of almost twice as many microbatches.
inline Schedule eager_one_f_one_b(std::int64_t stages, std::int64_t microbatches) {
  return detail::one_f_one_b_with(ScheduleKind::eager_one_f_one_b, 2, stages, microbatches);
}

// 1F1B in which microbatches go in groups of as many as there are stages: a group through a stage's
// first chunk, then the same group through its second, and so on; so a gap costs a chunk's time and
// not a stage's.  Throws InvalidArgument also where groups would not come out even.
inline Schedule interleaved(std::int64_t stages, std::int64_t microbatches,
                            std::int64_t chunks_per_stage) {
  Schedule schedule =
      detail::empty_schedule(ScheduleKind::interleaved, stages, microbatches, chunks_per_stage);
  if (microbatches % stages != 0)
    throw InvalidArgument("schedule: interleaving " + std::to_string(microbatches) +
                                " microbatches over " + std::to_string(stages) +
                                " stages: must be a multiple");
  const std::int64_t count = microbatches * chunks_per_stage;
  const std::int64_t group = stages * chunks_per_stage;
  for (std::int64_t stage = 0; stage < stages; ++stage) {
    const auto pass = [&](PassKind kind, std::int64_t k) {
      const std::int64_t round = k % group / stages;
      const std::int64_t chunk = kind == PassKind::forward ? round : chunks_per_stage - 1 - round;
      return Pass{kind, k / group * stages + k % stages, chunk * stages + stage};
    };
    const std::int64_t warm_up = 2 * (stages - 1 - stage) + (chunks_per_stage - 1) * stages;
    schedule.orders[static_cast<std::size_t>(stage)] = detail::one_f_one_b_order(
        count, std::min(count, warm_up), [&](std::int64_t k) { return pass(PassKind::forward, k); },
        [&](std::int64_t k) { return pass(PassKind::backward, k); });
  }
  return schedule;
}

// The backward pass in two, of which the weights' half fills gaps: ZB-H1 (Qi et al., "Zero Bubble
// Pipeline Parallelism").  1F1B's order with half the backward pass, so that gradients reach the
// first stage sooner; stage i is i microbatches behind with its weights', so that every stage holds
// as many microbatches as 1F1B's first one does, and no more.
inline Schedule zero_bubble(std::int64_t stages, std::int64_t microbatches) {
  Schedule schedule = detail::empty_schedule(ScheduleKind::zero_bubble, stages, microbatches, 1);
  for (std::int64_t stage = 0; stage < stages; ++stage) {
    const std::vector<Pass> passes = detail::one_f_one_b_order(
        microbatches, std::min(microbatches, stages - 1 - stage),
        [&](std::int64_t k) {
          return Pass{PassKind::forward, k, stage};
        },
        [&](std::int64_t k) {
          return Pass{PassKind::input_backward, k, stage};
        });
    std::vector<Pass>& order = schedule.orders[static_cast<std::size_t>(stage)];
    std::int64_t done = 0;
    const auto catch_up = [&](std::int64_t count) {
      for (; done < count; ++done) order.push_back({PassKind::weight_backward, done, stage});
    };
    for (const Pass& pass : passes) {
      order.push_back(pass);
      if (pass.kind == PassKind::input_backward) catch_up(pass.microbatch + 1 - stage);
    }
    catch_up(microbatches);
  }
  return schedule;
}

}  // namespace tessera::pipeline
