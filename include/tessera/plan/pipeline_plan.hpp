// SPDX-License-Identifier: Apache-2.0
//
// plan_pipeline(): a program, its layers and a cluster in; stages out, with everything that a step
// of them takes.
//
//   const auto layers = *pipeline::named_layers(graph);  // graph: one microbatch, and the update
//   const auto plan = plan::plan_pipeline(graph, layers, cluster, {.microbatches = 64});
//   plan.stages[i]               // its layers, submesh, mesh and devices
//   plan.cost, plan.lower_bound  // picoseconds a step, by the prices of spans
//   plan.timeline                // the step as its schedule plays, transfers as they go
//
// The choice is the cheapest in this space: contiguous layers; submeshes of the sizes that are
// given, all devices in use; each seen as any mesh of two axes; of each span the plan that keeps
// its stage busy for the least time, or the least within a budget of memory (span_price.hpp, and
// span_prices.hpp for what is restricted between layers, and for which budgets there are);
// activations saved, or as many of them computed again as at some rate between time and memory is
// best, the same for all layers of a stage (span_reruns.hpp); memory as the schedule has it in
// flight. A transfer into a stage is priced as if the stage before it were alike and next to it;
// the timeline has the real ones.
//
// The cheapest by a formula, that is: sum of latencies and slowest period (stage_problem.hpp).  How
// long stages wait for transfers depends on the schedule (waited_for_under()).  Under 1F1B the
// formula has them wait for all, which stages that are shorter than others do not: there stages
// that play in less time are taken instead, if they are the best with half of the waits, or with
// none.
//
// Budgets are asked for where memory is what is in the way.  A view that has none yet is hoped to
// run its spans at their least time, with everything cut over all its devices.  If stages chosen so
// rest on a hope, the views that they hope for are priced under budgets, and stages are chosen
// again; unless what needs no hope is hardly dearer (PipelineOptions::gap).
//
// Interleaved schedules have a space of their own (interleaved_stages.hpp): all stages alike.
//
// When time is over, or all is cancelled, stages are chosen by the prices that there are by then:
// the best that the choice had found, or the first that it finds.
#pragma once
#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/pipeline/stage_search.hpp"
#include "tessera/plan/interleaved_stages.hpp"
#include "tessera/plan/planned_stages.hpp"
#include "tessera/solver/deadline.hpp"

namespace tessera::plan {

struct PipelineOptions {
  std::int64_t microbatches = 1;
  // Nothing: whichever takes least.
  std::optional<pipeline::ScheduleKind> schedule = pipeline::ScheduleKind::one_f_one_b;
  pipeline::Submeshes submeshes = {};        // empty: default_submeshes()
  std::optional<Extent> memory_budget = {};  // bytes per device; nothing: what a device has
  Rematerialize rematerialize = Rematerialize::allowed;
  std::vector<DynamicMesh> meshes = {};  // what submeshes are seen as; empty: all there are
  std::int64_t chunks = 0;               // of an interleaved stage; 0: as many as are best
  // By how much, as a share, stages must promise to be better for views to be priced under further
  // budgets of memory.
  double gap = 0;
  PricingOptions pricing = {};  // but for its microbatches
};

// Parts of a host that divide it, and numbers of hosts that divide the cluster's.
inline pipeline::Submeshes default_submeshes(const pipeline::Submesh& cluster) {
  pipeline::Submeshes result;
  for (Extent part = 1; part < cluster.per_host; ++part)
    if (cluster.per_host % part == 0) result.push_back({1, part});
  for (Extent hosts = 1; hosts <= cluster.hosts; ++hosts)
    if (cluster.hosts % hosts == 0) result.push_back({hosts, cluster.per_host});
  return result;
}

namespace detail {

// All meshes of two axes, and of one; those with an axis of one device are the latter.
inline std::vector<View> views_of(const pipeline::Submeshes& submeshes,
                                  const std::vector<DynamicMesh>& meshes) {
  std::vector<View> views;
  const auto add = [&](std::size_t size, const DynamicMesh& mesh) {
    if (meshes.empty() || std::find(meshes.begin(), meshes.end(), mesh) != meshes.end())
      views.push_back({submeshes[size], size, mesh});
  };
  for (std::size_t size = 0; size < submeshes.size(); ++size) {
    bool has_line = false;
    for (const DynamicMesh& mesh : pipeline::logical_views(submeshes[size])) {
      if (mesh.extent(0) > 1 && mesh.extent(1) > 1) {
        add(size, mesh);
      } else if (!has_line) {
        add(size, DynamicMesh{mesh.device_count()});
        has_line = true;
      }
    }
  }
  return views;
}

class PipelinePlanner {
 public:
  PipelinePlanner(const graph::Graph& graph, const pipeline::Layers& layers,
                  const cost::Cluster& cluster, const PipelineOptions& options, SpanPlanner planner)
      : program_(graph, layers),
        cluster_(cluster),
        options_(options),
        planner_(planner),
        submeshes_(options.submeshes.empty() ? default_submeshes(hosts_of(cluster))
                                             : options.submeshes),
        deadline_(options.pricing.solver) {
    for (const pipeline::Submesh& submesh : submeshes_)
      pipeline::detail::check_part(hosts_of(cluster), submesh);
  }

