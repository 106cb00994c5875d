// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of stage_proof.hpp.
#pragma once
#include "tessera/pipeline/stage_proof.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace tessera::pipeline {
namespace detail {

// A point that no rectangle contains.  It is enough to look where rectangles begin or end.
TESSERA_INLINE std::optional<Thresholds> find_hole(const StageProof& proof, Thresholds most) {
  std::vector<Cost> periods{0}, per_steps{0};
  for (const Rectangle& r : proof) {
    periods.push_back(r.from.period);
    per_steps.push_back(r.from.per_step);
    if (r.to.period < most.period) periods.push_back(r.to.period + 1);
    if (r.to.per_step < most.per_step) per_steps.push_back(r.to.per_step + 1);
  }
  for (const Cost period : periods)
    for (const Cost per_step : per_steps) {
      const auto contains = [&](const Rectangle& r) {
        return r.from.period <= period && period <= r.to.period && r.from.per_step <= per_step &&
               per_step <= r.to.per_step;
      };
      if (period <= most.period && per_step <= most.per_step &&
          std::none_of(proof.begin(), proof.end(), contains))
        return Thresholds{period, per_step};
    }
  return std::nullopt;
}

// Sums by the first layer that is covered, and by the devices that are used, exactly.
using PlainSums = std::vector<std::vector<std::optional<Wide>>>;

// The least sums over one stage more than `others` has, whose first stage has so many successors.
TESSERA_INLINE PlainSums with_one_more_stage(const StageProblem& problem, Thresholds limits,
                                             std::int64_t successors, const PlainSums& others) {
  const auto devices = static_cast<std::size_t>(problem.devices());
  PlainSums sums(problem.layers() + 1, std::vector<std::optional<Wide>>(devices + 1));
  for (std::size_t first = 0; first < problem.layers(); ++first)
    for (std::size_t last = first; last < problem.layers(); ++last)
      for (const StageProblem::Entry& entry : problem.entries(first, last)) {
        const StageOption& option = entry.option;
        if (option.max_successors < successors || option.period() > limits.period ||
            option.per_step > limits.per_step)
          continue;
        const auto size = static_cast<std::size_t>(problem.sizes()[entry.size]);
        for (std::size_t d = size; d <= devices; ++d) {
          const std::optional<Wide>& rest = others[last + 1][d - size];
          if (!rest) continue;
          std::optional<Wide>& sum = sums[first][d];
          const Wide candidate = *rest + option.latency();
          if (!sum || candidate < *sum) sum = candidate;
        }
      }
  return sums;
}

TESSERA_INLINE Thresholds largest_thresholds(const StageProblem& problem) {
  Thresholds most;
  for (std::size_t last = 0; last < problem.layers(); ++last)
    for (std::size_t first = 0; first <= last; ++first)
      for (const StageProblem::Entry& entry : problem.entries(first, last)) {
        most.period = std::max(most.period, entry.option.period());
        most.per_step = std::max(most.per_step, entry.option.per_step);
      }
  return most;
}

}  // namespace detail

TESSERA_INLINE std::optional<Wide> plain_least_sum(const StageProblem& problem, Thresholds limits) {
  const std::size_t layers = problem.layers();
  const auto devices = static_cast<std::size_t>(problem.devices());
  detail::PlainSums sums(layers + 1, std::vector<std::optional<Wide>>(devices + 1));
  sums[layers][0] = 0;  // no stages, no layers, no devices
  std::optional<Wide> least;
  for (std::int64_t successors = 0; successors < static_cast<std::int64_t>(layers); ++successors) {
    sums = detail::with_one_more_stage(problem, limits, successors, sums);
    const std::optional<Wide>& all = sums[0][devices];
    if (all && (!least || *all < *least)) least = all;
  }
  return least;
}

TESSERA_INLINE StageVerdict check_stage_proof(const StageProblem& problem, Goal goal,
                                              const StageProof& proof) {
  if (const auto hole = detail::find_hole(proof, detail::largest_thresholds(problem)))
    return {"no rectangle contains period " + std::to_string(hole->period) + ", per step " +
                std::to_string(hole->per_step),
            std::nullopt};
  StageVerdict verdict;
  std::vector<std::pair<Thresholds, std::optional<Wide>>> known;  // many rectangles share an end
  for (const Rectangle& rectangle : proof) {
    auto found = std::find_if(known.begin(), known.end(),
                              [&](const auto& pair) { return pair.first == rectangle.to; });
    if (found == known.end())
      found = known.insert(known.end(), {rectangle.to, plain_least_sum(problem, rectangle.to)});
    const std::optional<Wide>& least = found->second;
    if (!least) continue;  // no stages within it, whatever it claims
    if (!rectangle.latency_at_least || *least < *rectangle.latency_at_least)
      return {"within period " + std::to_string(rectangle.to.period) + ", per step " +
                  std::to_string(rectangle.to.per_step) + " there are stages with a sum of " +
                  tessera::to_string(*least),
              std::nullopt};
    const Wide bound = bound_of(rectangle, weights_of(problem, goal));
    if (!verdict.lower_bound || bound < *verdict.lower_bound) verdict.lower_bound = bound;
  }
  return verdict;
}

}  // namespace tessera::pipeline
