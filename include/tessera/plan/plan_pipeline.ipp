// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of plan_pipeline.hpp.
#pragma once
#include "tessera/plan/plan_pipeline.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/plan/detail/pipeline/interleaved_stages.hpp"
#include "tessera/plan/detail/pipeline/stage_choice.hpp"

namespace tessera::plan {
namespace detail {

// All meshes of two axes, and of one; a mesh with an axis of one device counts as the latter.
TESSERA_INLINE std::vector<View> views_of(const pipeline::Submeshes& submeshes,
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

// The submeshes to try.  Throws where the cluster does not have one.
TESSERA_INLINE pipeline::Submeshes submeshes_for(const cost::Cluster& cluster,
                                                 const PipelineOptions& options) {
  pipeline::Submeshes submeshes = options.submeshes.empty() ? default_submeshes(hosts_of(cluster))
                                                            : options.submeshes;
  for (const pipeline::Submesh& submesh : submeshes)
    pipeline::check_submesh(hosts_of(cluster), submesh);
  return submeshes;
}

TESSERA_INLINE std::vector<pipeline::ScheduleKind> schedules_of(const PipelineOptions& options) {
  using enum pipeline::ScheduleKind;
  if (options.schedule) return {*options.schedule};
  return {one_f_one_b, eager_one_f_one_b, gpipe, zero_bubble, interleaved};
}

// The best stages under one schedule.
TESSERA_INLINE PipelinePlan planned_under(const ChoiceInput& input, pipeline::ScheduleKind kind,
                                          const PipelinePlan& empty,
                                          pipeline::StageStatistics& statistics) {
  if (kind == pipeline::ScheduleKind::interleaved)
    return interleaved_plan(input.prices, empty, input.options.rematerialize, input.options.chunks,
                            [&] { return input.deadline.is_over(); });
  PipelinePlan plan = empty;
  choose_stages(input, kind, plan, statistics);
  return plan;
}

// By the prices that there are, when time is over: the first stages that are found.
TESSERA_INLINE PipelinePlan first_plan(const ChoiceInput& input, pipeline::ScheduleKind kind,
                                       const PipelinePlan& empty,
                                       pipeline::StageStatistics& statistics) {
  PipelinePlan plan = empty;
  if (kind != pipeline::ScheduleKind::interleaved) {
    choose_first_stages(input, kind, plan, statistics);
    return plan;
  }
  plan = interleaved_plan(input.prices, empty, input.options.rematerialize, input.options.chunks,
                          [] { return false; });
  plan.status = plan.has_stages() ? PipelineStatus::feasible : PipelineStatus::unknown;
  plan.lower_bound = 0;
  return plan;
}

// The plan that takes the least time in simulation, over the schedules.
TESSERA_INLINE PipelinePlan best_plan(ChoiceInput& input, const PipelinePlan& empty,
                                      pipeline::StageStatistics& statistics) {
  const std::vector<pipeline::ScheduleKind> schedules = schedules_of(input.options);
  PipelinePlan best = empty;
  for (const pipeline::ScheduleKind kind : schedules) {
    if (input.deadline.is_over()) break;
    PipelinePlan next = planned_under(input, kind, empty, statistics);
    const bool is_better = next.has_stages() &&
                           (!best.has_stages() || next.step_time < best.step_time);
    if (is_better || best.status == PipelineStatus::unknown) best = std::move(next);
  }
  if (!best.has_stages() && input.deadline.is_over()) {
    input.is_out_of_time = true;
    best = first_plan(input, schedules.front(), empty, statistics);
  }
  return best;
}

// Claims no more than the prices prove: a span that was left out might have made a better stage.
TESSERA_INLINE void weaken_claims(PipelinePlan& plan) {
  if (plan.pricing.left_out > 0) plan.lower_bound = plan.work_bound = 0;
  if (plan.status == PipelineStatus::optimal && plan.pricing.unproven + plan.pricing.left_out > 0)
    plan.status = PipelineStatus::feasible;
}

TESSERA_INLINE PricingOptions pricing_options(const PipelineOptions& options) {
  PricingOptions pricing = options.pricing;
  pricing.microbatches = options.microbatches;
  return pricing;
}

// A plan without stages, with the fields that are known beforehand.
TESSERA_INLINE PipelinePlan empty_plan(const PipelineOptions& options, const cost::Cluster& cluster,
                                       std::shared_ptr<const SpanPrices> prices) {
  PipelinePlan plan;
  plan.microbatches = options.microbatches;
  plan.memory_capacity = options.memory_budget.value_or(cluster.device.memory_bytes);
  plan.prices = std::move(prices);
  return plan;
}

}  // namespace detail

TESSERA_INLINE pipeline::Submeshes default_submeshes(const pipeline::Submesh& cluster) {
  pipeline::Submeshes result;
  for (Extent part = 1; part < cluster.per_host; ++part)
    if (cluster.per_host % part == 0) result.push_back({1, part});
  for (Extent hosts = 1; hosts <= cluster.hosts; ++hosts)
    if (cluster.hosts % hosts == 0) result.push_back({hosts, cluster.per_host});
  return result;
}

TESSERA_INLINE PipelinePlan plan_pipeline(const graph::Graph& graph, const pipeline::Layers& layers,
                                          const cost::Cluster& cluster,
                                          const PipelineOptions& options) {
  if (options.microbatches < 1)
    throw InvalidArgument("pipeline: " + std::to_string(options.microbatches) +
                          " microbatches; there must be 1 at least");
  const pipeline::LayeredProgram program(graph, layers);
  const solver::Deadline deadline(options.pricing.solver);
  const pipeline::Submeshes submeshes = detail::submeshes_for(cluster, options);
  const auto spans = std::make_shared<detail::SpanPrices>(
      program, cluster, detail::views_of(submeshes, options.meshes),
      detail::pricing_options(options));
  detail::StagePrices prices(program, cluster, *spans);

  const PipelinePlan empty = detail::empty_plan(options, cluster, spans);
  detail::ChoiceInput input{options, submeshes, deadline, prices, empty.memory_capacity, false};
  pipeline::StageStatistics statistics;
  PipelinePlan plan = detail::best_plan(input, empty, statistics);
  plan.choice = statistics;
  plan.pricing = spans->statistics();
  detail::weaken_claims(plan);
  plan.seconds = deadline.seconds();
  return plan;
}

}  // namespace tessera::plan
