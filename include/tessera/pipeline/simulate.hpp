// SPDX-License-Identifier: Apache-2.0
//
// Plays a schedule: what begins when, how long a step takes, how much of it is bubble, and what
// each stage holds at most.
//
// A stage runs its passes in its order, each as soon as what it waits for has arrived.  Transfers
// run beside computing: between two neighbouring chunks there is a link for each direction, which
// carries one transfer at a time, first come, first served.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/pipeline/schedule.hpp"

namespace tessera::pipeline {

// What one microbatch takes on a chunk.  None is negative.
struct ChunkTimes {
  Cost forward = 0;
  Cost input_backward = 0, weight_backward = 0;  // a backward pass takes their sum
  Cost send_forward = 0;                         // to the chunk after it
  Cost send_backward = 0;                        // to the chunk before it
  std::int64_t bytes = 0;  // from the beginning of its forward to the end of its last backward pass
};

struct Event {
  Pass pass;
  Cost begin = 0, end = 0;
};

struct Timeline {
  std::vector<std::vector<Event>> stages;  // in order of time
  std::vector<std::vector<Event>> links;   // forward ones out of each chunk, then backward ones
  Cost step_time = 0;
  std::vector<std::int64_t> peak_in_flight;  // per stage: microbatches, one for each chunk it is in
  std::vector<std::int64_t> peak_bytes;      // per stage, without what does not change

  // Time that stages are idle in, of all the time they have: `idle` of `total`.
  Wide idle = 0, total = 0;
  double bubble() const noexcept {
    return total == 0 ? 0 : static_cast<double>(idle) / static_cast<double>(total);
  }
};

namespace detail {

class Simulation {
 public:
  Simulation(const Schedule& schedule, const std::vector<ChunkTimes>& times)
      : schedule_(schedule), times_(times) {
    if (static_cast<std::int64_t>(times.size()) != schedule.chunks)
      throw InvalidArgument("simulate: times of " + std::to_string(times.size()) +
                                  " chunks for a schedule of " + std::to_string(schedule.chunks));
    for (std::size_t chunk = 0; chunk < times.size(); ++chunk) {
      const ChunkTimes& t = times[chunk];
      if (std::min({t.forward, t.input_backward, t.weight_backward, t.send_forward, t.send_backward,
                    Cost{t.bytes}}) < 0)
        throw InvalidArgument("simulate: chunk " + std::to_string(chunk) +
                                    " has a negative time or size");
    }
    const std::size_t count = times.size() * static_cast<std::size_t>(schedule.microbatches);
    forward_arrives_.assign(count, infinite);
    backward_arrives_.assign(count, infinite);
    for (std::int64_t m = 0; m < schedule.microbatches; ++m) forward_arrives_[number(0, m)] = 0;
    timeline_.stages.resize(schedule.orders.size());
    timeline_.links.resize(2 * times.size());
    next_.assign(schedule.orders.size(), 0);
  }

  Timeline run() {
    // A stage that has been stopped is looked at again when something has arrived for it.
    std::vector<std::size_t> to_look_at;
    for (std::size_t stage = 0; stage < next_.size(); ++stage) to_look_at.push_back(stage);
    while (!to_look_at.empty()) {
      const std::size_t stage = to_look_at.back();
      to_look_at.pop_back();
      advance(stage, to_look_at);
    }
    for (std::size_t stage = 0; stage < next_.size(); ++stage)
      if (next_[stage] < schedule_.orders[stage].size()) refuse(stage);
    add_up();
    return std::move(timeline_);
  }

 private:
  std::size_t number(std::int64_t chunk, std::int64_t microbatch) const noexcept {
    return static_cast<std::size_t>(chunk * schedule_.microbatches + microbatch);
  }
  const ChunkTimes& times_of(const Pass& pass) const noexcept {
    return times_[static_cast<std::size_t>(pass.chunk)];
  }
  Cost duration(const Pass& pass) const noexcept {
    const ChunkTimes& times = times_of(pass);
    switch (pass.kind) {
      case PassKind::forward: return times.forward;
      case PassKind::backward: return saturating_add(times.input_backward, times.weight_backward);
      case PassKind::input_backward: return times.input_backward;
      case PassKind::weight_backward: return times.weight_backward;
    }
    return 0;
  }
  // When a pass may begin at the earliest; infinite where that is not known yet.  What a pass needs
  // of its own stage comes before it in the stage's order, or the order is wrong.
  Cost ready(const Pass& pass) const {
    const std::size_t i = number(pass.chunk, pass.microbatch);
    if (pass.kind == PassKind::forward) return forward_arrives_[i];
    return pass.kind == PassKind::weight_backward ? 0 : backward_arrives_[i];
  }

