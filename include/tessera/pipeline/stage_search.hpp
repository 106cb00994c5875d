// SPDX-License-Identifier: Apache-2.0
//
// The best choice of stages, with a proof that it is the best.
//
// What makes the choice hard is the largest period: it belongs to no single stage.  Fix a threshold
// for it and the rest is a dynamic program, so Alpa runs one for every value that the threshold can
// have, up to a million of them.  But the least sum only falls as the threshold rises.  So the sum
// at the upper end of an interval of thresholds, with the threshold at its lower end, bounds every
// choice in the interval from below; and what is found at the upper end has a largest period of its
// own, down to which nothing needs to be asked again.  We keep a queue of intervals, split the one
// with the least bound, and drop those that can not beat what has been found: a few dozen dynamic
// programs where there were a million, and each narrowed by the cutoff (stage_sweep.hpp).
//
// The largest per_step is a second such threshold, so intervals are in fact rectangles.
//
// No value is skipped for being close to another, all sums are exact, and zero is a time like any
// other.  Every dropped rectangle is written down with the reason: stage_proof.hpp checks the list.
// Rectangles that are still open when a search is told to end stand in it with what is known of
// them, so that its bound holds as well.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <queue>
#include <vector>

#include "tessera/pipeline/stage_problem.hpp"
#include "tessera/pipeline/stage_sweep.hpp"

namespace tessera::pipeline {

// All choices with a largest period and a largest per_step from `from` to `to`, both included; and
// the claim that no stages within `to` have a smaller sum of latencies than this, or that there are
// no such stages at all.
struct Rectangle {
  Thresholds from, to;
  std::optional<Wide> latency_at_least;  // nothing: no stages
};

// Rectangles that cover all choices.  The least bound among them is a lower bound on any.
using StageProof = std::vector<Rectangle>;

// What the claim of a rectangle with stages says of the weighted value of a choice in it.
constexpr Wide bound_of(const Rectangle& rectangle, const Weights& weights) noexcept {
  return rectangle.latency_at_least.value_or(0) * weights.latency +
         Wide(rectangle.from.period) * weights.period +
         Wide(rectangle.from.per_step) * weights.per_step;
}

struct StageSearchOptions {
  Goal goal = Goal::step_time;
  double gap =
      0;  // stop where the cost is at most so much above the bound, as a share of the bound
  // Asked often, within sweeps too: whether to end with the best that there is.  Unset: never.
  std::function<bool()> is_over = {};
};

struct StageAnswer {
  bool is_feasible = false;  // the next three are meaningful only then
  Stages stages;
  StageValue value;
  Wide cost = 0;  // the step's time; for throughput, the largest period
  // No choice costs less; equal to cost unless a gap was asked for, or the search ended early.
  Wide lower_bound = 0;
  bool is_cut_short = false;  // by is_over(); where nothing is feasible, it is not known what is
  StageProof proof;           // of the lower bound, or of infeasibility
  StageStatistics statistics;
};

namespace detail {

template<class Sum>
class StageSearch {
 public:
  StageSearch(const StageProblem& problem, const StageSearchOptions& options)
      : problem_(problem),
        options_(options),
        weights_(weights_of(problem, options.goal)),
        least_(problem),
        free_(problem),
        candidates_(problem),
        sweep_(problem, least_, free_, answer_.statistics, options_.is_over) {}

  StageAnswer run() {
    open_all();
    while (!open_.empty()) {
      Rectangle rectangle = open_.top().rectangle;
      if (is_close_enough(open_.top().bound)) break;
      answer_.is_cut_short = sweep_.is_over();
      if (answer_.is_cut_short) break;
      open_.pop();
      if (!cap(rectangle)) continue;
      split(rectangle);
    }
    finish();
    return std::move(answer_);
  }

 private:
  // Of two rectangles with the same bound the later one goes first: it is the smaller one.
  struct Open {
    Wide bound;
    std::uint64_t number;
    Rectangle rectangle;
    friend bool operator<(const Open& a, const Open& b) noexcept {
      return a.bound != b.bound ? a.bound > b.bound : a.number < b.number;
    }
  };

  void push(const Rectangle& rectangle) {
    if (rectangle.from.period > rectangle.to.period ||
        rectangle.from.per_step > rectangle.to.per_step)
      return;
    open_.push({bound_of(rectangle, weights_), pushed_++, rectangle});
  }
  void close(const Rectangle& rectangle) {
    if (rectangle.from.period <= rectangle.to.period &&
        rectangle.from.per_step <= rectangle.to.per_step)
      answer_.proof.push_back(rectangle);
  }

