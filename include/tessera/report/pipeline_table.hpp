// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan as a table for people: the step, then stage by stage.
#pragma once
#include <string>

#include "tessera/core/text.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {

namespace detail {

inline std::string range_text(std::size_t first, std::size_t last) {
  return first == last ? std::to_string(first) : std::to_string(first) + '-' + std::to_string(last);
}

// "2 dp x 4 tp"
inline std::string axes_text(const DynamicMesh& mesh, const pipeline::Roles& roles) {
  std::string text;
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
    text += (axis == 0 ? "" : " x ") + std::to_string(mesh.extent(axis)) + ' ' +
            pipeline::to_string(roles[axis]);
  return text;
}

inline std::string status_text(const plan::PipelinePlan& plan) {
  const plan::PricingStatistics& pricing = plan.pricing;
  std::string text = std::to_string(pricing.layers) + " layers (" +
                     std::to_string(pricing.distinct_layers) + " distinct) on " +
                     std::to_string(pricing.views) +
                     " views of submeshes: " + std::to_string(pricing.solved) + " problems solved";
  if (pricing.levels > 0) text += ", " + std::to_string(pricing.levels) + " levels within memory";
  if (pricing.kept > 0) text += ", " + std::to_string(pricing.kept) + " known";
  if (pricing.unproven > 0) text += ", " + std::to_string(pricing.unproven) + " to a limit";
  if (pricing.left_out > 0)
    text += ", " + std::to_string(pricing.left_out) + " or more left out for want of time";
  char seconds[64];
  std::snprintf(seconds, sizeof seconds, " in %.3g s; stages chosen in %.3g s", pricing.seconds,
                plan.choice.seconds);
  return text + seconds;
}

// How good the choice is among what was priced.
inline std::string quality_text(const plan::PipelinePlan& plan) {
  if (plan.lower_bound == 0 && plan.cost > 0)
    return "the best that was found in time; no bound is known";
  std::string text = "optimal among the stages priced";
  if (plan.cost > plan.lower_bound)
    text = "within " +
           percent_text(static_cast<double>(plan.cost - plan.lower_bound) /
                        static_cast<double>(plan.lower_bound)) +
           " of the best of the stages that can be priced";
  return text + (plan.pricing.unproven > 0 ? ", some of them to a limit" : "");
}

}  // namespace detail

// Several lines, each ended.  `plan` is one of `graph`, with stages or without.
inline std::string pipeline_table(const graph::Graph& graph, const plan::PipelinePlan& plan) {
  Columns lines;
  lines.add({"program", std::to_string(graph.op_count()) + " ops, " +
                            std::to_string(plan.microbatches) + " microbatches a step"});
  lines.add({"spans", detail::status_text(plan)});
  if (!plan.has_stages()) {
    const bool is_infeasible = plan.status == plan::PipelineStatus::infeasible;
    lines.add({"status", !plan.obstacle.empty() ? plan.obstacle
                         : is_infeasible ? "no stages fit in " + bytes_text(plan.memory_capacity) +
                                               " of memory per device"
                                         : "ended before stages were found"});
    return lines.text("");
  }
  const pipeline::Timeline& timeline = plan.timeline;
  lines.add({"status", detail::quality_text(plan)});
  lines.add({"step", time_text(plan.step_time) + " as " + pipeline::to_string(plan.schedule.kind) +
                         " plays, bubble " + percent_text(timeline.bubble()) + ", " +
                         time_text(plan.step_time - timeline.step_time) + " of it once per step"});
  lines.add({"", time_text(plan.cost) + " by the sum that chose the stages; lower bound " +
                     time_text(plan.lower_bound)});
  if (plan.work_bound > 0)
    lines.add({"", "no plans of any stages take less than " + time_text(plan.work_bound) +
                       ", which their products alone need: " +
                       percent_text(static_cast<double>(plan.work_bound) /
                                    static_cast<double>(plan.cost)) +
                       " of that sum"});
  const cost::Utilisation& use = plan.utilisation;
  lines.add({"devices", "MFU " + percent_text(use.mfu()) + " (" + flops_text(use.model_flops) +
                            " on " + std::to_string(use.devices) + " devices of " +
                            flops_text(use.peak) + "/s), HFU " + percent_text(use.hfu())});
  Columns rows;
  rows.add({"stage", "layers", "devices", "mesh", "forward", "backward", "receive", "per step",
            "in flight", "memory", "activations"});
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const plan::PlannedStage& stage = plan.stages[i];
    const auto first = static_cast<std::size_t>(stage.first_device);
    rows.add(
        {std::to_string(i), detail::range_text(stage.first, stage.last),
         detail::range_text(first, first + static_cast<std::size_t>(stage.mesh.device_count() - 1)),
         detail::axes_text(stage.mesh, stage.roles), time_text(stage.forward),
         time_text(stage.backward), time_text(saturating_add(stage.receive, stage.send_back)),
         time_text(stage.per_step), std::to_string(stage.in_flight), bytes_text(stage.bytes),
         stage.way.recomputes ? "computed again" : "kept"});
  }
  return lines.text("") + "\nstages, their times of one microbatch\n" + rows.text();
}

}  // namespace tessera::report