  void advance(std::size_t stage, std::vector<std::size_t>& to_look_at) {
    const std::vector<Pass>& order = schedule_.orders[stage];
    std::vector<Event>& events = timeline_.stages[stage];
    for (; next_[stage] < order.size(); ++next_[stage]) {
      const Pass& pass = order[next_[stage]];
      const Cost arrived = ready(pass);
      if (!is_finite(arrived)) return;
      const Cost begin = std::max(arrived, events.empty() ? Cost{0} : events.back().end);
      const Cost end = saturating_add(begin, duration(pass));
      if (!is_finite(end)) throw InvalidArgument("simulate: the step is too long to be told");
      events.push_back({pass, begin, end});
      hand_on(pass, end, to_look_at);
    }
  }
  void hand_on(const Pass& pass, Cost end, std::vector<std::size_t>& to_look_at) {
    const bool is_last = pass.chunk + 1 == schedule_.chunks;
    if (pass.kind == PassKind::forward) {
      if (is_last)
        backward_arrives_[number(pass.chunk, pass.microbatch)] = end;
      else
        send(pass, pass.chunk + 1, end, to_look_at);
    } else if (pass.kind != PassKind::weight_backward && pass.chunk > 0) {
      send(pass, pass.chunk - 1, end, to_look_at);
    }
  }
  void send(const Pass& pass, std::int64_t to, Cost from, std::vector<std::size_t>& to_look_at) {
    const bool is_forward = pass.kind == PassKind::forward;
    const ChunkTimes& times = times_of(pass);
    const auto chunk = static_cast<std::size_t>(pass.chunk);
    std::vector<Event>& link = timeline_.links[is_forward ? chunk : times_.size() + chunk];
    const Cost begin = std::max(from, link.empty() ? Cost{0} : link.back().end);
    const Cost end = saturating_add(begin, is_forward ? times.send_forward : times.send_backward);
    link.push_back({pass, begin, end});
    (is_forward ? forward_arrives_ : backward_arrives_)[number(to, pass.microbatch)] = end;
    to_look_at.push_back(static_cast<std::size_t>(schedule_.stage_of(to)));
  }

  [[noreturn]] void refuse(std::size_t stage) const {
    const Pass& pass = schedule_.orders[stage][next_[stage]];
    throw InvalidArgument("simulate: stage " + std::to_string(stage) +
                                " waits for ever for " + to_string(pass.kind) + " of microbatch " +
                                std::to_string(pass.microbatch) + ", chunk " +
                                std::to_string(pass.chunk));
  }

  void add_up() {
    Wide busy = 0;
    for (const std::vector<Event>& events : timeline_.stages) {
      std::int64_t count = 0, bytes = 0, most = 0, most_bytes = 0;
      for (const Event& event : events) {
        busy += event.end - event.begin;
        timeline_.step_time = std::max(timeline_.step_time, event.end);
        const bool begins = event.pass.kind == PassKind::forward;
        const bool ends = event.pass.kind == PassKind::backward ||
                          event.pass.kind == PassKind::weight_backward;
        if (begins) most = std::max(most, ++count);
        if (begins) most_bytes = std::max(most_bytes, bytes += times_of(event.pass).bytes);
        if (ends) --count;
        if (ends) bytes -= times_of(event.pass).bytes;
      }
      timeline_.peak_in_flight.push_back(most);
      timeline_.peak_bytes.push_back(most_bytes);
    }
    timeline_.total = Wide(timeline_.step_time) * schedule_.stages;
    timeline_.idle = timeline_.total - busy;
  }

  const Schedule& schedule_;
  const std::vector<ChunkTimes>& times_;
  Timeline timeline_;
  std::vector<Cost> forward_arrives_, backward_arrives_;
  std::vector<std::size_t> next_;
};

}  // namespace detail

// `times`: one entry for each chunk of the model.  Throws InvalidArgument for a schedule that
// can not run to its end, and for times that are not such.  O(stages * microbatches * chunks).
inline Timeline simulate(const Schedule& schedule, const std::vector<ChunkTimes>& times) {
  return detail::Simulation(schedule, times).run();
}

}  // namespace tessera::pipeline