  // Everything, but for periods so small that there are not devices enough.
  void open_all() {
    Thresholds most;
    for (std::size_t last = 0; last < problem_.layers(); ++last)
      for (std::size_t first = 0; first <= last; ++first)
        for (const StageProblem::Entry& entry : problem_.entries(first, last)) {
          most.period = std::max(most.period, entry.option.period());
          most.per_step = std::max(most.per_step, entry.option.per_step);
        }
    least_period_ = least_period(most.period);
    close({{0, 0}, {least_period_ - 1, most.per_step}, std::nullopt});
    push({{least_period_, 0}, most, Wide(free_.before.back())});
  }
  // The least threshold for which layers do not need more devices than there are, whichever they
  // are; one more than `most` where there is none.
  Cost least_period(Cost most) const {
    const auto is_enough = [&](Cost period) {
      return needs_of(problem_, least_, period).before.back() <= problem_.devices();
    };
    Cost low = 0, high = most + 1;  // is_enough(high), or high is past the end
    while (low < high) {
      const Cost middle = low + (high - low) / 2;
      if (middle <= most && !is_enough(middle))
        low = middle + 1;
      else
        high = middle;
    }
    return low <= most && is_enough(low) ? low : most + 1;
  }

  bool is_close_enough(Wide bound) const {
    if (!answer_.is_feasible) return false;
    if (bound >= answer_.cost) return true;
    return static_cast<double>(answer_.cost - bound) <= options_.gap * static_cast<double>(bound);
  }

  // Closes the part of a rectangle that can not beat the incumbent.  Returns whether any is left.
  bool cap(Rectangle& rectangle) {
    if (!answer_.is_feasible) return true;
    // From `from` on, how far one threshold may rise before the bound reaches the incumbent's cost.
    const Wide spare = answer_.cost - 1 - bound_of(rectangle, weights_);
    if (spare < 0) {
      close(rectangle);
      return false;
    }
    cap(rectangle, &Thresholds::period, weights_.period, spare);
    cap(rectangle, &Thresholds::per_step, weights_.per_step, spare);
    return true;
  }
  void cap(Rectangle& rectangle, Cost Thresholds::*axis, std::int64_t weight, Wide spare) {
    if (weight == 0 || rectangle.to.*axis - rectangle.from.*axis <= spare / weight) return;
    Rectangle beyond = rectangle;
    rectangle.to.*axis = rectangle.from.*axis + static_cast<Cost>(spare / weight);
    beyond.from.*axis = rectangle.to.*axis + 1;
    close(beyond);
  }

  // Asks for the least sum somewhere in a rectangle, and pushes what that leaves open.
  void split(const Rectangle& rectangle) {
    Cost Thresholds::*const axis = axis_to_split(rectangle);
    Rectangle low = rectangle, high = rectangle;
    low.to.*axis = place_to_split(rectangle, axis);
    high.from.*axis = low.to.*axis + 1;
    push(high);

    const std::optional<Wide> cutoff = cutoff_of(low);
    const std::optional<Stages> stages =
        sweep_.least_sum(candidates_, low.to, cutoff.value_or(unreached<Wide>()));
    if (sweep_.was_cut_short()) return push(low);
    if (!stages) {
      low.latency_at_least = cutoff;
      return close(low);
    }
    const StageValue value = evaluate(problem_, *stages);
    low.latency_at_least = value.latency;
    // Whatever is as slow as these stages in both respects costs as much as they do.
    Rectangle faster = low, lighter = low, rest = low;
    faster.to.period = std::min(low.to.period, value.largest_period - 1);
    lighter.from.period = rest.from.period = std::max(low.from.period, value.largest_period);
    lighter.to.per_step = std::min(low.to.per_step, value.largest_per_step - 1);
    rest.from.per_step = std::max(low.from.per_step, value.largest_per_step);
    close(rest);
    push(faster);
    push(lighter);
    offer(*stages, value);
  }

  Cost Thresholds::*axis_to_split(const Rectangle& rectangle) const {
    const Wide wide = Wide(rectangle.to.period - rectangle.from.period) * weights_.period;
    const Wide high = Wide(rectangle.to.per_step - rectangle.from.per_step) * weights_.per_step;
    return wide >= high ? &Thresholds::period : &Thresholds::per_step;
  }
  // In the middle.  Before anything is found, though, near the lower end, and then farther and
  // farther up: what is infeasible there is found out fast, since hardly a choice is left.
  Cost place_to_split(const Rectangle& rectangle, Cost Thresholds::*axis) {
    const Cost from = rectangle.from.*axis, to = rectangle.to.*axis;
    const bool is_period = axis == &Thresholds::period;
    if ((is_period ? weights_.period : weights_.per_step) == 0) return to;
    if (!answer_.is_feasible && is_period) {
      constexpr Cost growth = 4;
      if (stride_ == 0) stride_ = std::max<Cost>(1, from / 64);
      const Cost place = to - from <= stride_ ? to : from + stride_;
      stride_ = stride_ > infinite / growth ? infinite : stride_ * growth;
      return place;
    }
    return from + (to - from) / 2;
  }

