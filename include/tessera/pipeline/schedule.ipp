// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of schedule.hpp.
#pragma once
#include "tessera/pipeline/schedule.hpp"

#include <algorithm>
#include <string>

#include "tessera/core/error.hpp"

namespace tessera::pipeline {
namespace detail {

TESSERA_INLINE Schedule empty_schedule(ScheduleKind kind, std::int64_t stages,
                                       std::int64_t microbatches, std::int64_t chunks_per_stage) {
  const auto check = [](const char* what, std::int64_t count) {
    if (count < 1)
      throw InvalidArgument("schedule: the number of " + std::string(what) + " is " +
                            std::to_string(count) + "; it must be at least 1");
  };
  check("stages", stages);
  check("microbatches", microbatches);
  check("chunks per stage", chunks_per_stage);
  return {kind, stages, microbatches, stages * chunks_per_stage,
          std::vector<std::vector<Pass>>(static_cast<std::size_t>(stages))};
}

// The warm-up, of forward passes only; the steady state, a forward and a backward pass in turn;
// then the remaining backward passes.  forward(k) and backward(k) give the k-th pass of either
// kind.
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

// The warm-up of a stage has `lead` forward passes for each stage after it.
TESSERA_INLINE Schedule one_f_one_b_with(ScheduleKind kind, std::int64_t lead, std::int64_t stages,
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

TESSERA_INLINE Schedule gpipe(std::int64_t stages, std::int64_t microbatches) {
  Schedule schedule = detail::empty_schedule(ScheduleKind::gpipe, stages, microbatches, 1);
  for (std::int64_t stage = 0; stage < stages; ++stage)
    for (const PassKind kind : {PassKind::forward, PassKind::backward})
      for (std::int64_t m = 0; m < microbatches; ++m)
        schedule.orders[static_cast<std::size_t>(stage)].push_back({kind, m, stage});
  return schedule;
}

TESSERA_INLINE Schedule one_f_one_b(std::int64_t stages, std::int64_t microbatches) {
  return detail::one_f_one_b_with(ScheduleKind::one_f_one_b, 1, stages, microbatches);
}

TESSERA_INLINE Schedule eager_one_f_one_b(std::int64_t stages, std::int64_t microbatches) {
  return detail::one_f_one_b_with(ScheduleKind::eager_one_f_one_b, 2, stages, microbatches);
}

TESSERA_INLINE Schedule interleaved(std::int64_t stages, std::int64_t microbatches,
                                    std::int64_t chunks_per_stage) {
  Schedule schedule =
      detail::empty_schedule(ScheduleKind::interleaved, stages, microbatches, chunks_per_stage);
  if (microbatches % stages != 0)
    throw InvalidArgument("interleaved schedule: " + std::to_string(microbatches) +
                          " microbatches are no multiple of " + std::to_string(stages) +
                          " stages; change one of the two numbers");
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

TESSERA_INLINE Schedule zero_bubble(std::int64_t stages, std::int64_t microbatches) {
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
