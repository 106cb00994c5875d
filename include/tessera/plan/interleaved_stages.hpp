// SPDX-License-Identifier: Apache-2.0
//
// Stages for the interleaved schedule: all alike, each with several chunks of the layers.
//
// A chunk's neighbours sit on other stages, so what a stage takes no longer follows from a span of
// layers and a place in a row, and there is no dynamic program over it.  But stages that interleave
// are alike: the cluster in equal submeshes, seen as the same mesh, run in the same config.  That
// leaves few choices: submesh, view, level, what runs again, number of chunks.  Each is
// tried: layers are cut into chunks as evenly as can be (the least sum of squared times), the
// schedule is played, and what needs more memory than there is drops out.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tessera/plan/planned_stages.hpp"

namespace tessera::plan::detail {

// The best of all interleaved stages.
class InterleavedStages {
 public:
  // `empty`: a plan without stages, of which the best one takes what is known already.
  // `chunks`: of a stage; 0 for as many as are best.
  InterleavedStages(StagePrices& prices, const PipelinePlan& empty, Rematerialize rematerialize,
                    std::int64_t chunks)
      : prices_(prices),
        empty_(empty),
        rematerialize_(rematerialize),
        chunks_(chunks),
        best_(empty) {
    best_.status = PipelineStatus::infeasible;
  }

  // is_over() ends it early.
  template<class IsOver>
  PipelinePlan run(IsOver&& is_over) {
    std::size_t view = 0;
    for (; view < prices_.spans().views().size() && !is_over(); ++view)
      if (stages_of(view) > 0) try_view(view);
    const bool is_whole = view == prices_.spans().views().size();
    if (!best_.has_stages()) {
      if (is_whole && !can_interleave()) best_.obstacle = obstacle();
      if (!is_whole) best_.status = PipelineStatus::unknown;
      return std::move(best_);
    }
    if (!is_whole) {
      best_.status = PipelineStatus::feasible;
      best_.lower_bound = 0;
    }
    best_.work_bound = work_bound();
    return std::move(best_);
  }

 private:
  std::size_t layers() const noexcept { return prices_.program().layers(); }

  bool can_interleave() const {
    for (std::size_t view = 0; view < prices_.spans().views().size(); ++view)
      if (stages_of(view) > 0) return true;
    return false;
  }
  std::string obstacle() const {
    return "no stages interleave: it takes two or more whose number divides the " +
           std::to_string(empty_.microbatches) + " microbatches, and two or more of the " +
           std::to_string(layers()) + " layers for each";
  }

  // What the busiest stage takes at least: if every layer took as little as its products need, an
  // even share of all, on the view where that is least.
  Wide work_bound() {
    std::optional<Wide> least;
    for (std::size_t view = 0; view < prices_.spans().views().size(); ++view) {
      const std::int64_t stages = stages_of(view);
      if (stages == 0) continue;
      prices_.for_each_run({view, 0, 0}, [&](const StagePrices::Run& run) {
        if (run.first != 0 || run.last + 1 != layers()) return;
        const Wide all = Wide(run.sum.least_work) * empty_.microbatches;
        const Wide share = (all + stages - 1) / stages;
        least = std::min(least.value_or(share), share);
      });
    }
    return least.value_or(0);
  }

  // How many stages a cluster of such views has; 0 where they can not interleave.
  std::int64_t stages_of(std::size_t view) const {
    const Extent devices = prices_.view(view).mesh.device_count();
    const Extent all = prices_.cluster().device_count();
    if (all % devices != 0) return 0;
    const std::int64_t stages = all / devices;
    const bool is_any = stages > 1 && empty_.microbatches % stages == 0 &&
                        static_cast<std::size_t>(2 * stages) <= layers();
    return is_any ? stages : 0;
  }

  // Chunks of 1, 2, ... layers, or hardly more: numbers of chunks on a stage, at least two.
  std::set<std::int64_t> chunk_counts(std::int64_t stages) const {
    if (chunks_ > 0) return {chunks_};
    std::set<std::int64_t> counts;
    const auto all = static_cast<std::int64_t>(layers());
    for (std::int64_t size = 1; size * stages < all; ++size) {
      const std::int64_t count = all / (size * stages);
      if (count >= 2) counts.insert(count);
    }
    return counts;
  }

  void try_view(std::size_t view) {
    lacks_memory_ = false;
    std::size_t tried = 0;
    const auto try_levels = [&] {
      for (; tried < prices_.spans().levels(view); ++tried) try_level(view, tried);
    };
    try_levels();
    if (!lacks_memory_) return;
    // As many in flight as the first stage has with two chunks, and with very many.
    const std::int64_t stages = stages_of(view);
    MemoryNeeds needs{empty_.memory_capacity, rematerialize_, {}};
    needs.in_flight = [&](const View&, bool) {
      const std::int64_t most = empty_.microbatches;
      return std::vector<std::int64_t>{std::min(stages, most), std::min(stages + stages / 2, most)};
    };
    prices_.spans().add_levels(std::vector<std::size_t>{view}, needs);
    try_levels();
  }