  PipelinePlan run() {
    PricingOptions pricing = options_.pricing;
    pricing.microbatches = options_.microbatches;
    spans_ = std::make_shared<SpanPrices>(program_, cluster_, views_of(submeshes_, options_.meshes),
                                          pricing, planner_);
    prices_.emplace(program_, cluster_, *spans_);
    PipelinePlan best = empty_plan();
    for (const Kind kind : kinds()) {
      if (deadline_.is_over()) break;
      PipelinePlan next = chosen(kind);
      const bool is_better = next.has_stages() &&
                             (!best.has_stages() || next.step_time < best.step_time);
      if (is_better || best.status == PipelineStatus::unknown) best = std::move(next);
    }
    if (!best.has_stages() && deadline_.is_over()) best = chosen_late();
    best.choice = statistics_;
    best.pricing = spans_->statistics();
    // Of what has no price nothing is known.
    if (best.pricing.left_out > 0) best.lower_bound = best.work_bound = 0;
    if (best.status == PipelineStatus::optimal && best.pricing.unproven + best.pricing.left_out > 0)
      best.status = PipelineStatus::feasible;
    best.seconds = deadline_.seconds();
    return best;
  }

 private:
  using Kind = pipeline::ScheduleKind;

  std::vector<Kind> kinds() const {
    if (options_.schedule) return {*options_.schedule};
    return {Kind::one_f_one_b, Kind::eager_one_f_one_b, Kind::gpipe, Kind::zero_bubble,
            Kind::interleaved};
  }

  PipelinePlan empty_plan() const {
    PipelinePlan plan;
    plan.microbatches = options_.microbatches;
    plan.memory_capacity = options_.memory_budget.value_or(cluster_.device.memory_bytes);
    plan.prices = spans_;
    return plan;
  }

  PipelinePlan chosen(Kind kind) {
    PipelinePlan plan = empty_plan();
    if (kind == Kind::interleaved)
      return InterleavedStages(*prices_, plan, options_.rematerialize, options_.chunks).run([&] {
        return deadline_.is_over();
      });
    choose(plan, kind);
    return plan;
  }

