// SPDX-License-Identifier: Apache-2.0
//
// The choice of stages: cut a row of layers into stages, give each a submesh, use every device.
//
// How long a stage takes, what it must fit in, which plan runs inside, is priced beforehand: a span
// of layers on a submesh has options, and one is chosen.  With B microbatches a training step takes
//
//   sum of latencies + (B - 1) * largest period + largest per_step
//
// the first microbatch going all the way, the others following at the pace of the slowest station,
// and what happens once per step (gradients summed over data-parallel replicas) side by side on all
// stages.  Inference wants throughput: the least largest period, and of those the least latency.
//
//   Alpa (OSDI 2022, section 5)              here
//   ---------------------------------------  ------------------------------------------------------
//   t_intra((o_i, ..., o_j), Mesh(n, m), s)  the options of span i..j on a submesh size
//   mem_stage + s * mem_act <= mem_device    StageOption::max_successors, from most_successors()
//   B, t_max                                 microbatches(), StageValue::largest_period
//
// Transfers between stages run beside computing, on links of their own.  So a transfer is a station
// of the pipeline like any other: it adds to the sum, and holds up the others only if it is slower.
// Where a schedule has stages wait for transfers, these are part of the stage's time instead.
//
// stage_search.hpp finds the best choice, stage_proof.hpp checks the proof that it is the best, and
// paper_stages.hpp is the paper's own algorithm.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/pipeline/in_flight.hpp"

namespace tessera::pipeline {

// One way to run a span of layers on a submesh.  Times are in whatever unit the caller's are,
// finite and not negative.
struct StageOption {
  Cost time = 0;      // one microbatch: forward and backward
  Cost receive = 0;   // one microbatch's transfer from the stage before, and of its gradient back
  Cost overlap = 0;   // of the time, what only this stage waits for: it adds to no one's latency
  Cost per_step = 0;  // once per step, after the last microbatch
  std::int64_t max_successors =
      any_successors;     // more stages after it, and its memory is too small
  std::uint32_t tag = 0;  // the caller's: a plan, a view of the submesh

  constexpr Cost latency() const noexcept { return saturating_add(time, receive) - overlap; }
  constexpr Cost period() const noexcept { return std::max(time, receive); }
  friend constexpr bool operator==(const StageOption&, const StageOption&) noexcept = default;
};

// A stage of an answer: layers first to last, both included, on a submesh of the size with number
// `size`, run by that option.
struct Stage {
  std::size_t first = 0, last = 0;
  std::size_t size = 0;
  StageOption option;
};
using Stages = std::vector<Stage>;

enum class Goal : std::uint8_t { step_time, throughput };

// To allow no more than n stages, give the options of spans that begin with layer 0 no more than
// n - 1 for max_successors.
class StageProblem {
 public:
  // An option as it is stored, on a submesh of the size with number `size`.
  struct Entry {
    StageOption option;
    std::uint32_t size = 0;
  };

  // `sizes`: the device counts of the submeshes, each at least 1.  Throws InvalidArgument.
  StageProblem(std::size_t layers, Extent devices, std::int64_t microbatches,
               std::vector<Extent> sizes)
      : layers_(layers), devices_(devices), microbatches_(microbatches), sizes_(std::move(sizes)) {
    if (layers < 1) refuse("there are no layers");
    if (devices < 1 || devices >= INT32_MAX) refuse("devices", devices, "from 1 to 2^31 - 2");
    if (microbatches < 1) refuse("microbatches", microbatches, "at least 1");
    for (const Extent size : sizes_)
      if (size < 1) refuse("a submesh's devices", size, "at least 1");
    spans_.resize(layers * (layers + 1) / 2);
  }

