// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of placed_stages.hpp.
#pragma once
#include "tessera/plan/detail/pipeline/placed_stages.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "tessera/core/error.hpp"

namespace tessera::plan::detail {

// Visits the spans of a stage with their prices.
template<class Visit>
void for_each_price(const SpanPrices& spans, const PlannedStage& stage, Visit&& visit) {
  const StageConfig& config = stage.config;
  spans.for_each_span(stage.first, stage.last, [&](std::size_t from, std::size_t to) {
    visit(spans.program(from, to), *spans.price(config.view, from, to, config.level));
  });
}

// An axis that splits the first dim of a boundary value works on different data.
TESSERA_INLINE pipeline::Roles roles_of(const SpanPrices& spans, const PlannedStage& stage) {
  pipeline::Roles roles(stage.mesh.rank(), pipeline::Role::tensor);
  for_each_price(spans, stage, [&](const pipeline::SpanProgram& span, const SpanPrice& price) {
    const auto note = [&](const pipeline::BoundaryValue& boundary, DynamicSharding sharding) {
      if (boundary.phase == pipeline::Phase::update || sharding.rank() == 0) return;
      for (const Axis axis : sharding.axes(0)) roles[axis] = pipeline::Role::data;
    };
    for (std::size_t i = 0; i < span.received.size(); ++i)
      note(span.received[i], price.received[i]);
    for (std::size_t i = 0; i < span.sent.size(); ++i) note(span.sent[i], price.sent[i]);
  });
  return roles;
}

// The submeshes of the stages, and the first device of each.
TESSERA_INLINE pipeline::Placement placement_of(const StagePrices& prices,
                                                const pipeline::Submeshes& submeshes) {
  std::optional<pipeline::Placement> placement = pipeline::place(prices.hosts(), submeshes);
  if (!placement)
    throw InvalidArgument("pipeline: the " + std::to_string(submeshes.size()) +
                          " stages can not be placed on hosts of " +
                          std::to_string(prices.hosts().per_host) +
                          " devices without straddling hosts; allow only submeshes that divide a "
                          "host, or whole hosts");
  return std::move(*placement);
}

TESSERA_INLINE PlannedStage planned_stage(const StagePrices& prices, const StageChoice& choice,
                                          const pipeline::Submesh& submesh, Device first_device) {
  PlannedStage stage;
  stage.first = choice.first;
  stage.last = choice.last;
  stage.config = choice.config;
  stage.submesh = submesh;
  stage.first_device = first_device;
  stage.mesh = prices.view(stage.config.view).mesh;
  const SpanSum sum = prices.span(stage.config, stage.first, stage.last).sum;
  stage.forward = sum.forward;
  stage.backward = sum.backward;
  stage.again = sum.again;
  stage.weight_backward = sum.weight_backward;
  stage.per_step = sum.per_step;
  stage.memory = sum.memory();
  stage.roles = roles_of(prices.spans(), stage);
  return stage;
}

TESSERA_INLINE void add_stages(const StagePrices& prices, const std::vector<StageChoice>& chosen,
                               PipelinePlan& plan) {
  pipeline::Submeshes submeshes;
  for (std::size_t i = 0; i < plan.stage_count(); ++i)
    submeshes.push_back(prices.view(chosen[i].config.view).submesh);
  const pipeline::Placement placement = placement_of(prices, submeshes);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const std::size_t number = i % plan.stage_count();
    plan.stages.push_back(planned_stage(prices, chosen[i], submeshes[number], placement[number]));
  }
}

// --- Transfers -----------------------------------------------------------------------------------

// The sharding of a boundary value in a stage; nothing where it is none of the stage's.
TESSERA_INLINE std::optional<DynamicSharding> sharding_in(const SpanPrices& spans,
                                                          const PlannedStage& stage,
                                                          graph::Value origin, bool is_received) {
  std::optional<DynamicSharding> sharding;
  for_each_price(spans, stage, [&](const pipeline::SpanProgram& span, const SpanPrice& price) {
    const auto& boundaries = is_received ? span.received : span.sent;
    for (std::size_t i = 0; i < boundaries.size() && !sharding; ++i)
      if (boundaries[i].origin == origin)
        sharding = is_received ? price.received[i] : price.sent[i];
  });
  return sharding;
}

TESSERA_INLINE std::size_t stage_of_layer(const PipelinePlan& plan, std::size_t layer) {
  std::size_t stage = 0;
  while (plan.stages[stage].last < layer) ++stage;
  return stage;
}

// The stage before stage `at` that a value comes from, or, sent back, that reads it first; `at`
// itself where there is none.
TESSERA_INLINE std::size_t other_end(const StagePrices& prices, const PipelinePlan& plan,
                                     std::size_t at, graph::Value origin, bool is_received) {
  const pipeline::LayeredProgram& program = prices.program();
  if (is_received) return stage_of_layer(plan, program.layer_of(origin.op));
  std::size_t other = at;
  program.graph().for_each_use(origin.op, [&](graph::OpId reader, const graph::Use& use) {
    if (use.result == origin.result)
      other = std::min(other, stage_of_layer(plan, program.layer_of(reader)));
  });
  return other;
}