  void choose(PipelinePlan& plan, Kind kind) {
    Found real;  // without hopes
    if (is_large()) {
      real = find_without_hope(plan.memory_capacity, kind);
      if (real.answer.is_feasible) return settle(plan, kind, real, real.answer.lower_bound);
    }
    may_hope_.assign(spans_->views().size(), 1);
    Wide lower_bound = 0;
    while (!deadline_.is_over()) {
      const Found found = find(plan.memory_capacity, kind);
      if (!found.answer.is_feasible && !found.answer.is_cut_short) {
        plan.status = PipelineStatus::infeasible;
        return;
      }
      const std::vector<std::size_t> views = hopes_of(found);
      if (found.answer.is_feasible && views.empty())
        return settle(plan, kind, found, found.answer.lower_bound);
      lower_bound = std::max(lower_bound, found.answer.lower_bound);
      Found next = find_without_hope(plan.memory_capacity, kind);
      const bool is_better = next.answer.is_feasible &&
                             (!real.answer.is_feasible || next.answer.cost < real.answer.cost);
      if (is_better) real = std::move(next);
      if (real.answer.is_feasible && is_close(real.answer.cost, lower_bound)) break;
      spans_->add_levels(views, needs_of(plan.memory_capacity, kind));
      for (const std::size_t view : views) may_hope_[view] = 0;
    }
    if (real.answer.is_feasible) settle(plan, kind, real, lower_bound);
  }

  // By the prices that there are: the first stages, where there is no time to look for the best.
  PipelinePlan chosen_late() {
    is_late_ = true;
    PipelinePlan plan = empty_plan();
    const Kind kind = kinds().front();
    if (kind == Kind::interleaved) {
      plan = InterleavedStages(*prices_, plan, options_.rematerialize, options_.chunks).run([] {
        return false;
      });
      plan.status = plan.has_stages() ? PipelineStatus::feasible : PipelineStatus::unknown;
      plan.lower_bound = 0;
      return plan;
    }
    const Found found = find_without_hope(plan.memory_capacity, kind);
    if (found.answer.is_feasible) settle(plan, kind, found, 0);
    return plan;
  }
  bool is_over() const { return !is_late_ && deadline_.is_over(); }

  // Whether memory limits, which hopes come with, would make the choice slow (stage_sweep.hpp):
  // what fits without them has to do then, where anything does.
  bool is_large() const {
    const auto layers = static_cast<Wide>(program_.layers());
    return layers * layers * cluster_.device_count() > 100'000'000;
  }
  bool is_close(Wide cost, Wide bound) const {
    return static_cast<double>(cost - bound) <= options_.gap * static_cast<double>(bound);
  }

  // --- Stages by their prices --------------------------------------------------------------------

  // What a tag of an option stands for.
  struct Tagged {
    StageConfig config;
    bool is_hope = false;  // that memory suffices
  };
  struct Found {
    pipeline::StageAnswer answer;
    std::vector<Tagged> tags;
  };

  static std::vector<std::size_t> hopes_of(const Found& found) {
    std::set<std::size_t> views;
    for (const pipeline::Stage& stage : found.answer.stages)
      if (found.tags[stage.option.tag].is_hope)
        views.insert(found.tags[stage.option.tag].config.view);
    return {views.begin(), views.end()};
  }

  Found find_without_hope(Extent capacity, Kind kind, int waits_percent = 100) {
    std::vector<char> hopes(spans_->views().size(), 0);
    std::swap(hopes, may_hope_);
    Found found = find(capacity, kind, waits_percent);
    std::swap(hopes, may_hope_);
    return found;
  }
  Found find(Extent capacity, Kind kind, int waits_percent = 100) {
    if (kind == Kind::zero_bubble) return find_zero_bubble(capacity);
    return find({kind,
                 [&](pipeline::StageMemory memory) {
                   return pipeline::most_successors(memory, capacity, kind, options_.microbatches);
                 },
                 waits_percent});
  }

