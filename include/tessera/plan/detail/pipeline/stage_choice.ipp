// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of stage_choice.hpp.
#pragma once
#include "tessera/plan/detail/pipeline/stage_choice.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "tessera/plan/detail/pipeline/placed_stages.hpp"

namespace tessera::plan::detail {

// --- Options of stages ---------------------------------------------------------------------------

// The effects of a schedule on a stage.
struct ScheduleRules {
  pipeline::ScheduleKind kind;
  // The number of stages that may follow one with such memory; -1 where it fits nowhere.
  std::function<std::int64_t(pipeline::StageMemory)> most_successors;
  int waits_percent = 100;  // of wait_under()
};

// The meaning of an option's tag.
struct TaggedConfig {
  StageConfig config;
  bool is_optimistic = false;  // the estimate that memory suffices
};

struct FoundStages {
  pipeline::StageAnswer answer;
  std::vector<TaggedConfig> tags;
};

// The views that may have optimistic estimates; by view.
using Optimism = std::vector<char>;

TESSERA_INLINE Optimism no_optimism(const ChoiceInput& input) {
  return Optimism(input.prices.spans().views().size(), 0);
}

// The time for which a stage and the stage before both wait for the transfers between them.  With
// as many microbatches in flight as there are stages from it on, a stage gets one back just when it
// needs it, and each transfer on the way delays it; unless it can do the weights' half of a
// backward pass meanwhile.
TESSERA_INLINE Cost wait_under(pipeline::ScheduleKind kind, const StagePrices::Span& span) {
  switch (kind) {
    case pipeline::ScheduleKind::one_f_one_b: return span.receive.average;
    case pipeline::ScheduleKind::zero_bubble:
      return std::max<Cost>(0, span.receive.average - span.sum.weight_backward);
    case pipeline::ScheduleKind::gpipe:
    case pipeline::ScheduleKind::interleaved:
    case pipeline::ScheduleKind::eager_one_f_one_b: break;
  }
  return 0;
}

// The option of a span of layers, without a limit from memory.
TESSERA_INLINE pipeline::StageOption option_of(const StagePrices::Span& span,
                                               pipeline::ScheduleKind kind, int waits_percent) {
  pipeline::StageOption option;
  const auto wait = static_cast<Cost>(Wide(wait_under(kind, span)) * waits_percent / 100);
  option.time = saturating_add(span.sum.time(), wait);
  option.receive = span.receive.worst - wait;
  option.per_step = span.sum.per_step;
  if (kind == pipeline::ScheduleKind::zero_bubble && is_finite(option.time)) {
    // In equal stages a bubble is forward and input backward less the weights' half: of each
    // stage's time twice the weights' half delays no other stage, and comes once at the end.
    option.overlap = std::min(span.sum.time(),
                              saturating_add(span.sum.weight_backward, span.sum.weight_backward));
    option.per_step = saturating_add(option.per_step, option.overlap);
  }
  return option;
}

TESSERA_INLINE pipeline::StageProblem empty_problem(const ChoiceInput& input) {
  std::vector<Extent> sizes;
  for (const pipeline::Submesh& submesh : input.submeshes) sizes.push_back(submesh.devices());
  return {input.prices.program().layers(), input.prices.cluster().device_count(),
          input.options.microbatches, std::move(sizes)};
}

// The options of all spans in one configuration.
TESSERA_INLINE void add_options(const ChoiceInput& input, const StageConfig& config,
                                const ScheduleRules& rules, const Optimism& optimism,
                                pipeline::StageProblem& problem, std::vector<TaggedConfig>& tags) {
  const auto tag = static_cast<std::uint32_t>(tags.size());
  tags.push_back({config, false});
  tags.push_back({config, true});
  const bool is_optimistic = optimism[config.view] != 0 && config.level == 0;
  const std::size_t size = input.prices.view(config.view).size;
  input.prices.for_each_span(config, [&](const StagePrices::Span& span) {
    pipeline::StageOption option = option_of(span, rules.kind, rules.waits_percent);
    option.max_successors = rules.most_successors(span.sum.memory());
    option.tag = tag;
    problem.add(span.first, span.last, size, option);
    if (!is_optimistic) return;
    const std::int64_t most = rules.most_successors(span.least);
    if (most <= option.max_successors) return;
    option.max_successors = most;
    option.tag = tag + 1;
    problem.add(span.first, span.last, size, option);
  });
}

// --- One search ----------------------------------------------------------------------------------

TESSERA_INLINE void add_up(const pipeline::StageStatistics& more,
                           pipeline::StageStatistics& statistics) {
  statistics.thresholds += more.thresholds;
  statistics.counted += more.counted;
  statistics.updates += more.updates;
  statistics.seconds += more.seconds;
}

// The best stages by the prices that there are.
TESSERA_INLINE FoundStages find_by_rules(const ChoiceInput& input, const ScheduleRules& rules,
                                         const Optimism& optimism,
                                         pipeline::StageStatistics& statistics) {
  const SpanPrices& spans = input.prices.spans();
  pipeline::StageProblem problem = empty_problem(input);
  FoundStages found;
  for (std::size_t view = 0; view < spans.views().size(); ++view)
    for (std::size_t level = 0; level < spans.levels(view); ++level) {
      const std::size_t choices =
          input.prices.rematerializations(view, level, input.options.rematerialize);
      for (std::size_t again = 0; again < choices; ++again)
        add_options(input, {view, level, again}, rules, optimism, problem, found.tags);
    }
  pipeline::StageSearchOptions search;
  if (input.is_out_of_time) search.gap = std::numeric_limits<double>::max();
  search.is_over = [&] { return input.is_over(); };
  found.answer = pipeline::find_stages(problem, search);
  add_up(found.answer.statistics, statistics);
  return found;
}

TESSERA_INLINE std::int64_t most_stages(const ChoiceInput& input) {
  const Extent devices = input.prices.cluster().device_count();
  Extent least = devices;
  for (const pipeline::Submesh& submesh : input.submeshes)
    least = std::min(least, submesh.devices());
  return std::min<std::int64_t>(static_cast<std::int64_t>(input.prices.program().layers()),
                                devices / least);
}

// Replaces the stages by others that are better.
TESSERA_INLINE void keep_better(FoundStages next, FoundStages& best) {
  const bool is_better = next.answer.is_feasible &&
                         (!best.answer.is_feasible || next.answer.cost < best.answer.cost);
  if (is_better) best = std::move(next);
}

// Under the zero-bubble schedule every stage holds as many microbatches as there are stages, or all
// of them.  So the best of at most `count` stages that can hold so many is found for each count,
// from the top, until even unlimited memory would make fewer stages no better.
TESSERA_INLINE FoundStages find_zero_bubble(const ChoiceInput& input, const Optimism& optimism,
                                            pipeline::StageStatistics& statistics) {
  FoundStages best;
  pipeline::StageAnswer bound;  // in unlimited memory
  for (std::int64_t count = most_stages(input), held = 0; count > 0; count = held - 1) {
    if (input.is_over() || (input.is_out_of_time && best.answer.is_feasible)) {
      best.answer.is_cut_short = true;
      best.answer.lower_bound = 0;
      break;
    }
    held = std::min(count, input.options.microbatches);
    ScheduleRules rules{pipeline::ScheduleKind::zero_bubble,
                        [&](pipeline::StageMemory) { return count - 1; }};
    if (best.answer.is_feasible) {
      // A bound with no more stages than are allowed now is the bound on these as well.
      const bool still_holds = bound.is_feasible && !bound.is_cut_short &&
                               static_cast<std::int64_t>(bound.stages.size()) <= count;
      if (!still_holds) bound = find_by_rules(input, rules, optimism, statistics).answer;
      const bool is_none = !bound.is_feasible && !bound.is_cut_short;
      if (is_none || bound.lower_bound >= best.answer.cost) break;
    }
    rules.most_successors = [&](pipeline::StageMemory memory) {
      return pipeline::fits(memory, held, input.capacity) ? count - 1 : -1;
    };
    keep_better(find_by_rules(input, rules, optimism, statistics), best);
  }
  return best;
}

TESSERA_INLINE FoundStages find(const ChoiceInput& input, pipeline::ScheduleKind kind,
                                const Optimism& optimism, pipeline::StageStatistics& statistics,
                                int waits_percent = 100) {
  if (kind == pipeline::ScheduleKind::zero_bubble)
    return find_zero_bubble(input, optimism, statistics);
  const auto most_successors = [&](pipeline::StageMemory memory) {
    return pipeline::most_successors(memory, input.capacity, kind, input.options.microbatches);
  };
  return find_by_rules(input, {kind, most_successors, waits_percent}, optimism, statistics);
}

// --- Stages on devices ---------------------------------------------------------------------------

// Whether memory limits, which optimistic estimates come with, would make the choice slow
// (pipeline/detail/stage_sweep.hpp).
TESSERA_INLINE bool is_large(const StagePrices& prices) {
  const auto layers = static_cast<Wide>(prices.program().layers());
  return layers * layers * prices.cluster().device_count() > 100'000'000;
}

// A lower bound on the step: the best stages if each took no more than the lower bound on its work.
// Under the zero-bubble schedule other stages may fill any bubble, so there it is the slowest stage
// alone.  Where sweeps are slow, the bound that a search has before its first sweep is taken.
TESSERA_INLINE Wide work_bound(const ChoiceInput& input, pipeline::ScheduleKind kind,
                               pipeline::StageStatistics& statistics) {
  pipeline::StageProblem problem = empty_problem(input);
  for (std::size_t view = 0; view < input.prices.spans().views().size(); ++view)
    input.prices.for_each_span({view, 0, 0}, [&](const StagePrices::Span& span) {
      pipeline::StageOption option;
      option.time = span.sum.least_work;
      problem.add(span.first, span.last, input.prices.view(view).size, option);
    });
  const bool is_slowest_alone = kind == pipeline::ScheduleKind::zero_bubble;
  pipeline::StageSearchOptions search;
  if (is_slowest_alone) search.goal = pipeline::Goal::throughput;
  search.is_over = [&] { return is_large(input.prices) || input.deadline.is_over(); };
  const pipeline::StageAnswer answer = pipeline::find_stages(problem, search);
  add_up(answer.statistics, statistics);
  return answer.lower_bound * (is_slowest_alone ? input.options.microbatches : 1);
}

TESSERA_INLINE pipeline::Schedule schedule_of(pipeline::ScheduleKind kind, std::int64_t stages,
                                              std::int64_t microbatches) {
  switch (kind) {
    case pipeline::ScheduleKind::gpipe: return pipeline::gpipe(stages, microbatches);
    case pipeline::ScheduleKind::zero_bubble: return pipeline::zero_bubble(stages, microbatches);
    case pipeline::ScheduleKind::eager_one_f_one_b:
      return pipeline::eager_one_f_one_b(stages, microbatches);
    case pipeline::ScheduleKind::one_f_one_b:
    case pipeline::ScheduleKind::interleaved: break;  // the latter is not chosen here
  }
  return pipeline::one_f_one_b(stages, microbatches);
}

TESSERA_INLINE PipelineStatus status_of(const PipelinePlan& plan) {
  return plan.cost == plan.lower_bound ? PipelineStatus::optimal : PipelineStatus::feasible;
}

// Puts the stages on devices, and simulates them.
TESSERA_INLINE void write(const ChoiceInput& input, pipeline::ScheduleKind kind,
                          const FoundStages& found, Wide lower_bound, PipelinePlan& plan) {
  plan.cost = found.answer.cost;
  plan.lower_bound = lower_bound;
  plan.status = status_of(plan);
  std::vector<StageChoice> chosen;
  for (const pipeline::Stage& stage : found.answer.stages)
    chosen.push_back({stage.first, stage.last, found.tags[stage.option.tag].config});
  const auto count = static_cast<std::int64_t>(chosen.size());
  place_stages(input.prices, chosen, schedule_of(kind, count, input.options.microbatches), plan);
}

// Stages that are shorter than others make up for waits, wholly or in part: the best ones with
// fewer waits, among the prices that there are, may be faster in simulation.
TESSERA_INLINE void try_fewer_waits(const ChoiceInput& input, pipeline::ScheduleKind kind,
                                    const Optimism& optimism, const PipelinePlan& empty,
                                    PipelinePlan& plan, pipeline::StageStatistics& statistics) {
  for (const int waits_percent : {50, 0}) {
    const FoundStages known = find(input, kind, no_optimism(input), statistics, waits_percent);
    if (!known.answer.is_feasible) continue;
    PipelinePlan next = empty;
    write(input, kind, known, known.answer.lower_bound, next);
    if (next.step_time >= plan.step_time) continue;
    if (!is_large(input.prices))
      next.lower_bound = find(input, kind, optimism, statistics, waits_percent).answer.lower_bound;
    plan = std::move(next);
    plan.status = status_of(plan);
  }
}

TESSERA_INLINE void settle(const ChoiceInput& input, pipeline::ScheduleKind kind,
                           const FoundStages& found, Wide lower_bound, const Optimism& optimism,
                           PipelinePlan& plan, pipeline::StageStatistics& statistics) {
  plan.work_bound = work_bound(input, kind, statistics);
  const PipelinePlan empty = plan;
  write(input, kind, found, lower_bound, plan);
  if (kind == pipeline::ScheduleKind::one_f_one_b && !input.is_out_of_time)
    try_fewer_waits(input, kind, optimism, empty, plan, statistics);
}

// --- The choice ----------------------------------------------------------------------------------

// The views whose optimistic estimates the stages rest on.
TESSERA_INLINE std::vector<std::size_t> optimistic_views(const FoundStages& found) {
  std::set<std::size_t> views;
  for (const pipeline::Stage& stage : found.answer.stages) {
    const TaggedConfig& tagged = found.tags[stage.option.tag];
    if (tagged.is_optimistic) views.insert(tagged.config.view);
  }
  return {views.begin(), views.end()};
}

// The numbers of microbatches in flight on a stage of a view.  Where spans are priced whole, all
// numbers that are possible; else those of the last of equal stages, of one in the middle, and of
// the first.  Under rematerialization memory hardly depends on it.
TESSERA_INLINE std::vector<std::int64_t> numbers_in_flight(const ChoiceInput& input,
                                                           pipeline::ScheduleKind kind,
                                                           const View& view, bool recomputes) {
  const std::int64_t all = input.options.microbatches;
  if (kind == pipeline::ScheduleKind::gpipe) return {all};
  const bool is_eager = kind == pipeline::ScheduleKind::eager_one_f_one_b;
  const auto on_the_first_of = [&](std::int64_t stages) {
    return std::min(all, is_eager ? 2 * stages - 1 : stages);
  };
  std::set<std::int64_t> counts;
  if (!input.prices.spans().is_layered()) {
    const std::int64_t most = on_the_first_of(most_stages(input));
    for (std::int64_t count = 1; count <= most; ++count) counts.insert(count);
  } else {
    const std::int64_t stages = std::min(
        most_stages(input), input.prices.cluster().device_count() / view.mesh.device_count());
    counts.insert(on_the_first_of(stages));
    if (!recomputes) counts.insert({1, on_the_first_of((stages + 1) / 2)});
  }
  return {counts.begin(), counts.end()};
}

TESSERA_INLINE bool is_close(Wide cost, Wide bound, double gap) {
  return static_cast<double>(cost - bound) <= gap * static_cast<double>(bound);
}

// With optimistic estimates, whose views get prices under memory budgets until the best stages rest
// on none, or hardly gain by them.
TESSERA_INLINE void choose_with_estimates(const ChoiceInput& input, pipeline::ScheduleKind kind,
                                          PipelinePlan& plan,
                                          pipeline::StageStatistics& statistics) {
  const Optimism none = no_optimism(input);
  Optimism optimism(none.size(), 1);
  const auto in_flight = [&](const View& view, bool recomputes) {
    return numbers_in_flight(input, kind, view, recomputes);
  };
  FoundStages real;  // without optimistic estimates
  Wide lower_bound = 0;
  while (!input.deadline.is_over()) {
    const FoundStages found = find(input, kind, optimism, statistics);
    if (!found.answer.is_feasible && !found.answer.is_cut_short) {
      plan.status = PipelineStatus::infeasible;
      return;
    }
    const std::vector<std::size_t> views = optimistic_views(found);
    if (found.answer.is_feasible && views.empty())
      return settle(input, kind, found, found.answer.lower_bound, optimism, plan, statistics);
    lower_bound = std::max(lower_bound, found.answer.lower_bound);
    keep_better(find(input, kind, none, statistics), real);
    if (real.answer.is_feasible && is_close(real.answer.cost, lower_bound, input.options.gap))
      break;
    input.prices.spans().add_levels(views,
                                    {input.capacity, input.options.rematerialize, in_flight});
    for (const std::size_t view : views) optimism[view] = 0;
  }
  if (real.answer.is_feasible) settle(input, kind, real, lower_bound, optimism, plan, statistics);
}

TESSERA_INLINE void choose_stages(const ChoiceInput& input, pipeline::ScheduleKind kind,
                                  PipelinePlan& plan, pipeline::StageStatistics& statistics) {
  if (is_large(input.prices)) {
    const Optimism none = no_optimism(input);
    const FoundStages real = find(input, kind, none, statistics);
    if (real.answer.is_feasible)
      return settle(input, kind, real, real.answer.lower_bound, none, plan, statistics);
  }
  choose_with_estimates(input, kind, plan, statistics);
}

TESSERA_INLINE void choose_first_stages(const ChoiceInput& input, pipeline::ScheduleKind kind,
                                        PipelinePlan& plan, pipeline::StageStatistics& statistics) {
  const Optimism none = no_optimism(input);
  const FoundStages found = find(input, kind, none, statistics);
  if (found.answer.is_feasible) settle(input, kind, found, 0, none, plan, statistics);
}

}  // namespace tessera::plan::detail