  // A sum of latencies from which on nothing in the rectangle beats the incumbent.
  std::optional<Wide> cutoff_of(const Rectangle& rectangle) const {
    if (!answer_.is_feasible || weights_.latency == 0) return std::nullopt;
    return answer_.cost - Wide(rectangle.from.period) * weights_.period -
           Wide(rectangle.from.per_step) * weights_.per_step;
  }

  void offer(const Stages& stages, const StageValue& value) {
    const Wide cost = weighted(value, weights_);
    if (answer_.is_feasible && cost >= answer_.cost) return;
    answer_.is_feasible = true;
    answer_.stages = stages;
    answer_.value = value;
    answer_.cost = cost;
    forget_what_is_too_dear();
  }

  // Entries that no sweep can use from now on, so that no claim changes: they are too slow, or
  // their latency alone reaches every cutoff, or with the periods that are still of interest the
  // others need the devices.
  void forget_what_is_too_dear() {
    const Wide spare = answer_.cost - 1 - Wide(free_.before.back()) * weights_.latency;
    const Cost slowest = weights_.period == 0 ? infinite
                                              : static_cast<Cost>(std::clamp<Wide>(
                                                    spare / weights_.period, 0, infinite));
    if (slowest > slowest_kept_ - slowest_kept_ / 8) return;  // hardly any would go
    slowest_kept_ = slowest;
    const Wide most_latency = answer_.cost - Wide(least_period_) * weights_.period;
    const Needs needs = needs_of(problem_, least_, slowest);
    candidates_.filter([&](std::size_t first, std::size_t last, const StageProblem::Entry& entry) {
      const Wide latency = Wide(free_.before[first]) + entry.option.latency() +
                           free_.after[last + 1];
      const Extent devices = needs.before[first] + problem_.sizes()[entry.size] +
                             needs.after[last + 1];
      return entry.option.period() <= slowest && latency * weights_.latency < most_latency &&
             devices <= problem_.devices();
    });
  }

  // What is still open stands in the proof with the bound it has.
  void finish() {
    for (; !open_.empty(); open_.pop()) close(open_.top().rectangle);
    std::optional<Wide> least;
    if (answer_.is_feasible) least = answer_.cost;
    for (const Rectangle& rectangle : answer_.proof)
      if (rectangle.latency_at_least)
        least = std::min(least.value_or(unreached<Wide>()), bound_of(rectangle, weights_));
    answer_.lower_bound = least.value_or(0);
  }

  const StageProblem& problem_;
  StageSearchOptions options_;
  Weights weights_;
  StageAnswer answer_;
  LeastSizes least_;
  FreeSums<Sum> free_;
  Candidates candidates_;
  StageSweep<Sum> sweep_;
  std::priority_queue<Open> open_;
  std::uint64_t pushed_ = 0;
  Cost least_period_ = 0, stride_ = 0, slowest_kept_ = infinite;
};

// Whether every sum of latencies is far from the end of 64 bits.
inline bool sums_fit_in_64_bits(const StageProblem& problem) {
  Cost most = 0;
  for (std::size_t last = 0; last < problem.layers(); ++last)
    for (std::size_t first = 0; first <= last; ++first)
      for (const StageProblem::Entry& entry : problem.entries(first, last))
        most = std::max(most, entry.option.latency());
  return Wide(most) * static_cast<Wide>(problem.layers() + 1) < unreached<std::int64_t>();
}

}  // namespace detail

// The best stages for a problem, or the best by the time that options.is_over() ends the search:
// within part of a row of a sweep.  Never fails but for want of memory; an infeasible problem is an
// answer.  Repeats itself: the same problem has the same answer, stages included.
//
// Time: a sweep for each threshold asked about, usually a few dozen (stage_sweep.hpp has what one
// costs; what is left of it after the cutoff depends on the times and is counted in statistics).
// Memory: that of the problem once more, and layers * devices sums; layers^2 * devices sums at
// worst where memory limits bind.
inline StageAnswer find_stages(const StageProblem& problem,
                               const StageSearchOptions& options = {}) {
  const auto start = std::chrono::steady_clock::now();
  StageAnswer answer = detail::sums_fit_in_64_bits(problem)
                           ? detail::StageSearch<std::int64_t>(problem, options).run()
                           : detail::StageSearch<Wide>(problem, options).run();
  answer.statistics.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return answer;
}

}  // namespace tessera::pipeline