  // Under it every stage holds as many microbatches as there are stages, or all there are.  So for
  // each number held the best of at most so many stages that can hold so many, from the top, until
  // not even memory without end would make fewer stages any better.
  Found find_zero_bubble(Extent capacity) {
    Found best;
    pipeline::StageAnswer bound;  // in memory without end
    for (std::int64_t count = most_stages(), held = 0; count > 0; count = held - 1) {
      if (is_over() || (is_late_ && best.answer.is_feasible)) {
        best.answer.is_cut_short = true;
        best.answer.lower_bound = 0;
        break;
      }
      held = std::min(count, options_.microbatches);
      Rules rules{Kind::zero_bubble, [&](pipeline::StageMemory) { return count - 1; }};
      if (best.answer.is_feasible) {
        // What has no more stages than are allowed now is the best of these as well.
        const bool still_holds = bound.is_feasible && !bound.is_cut_short &&
                                 static_cast<std::int64_t>(bound.stages.size()) <= count;
        if (!still_holds) bound = find(rules).answer;
        const bool is_none = !bound.is_feasible && !bound.is_cut_short;
        if (is_none || bound.lower_bound >= best.answer.cost) break;
      }
      rules.most_successors = [&](pipeline::StageMemory memory) {
        return pipeline::fits(memory, held, capacity) ? count - 1 : -1;
      };
      Found next = find(rules);
      if (next.answer.is_feasible &&
          (!best.answer.is_feasible || next.answer.cost < best.answer.cost))
        best = std::move(next);
    }
    return best;
  }

  // What a schedule makes of a stage.
  struct Rules {
    Kind kind;
    // How many stages may follow one with such memory; -1 where it fits nowhere.
    std::function<std::int64_t(pipeline::StageMemory)> most_successors;
    int waits_percent = 100;  // of what waited_for_under() says
  };

  // What of the transfers between a stage and the one before both wait for.  With as many
  // microbatches in flight as there are stages from it on, a stage is handed one back just as it
  // needs it, and each transfer on the way comes on top; unless the weights' half of a backward
  // pass is there to be done meanwhile.
  static Cost waited_for_under(Kind kind, const StagePrices::Run& run) {
    switch (kind) {
      case Kind::one_f_one_b: return run.receive.average;
      case Kind::zero_bubble:
        return std::max<Cost>(0, run.receive.average - run.sum.weight_backward);
      case Kind::gpipe:
      case Kind::interleaved:
      case Kind::eager_one_f_one_b: break;
    }
    return 0;
  }

  pipeline::StageProblem empty_problem() const {
    std::vector<Extent> sizes;
    for (const pipeline::Submesh& submesh : submeshes_) sizes.push_back(submesh.devices());
    return {program_.layers(), cluster_.device_count(), options_.microbatches, std::move(sizes)};
  }

  Found find(const Rules& rules) {
    pipeline::StageProblem problem = empty_problem();
    Found found;
    for (std::size_t view = 0; view < spans_->views().size(); ++view)
      for (std::size_t level = 0; level < spans_->levels(view); ++level)
        for (std::size_t rematerialization = 0;
             rematerialization < prices_->rematerializations(view, level, options_.rematerialize);
             ++rematerialization)
          add_options({view, level, rematerialization}, rules, problem, found.tags);
    pipeline::StageSearchOptions search;
    if (is_late_) search.gap = std::numeric_limits<double>::max();
    search.is_over = [this] { return is_over(); };
    found.answer = pipeline::find_stages(problem, search);
    add(statistics_, found.answer.statistics);
    return found;
  }

  // What of a run of layers the choice of stages sees; any memory will do.
  static pipeline::StageOption option_of(const StagePrices::Run& run, Kind kind,
                                         int waits_percent) {
    pipeline::StageOption option;
    const auto wait = static_cast<Cost>(Wide(waited_for_under(kind, run)) * waits_percent / 100);
    option.time = saturating_add(run.sum.time(), wait);
    option.receive = run.receive.worst - wait;
    option.per_step = run.sum.per_step;
    if (kind == Kind::zero_bubble && is_finite(option.time)) {
      // In equal stages a gap is forward and input backward less the weights': of each stage's
      // time twice the weights' is nobody's latency, and at the end comes once.
      option.overlap = std::min(run.sum.time(),
                                saturating_add(run.sum.weight_backward, run.sum.weight_backward));
      option.per_step = saturating_add(option.per_step, option.overlap);
    }
    return option;
  }

