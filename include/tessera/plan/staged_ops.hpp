// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan op by op: where each op of the program runs, and how.
//
// What several stages compute for themselves (tables, an optimizer's step size) is told of the
// first stage that does.
#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <tuple>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/plan/pipeline_plan.hpp"

namespace tessera::plan {

struct StagedOp {
  std::size_t stage = 0;
  DynamicMesh mesh;  // of the stage, its devices from `first_device` on
  Device first_device = 0;
  PlannedOp op;             // by the stage's mesh
  bool runs_again = false;  // for the backward pass
};

namespace detail {

// What tells the plan of one run of layers from others: its view, and what its ends are.
using PlanKey = std::tuple<std::size_t, std::size_t, const void*>;
inline PlanKey plan_key(const SpanPrices& prices, const StageConfig& config, std::size_t first,
                        std::size_t last) {
  return {config.view, prices.class_of(first, last),
          prices.price(config.view, first, last, config.level).get()};
}

}  // namespace detail

// By op of the program; distinct layers are planned once more, as they were priced.  Throws
// Error where that is cancelled.  @pre plan.has_stages()
inline std::vector<StagedOp> staged_ops(const PipelinePlan& plan, std::size_t op_count) {
  std::vector<StagedOp> ops(op_count);
  std::vector<char> is_known(op_count, 0);
  std::map<detail::PlanKey, Plan> plans;
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    const PlannedStage& stage = plan.stages[s];
    const StageConfig& config = stage.config;
    plan.prices->for_each_span(stage.first, stage.last, [&](std::size_t first, std::size_t last) {
      const auto [at, is_new] =
          plans.try_emplace(detail::plan_key(*plan.prices, config, first, last));
      if (is_new) at->second = plan.prices->plan(config.view, first, last, config.level);
      if (!at->second.has_ops()) throw Error("the plan of a stage was cancelled");
      const pipeline::SpanProgram& span = plan.prices->program(first, last);
      const std::vector<graph::OpId>& again =
          plan.prices
              ->rematerialization(config.view, first, last, config.level, config.rematerialization)
              ->ops;
      for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
        const bool is_received = span.graph.op(id).is_parameter &&
                                 span.parameter_kinds[id] == pipeline::ParameterKind::received;
        if (is_received || is_known[span.origin[id]] != 0) continue;
        is_known[span.origin[id]] = 1;
        ops[span.origin[id]] = {s, stage.mesh, stage.first_device, at->second.ops[id],
                                std::binary_search(again.begin(), again.end(), id)};
      }
    });
  }
  return ops;
}

}  // namespace tessera::plan
