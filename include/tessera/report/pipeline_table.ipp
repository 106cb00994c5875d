// SPDX-License-Identifier: Apache-2.0
//
// The lines about the search and the step, and the rows of the stages.
#pragma once
#include "tessera/report/pipeline_table.hpp"

#include <cstddef>
#include <cstdio>

#include "tessera/core/wide.hpp"
#include "tessera/report/detail/devices_text.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {
namespace detail {

// --- The search ----------------------------------------------------------------------------------

TESSERA_INLINE std::string search_text(const plan::PipelinePlan& plan) {
  const plan::PricingStatistics& pricing = plan.pricing;
  std::string text = std::to_string(pricing.layers) + " layers (" +
                     std::to_string(pricing.distinct_layers) + " distinct) on " +
                     std::to_string(pricing.views) +
                     " views of submeshes: " + std::to_string(pricing.solved) + " problems solved";
  if (pricing.levels > 0) text += ", " + std::to_string(pricing.levels) + " levels within memory";
  if (pricing.kept > 0) text += ", " + std::to_string(pricing.kept) + " from the cache";
  if (pricing.unproven > 0) text += ", " + std::to_string(pricing.unproven) + " not to optimality";
  if (pricing.left_out > 0)
    text += ", " + std::to_string(pricing.left_out) + " or more skipped for lack of time";
  char seconds[64];
  std::snprintf(seconds, sizeof seconds, " in %.3g s; stages chosen in %.3g s", pricing.seconds,
                plan.choice.seconds);
  return text + seconds;
}

// How far the choice can be from the best one, of the stages that were priced.
TESSERA_INLINE std::string quality_text(const plan::PipelinePlan& plan) {
  if (plan.lower_bound == 0 && plan.cost > 0)
    return "the best that was found in time; no lower bound is known";
  std::string text = "optimal among the stages priced";
  if (plan.cost > plan.lower_bound)
    text = "within " +
           percent_text(static_cast<double>(plan.cost - plan.lower_bound) /
                        static_cast<double>(plan.lower_bound)) +
           " of the best of the stages that can be priced";
  return text + (plan.pricing.unproven > 0 ? ", some of them not to optimality" : "");
}

// Why there are no stages.
TESSERA_INLINE std::string obstacle_text(const plan::PipelinePlan& plan) {
  if (!plan.obstacle.empty()) return plan.obstacle;
  if (plan.status == plan::PipelineStatus::infeasible)
    return "no stages fit in " + bytes_text(plan.memory_capacity) + " of memory per device";
  return "ended before stages were found";
}

// --- The step ------------------------------------------------------------------------------------

TESSERA_INLINE void add_step(const plan::PipelinePlan& plan, Columns& lines) {
  lines.add(
      {"step", time_text(plan.step_time) + " in the " + pipeline::to_string(plan.schedule.kind) +
                   " schedule, bubble " + percent_text(plan.timeline.bubble()) + ", " +
                   time_text(plan.step_time - plan.timeline.step_time) + " of it once per step"});
  lines.add({"", time_text(plan.cost) + " by the formula that chose the stages; lower bound " +
                     time_text(plan.lower_bound)});
  if (plan.work_bound > 0)
    lines.add({"", "any plan takes at least " + time_text(plan.work_bound) +
                       ", the time of its matrix products alone: " +
                       percent_text(static_cast<double>(plan.work_bound) /
                                    static_cast<double>(plan.cost)) +
                       " of the formula"});
  lines.add({"devices", devices_text(plan.utilisation)});
}

// --- The stages ----------------------------------------------------------------------------------

TESSERA_INLINE std::string range_text(std::size_t first, std::size_t last) {
  return first == last ? std::to_string(first) : std::to_string(first) + '-' + std::to_string(last);
}

// "2 dp x 4 tp"
TESSERA_INLINE std::string axes_text(const DynamicMesh& mesh, const pipeline::Roles& roles) {
  std::string text;
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
    text += (axis == 0 ? "" : " x ") + std::to_string(mesh.extent(axis)) + ' ' +
            pipeline::to_string(roles[axis]);
  return text;
}

TESSERA_INLINE void add_stage(std::size_t number, const plan::PlannedStage& stage, Columns& rows) {
  const auto first = static_cast<std::size_t>(stage.first_device);
  const std::size_t last = first + static_cast<std::size_t>(stage.mesh.device_count() - 1);
  rows.add({std::to_string(number), range_text(stage.first, stage.last), range_text(first, last),
            axes_text(stage.mesh, stage.roles), time_text(stage.forward), time_text(stage.backward),
            time_text(saturating_add(stage.receive, stage.send_back)), time_text(stage.per_step),
            std::to_string(stage.in_flight), bytes_text(stage.bytes),
            stage.again > 0 ? time_text(stage.again) + " to rematerialize" : "kept"});
}

TESSERA_INLINE std::string stages_section(const plan::PipelinePlan& plan) {
  Columns rows;
  rows.add({"stage", "layers", "devices", "mesh", "forward", "backward", "receive", "per step",
            "in flight", "memory", "activations"});
  for (std::size_t i = 0; i < plan.stages.size(); ++i) add_stage(i, plan.stages[i], rows);
  return "\nstages, with the times of one microbatch\n" + rows.text();
}

}  // namespace detail

TESSERA_INLINE std::string pipeline_table(const graph::Graph& graph,
                                          const plan::PipelinePlan& plan) {
  Columns lines;
  lines.add({"program", std::to_string(graph.op_count()) + " ops, " +
                            std::to_string(plan.microbatches) + " microbatches a step"});
  lines.add({"spans", detail::search_text(plan)});
  lines.add(
      {"status", plan.has_stages() ? detail::quality_text(plan) : detail::obstacle_text(plan)});
  if (!plan.has_stages()) return lines.text("");
  detail::add_step(plan, lines);
  return lines.text("") + detail::stages_section(plan);
}

}  // namespace tessera::report