  void try_level(std::size_t view, std::size_t level) {
    for (std::size_t rematerialization = 0;
         rematerialization < prices_.rematerializations(view, level, rematerialize_);
         ++rematerialization) {
      const StageConfig config{view, level, rematerialization};
      const std::vector<std::optional<Cost>> times = times_of(config);
      for (const std::int64_t chunks : chunk_counts(stages_of(view)))
        try_chunks(config, times, chunks);
    }
  }

  // By number of the span, as StageProblem numbers them.
  std::vector<std::optional<Cost>> times_of(const StageConfig& config) {
    std::vector<std::optional<Cost>> times(layers() * (layers() + 1) / 2);
    prices_.for_each_run(config, [&](const StagePrices::Run& run) {
      times[pipeline::StageProblem::span_number(run.first, run.last)] = run.sum.time();
    });
    return times;
  }

  void try_chunks(const StageConfig& config, const std::vector<std::optional<Cost>>& times,
                  std::int64_t chunks_per_stage) {
    const std::int64_t stages = stages_of(config.view);
    const std::vector<std::size_t> ends =
        even_cut(times, static_cast<std::size_t>(stages * chunks_per_stage));
    if (ends.empty() || work(times, ends, stages) >= best_time()) return;
    std::vector<StageChoice> chosen;
    for (const std::size_t end : ends) {
      const std::size_t first = chosen.empty() ? 0 : chosen.back().last + 1;
      chosen.push_back({first, end - 1, config});
    }
    PipelinePlan plan = empty_;
    StageWriter(prices_, plan)
        .run(chosen, pipeline::interleaved(stages, empty_.microbatches, chunks_per_stage));
    const bool fits = std::all_of(
        plan.stages.begin(), plan.stages.end(),
        [&](const PlannedStage& stage) { return stage.bytes <= empty_.memory_capacity; });
    if (plan.step_time >= best_time()) return;
    lacks_memory_ = lacks_memory_ || !fits;
    if (!fits) return;
    plan.status = PipelineStatus::optimal;
    plan.cost = plan.lower_bound = plan.step_time;
    best_ = std::move(plan);
  }
  Wide best_time() const { return best_.has_stages() ? Wide(best_.step_time) : Wide{1} << 120U; }

  // What the busiest stage has to do, however it is scheduled.
  Wide work(const std::vector<std::optional<Cost>>& times, const std::vector<std::size_t>& ends,
            std::int64_t stages) const {
    std::vector<Wide> busy(static_cast<std::size_t>(stages), 0);
    for (std::size_t i = 0, first = 0; i < ends.size(); first = ends[i++])
      busy[i % busy.size()] += *times[pipeline::StageProblem::span_number(first, ends[i] - 1)];
    return *std::max_element(busy.begin(), busy.end()) * empty_.microbatches;
  }

  // Where chunks end, one past their last layers; empty where no such cut has prices.
  // least[k][l]: the least sum of squares of k chunks for the first l layers.
  // O(chunks * layers^2).
  std::vector<std::size_t> even_cut(const std::vector<std::optional<Cost>>& times,
                                    std::size_t chunks) const {
    constexpr Wide unreached = Wide{1} << 126U;
    // Squares of so many times must fit.
    Wide longest = 1;
    for (const auto& time : times) longest = std::max<Wide>(longest, time.value_or(0));
    int shift = 0;
    while (longest >> shift > Wide{1} << 55U) ++shift;
    std::vector<std::vector<Wide>> least(chunks + 1, std::vector<Wide>(layers() + 1, unreached));
    std::vector<std::vector<std::size_t>> from(chunks + 1, std::vector<std::size_t>(layers() + 1));
    least[0][0] = 0;
    for (std::size_t k = 1; k <= chunks; ++k)
      for (std::size_t end = k; end <= layers(); ++end)
        for (std::size_t first = k - 1; first < end; ++first) {
          const auto& time = times[pipeline::StageProblem::span_number(first, end - 1)];
          if (!time || least[k - 1][first] == unreached) continue;
          const Wide scaled = *time >> shift;
          const Wide sum = least[k - 1][first] + scaled * scaled;
          if (sum >= least[k][end]) continue;
          least[k][end] = sum;
          from[k][end] = first;
        }
    if (least[chunks][layers()] == unreached) return {};
    std::vector<std::size_t> ends(chunks);
    for (std::size_t k = chunks, end = layers(); k > 0; end = from[k--][end]) ends[k - 1] = end;
    return ends;
  }

  StagePrices& prices_;
  const PipelinePlan& empty_;
  Rematerialize rematerialize_;
  std::int64_t chunks_;
  bool lacks_memory_ = false;  // something faster than the best so far does not fit
  PipelinePlan best_;
};

}  // namespace tessera::plan::detail
