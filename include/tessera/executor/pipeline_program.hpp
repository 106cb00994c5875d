// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan made ready to run: of each stage its spans with their plans, and of each value
// that goes from one span to another who has it, who needs it, and which device sends what to whom.
//
// All devices share it.  Where spans are layers, a stage is a row of them: what crosses between two
// layers of one stage is handed over in place, or brought into another sharding, as a transfer on
// one submesh.
//
// A weight that several spans read is updated by its owner; the others get the new values at the
// end of a step, which is a transfer too.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/executor/microbatches.hpp"
#include "tessera/pipeline/transfer.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/plan/stage_memory.hpp"
#include "tessera/plan/staged_ops.hpp"

namespace tessera::executor {

struct SpanRun {
  std::size_t first = 0, last = 0;  // layers
  pipeline::SpanProgram program;
  plan::Plan plan;
  std::vector<graph::OpId> again;  // what runs a second time, for the backward pass
};

// A stage; interleaved, a chunk of one.
struct StageRun {
  DynamicMesh mesh;
  Device first_device = 0;
  std::vector<SpanRun> spans;  // in the order of their layers
  // On each device, of all chunks that it has: what was counted on when stages were chosen, and
  // what the schedule's passes hold under the spans' plans.
  Wide planned_bytes = 0, predicted_bytes = 0;

  Extent devices() const { return mesh.device_count(); }
};

// A parameter of a span.
struct Reader {
  std::size_t span = 0;
  graph::OpId op = 0;
};

// What goes from one span to another stage, or to other spans of its own.
struct Link {
  std::string label;
  std::size_t from_stage = 0, from_span = 0;
  graph::Value value;      // in that span
  pipeline::Phase sent{};  // how often: with each microbatch, or once per step
  bool is_weight = false;  // an updated weight, for those who have a copy
  std::size_t to_stage = 0;
  std::vector<Reader> readers;  // who have it alike
  pipeline::Phase received{};   // update: what comes is added up before it is read
  DynamicSharding sharding;     // there
  graph::TensorType type;
  pipeline::Transfer transfer;
};

// Where an output of the whole program is.
struct OutputPlace {
  std::size_t output = 0;  // of the program's
  std::size_t stage = 0, span = 0;
  graph::Value value;  // in the span
};

struct PipelineProgram {
  std::int64_t microbatches = 1;
  pipeline::Schedule schedule;
  std::vector<StageRun> stages;  // chunk by chunk: number i is on the devices of i % stage_count()
  std::vector<Link> links;
  std::vector<OutputPlace> outputs;
  std::vector<graph::OpId> parameter_numbers;  // by op of the whole program: which input it is

  Extent devices() const { return stages.back().first_device + stages.back().devices(); }
  std::size_t stage_count() const noexcept { return static_cast<std::size_t>(schedule.stages); }
  // Whether backward passes are in two.
  bool has_halves() const noexcept { return schedule.kind == pipeline::ScheduleKind::zero_bubble; }
  // The first of those that the device has.  @pre 0 <= device < devices()
  std::size_t stage_of(Device device) const {
    std::size_t stage = 0;
    while (stages[stage].first_device + stages[stage].devices() <= device ||
           stages[stage].first_device > device)
      ++stage;
    return stage;
  }
  // How often an op runs in a step.
  std::int64_t runs(std::size_t stage, std::size_t span, graph::OpId id) const {
    const SpanRun& run = stages[stage].spans[span];
    if (run.program.phases[id] == pipeline::Phase::update) return 1;
    const bool is_run_again = std::binary_search(run.again.begin(), run.again.end(), id);
    return is_run_again ? 2 * microbatches : microbatches;
  }
};

namespace detail {

class PipelinePreparer {
 public:
  PipelinePreparer(const graph::Graph& graph, const plan::PipelinePlan& plan, Extent per_host)
      : graph_(graph), plan_(plan), per_host_(per_host) {}