// The time of one value between stage `at` and a stage before it.
TESSERA_INLINE Cost time_of_value(const StagePrices& prices, const PipelinePlan& plan,
                                  std::size_t at, graph::Value origin, bool is_received) {
  const std::size_t other = other_end(prices, plan, at, origin, is_received);
  if (other >= at) return 0;
  const PlannedStage &stage = plan.stages[at], &there = plan.stages[other];
  if (there.first_device == stage.first_device) return 0;  // chunks of one stage
  const auto own = sharding_in(prices.spans(), stage, origin, is_received);
  const auto its = sharding_in(prices.spans(), there, origin, !is_received);
  if (!own || !its) return 0;
  const pipeline::PlacedSharding here{stage.mesh, *own, stage.first_device};
  const pipeline::PlacedSharding away{there.mesh, *its, there.first_device};
  const graph::TensorType& type = prices.program().graph().type_of(origin);
  return is_received ? prices.transfer(type, away, here) : prices.transfer(type, here, away);
}

// All that stage `at` receives from stages before it, and sends back to them.
TESSERA_INLINE void time_transfers(const StagePrices& prices, std::size_t at, PipelinePlan& plan) {
  PlannedStage& stage = plan.stages[at];
  std::set<graph::Value> seen;
  const auto add = [&](graph::Value origin, bool is_received, Cost& total) {
    if (seen.insert(origin).second)
      total = saturating_add(total, time_of_value(prices, plan, at, origin, is_received));
  };
  for_each_price(prices.spans(), stage, [&](const pipeline::SpanProgram& span, const SpanPrice&) {
    for (const pipeline::BoundaryValue& boundary : span.received)
      if (boundary.phase == pipeline::Phase::forward) add(boundary.origin, true, stage.receive);
    for (const pipeline::BoundaryValue& boundary : span.sent)
      if (boundary.phase == pipeline::Phase::backward) add(boundary.origin, false, stage.send_back);
  });
}

// --- The step ------------------------------------------------------------------------------------

TESSERA_INLINE void fill_memory(std::size_t at, PipelinePlan& plan) {
  PlannedStage& stage = plan.stages[at];
  const std::size_t number = at % plan.stage_count();
  stage.in_flight = plan.timeline.peak_in_flight[number];
  stage.bytes = plan.timeline.peak_bytes[number];
  for (std::size_t i = number; i < plan.stages.size(); i += plan.stage_count())
    stage.bytes += plan.stages[i].memory.fixed;
}

// Simulates the schedule with the times of the stages.
TESSERA_INLINE void simulate_step(PipelinePlan& plan) {
  std::vector<pipeline::ChunkTimes> times;
  std::vector<Cost> per_step(plan.stage_count(), 0);
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const PlannedStage& stage = plan.stages[i];
    times.push_back({.forward = stage.forward,
                     .input_backward = stage.backward - stage.weight_backward,
                     .weight_backward = stage.weight_backward,
                     .send_backward = stage.send_back,
                     .bytes = stage.memory.per_microbatch});
    if (i > 0) times[i - 1].send_forward = stage.receive;
    Cost& once = per_step[i % plan.stage_count()];
    once = saturating_add(once, stage.per_step);
  }
  plan.timeline = pipeline::simulate(plan.schedule, times);
  plan.step_time =
      saturating_add(plan.timeline.step_time, *std::max_element(per_step.begin(), per_step.end()));
  for (std::size_t i = 0; i < plan.stages.size(); ++i) fill_memory(i, plan);
}

TESSERA_INLINE void count_flops(const StagePrices& prices, PipelinePlan& plan) {
  cost::Utilisation& use = plan.utilisation;
  use.time = plan.step_time;
  use.devices = prices.cluster().device_count();
  const SpanPrices& spans = prices.spans();
  for (const PlannedStage& stage : plan.stages) {
    const StageConfig& config = stage.config;
    spans.for_each_span(stage.first, stage.last, [&](std::size_t from, std::size_t to) {
      const SpanPrice& price = *spans.price(config.view, from, to, config.level);
      const Rematerialization& again =
          *spans.rematerialization(config.view, from, to, config.level, config.rematerialization);
      use.peak = std::max(use.peak, price.peak);
      use.model_flops += price.model_flops * plan.microbatches;
      Wide hardware = price.hardware_flops;
      // Rematerialization is as spread over devices as the rest.
      if (price.model_flops > 0)
        hardware += price.hardware_flops / 1000 * (again.flops * 1000 / price.model_flops);
      use.hardware_flops += hardware * plan.microbatches;
    });
  }
}

TESSERA_INLINE void place_stages(const StagePrices& prices, const std::vector<StageChoice>& chosen,
                                 pipeline::Schedule schedule, PipelinePlan& plan) {
  plan.schedule = std::move(schedule);
  add_stages(prices, chosen, plan);
  for (std::size_t i = 1; i < plan.stages.size(); ++i) time_transfers(prices, i, plan);
  simulate_step(plan);
  count_flops(prices, plan);
}

}  // namespace tessera::plan::detail
