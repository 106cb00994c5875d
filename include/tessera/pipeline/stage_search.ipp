// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of stage_search.hpp.
#pragma once
#include "tessera/pipeline/stage_search.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <queue>
#include <utility>

#include "tessera/pipeline/detail/stage_sweep.hpp"

namespace tessera::pipeline {
namespace detail {

// Of two rectangles with the same bound the later one goes first: it is the smaller one.
struct OpenRectangle {
  Wide bound;
  std::uint64_t number;
  Rectangle rectangle;
  friend bool operator<(const OpenRectangle& a, const OpenRectangle& b) noexcept {
    return a.bound != b.bound ? a.bound > b.bound : a.number < b.number;
  }
};

// A search, with its incumbent and its proof.
template<class Sum>
struct StageSearch {
  const StageProblem& problem;
  const StageSearchOptions& options;
  Weights weights;
  StageAnswer answer;
  LeastSizes least;
  FreeSums<Sum> free;
  Candidates candidates;
  StageSweep<Sum> sweep;
  std::priority_queue<OpenRectangle> open;
  std::uint64_t pushed = 0;
  Cost least_period = 0, stride = 0, slowest_kept = infinite;

  StageSearch(const StageProblem& of, const StageSearchOptions& by)
      : problem(of),
        options(by),
        weights(weights_of(of, by.goal)),
        least(of),
        free(of),
        candidates(of),
        sweep(of, least, free, answer.statistics, options.is_over) {}
};

template<class Sum>
void push(StageSearch<Sum>& search, const Rectangle& rectangle) {
  if (rectangle.from.period > rectangle.to.period ||
      rectangle.from.per_step > rectangle.to.per_step)
    return;
  search.open.push({bound_of(rectangle, search.weights), search.pushed++, rectangle});
}
template<class Sum>
void close(StageSearch<Sum>& search, const Rectangle& rectangle) {
  if (rectangle.from.period <= rectangle.to.period &&
      rectangle.from.per_step <= rectangle.to.per_step)
    search.answer.proof.push_back(rectangle);
}

// Everything, but for periods so small that there are not devices enough.
template<class Sum>
void open_all(StageSearch<Sum>& search) {
  Thresholds most;
  for (std::size_t last = 0; last < search.problem.layers(); ++last)
    for (std::size_t first = 0; first <= last; ++first)
      for (const StageProblem::Entry& entry : search.problem.entries(first, last)) {
        most.period = std::max(most.period, entry.option.period());
        most.per_step = std::max(most.per_step, entry.option.per_step);
      }
  search.least_period = find_least_period(search, most.period);
  close(search, {{0, 0}, {search.least_period - 1, most.per_step}, std::nullopt});
  push(search, {{search.least_period, 0}, most, Wide(search.free.before.back())});
}
// The least threshold for which layers do not need more devices than there are, whichever they
// are; one more than `most` where there is none.
template<class Sum>
Cost find_least_period(const StageSearch<Sum>& search, Cost most) {
  const auto is_enough = [&](Cost period) {
    return needs_of(search.problem, search.least, period).before.back() <= search.problem.devices();
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

template<class Sum>
bool is_close_enough(const StageSearch<Sum>& search, Wide bound) {
  if (!search.answer.is_feasible) return false;
  if (bound >= search.answer.cost) return true;
  return static_cast<double>(search.answer.cost - bound) <=
         search.options.gap * static_cast<double>(bound);
}

// Closes the part of a rectangle that can not beat the incumbent.  Returns whether any is left.
template<class Sum>
bool cap(StageSearch<Sum>& search, Rectangle& rectangle) {
  if (!search.answer.is_feasible) return true;
  // From `from` on, how far one threshold may rise before the bound reaches the incumbent's cost.
  const Wide spare = search.answer.cost - 1 - bound_of(rectangle, search.weights);
  if (spare < 0) {
    close(search, rectangle);
    return false;
  }
  cap(search, rectangle, &Thresholds::period, search.weights.period, spare);
  cap(search, rectangle, &Thresholds::per_step, search.weights.per_step, spare);
  return true;
}
template<class Sum>
void cap(StageSearch<Sum>& search, Rectangle& rectangle, Cost Thresholds::*axis,
         std::int64_t weight, Wide spare) {
  if (weight == 0 || rectangle.to.*axis - rectangle.from.*axis <= spare / weight) return;
  Rectangle beyond = rectangle;
  rectangle.to.*axis = rectangle.from.*axis + static_cast<Cost>(spare / weight);
  beyond.from.*axis = rectangle.to.*axis + 1;
  close(search, beyond);
}

// Asks for the least sum somewhere in a rectangle, and pushes what that leaves open.
template<class Sum>
void split(StageSearch<Sum>& search, const Rectangle& rectangle) {
  Cost Thresholds::*const axis = axis_to_split(search, rectangle);
  Rectangle low = rectangle, high = rectangle;
  low.to.*axis = place_to_split(search, rectangle, axis);
  high.from.*axis = low.to.*axis + 1;
  push(search, high);

  const std::optional<Wide> cutoff = cutoff_of(search, low);
  const std::optional<Stages> stages =
      search.sweep.least_sum(search.candidates, low.to, cutoff.value_or(unreached<Wide>()));
  if (search.sweep.was_stopped()) return push(search, low);
  if (!stages) {
    low.latency_at_least = cutoff;
    return close(search, low);
  }
  const StageValue value = evaluate(search.problem, *stages);
  low.latency_at_least = value.latency;
  // Every choice that is as slow as these stages in both respects costs as much as they do.
  Rectangle faster = low, lighter = low, rest = low;
  faster.to.period = std::min(low.to.period, value.largest_period - 1);
  lighter.from.period = rest.from.period = std::max(low.from.period, value.largest_period);
  lighter.to.per_step = std::min(low.to.per_step, value.largest_per_step - 1);
  rest.from.per_step = std::max(low.from.per_step, value.largest_per_step);
  close(search, rest);
  push(search, faster);
  push(search, lighter);
  offer(search, *stages, value);
}

template<class Sum>
Cost Thresholds::*axis_to_split(const StageSearch<Sum>& search, const Rectangle& rectangle) {
  const Wide wide = Wide(rectangle.to.period - rectangle.from.period) * search.weights.period;
  const Wide high = Wide(rectangle.to.per_step - rectangle.from.per_step) * search.weights.per_step;
  return wide >= high ? &Thresholds::period : &Thresholds::per_step;
}
// In the middle.  Before anything is found, though, near the lower end, and then farther and
// farther up: infeasibility is found out fast there, since hardly a choice is left.
template<class Sum>
Cost place_to_split(StageSearch<Sum>& search, const Rectangle& rectangle, Cost Thresholds::*axis) {
  const Cost from = rectangle.from.*axis, to = rectangle.to.*axis;
  const bool is_period = axis == &Thresholds::period;
  if ((is_period ? search.weights.period : search.weights.per_step) == 0) return to;
  if (!search.answer.is_feasible && is_period) {
    constexpr Cost growth = 4;
    if (search.stride == 0) search.stride = std::max<Cost>(1, from / 64);
    const Cost place = to - from <= search.stride ? to : from + search.stride;
    search.stride = search.stride > infinite / growth ? infinite : search.stride * growth;
    return place;
  }
  return from + (to - from) / 2;
}

// A sum of latencies from which on nothing in the rectangle beats the incumbent.
template<class Sum>
std::optional<Wide> cutoff_of(const StageSearch<Sum>& search, const Rectangle& rectangle) {
  if (!search.answer.is_feasible || search.weights.latency == 0) return std::nullopt;
  return search.answer.cost - Wide(rectangle.from.period) * search.weights.period -
         Wide(rectangle.from.per_step) * search.weights.per_step;
}

template<class Sum>
void offer(StageSearch<Sum>& search, const Stages& stages, const StageValue& value) {
  const Wide cost = weighted(value, search.weights);
  if (search.answer.is_feasible && cost >= search.answer.cost) return;
  search.answer.is_feasible = true;
  search.answer.stages = stages;
  search.answer.value = value;
  search.answer.cost = cost;
  drop_useless_candidates(search);
}

// Drops entries that no sweep can use from now on, so that no claim changes: they are too slow,
// or their latency alone reaches every cutoff, or the other layers need the devices to keep
// within the periods that are still of interest.
template<class Sum>
void drop_useless_candidates(StageSearch<Sum>& search) {
  const Wide spare = search.answer.cost - 1 -
                     Wide(search.free.before.back()) * search.weights.latency;
  const Cost slowest =
      search.weights.period == 0
          ? infinite
          : static_cast<Cost>(std::clamp<Wide>(spare / search.weights.period, 0, infinite));
  if (slowest > search.slowest_kept - search.slowest_kept / 8) return;  // hardly any would go
  search.slowest_kept = slowest;
  const Wide most_latency = search.answer.cost - Wide(search.least_period) * search.weights.period;
  const Needs needs = needs_of(search.problem, search.least, slowest);
  search.candidates.filter([&](std::size_t first, std::size_t last,
                               const StageProblem::Entry& entry) {
    const Wide latency = Wide(search.free.before[first]) + entry.option.latency() +
                         search.free.after[last + 1];
    const Extent devices = needs.before[first] + search.problem.sizes()[entry.size] +
                           needs.after[last + 1];
    return entry.option.period() <= slowest && latency * search.weights.latency < most_latency &&
           devices <= search.problem.devices();
  });
}

// Records the rectangles that are still open with the bound that they have.
template<class Sum>
void finish(StageSearch<Sum>& search) {
  for (; !search.open.empty(); search.open.pop()) close(search, search.open.top().rectangle);
  std::optional<Wide> least;
  if (search.answer.is_feasible) least = search.answer.cost;
  for (const Rectangle& rectangle : search.answer.proof)
    if (rectangle.latency_at_least)
      least = std::min(least.value_or(unreached<Wide>()), bound_of(rectangle, search.weights));
  search.answer.lower_bound = least.value_or(0);
}

template<class Sum>
StageAnswer searched(const StageProblem& problem, const StageSearchOptions& options) {
  StageSearch<Sum> search(problem, options);
  open_all(search);
  while (!search.open.empty()) {
    Rectangle rectangle = search.open.top().rectangle;
    if (is_close_enough(search, search.open.top().bound)) break;
    search.answer.is_cut_short = search.sweep.is_over();
    if (search.answer.is_cut_short) break;
    search.open.pop();
    if (!cap(search, rectangle)) continue;
    split(search, rectangle);
  }
  finish(search);
  return std::move(search.answer);
}

// Whether every sum of latencies is far from the end of 64 bits.
TESSERA_INLINE bool sums_fit_in_64_bits(const StageProblem& problem) {
  Cost most = 0;
  for (std::size_t last = 0; last < problem.layers(); ++last)
    for (std::size_t first = 0; first <= last; ++first)
      for (const StageProblem::Entry& entry : problem.entries(first, last))
        most = std::max(most, entry.option.latency());
  return Wide(most) * static_cast<Wide>(problem.layers() + 1) < unreached<std::int64_t>();
}

}  // namespace detail

TESSERA_INLINE StageAnswer find_stages(const StageProblem& problem,
                                       const StageSearchOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  StageAnswer answer = detail::sums_fit_in_64_bits(problem)
                           ? detail::searched<std::int64_t>(problem, options)
                           : detail::searched<Wide>(problem, options);
  answer.statistics.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return answer;
}

}  // namespace tessera::pipeline