  PipelineProgram run() {
    result_.microbatches = plan_.microbatches;
    result_.schedule = plan_.schedule;
    const std::vector<std::vector<plan::PlannedSpan>> spans = plan::planned_spans(plan_);
    for (std::size_t s = 0; s < plan_.stages.size(); ++s) add_stage(plan_.stages[s], spans[s]);
    for (std::size_t s = 0; s < result_.stage_count(); ++s) predict_memory(s);
    for (std::size_t s = 0; s < result_.stages.size(); ++s)
      for (std::size_t span = 0; span < result_.stages[s].spans.size(); ++span) add_links(s, span);
    link_weights();
    place_outputs();
    result_.parameter_numbers.assign(graph_.op_count(), 0);
    for (std::size_t i = 0; const graph::OpId id : parameters_of(graph_))
      result_.parameter_numbers[id] = i++;
    return std::move(result_);
  }

 private:
  void add_stage(const plan::PlannedStage& stage, const std::vector<plan::PlannedSpan>& spans) {
    StageRun run{stage.mesh, stage.first_device, {}, stage.bytes, 0};
    for (const plan::PlannedSpan& span : spans) {
      run.spans.push_back({span.first, span.last, *span.program, *span.plan, *span.again});
      check_updates(run.spans.back().program);
    }
    result_.stages.push_back(std::move(run));
  }

  void predict_memory(std::size_t number) {
    std::vector<plan::ChunkSpan> spans;
    for (std::size_t s = number; s < result_.stages.size(); s += result_.stage_count())
      for (const SpanRun& span : result_.stages[s].spans)
        spans.push_back({static_cast<std::int64_t>(s), &span.program, &span.plan, &span.again});
    const Wide bytes =
        plan::stage_memory_peak(spans, result_.schedule, result_.schedule.orders[number]);
    for (std::size_t s = number; s < result_.stages.size(); s += result_.stage_count())
      result_.stages[s].predicted_bytes = bytes;
  }

  // A parameter that takes a new value with every microbatch has none that two in flight could
  // share.
  static void check_updates(const pipeline::SpanProgram& span) {
    check_straight(span.graph);
    const std::vector<char> varies = pipeline::varying(span);
    for (const graph::Alias& alias : span.graph.aliases)
      if (alias.output.op != alias.parameter && varies[alias.output.op] != 0 &&
          span.phases[alias.output.op] != pipeline::Phase::update)
        throw Unsupported(op_text(span.graph.op(alias.output.op)) + ": takes the place of " +
                          span.graph.op(alias.parameter).name +
                          " in every microbatch; in a pipeline only what is updated once per step "
                          "can be executed");
  }

  const SpanRun& span_at(std::size_t stage, std::size_t span) const {
    return result_.stages[stage].spans[span];
  }
  static DynamicSharding handed_on(const SpanRun& span, graph::Value value) {
    return span.plan.ops[value.op].results[value.result];
  }

  void add_links(std::size_t stage, std::size_t span) {
    for (const pipeline::BoundaryValue& boundary : span_at(stage, span).program.sent) {
      Link link;
      link.from_stage = stage;
      link.from_span = span;
      link.value = boundary.value;
      link.sent = boundary.phase;
      for (std::size_t to = 0; to < result_.stages.size(); ++to) {
        link.to_stage = to;
        for (std::size_t other = 0; other < result_.stages[to].spans.size(); ++other) {
          const SpanRun& reader = span_at(to, other);
          for (const pipeline::BoundaryValue& received : reader.program.received)
            if (received.origin == boundary.origin)
              add(link, boundary.origin, {other, received.op},
                  reader.plan.ops[received.op].computed[0], received.phase);
        }
      }
    }
  }

  // Joins a link to the same place, if there is one.
  void add(Link link, graph::Value origin, Reader reader, DynamicSharding sharding,
           pipeline::Phase received) {
    for (Link& other : result_.links)
      if (other.from_stage == link.from_stage && other.from_span == link.from_span &&
          other.value == link.value && other.to_stage == link.to_stage &&
          other.sharding == sharding && other.received == received)
        return other.readers.push_back(reader);
    const StageRun& from = result_.stages[link.from_stage];
    const StageRun& to = result_.stages[link.to_stage];
    link.type = graph_.type_of(origin);
    link.label = graph_.op(origin.op).name + "." + std::to_string(origin.result) + " from stage " +
                 std::to_string(link.from_stage) + " to " + std::to_string(link.to_stage);
    link.readers = {reader};
    link.received = received;
    link.sharding = sharding;
    link.transfer = pipeline::transfer_between(
        link.type.dims,
        {from.mesh, handed_on(from.spans[link.from_span], link.value), from.first_device},
        {to.mesh, sharding, to.first_device}, per_host_);
    // The same value may go to a stage in two ways.
    link.label += " #" + std::to_string(result_.links.size());
    result_.links.push_back(std::move(link));
  }