  void add_options(const StageConfig& config, const Rules& rules, pipeline::StageProblem& problem,
                   std::vector<Tagged>& tags) {
    const auto tag = static_cast<std::uint32_t>(tags.size());
    tags.push_back({config, false});
    tags.push_back({config, true});
    const bool may_hope = may_hope_[config.view] != 0 && config.level == 0;
    const std::size_t size = prices_->view(config.view).size;
    prices_->for_each_run(config, [&](const StagePrices::Run& run) {
      pipeline::StageOption option = option_of(run, rules.kind, rules.waits_percent);
      option.max_successors = rules.most_successors(run.sum.memory());
      option.tag = tag;
      problem.add(run.first, run.last, size, option);
      if (!may_hope) return;
      const std::int64_t most = rules.most_successors(run.least);
      if (most <= option.max_successors) return;
      option.max_successors = most;
      option.tag = tag + 1;
      problem.add(run.first, run.last, size, option);
    });
  }

  // What may be in flight on a stage.  Where spans are priced whole, any number there can be; else
  // what is on the last of equal stages, on one in the middle, and on the first.  What is computed
  // again hardly depends on it.
  MemoryNeeds needs_of(Extent capacity, Kind kind) const {
    MemoryNeeds needs{capacity, options_.rematerialize, {}};
    needs.in_flight = [this, kind](const View& view, bool recomputes) {
      const std::int64_t all = options_.microbatches;
      if (kind == Kind::gpipe) return std::vector<std::int64_t>{all};
      const bool is_eager = kind == Kind::eager_one_f_one_b;
      const auto on_the_first_of = [&](std::int64_t stages) {
        return std::min(all, is_eager ? 2 * stages - 1 : stages);
      };
      std::set<std::int64_t> counts;
      if (!spans_->is_layered()) {
        const std::int64_t most = on_the_first_of(most_stages());
        for (std::int64_t count = 1; count <= most; ++count) counts.insert(count);
      } else {
        const std::int64_t stages =
            std::min(most_stages(), cluster_.device_count() / view.mesh.device_count());
        counts.insert(on_the_first_of(stages));
        if (!recomputes) counts.insert({1, on_the_first_of((stages + 1) / 2)});
      }
      return std::vector<std::int64_t>(counts.begin(), counts.end());
    };
    return needs;
  }
  std::int64_t most_stages() const {
    Extent least = cluster_.device_count();
    for (const pipeline::Submesh& submesh : submeshes_) least = std::min(least, submesh.devices());
    return std::min<std::int64_t>(static_cast<std::int64_t>(program_.layers()),
                                  cluster_.device_count() / least);
  }

  // The best stages if each took no more than what no plan of it takes less than.  Under the
  // zero-bubble schedule other stages may fill whatever gap there is, so there it is the slowest
  // stage alone.  What a search knows before its first sweep is a bound, too: where sweeps are slow
  // it has to do.
  Wide work_bound(Kind kind) {
    pipeline::StageProblem problem = empty_problem();
    for (std::size_t view = 0; view < spans_->views().size(); ++view)
      prices_->for_each_run({view, 0, 0}, [&](const StagePrices::Run& run) {
        pipeline::StageOption option;
        option.time = run.sum.least_work;
        problem.add(run.first, run.last, prices_->view(view).size, option);
      });
    const bool is_slowest_alone = kind == Kind::zero_bubble;
    pipeline::StageSearchOptions search;
    if (is_slowest_alone) search.goal = pipeline::Goal::throughput;
    search.is_over = [this] { return is_large() || deadline_.is_over(); };
    const pipeline::StageAnswer answer = pipeline::find_stages(problem, search);
    add(statistics_, answer.statistics);
    return answer.lower_bound * (is_slowest_alone ? options_.microbatches : 1);
  }

