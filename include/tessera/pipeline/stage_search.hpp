// SPDX-License-Identifier: Apache-2.0
//
// The best choice of stages, with a proof that it is the best.
//
// The largest period makes the choice hard: it belongs to no single stage.  Fix a threshold for it,
// and the rest is a dynamic program; Alpa runs one for every value that the threshold can have, up
// to a million of them.  But the least sum only falls as the threshold rises.  So the sum at the
// upper end of an interval of thresholds, together with the threshold at its lower end, is a lower
// bound on every choice in the interval.  And the stages that are found at the upper end have a
// largest period of their own; no threshold between the two needs to be tried.  The search keeps a
// queue of intervals, splits the one with the least bound, and drops those that can not beat the
// incumbent: some dozens of dynamic programs where there were a million, each narrowed by the
// cutoff (detail/stage_sweep.hpp).
//
// The largest per_step is a second such threshold, so intervals are in fact rectangles.
//
// No value is skipped for being close to another, all sums are exact, and zero is a time like any
// other.  Every dropped rectangle is recorded with the reason; stage_proof.hpp checks the list.
// Rectangles that are still open when a search is ended are recorded with the bound that is
// known for them, so that the bound of the answer holds as well.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/pipeline/stage_problem.hpp"

namespace tessera::pipeline {

/// All choices with a largest period and a largest per_step from `from` to `to`, both included; and
/// the claim that no stages within `to` have a smaller sum of latencies than this, or that there
/// are no such stages at all.
struct Rectangle {
  Thresholds from, to;
  std::optional<Wide> latency_at_least;  ///< nothing: no stages
};

/// Rectangles that cover all choices.  The least bound among them is a lower bound on all choices.
using StageProof = std::vector<Rectangle>;

/// The lower bound that the claim of a rectangle with stages gives on the choices in it.
constexpr Wide bound_of(const Rectangle& rectangle, const Weights& weights) noexcept {
  return rectangle.latency_at_least.value_or(0) * weights.latency +
         Wide(rectangle.from.period) * weights.period +
         Wide(rectangle.from.per_step) * weights.per_step;
}

struct StageSearchOptions {
  Goal goal = Goal::step_time;
  /// Stop where the cost exceeds the lower bound by at most this share of the bound.
  double gap = 0;
  /// Asked often, within dynamic programs too: whether to end with the incumbent.  Unset: never.
  std::function<bool()> is_over = {};
};

struct StageAnswer {
  bool is_feasible = false;  ///< the next three are meaningful only then
  Stages stages;
  StageValue value;
  Wide cost = 0;  ///< the step's time; for throughput, the largest period
  /// No choice costs less; equal to cost unless a gap was asked for, or the search ended early.
  Wide lower_bound = 0;
  /// is_over() ended the search; then an answer that is not feasible proves nothing.
  bool is_cut_short = false;
  StageProof proof;  ///< of the lower bound, or of infeasibility
  StageStatistics statistics;
};

/// The best stages for a problem, or the incumbent when options.is_over() ends the search.
///
/// Throws only where memory runs out; an infeasible problem is an answer.  Deterministic: the same
/// problem has the same answer, stages included.
///
/// Time: a dynamic program for each threshold that is tried, usually a few dozen of them.  Each
/// takes O(layers^2 * sizes * devices) at worst; the cutoff saves most of it, and statistics count
/// the rest. Memory: that of the problem once more, and layers * devices sums; layers^2 * devices
/// sums at worst where memory limits bind.
StageAnswer find_stages(const StageProblem& problem, const StageSearchOptions& options = {});

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/stage_search.ipp"
#endif
