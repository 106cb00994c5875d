// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan becomes its program: spans with plans, routes between them, and outputs.
#pragma once
#include "tessera/executor/pipeline_program.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/executor/detail/kernels/compute.hpp"
#include "tessera/executor/detail/running/order.hpp"
#include "tessera/executor/errors.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/plan/stage_memory.hpp"
#include "tessera/plan/staged_ops.hpp"

namespace tessera::executor {

TESSERA_INLINE std::size_t PipelineProgram::stage_of(Device device) const {
  std::size_t stage = 0;
  while (stages[stage].first_device + stages[stage].devices() <= device ||
         stages[stage].first_device > device)
    ++stage;
  return stage;
}

TESSERA_INLINE std::int64_t PipelineProgram::runs(std::size_t stage, std::size_t span,
                                                  graph::OpId id) const {
  const SpanRun& run = stages[stage].spans[span];
  if (run.program.phases[id] == pipeline::Phase::update) return 1;
  const bool runs_again =
      std::binary_search(run.rematerialized.begin(), run.rematerialized.end(), id);
  return runs_again ? 2 * microbatches : microbatches;
}

namespace detail {

// --- Stages --------------------------------------------------------------------------------------

// Two microbatches in flight could not share a parameter that takes a new value with every one of
// them.
inline void check_updates(const pipeline::SpanProgram& span) {
  check_without_loops(span.graph);
  const std::vector<char> varies = pipeline::varying(span);
  for (const graph::Alias& alias : span.graph.aliases)
    if (alias.output.op != alias.parameter && varies[alias.output.op] != 0 &&
        span.phases[alias.output.op] != pipeline::Phase::update)
      throw Unsupported(
          op_text(span.graph.op(alias.output.op)) + ": takes the place of " +
          span.graph.op(alias.parameter).name +
          " in every microbatch; a pipeline can only execute updates that happen once "
          "per step");
}

inline StageRun stage_run(const plan::PlannedStage& stage,
                          const std::vector<plan::PlannedSpan>& spans) {
  StageRun run{stage.mesh, stage.first_device, {}, stage.bytes, 0};
  for (const plan::PlannedSpan& span : spans) {
    run.spans.push_back({span.first, span.last, *span.program, *span.plan, *span.again});
    check_updates(run.spans.back().program);
  }
  return run;
}

// Of all chunks of one stage together.
inline void predict_memory(PipelineProgram& program, std::size_t stage) {
  std::vector<plan::ChunkSpan> spans;
  for (std::size_t s = stage; s < program.stages.size(); s += program.stage_count())
    for (const SpanRun& span : program.stages[s].spans)
      spans.push_back(
          {static_cast<std::int64_t>(s), &span.program, &span.plan, &span.rematerialized});
  const Wide bytes =
      plan::stage_memory_peak(spans, program.schedule, program.schedule.orders[stage]);
  for (std::size_t s = stage; s < program.stages.size(); s += program.stage_count())
    program.stages[s].predicted_bytes = bytes;
}

// --- Routes --------------------------------------------------------------------------------------

struct RouteMaker {
  const graph::Graph& graph;  // the whole program
  Extent per_host = 1;        // devices
  PipelineProgram& program;

