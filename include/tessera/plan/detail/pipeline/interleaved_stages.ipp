// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of interleaved_stages.hpp.
#pragma once
#include "tessera/plan/detail/pipeline/interleaved_stages.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tessera/plan/detail/pipeline/placed_stages.hpp"

namespace tessera::plan::detail {

// By number of the span, as StageProblem numbers them; nothing where a span has no price.
using SpanTimes = std::vector<std::optional<Cost>>;

// The search, and the best plan so far.
struct InterleavedSearch {
  StagePrices& prices;
  const PipelinePlan& empty;
  Rematerialize rematerialize;
  std::int64_t chunks;
  PipelinePlan best;
  bool lacks_memory = false;  // a choice that is faster than the best so far does not fit

  std::size_t layers() const noexcept { return prices.program().layers(); }
  std::size_t views() const noexcept { return prices.spans().views().size(); }
  Wide best_time() const { return best.has_stages() ? Wide(best.step_time) : Wide{1} << 120U; }
};

// The number of stages of a cluster of such views; 0 where they can not interleave.
TESSERA_INLINE std::int64_t stages_of(const InterleavedSearch& search, std::size_t view) {
  const Extent devices = search.prices.view(view).mesh.device_count();
  const Extent all = search.prices.cluster().device_count();
  if (all % devices != 0) return 0;
  const std::int64_t stages = all / devices;
  const bool is_possible = stages > 1 && search.empty.microbatches % stages == 0 &&
                           static_cast<std::size_t>(2 * stages) <= search.layers();
  return is_possible ? stages : 0;
}

TESSERA_INLINE bool can_interleave(const InterleavedSearch& search) {
  for (std::size_t view = 0; view < search.views(); ++view)
    if (stages_of(search, view) > 0) return true;
  return false;
}

TESSERA_INLINE std::string obstacle_of(const InterleavedSearch& search) {
  return "no stages can be interleaved: the number of stages must be at least 2, divide the " +
         std::to_string(search.empty.microbatches) + " microbatches, and leave at least 2 of the " +
         std::to_string(search.layers()) +
         " layers for each stage; change the number of microbatches, or use another schedule";
}

// A lower bound on the step: if every layer took as little as its heavy ops need, an even share of
// all layers, on the view where that is least.
TESSERA_INLINE Wide interleaved_work_bound(InterleavedSearch& search) {
  std::optional<Wide> least;
  for (std::size_t view = 0; view < search.views(); ++view) {
    const std::int64_t stages = stages_of(search, view);
    if (stages == 0) continue;
    search.prices.for_each_span({view, 0, 0}, [&](const StagePrices::Span& span) {
      if (span.first != 0 || span.last + 1 != search.layers()) return;
      const Wide all = Wide(span.sum.least_work) * search.empty.microbatches;
      const Wide share = (all + stages - 1) / stages;
      least = std::min(least.value_or(share), share);
    });
  }
  return least.value_or(0);
}

// Numbers of chunks on a stage, at least two: for chunks of 1, 2, ... layers, or hardly more.
TESSERA_INLINE std::set<std::int64_t> chunk_counts(const InterleavedSearch& search,
                                                   std::int64_t stages) {
  if (search.chunks > 0) return {search.chunks};
  std::set<std::int64_t> counts;
  const auto all = static_cast<std::int64_t>(search.layers());
  for (std::int64_t size = 1; size * stages < all; ++size) {
    const std::int64_t count = all / (size * stages);
    if (count >= 2) counts.insert(count);
  }
  return counts;
}

// The most even cut of the layers into chunks, by the sum of squared times: the ends of the chunks,
// one past their last layers; empty where no cut has prices.  O(chunks * layers^2)
TESSERA_INLINE std::vector<std::size_t> even_cut(const SpanTimes& times, std::size_t layers,
                                                 std::size_t chunks) {
  constexpr Wide unreached = Wide{1} << 126U;
  // Squares of so many times must fit.
  Wide longest = 1;
  for (const auto& time : times) longest = std::max<Wide>(longest, time.value_or(0));
  int shift = 0;
  while (longest >> shift > Wide{1} << 55U) ++shift;
  // least[k][l]: the least sum of squares of k chunks for the first l layers.
  std::vector<std::vector<Wide>> least(chunks + 1, std::vector<Wide>(layers + 1, unreached));
  std::vector<std::vector<std::size_t>> from(chunks + 1, std::vector<std::size_t>(layers + 1));
  least[0][0] = 0;
  for (std::size_t k = 1; k <= chunks; ++k)
    for (std::size_t end = k; end <= layers; ++end)
      for (std::size_t first = k - 1; first < end; ++first) {
        const auto& time = times[pipeline::StageProblem::span_number(first, end - 1)];
        if (!time || least[k - 1][first] == unreached) continue;
        const Wide scaled = *time >> shift;
        const Wide sum = least[k - 1][first] + scaled * scaled;
        if (sum >= least[k][end]) continue;
        least[k][end] = sum;
        from[k][end] = first;
      }
  if (least[chunks][layers] == unreached) return {};
  std::vector<std::size_t> ends(chunks);
  for (std::size_t k = chunks, end = layers; k > 0; end = from[k--][end]) ends[k - 1] = end;
  return ends;
}

// The work of the busiest stage in a step, whatever the schedule.
TESSERA_INLINE Wide busiest_work(const SpanTimes& times, const std::vector<std::size_t>& ends,
                                 std::int64_t stages, std::int64_t microbatches) {
  std::vector<Wide> busy(static_cast<std::size_t>(stages), 0);
  for (std::size_t i = 0, first = 0; i < ends.size(); first = ends[i++])
    busy[i % busy.size()] += *times[pipeline::StageProblem::span_number(first, ends[i] - 1)];
  return *std::max_element(busy.begin(), busy.end()) * microbatches;
}

TESSERA_INLINE SpanTimes times_of(InterleavedSearch& search, const StageConfig& config) {
  SpanTimes times(search.layers() * (search.layers() + 1) / 2);
  search.prices.for_each_span(config, [&](const StagePrices::Span& span) {
    times[pipeline::StageProblem::span_number(span.first, span.last)] = span.sum.time();
  });
  return times;
}

TESSERA_INLINE void try_chunks(InterleavedSearch& search, const StageConfig& config,
                               const SpanTimes& times, std::int64_t chunks_per_stage) {
  const std::int64_t stages = stages_of(search, config.view);
  const std::int64_t microbatches = search.empty.microbatches;
  const std::vector<std::size_t> ends =
      even_cut(times, search.layers(), static_cast<std::size_t>(stages * chunks_per_stage));
  if (ends.empty() || busiest_work(times, ends, stages, microbatches) >= search.best_time()) return;
  std::vector<StageChoice> chosen;
  for (const std::size_t end : ends) {
    const std::size_t first = chosen.empty() ? 0 : chosen.back().last + 1;
    chosen.push_back({first, end - 1, config});
  }
  PipelinePlan plan = search.empty;
  place_stages(search.prices, chosen, pipeline::interleaved(stages, microbatches, chunks_per_stage),
               plan);
  const bool fits = std::all_of(
      plan.stages.begin(), plan.stages.end(),
      [&](const PlannedStage& stage) { return stage.bytes <= search.empty.memory_capacity; });
  if (plan.step_time >= search.best_time()) return;
  search.lacks_memory = search.lacks_memory || !fits;
  if (!fits) return;
  plan.status = PipelineStatus::optimal;
  plan.cost = plan.lower_bound = plan.step_time;
  search.best = std::move(plan);
}

TESSERA_INLINE void try_level(InterleavedSearch& search, std::size_t view, std::size_t level) {
  const std::size_t choices = search.prices.rematerializations(view, level, search.rematerialize);
  for (std::size_t again = 0; again < choices; ++again) {
    const StageConfig config{view, level, again};
    const SpanTimes times = times_of(search, config);
    for (const std::int64_t chunks : chunk_counts(search, stages_of(search, view)))
      try_chunks(search, config, times, chunks);
  }
}

TESSERA_INLINE void try_view(InterleavedSearch& search, std::size_t view) {
  search.lacks_memory = false;
  std::size_t tried = 0;
  const auto try_levels = [&] {
    for (; tried < search.prices.spans().levels(view); ++tried) try_level(search, view, tried);
  };
  try_levels();
  if (!search.lacks_memory) return;
  // As many in flight as the first stage has with two chunks, and with very many.
  const std::int64_t stages = stages_of(search, view);
  MemoryNeeds needs{search.empty.memory_capacity, search.rematerialize, {}};
  needs.in_flight = [&](const View&, bool) {
    const std::int64_t most = search.empty.microbatches;
    return std::vector<std::int64_t>{std::min(stages, most), std::min(stages + stages / 2, most)};
  };
  search.prices.spans().add_levels(std::vector<std::size_t>{view}, needs);
  try_levels();
}

TESSERA_INLINE PipelinePlan interleaved_plan(StagePrices& prices, const PipelinePlan& empty,
                                             Rematerialize rematerialize, std::int64_t chunks,
                                             const std::function<bool()>& is_over) {
  InterleavedSearch search{prices, empty, rematerialize, chunks, empty};
  search.best.status = PipelineStatus::infeasible;
  std::size_t view = 0;
  for (; view < search.views() && !is_over(); ++view)
    if (stages_of(search, view) > 0) try_view(search, view);
  const bool is_whole = view == search.views();
  if (!search.best.has_stages()) {
    if (is_whole && !can_interleave(search)) search.best.obstacle = obstacle_of(search);
    if (!is_whole) search.best.status = PipelineStatus::unknown;
    return std::move(search.best);
  }
  if (!is_whole) {
    search.best.status = PipelineStatus::feasible;
    search.best.lower_bound = 0;
  }
  search.best.work_bound = interleaved_work_bound(search);
  return std::move(search.best);
}

}  // namespace tessera::plan::detail
