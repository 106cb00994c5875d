// SPDX-License-Identifier: Apache-2.0
//
// The choice of stages as an optimization problem: cut a row of layers into stages, give each stage
// a submesh, use every device.
//
// The prices of stages are known beforehand: a span of layers on a submesh has options, each with
// its times and its memory, and one option is chosen.  With B microbatches a training step takes
//
//   sum of latencies + (B - 1) * largest period + largest per_step
//
// The first microbatch passes all stages, the others follow at the pace of the slowest station, and
// the work that is done once per step (such as the reduction of gradients over data-parallel
// replicas) runs on all stages at the same time.  For inference the goal is throughput: the least
// largest period, and among those the least latency.
//
//   Alpa (OSDI 2022, section 5)              here
//   ---------------------------------------  ------------------------------------------------------
//   t_intra((o_i, ..., o_j), Mesh(n, m), s)  the options of span i..j on a submesh size
//   mem_stage + s * mem_act <= mem_device    StageOption::max_successors, from most_successors()
//   B, t_max                                 microbatches(), StageValue::largest_period
//
// Transfers between stages run beside computation, on links of their own.  So a transfer is a
// station of the pipeline like any other: it adds to the sum, and slows the others down only if it
// is the slowest.  Where a schedule makes stages wait for transfers, the wait is part of the
// stage's time instead.
//
// stage_search.hpp finds the best choice, stage_proof.hpp checks the proof that it is the best, and
// paper_stages.hpp is the algorithm of the Alpa paper.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/pipeline/in_flight.hpp"

namespace tessera::pipeline {

/// One way to run a span of layers on a submesh.  Times are in the caller's unit, finite and not
/// negative.
struct StageOption {
  Cost time = 0;      ///< one microbatch: forward and backward
  Cost receive = 0;   ///< one microbatch's transfer from the stage before, and of its gradient back
  Cost overlap = 0;   ///< of the time, the part that delays no other stage: not part of the latency
  Cost per_step = 0;  ///< once per step, after the last microbatch
  std::int64_t max_successors =
      any_successors;     ///< with more stages after it, its memory does not suffice
  std::uint32_t tag = 0;  ///< free for the caller: a plan, a view of the submesh

  constexpr Cost latency() const noexcept { return saturating_add(time, receive) - overlap; }
  constexpr Cost period() const noexcept { return time < receive ? receive : time; }
  friend constexpr bool operator==(const StageOption&, const StageOption&) noexcept = default;
};

/// A stage of an answer: layers first to last, both included, on a submesh of the size with number
/// `size`, run by that option.
struct Stage {
  std::size_t first = 0, last = 0;
  std::size_t size = 0;
  StageOption option;
};
using Stages = std::vector<Stage>;

/// Training minimizes the time of a step, inference maximizes throughput.
enum class Goal : std::uint8_t { step_time, throughput };

/// The options of all spans.  To allow no more than n stages, give the options of spans that begin
/// with layer 0 no more than n - 1 for max_successors.
class StageProblem {
 public:
  /// An option as it is stored, on a submesh of the size with number `size`.
  struct Entry {
    StageOption option;
    std::uint32_t size = 0;
  };

  /// `sizes`: the device counts of the submeshes, each at least 1.  Throws InvalidArgument.
  StageProblem(std::size_t layers, Extent devices, std::int64_t microbatches,
               std::vector<Extent> sizes);

  /// Adds an option for layers first..last on a submesh of the size with number `size`.  Options
  /// that can never be chosen are dropped: an infinite time, more devices than there are, memory
  /// that never suffices, or another option of the span and size that is at least as good in
  /// everything.  Throws InvalidArgument for numbers out of range.
  void add(std::size_t first, std::size_t last, std::size_t size, const StageOption& option);

  std::size_t layers() const noexcept { return layers_; }
  Extent devices() const noexcept { return devices_; }
  std::int64_t microbatches() const noexcept { return microbatches_; }
  std::span<const Extent> sizes() const noexcept { return sizes_; }
  /// @pre first <= last < layers()
  std::span<const Entry> entries(std::size_t first, std::size_t last) const noexcept {
    return spans_[span_number(first, last)];
  }

  /// Spans are numbered by their last layer, then by their first.
  static constexpr std::size_t span_number(std::size_t first, std::size_t last) noexcept {
    return last * (last + 1) / 2 + first;
  }

 private:
  std::size_t layers_;
  Extent devices_;
  std::int64_t microbatches_;
  std::vector<Extent> sizes_;
  std::vector<std::vector<Entry>> spans_;
};

/// The numbers of a choice of stages that its cost depends on.
struct StageValue {
  Wide latency = 0;  ///< the sum of all stages' latencies
  Cost largest_period = 0;
  Cost largest_per_step = 0;
};

/// The weights of the three numbers in the objective.
struct Weights {
  std::int64_t latency, period, per_step;
};
constexpr Weights weights_of(const StageProblem& problem, Goal goal) noexcept {
  return goal == Goal::step_time ? Weights{1, problem.microbatches() - 1, 1} : Weights{0, 1, 0};
}
constexpr Wide weighted(const StageValue& value, const Weights& weights) noexcept {
  return value.latency * weights.latency + Wide(value.largest_period) * weights.period +
         Wide(value.largest_per_step) * weights.per_step;
}

/// Evaluates stages by the definition.  Throws InvalidArgument where they are no valid choice of
/// this problem: layers are left out, devices are idle, an option is not the problem's.
StageValue evaluate(const StageProblem& problem, const Stages& stages);

/// A limit on every stage of a choice.
struct Thresholds {
  Cost period = 0, per_step = 0;
  friend constexpr bool operator==(const Thresholds&, const Thresholds&) noexcept = default;
};

/// The work of a search.  An update is one sum formed and compared: the innermost step of each
/// dynamic program, the paper's included.
struct StageStatistics {
  std::uint64_t thresholds = 0;  ///< dynamic programs: pairs of thresholds that were tried
  std::uint64_t counted = 0;     ///< those of them that had to count stages as well
  std::uint64_t updates = 0;
  double seconds = 0;
};

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/stage_problem.ipp"
#endif