  const SpanRun& span_at(std::size_t stage, std::size_t span) const {
    return program.stages[stage].spans[span];
  }
};

inline bool lead_the_same_way(const TransferRoute& a, const TransferRoute& b) {
  return a.from_stage == b.from_stage && a.from_span == b.from_span && a.value == b.value &&
         a.to_stage == b.to_stage && a.sharding == b.sharding && a.received == b.received;
}

// Adds a reader of a value of the whole program; to a route that leads the same way, if there is
// one.
inline void add_reader(const RouteMaker& make, TransferRoute route, graph::Value origin,
                       SpanParameter reader) {
  std::vector<TransferRoute>& routes = make.program.routes;
  for (TransferRoute& other : routes)
    if (lead_the_same_way(other, route)) return other.readers.push_back(reader);
  const StageRun& from = make.program.stages[route.from_stage];
  const StageRun& to = make.program.stages[route.to_stage];
  const DynamicSharding sent =
      from.spans[route.from_span].plan.ops[route.value.op].results[route.value.result];
  route.type = make.graph.type_of(origin);
  // The same value may go to a stage by two routes, so their number is part of the label.
  route.label = make.graph.op(origin.op).name + "." + std::to_string(origin.result) +
                " from stage " + std::to_string(route.from_stage) + " to " +
                std::to_string(route.to_stage) + " #" + std::to_string(routes.size());
  route.readers = {reader};
  route.transfer = pipeline::transfer_between(route.type.dims, {from.mesh, sent, from.first_device},
                                              {to.mesh, route.sharding, to.first_device},
                                              make.per_host);
  routes.push_back(std::move(route));
}

// Of all values that a span sends.
inline void add_routes(const RouteMaker& make, std::size_t stage, std::size_t span) {
  for (const pipeline::BoundaryValue& sent : make.span_at(stage, span).program.sent) {
    TransferRoute route;
    route.from_stage = stage;
    route.from_span = span;
    route.value = sent.value;
    route.sent = sent.phase;
    for (std::size_t to = 0; to < make.program.stages.size(); ++to) {
      route.to_stage = to;
      for (std::size_t other = 0; other < make.program.stages[to].spans.size(); ++other) {
        const SpanRun& reader = make.span_at(to, other);
        for (const pipeline::BoundaryValue& received : reader.program.received) {
          if (received.origin != sent.origin) continue;
          route.sharding = reader.plan.ops[received.op].computed[0];
          route.received = received.phase;
          add_reader(make, route, sent.origin, {other, received.op});
        }
      }
    }
  }
}

// --- Weights that several spans read -------------------------------------------------------------

struct WeightOwner {
  std::size_t stage = 0, span = 0;
  graph::Value updated;
};

inline std::optional<graph::Value> update_of(const SpanRun& span, graph::OpId parameter) {
  for (const graph::Alias& alias : span.program.graph.aliases)
    if (alias.parameter == parameter && alias.output.op != parameter) return alias.output;
  return std::nullopt;
}

// Calls visit(stage, span, parameter) for every weight of every span.
template<class Visit>
void for_each_weight(const PipelineProgram& program, Visit&& visit) {
  for (std::size_t s = 0; s < program.stages.size(); ++s)
    for (std::size_t i = 0; i < program.stages[s].spans.size(); ++i) {
      const pipeline::SpanProgram& span = program.stages[s].spans[i].program;
      for (graph::OpId id = 0; id < span.graph.op_count(); ++id)
        if (span.graph.op(id).is_parameter && pipeline::is_permanent(span, id)) visit(s, i, id);
    }
}

// From the span that updates a weight to the spans that only read it.
inline void add_weight_routes(const RouteMaker& make) {
  std::map<graph::OpId, WeightOwner> owners;  // by parameter of the whole program
  for_each_weight(make.program, [&](std::size_t stage, std::size_t span, graph::OpId id) {
    const SpanRun& run = make.span_at(stage, span);
    if (const auto updated = update_of(run, id))
      owners.try_emplace(run.program.origin[id], WeightOwner{stage, span, *updated});
  });
  for_each_weight(make.program, [&](std::size_t stage, std::size_t span, graph::OpId id) {
    const SpanRun& run = make.span_at(stage, span);
    const graph::OpId origin = run.program.origin[id];
    const auto owner = owners.find(origin);
    if (owner == owners.end() || update_of(run, id)) return;
    TransferRoute route;
    route.from_stage = owner->second.stage;
    route.from_span = owner->second.span;
    route.value = owner->second.updated;
    route.sent = route.received = pipeline::Phase::update;
    route.is_weight = true;
    route.to_stage = stage;
    route.sharding = run.plan.ops[id].computed[0];
    add_reader(make, std::move(route), {origin, 0}, {span, id});
  });
}

// --- Outputs -------------------------------------------------------------------------------------

// Whether it is an op of the program, and neither a value received nor a copy to be sent.
inline bool is_own(const graph::Graph& graph, const pipeline::SpanProgram& span, graph::OpId id) {
  const bool is_received = span.graph.op(id).is_parameter &&
                           span.parameter_kinds[id] == pipeline::ParameterKind::received;
  return !is_received && span.graph.op(id).name == graph.op(span.origin[id]).name;
}

// The span's value for an output of the whole program, if it computes that.
inline std::optional<graph::Value> output_in(const graph::Graph& graph,
                                             const pipeline::SpanProgram& span,
                                             graph::Value output) {
  for (const graph::Value value : span.graph.outputs)
    if (is_own(graph, span, value.op) && span.origin[value.op] == output.op &&
        value.result == output.result)
      return value;
  return std::nullopt;
}

inline void place_outputs(const graph::Graph& graph, PipelineProgram& program) {
  for (std::size_t o = 0; o < graph.outputs.size(); ++o)
    for (std::size_t s = 0; s < program.stages.size(); ++s)
      for (std::size_t i = 0; i < program.stages[s].spans.size(); ++i)
        if (const auto value =
                output_in(graph, program.stages[s].spans[i].program, graph.outputs[o]))
          program.outputs.push_back({o, s, i, *value});
}

}  // namespace detail

TESSERA_INLINE PipelineProgram pipeline_program(const graph::Graph& graph,
                                                const plan::PipelinePlan& plan,
                                                const cost::Cluster& cluster) {
  PipelineProgram program;
  program.microbatches = plan.microbatches;
  program.schedule = plan.schedule;
  const std::vector<std::vector<plan::PlannedSpan>> spans = plan::planned_spans(plan);
  for (std::size_t s = 0; s < plan.stages.size(); ++s)
    program.stages.push_back(detail::stage_run(plan.stages[s], spans[s]));
  for (std::size_t s = 0; s < program.stage_count(); ++s) detail::predict_memory(program, s);
  const detail::RouteMaker make{graph, plan::hosts_of(cluster).per_host, program};
  for (std::size_t s = 0; s < program.stages.size(); ++s)
    for (std::size_t span = 0; span < program.stages[s].spans.size(); ++span)
      detail::add_routes(make, s, span);
  detail::add_weight_routes(make);
  detail::place_outputs(graph, program);
  program.parameter_numbers.assign(graph.op_count(), 0);
  for (std::size_t i = 0; const graph::OpId id : parameters_of(graph))
    program.parameter_numbers[id] = i++;
  return program;
}

TESSERA_INLINE PipelineProgram with_floats(PipelineProgram program, ElementType element) {
  for (StageRun& stage : program.stages)
    for (SpanRun& span : stage.spans)
      span.program.graph = with_floats(std::move(span.program.graph), element);
  for (TransferRoute& route : program.routes)
    if (graph::is_floating(route.type.element)) route.type.element = element;
  return program;
}

}  // namespace tessera::executor
