// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of staged_ops.hpp.
#pragma once
#include "tessera/plan/staged_ops.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "tessera/core/error.hpp"
#include "tessera/plan/detail/pipeline/span_prices.hpp"

namespace tessera::plan {

namespace detail {

// Plans by view, class, and the price of the span, which depends on its boundary values.
using KnownPlans =
    std::map<std::tuple<std::size_t, std::size_t, const void*>, std::shared_ptr<const Plan>>;

// A span, planned once more unless an interchangeable one is known.
TESSERA_INLINE PlannedSpan planned_span(const SpanPrices& prices, const StageConfig& config,
                                        std::size_t first, std::size_t last, KnownPlans& plans) {
  std::shared_ptr<const Plan>& known =
      plans[{config.view, prices.class_of(first, last),
             prices.price(config.view, first, last, config.level).get()}];
  if (!known)
    known = std::make_shared<const Plan>(prices.plan(config.view, first, last, config.level));
  if (!known->has_ops())
    throw Error(
        "pipeline: planning the layers of a stage once more was cancelled; give it more "
        "time");
  return {
      first, last, &prices.program(first, last), known,
      &prices.rematerialization(config.view, first, last, config.level, config.rematerialization)
           ->ops};
}

}  // namespace detail

TESSERA_INLINE std::vector<std::vector<PlannedSpan>> planned_spans(const PipelinePlan& plan) {
  detail::KnownPlans plans;
  std::vector<std::vector<PlannedSpan>> stages;
  for (const PlannedStage& stage : plan.stages) {
    std::vector<PlannedSpan>& spans = stages.emplace_back();
    plan.prices->for_each_span(stage.first, stage.last, [&](std::size_t first, std::size_t last) {
      spans.push_back(detail::planned_span(*plan.prices, stage.config, first, last, plans));
    });
  }
  return stages;
}

TESSERA_INLINE std::vector<StagedOp> staged_ops(const PipelinePlan& plan, std::size_t op_count) {
  std::vector<StagedOp> ops(op_count);
  std::vector<char> is_known(op_count, 0);
  const std::vector<std::vector<PlannedSpan>> stages = planned_spans(plan);
  for (std::size_t s = 0; s < stages.size(); ++s)
    for (const PlannedSpan& planned : stages[s]) {
      const pipeline::SpanProgram& span = *planned.program;
      for (graph::OpId id = 0; id < span.graph.op_count(); ++id) {
        const bool is_received = span.graph.op(id).is_parameter &&
                                 span.parameter_kinds[id] == pipeline::ParameterKind::received;
        if (is_received || is_known[span.origin[id]] != 0) continue;
        is_known[span.origin[id]] = 1;
        ops[span.origin[id]] = {
            s, plan.stages[s].mesh, plan.stages[s].first_device, planned.plan->ops[id],
            std::binary_search(planned.again->begin(), planned.again->end(), id)};
      }
    }
  return ops;
}

}  // namespace tessera::plan