  // One more way to run layers first..last on a submesh of the size with number `size`.  What can
  // never be used is not kept: an infinite time, more devices than there are, memory that never
  // suffices, and what another option of the span and size is as good as in everything.
  // Throws InvalidArgument for numbers out of range.
  void add(std::size_t first, std::size_t last, std::size_t size, const StageOption& option) {
    if (first > last || last >= layers_ || size >= sizes_.size())
      refuse("span " + std::to_string(first) + ".." + std::to_string(last) + " on size " +
             std::to_string(size) + ": there are " + std::to_string(layers_) + " layers and " +
             std::to_string(sizes_.size()) + " sizes");
    if (option.time < 0 || option.receive < 0 || option.per_step < 0 || option.overlap < 0)
      refuse("span " + std::to_string(first) + ".." + std::to_string(last) +
             " has a negative time");
    if (option.overlap > option.time)
      refuse("span " + std::to_string(first) + ".." + std::to_string(last) +
             " overlaps for longer than it takes");
    if (!is_finite(saturating_add(option.time, option.receive)) || !is_finite(option.per_step))
      return;
    if (sizes_[size] > devices_ || option.max_successors < 0) return;
    std::vector<Entry>& entries = spans_[span_number(first, last)];
    const auto number = static_cast<std::uint32_t>(size);
    // Options of one size usually come one after the other.
    for (std::size_t i = entries.size(); i-- > 0 && entries[i].size == number;)
      if (is_as_good(entries[i].option, option)) return;
    entries.push_back({option, number});
  }

  std::size_t layers() const noexcept { return layers_; }
  Extent devices() const noexcept { return devices_; }
  std::int64_t microbatches() const noexcept { return microbatches_; }
  std::span<const Extent> sizes() const noexcept { return sizes_; }
  // @pre first <= last < layers()
  std::span<const Entry> entries(std::size_t first, std::size_t last) const noexcept {
    return spans_[span_number(first, last)];
  }

  // Spans are numbered by their last layer, then by their first.
  static constexpr std::size_t span_number(std::size_t first, std::size_t last) noexcept {
    return last * (last + 1) / 2 + first;
  }

 private:
  static bool is_as_good(const StageOption& a, const StageOption& b) noexcept {
    return a.latency() <= b.latency() && a.period() <= b.period() && a.per_step <= b.per_step &&
           a.max_successors >= b.max_successors;
  }
  [[noreturn]] static void refuse(const std::string& what) {
    throw InvalidArgument("stage problem: " + what);
  }
  [[noreturn]] static void refuse(const std::string& what, std::int64_t given,
                                  const std::string& wanted) {
    refuse(what + ": " + std::to_string(given) + " given, must be " + wanted);
  }

  std::size_t layers_;
  Extent devices_;
  std::int64_t microbatches_;
  std::vector<Extent> sizes_;
  std::vector<std::vector<Entry>> spans_;
};

// What a choice of stages comes to.
struct StageValue {
  Wide latency = 0;  // the sum of all stages' latencies
  Cost largest_period = 0;
  Cost largest_per_step = 0;
};

// The two numbers that a search trades against each other, as weights of what is to be small.
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

namespace detail {

inline bool has_option(const StageProblem& problem, const Stage& stage) {
  const auto entries = problem.entries(stage.first, stage.last);
  return std::any_of(entries.begin(), entries.end(), [&](const StageProblem::Entry& entry) {
    return entry.size == stage.size && entry.option == stage.option;
  });
}

}  // namespace detail

// The definition, plainly: what the stages come to.  Throws InvalidArgument where they are no
// choice of this problem: layers left out, devices idle, an option that is not the problem's.
inline StageValue evaluate(const StageProblem& problem, const Stages& stages) {
  StageValue value;
  std::size_t next = 0;
  Extent used = 0;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const Stage& stage = stages[i];
    const std::string where = "stage " + std::to_string(i);
    if (stage.first != next || stage.last < stage.first || stage.last >= problem.layers())
      throw InvalidArgument(where + " does not begin where the one before ends");
    if (stage.size >= problem.sizes().size())
      throw InvalidArgument(where + " has a submesh that is none of the problem's");
    if (!detail::has_option(problem, stage))
      throw InvalidArgument(where + " is run in a way that is none of the problem's");
    if (stage.option.max_successors < static_cast<std::int64_t>(stages.size() - 1 - i))
      throw InvalidArgument(where + " has more stages after it than its memory allows");
    next = stage.last + 1;
    used += problem.sizes()[stage.size];
    value.latency += stage.option.latency();
    value.largest_period = std::max(value.largest_period, stage.option.period());
    value.largest_per_step = std::max(value.largest_per_step, stage.option.per_step);
  }
  if (next != problem.layers()) throw InvalidArgument("stages leave layers out");
  if (used != problem.devices())
    throw InvalidArgument("stages use " + std::to_string(used) + " devices of " +
                                std::to_string(problem.devices()));
  return value;
}

}  // namespace tessera::pipeline
