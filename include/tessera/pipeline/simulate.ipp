// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of simulate.hpp.
#pragma once
#include "tessera/pipeline/simulate.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "tessera/core/error.hpp"

namespace tessera::pipeline {
namespace detail {

// A schedule that is being run.
struct Simulation {
  const Schedule& schedule;
  const std::vector<ChunkTimes>& times;
  // When the input of a chunk's pass is there; by chunk and microbatch, infinite where it is not
  // known yet.
  std::vector<Cost> forward_arrives, backward_arrives;
  std::vector<std::size_t> next;  // by stage: its next pass
  Timeline timeline;

  std::size_t number(std::int64_t chunk, std::int64_t microbatch) const noexcept {
    return static_cast<std::size_t>(chunk * schedule.microbatches + microbatch);
  }
  const ChunkTimes& times_of(const Pass& pass) const noexcept {
    return times[static_cast<std::size_t>(pass.chunk)];
  }
};

// Stages that must be looked at again, since something has arrived for them.
using Arrivals = std::vector<std::size_t>;

TESSERA_INLINE void check_times(const Schedule& schedule, const std::vector<ChunkTimes>& times) {
  if (static_cast<std::int64_t>(times.size()) != schedule.chunks)
    throw InvalidArgument("simulate: " + std::to_string(times.size()) +
                          " chunk times were given for a schedule of " +
                          std::to_string(schedule.chunks) + " chunks; give one for each chunk");
  for (std::size_t chunk = 0; chunk < times.size(); ++chunk) {
    const ChunkTimes& t = times[chunk];
    if (std::min({t.forward, t.input_backward, t.weight_backward, t.send_forward, t.send_backward,
                  Cost{t.bytes}}) < 0)
      throw InvalidArgument("simulate: chunk " + std::to_string(chunk) +
                            " has a negative time or size");
  }
}

TESSERA_INLINE Simulation begin_simulation(const Schedule& schedule,
                                           const std::vector<ChunkTimes>& times) {
  const std::size_t count = times.size() * static_cast<std::size_t>(schedule.microbatches);
  Simulation state{schedule,
                   times,
                   std::vector<Cost>(count, infinite),
                   std::vector<Cost>(count, infinite),
                   std::vector<std::size_t>(schedule.orders.size(), 0),
                   {}};
  for (std::int64_t m = 0; m < schedule.microbatches; ++m)
    state.forward_arrives[state.number(0, m)] = 0;
  state.timeline.stages.resize(schedule.orders.size());
  state.timeline.links.resize(2 * times.size());
  return state;
}

TESSERA_INLINE Cost duration(const ChunkTimes& times, PassKind kind) noexcept {
  switch (kind) {
    case PassKind::forward: return times.forward;
    case PassKind::backward: return saturating_add(times.input_backward, times.weight_backward);
    case PassKind::input_backward: return times.input_backward;
    case PassKind::weight_backward: return times.weight_backward;
  }
  return 0;
}

// When a pass may begin at the earliest; infinite where that is not known yet.  The passes of its
// own stage that it depends on come before it in the stage's order, or the order is wrong.
TESSERA_INLINE Cost ready(const Simulation& state, const Pass& pass) {
  const std::size_t i = state.number(pass.chunk, pass.microbatch);
  if (pass.kind == PassKind::forward) return state.forward_arrives[i];
  return pass.kind == PassKind::weight_backward ? 0 : state.backward_arrives[i];
}

// Sends the result of a pass to a neighbouring chunk.
TESSERA_INLINE void send(Simulation& state, const Pass& pass, std::int64_t to, Cost from,
                         Arrivals& arrivals) {
  const bool is_forward = pass.kind == PassKind::forward;
  const ChunkTimes& times = state.times_of(pass);
  const auto chunk = static_cast<std::size_t>(pass.chunk);
  std::vector<Event>& link = state.timeline.links[is_forward ? chunk : state.times.size() + chunk];
  const Cost begin = std::max(from, link.empty() ? Cost{0} : link.back().end);
  const Cost end = saturating_add(begin, is_forward ? times.send_forward : times.send_backward);
  link.push_back({pass, begin, end});
  (is_forward ? state.forward_arrives : state.backward_arrives)[state.number(to, pass.microbatch)] =
      end;
  arrivals.push_back(static_cast<std::size_t>(state.schedule.stage_of(to)));
}

// Hands the result of a pass that ended to the chunk that needs it.
TESSERA_INLINE void deliver(Simulation& state, const Pass& pass, Cost end, Arrivals& arrivals) {
  const bool is_last = pass.chunk + 1 == state.schedule.chunks;
  if (pass.kind == PassKind::forward && is_last)
    state.backward_arrives[state.number(pass.chunk, pass.microbatch)] = end;
  else if (pass.kind == PassKind::forward)
    send(state, pass, pass.chunk + 1, end, arrivals);
  else if (pass.kind != PassKind::weight_backward && pass.chunk > 0)
    send(state, pass, pass.chunk - 1, end, arrivals);
}

// Runs the passes of a stage up to the first one whose input is missing.
TESSERA_INLINE void advance(Simulation& state, std::size_t stage, Arrivals& arrivals) {
  const std::vector<Pass>& order = state.schedule.orders[stage];
  std::vector<Event>& events = state.timeline.stages[stage];
  for (std::size_t& next = state.next[stage]; next < order.size(); ++next) {
    const Pass& pass = order[next];
    const Cost arrived = ready(state, pass);
    if (!is_finite(arrived)) return;
    const Cost begin = std::max(arrived, events.empty() ? Cost{0} : events.back().end);
    const Cost end = saturating_add(begin, duration(state.times_of(pass), pass.kind));
    if (!is_finite(end))
      throw InvalidArgument("simulate: the step takes longer than a 64-bit time can say");
    events.push_back({pass, begin, end});
    deliver(state, pass, end, arrivals);
  }
}

// Throws where a stage could not run all of its passes.
TESSERA_INLINE void check_all_ran(const Simulation& state) {
  for (std::size_t stage = 0; stage < state.next.size(); ++stage) {
    if (state.next[stage] == state.schedule.orders[stage].size()) continue;
    const Pass& pass = state.schedule.orders[stage][state.next[stage]];
    throw InvalidArgument("simulate: the schedule deadlocks: stage " + std::to_string(stage) +
                          " waits for ever for " + to_string(pass.kind) + " of microbatch " +
                          std::to_string(pass.microbatch) + ", chunk " +
                          std::to_string(pass.chunk));
  }
}

// Adds the peaks of one stage, from its events.
TESSERA_INLINE void add_peaks(const std::vector<Event>& events,
                              const std::vector<ChunkTimes>& times, Timeline& timeline) {
  std::int64_t count = 0, bytes = 0, most = 0, most_bytes = 0;
  for (const Event& event : events) {
    const std::int64_t of_chunk = times[static_cast<std::size_t>(event.pass.chunk)].bytes;
    const PassKind kind = event.pass.kind;
    if (kind == PassKind::forward) {
      most = std::max(most, ++count);
      most_bytes = std::max(most_bytes, bytes += of_chunk);
    } else if (kind == PassKind::backward || kind == PassKind::weight_backward) {
      --count;
      bytes -= of_chunk;
    }
  }
  timeline.peak_in_flight.push_back(most);
  timeline.peak_bytes.push_back(most_bytes);
}

TESSERA_INLINE void add_up(const Schedule& schedule, const std::vector<ChunkTimes>& times,
                           Timeline& timeline) {
  Wide busy = 0;
  for (const std::vector<Event>& events : timeline.stages) {
    for (const Event& event : events) {
      busy += event.end - event.begin;
      timeline.step_time = std::max(timeline.step_time, event.end);
    }
    add_peaks(events, times, timeline);
  }
  timeline.total = Wide(timeline.step_time) * schedule.stages;
  timeline.idle = timeline.total - busy;
}

}  // namespace detail

TESSERA_INLINE Timeline simulate(const Schedule& schedule, const std::vector<ChunkTimes>& times) {
  detail::check_times(schedule, times);
  detail::Simulation state = detail::begin_simulation(schedule, times);
  detail::Arrivals arrivals;
  for (std::size_t stage = 0; stage < state.next.size(); ++stage) arrivals.push_back(stage);
  while (!arrivals.empty()) {
    const std::size_t stage = arrivals.back();
    arrivals.pop_back();
    detail::advance(state, stage, arrivals);
  }
  detail::check_all_ran(state);
  detail::add_up(schedule, times, state.timeline);
  return std::move(state.timeline);
}

}  // namespace tessera::pipeline