  // --- Weights that several spans read -----------------------------------------------------------

  struct Owner {
    std::size_t stage = 0, span = 0;
    graph::Value updated;
  };

  static std::optional<graph::Value> update_of(const SpanRun& span, graph::OpId parameter) {
    for (const graph::Alias& alias : span.program.graph.aliases)
      if (alias.parameter == parameter && alias.output.op != parameter) return alias.output;
    return std::nullopt;
  }

  template<class Visit>
  void for_each_weight(Visit&& visit) const {
    for (std::size_t s = 0; s < result_.stages.size(); ++s)
      for (std::size_t i = 0; i < result_.stages[s].spans.size(); ++i) {
        const pipeline::SpanProgram& span = span_at(s, i).program;
        for (graph::OpId id = 0; id < span.graph.op_count(); ++id)
          if (span.graph.op(id).is_parameter && pipeline::is_permanent(span, id)) visit(s, i, id);
      }
  }

  void link_weights() {
    std::map<graph::OpId, Owner> owners;  // by parameter of the whole program
    for_each_weight([&](std::size_t stage, std::size_t span, graph::OpId id) {
      if (const auto updated = update_of(span_at(stage, span), id))
        owners.try_emplace(span_at(stage, span).program.origin[id], Owner{stage, span, *updated});
    });
    for_each_weight([&](std::size_t stage, std::size_t span, graph::OpId id) {
      const graph::OpId origin = span_at(stage, span).program.origin[id];
      const auto owner = owners.find(origin);
      if (owner == owners.end() || update_of(span_at(stage, span), id)) return;
      Link link;
      link.from_stage = owner->second.stage;
      link.from_span = owner->second.span;
      link.value = owner->second.updated;
      link.sent = pipeline::Phase::update;
      link.is_weight = true;
      link.to_stage = stage;
      add(std::move(link), {origin, 0}, {span, id}, span_at(stage, span).plan.ops[id].computed[0],
          pipeline::Phase::update);
    });
  }

  void place_outputs() {
    for (std::size_t o = 0; o < graph_.outputs.size(); ++o)
      for (std::size_t s = 0; s < result_.stages.size(); ++s)
        for (std::size_t i = 0; i < result_.stages[s].spans.size(); ++i) {
          const pipeline::SpanProgram& span = span_at(s, i).program;
          for (const graph::Value value : span.graph.outputs)
            if (is_own(span, value.op) && span.origin[value.op] == graph_.outputs[o].op &&
                value.result == graph_.outputs[o].result) {
              result_.outputs.push_back({o, s, i, value});
              break;
            }
        }
  }
  // Whether it is the program's op, and neither one received nor a copy to be sent.
  bool is_own(const pipeline::SpanProgram& span, graph::OpId id) const {
    const bool is_received = span.graph.op(id).is_parameter &&
                             span.parameter_kinds[id] == pipeline::ParameterKind::received;
    return !is_received && span.graph.op(id).name == graph_.op(span.origin[id]).name;
  }

  const graph::Graph& graph_;
  const plan::PipelinePlan& plan_;
  Extent per_host_;
  PipelineProgram result_;
};

}  // namespace detail

// `graph` is the program that was planned.  Distinct spans are planned once more, as they were
// priced.  Throws Unsupported for programs that can not be run; Error
// where planning is cancelled.  @pre plan.has_stages()
inline PipelineProgram pipeline_program(const graph::Graph& graph, const plan::PipelinePlan& plan,
                                        const cost::Cluster& cluster) {
  return detail::PipelinePreparer(graph, plan, plan::hosts_of(cluster).per_host).run();
}

// The same with all floating-point numbers of one type.
inline PipelineProgram with_floats(PipelineProgram program, ElementType element) {
  for (StageRun& stage : program.stages)
    for (SpanRun& span : stage.spans)
      span.program.graph = with_floats(std::move(span.program.graph), element);
  for (Link& link : program.links)
    if (graph::is_floating(link.type.element)) link.type.element = element;
  return program;
}

}  // namespace tessera::executor