  void settle(PipelinePlan& plan, Kind kind, const Found& found, Wide lower_bound) {
    plan.work_bound = work_bound(kind);
    const PipelinePlan empty = plan;
    write(plan, kind, found, lower_bound);
    if (kind != Kind::one_f_one_b || is_late_) return;
    // Where some stages are shorter than others they make up for waits, wholly or in part: what is
    // best then, among the prices there are, may play better.
    for (const int waits_percent : {50, 0}) {
      const Found known = find_without_hope(plan.memory_capacity, kind, waits_percent);
      if (!known.answer.is_feasible) continue;
      PipelinePlan next = empty;
      write(next, kind, known, known.answer.lower_bound);
      if (next.step_time >= plan.step_time) continue;
      if (!is_large())
        next.lower_bound = find(plan.memory_capacity, kind, waits_percent).answer.lower_bound;
      plan = std::move(next);
      plan.status = status_of(plan);
    }
  }

  // On devices, and played.
  void write(PipelinePlan& plan, Kind kind, const Found& found, Wide lower_bound) {
    plan.cost = found.answer.cost;
    plan.lower_bound = lower_bound;
    plan.status = status_of(plan);
    std::vector<StageChoice> chosen;
    for (const pipeline::Stage& stage : found.answer.stages)
      chosen.push_back({stage.first, stage.last, found.tags[stage.option.tag].config});
    const auto count = static_cast<std::int64_t>(chosen.size());
    StageWriter(*prices_, plan).run(chosen, schedule_of(kind, count));
  }
  static PipelineStatus status_of(const PipelinePlan& plan) {
    return plan.cost == plan.lower_bound ? PipelineStatus::optimal : PipelineStatus::feasible;
  }
  pipeline::Schedule schedule_of(Kind kind, std::int64_t stages) const {
    switch (kind) {
      case Kind::gpipe: return pipeline::gpipe(stages, options_.microbatches);
      case Kind::zero_bubble: return pipeline::zero_bubble(stages, options_.microbatches);
      case Kind::eager_one_f_one_b:
        return pipeline::eager_one_f_one_b(stages, options_.microbatches);
      case Kind::one_f_one_b:
      case Kind::interleaved: break;  // the latter is not chosen here
    }
    return pipeline::one_f_one_b(stages, options_.microbatches);
  }

  static void add(pipeline::StageStatistics& to, const pipeline::StageStatistics& from) {
    to.thresholds += from.thresholds;
    to.counted += from.counted;
    to.updates += from.updates;
    to.seconds += from.seconds;
  }

  pipeline::LayeredProgram program_;
  const cost::Cluster& cluster_;
  const PipelineOptions& options_;
  SpanPlanner planner_;
  pipeline::Submeshes submeshes_;
  solver::Deadline deadline_;
  std::shared_ptr<SpanPrices> spans_;
  std::optional<StagePrices> prices_;
  std::vector<char> may_hope_;  // by view
  bool is_late_ = false;        // stages are chosen in spite of the time
  pipeline::StageStatistics statistics_;
};

}  // namespace detail

// The best stages for a step of `options.microbatches` microbatches, of which the program is one
// (forward and backward ops) and the update after the last.  Throws InvalidArgument for
// submeshes that the cluster does not have, for programs with loops; and what plan() throws.
//
// A template for the reason that solver::solve() is.
template<std::same_as<pipeline::Layers> L = pipeline::Layers>
PipelinePlan plan_pipeline(const graph::Graph& graph, const L& layers, const cost::Cluster& cluster,
                           const PipelineOptions& options) {
  if (options.microbatches < 1)
    throw InvalidArgument("pipeline: " + std::to_string(options.microbatches) +
                          " microbatches; there must be 1 at least");
  return detail::PipelinePlanner(graph, layers, cluster, options, plan_span).run();
}

}  // namespace tessera::plan
