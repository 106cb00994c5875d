// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan: stages on their devices, with all that a step of them takes.
//
// Which layers are run where, and in which config, is decided elsewhere (pipeline_plan.hpp,
// interleaved_stages.hpp).  Here stages that were chosen get devices, what flows between them is
// timed from where it is to where it goes, their schedule is played, and memory and FLOPs are added
// up.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/cost/utilisation.hpp"
#include "tessera/pipeline/ranks.hpp"
#include "tessera/pipeline/simulate.hpp"
#include "tessera/pipeline/stage_sweep.hpp"
#include "tessera/plan/stage_prices.hpp"

namespace tessera::plan {

// A run of layers on a submesh.  Where stages are interleaved, one of the chunks of a stage: those
// of the same devices are one stage.
struct PlannedStage {
  std::size_t first = 0, last = 0;  // layers
  pipeline::Submesh submesh;
  Device first_device = 0;
  StageConfig config;  // its view and level: of PipelinePlan::prices
  DynamicMesh mesh;
  pipeline::Roles roles;  // of the mesh's axes: data where one splits what comes with a microbatch
  Cost forward = 0, backward = 0;   // of one microbatch; backward with what is computed again
  Cost again = 0;                   // the part of it that is computed again
  Cost weight_backward = 0;         // the part of it for which no other stage waits
  Cost receive = 0, send_back = 0;  // of one microbatch: its input, and its input's gradient
  Cost per_step = 0;
  pipeline::StageMemory memory;
  // On the devices, of all their chunks together: microbatches, counted chunk by chunk, and bytes.
  std::int64_t in_flight = 0;
  Wide bytes = 0;
};

enum class PipelineStatus : std::uint8_t {
  optimal,     // nothing in the space costs less
  feasible,    // some span was priced by a plan that is not proven the best, or the bound is lower
  infeasible,  // nothing fits
  unknown,     // cancelled, or out of time, before any were found
};

struct PipelinePlan {
  PipelineStatus status = PipelineStatus::unknown;
  std::vector<PlannedStage> stages;  // empty unless optimal or feasible; so is what follows
  std::int64_t microbatches = 1;
  // Picoseconds a step, by the formula of stage_problem.hpp; interleaved, as it plays.
  Wide cost = 0;
  Wide lower_bound = 0;  // of that, over the prices of the spans
  // The same of any plans of the spans, on the views that have prices: with heavy ops as fast as
  // they can be and nothing else, in any memory.  0 where it is not known, since time was over.
  Wide work_bound = 0;
  pipeline::Schedule schedule;
  pipeline::Timeline timeline;  // of all microbatches, without what comes once per step
  Cost step_time = 0;           // the timeline's end, and the longest per_step after it
  cost::Utilisation utilisation;
  Extent memory_capacity = 0;  // of a device, or the budget
  std::string obstacle;        // why there are no stages, where it is not for want of memory
  PricingStatistics pricing;
  pipeline::StageStatistics choice;
  double seconds = 0;
  std::shared_ptr<const SpanPrices> prices;  // of which each stage has its view and its layers

  bool has_stages() const noexcept { return !stages.empty(); }
  // Which process is which.  @pre has_stages()
  pipeline::Ranks ranks() const {
    std::vector<pipeline::RankBlock> blocks;
    for (std::size_t i = 0; i < stages.size() && blocks.size() < stage_count(); ++i)
      blocks.push_back({stages[i].first_device, stages[i].mesh, stages[i].roles});
    return pipeline::Ranks::of_stages(std::move(blocks));
  }
  std::size_t stage_count() const noexcept { return static_cast<std::size_t>(schedule.stages); }
};

namespace detail {

// The layers first to last of a stage, or of a chunk of one, on a submesh.
struct StageChoice {
  std::size_t first = 0, last = 0;
  StageConfig config;
};

// Puts stages that were chosen on devices, plays their schedule, and adds up what they take.
class StageWriter {
 public:
  StageWriter(const StagePrices& prices, PipelinePlan& plan) : prices_(prices), plan_(plan) {}

  // `chosen`: the chunks of the model, in their order; chunk i is on stage i % schedule.stages.
  void run(const std::vector<StageChoice>& chosen, pipeline::Schedule schedule) {
    plan_.schedule = std::move(schedule);
    place(chosen);
    for (std::size_t i = 1; i < plan_.stages.size(); ++i) time_transfers(i);
    play();
    count_flops();
  }

 private:
  std::size_t stage_count() const { return plan_.stage_count(); }

  void place(const std::vector<StageChoice>& chosen) {
    pipeline::Submeshes submeshes;
    for (std::size_t i = 0; i < stage_count(); ++i)
      submeshes.push_back(prices_.view(chosen[i].config.view).submesh);
    const std::optional<pipeline::Placement> placement =
        pipeline::place(prices_.hosts(), submeshes);
    if (!placement)
      throw InvalidArgument("stages of " + std::to_string(submeshes.size()) +
                            " submeshes can not be placed on hosts of " +
                            std::to_string(prices_.hosts().per_host) +
                            " devices; allow submeshes that divide a host");
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      PlannedStage stage;
      stage.first = chosen[i].first;
      stage.last = chosen[i].last;
      stage.config = chosen[i].config;
      stage.submesh = submeshes[i % stage_count()];
      stage.first_device = (*placement)[i % stage_count()];
      stage.mesh = prices_.view(stage.config.view).mesh;
      const SpanSum sum = prices_.run(stage.config, stage.first, stage.last).sum;
      stage.forward = sum.forward;
      stage.backward = sum.backward;
      stage.again = sum.again;
      stage.weight_backward = sum.weight_backward;
      stage.per_step = sum.per_step;
      stage.memory = sum.memory();
      stage.roles = roles_of(stage);
      plan_.stages.push_back(std::move(stage));
    }
  }

  // An axis that splits the first dim of what comes with a microbatch works on different data.
  pipeline::Roles roles_of(const PlannedStage& stage) const {
    pipeline::Roles roles(stage.mesh.rank(), pipeline::Role::tensor);
    for_each_price(stage, [&](const pipeline::SpanProgram& span, const SpanPrice& price) {
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

  template<class Visit>
  void for_each_price(const PlannedStage& stage, Visit&& visit) const {
    const SpanPrices& spans = prices_.spans();
    spans.for_each_span(stage.first, stage.last, [&](std::size_t from, std::size_t to) {
      visit(spans.program(from, to), *spans.price(stage.config.view, from, to, stage.config.level));
    });
  }

  // Where the value is that a stage reads, or writes, at one of its ends.
  std::optional<DynamicSharding> sharding_in(const PlannedStage& stage, graph::Value origin,
                                             bool is_received) const {
    std::optional<DynamicSharding> sharding;
    for_each_price(stage, [&](const pipeline::SpanProgram& span, const SpanPrice& price) {
      const auto& boundaries = is_received ? span.received : span.sent;
      for (std::size_t i = 0; i < boundaries.size() && !sharding; ++i)
        if (boundaries[i].origin == origin)
          sharding = is_received ? price.received[i] : price.sent[i];
    });
    return sharding;
  }

  std::size_t stage_of(std::size_t layer) const {
    std::size_t stage = 0;
    while (plan_.stages[stage].last < layer) ++stage;
    return stage;
  }

  // Everything that stage `at` gets from stages before it, and what it hands back.
  void time_transfers(std::size_t at) {
    PlannedStage& stage = plan_.stages[at];
    const pipeline::LayeredProgram& program = prices_.program();
    std::set<graph::Value> seen;
    const auto add = [&](graph::Value origin, bool is_received, Cost& total) {
      if (!seen.insert(origin).second) return;
      std::size_t other = at;
      if (is_received) {
        other = stage_of(program.layer_of(origin.op));
      } else {
        program.graph().for_each_use(origin.op, [&](graph::OpId reader, const graph::Use& use) {
          if (use.result == origin.result)
            other = std::min(other, stage_of(program.layer_of(reader)));
        });
      }
      if (other >= at) return;
      const PlannedStage& peer = plan_.stages[other];
      if (peer.first_device == stage.first_device) return;  // chunks of one stage
      const auto here = sharding_in(stage, origin, is_received);
      const auto there = sharding_in(peer, origin, !is_received);
      if (!here || !there) return;
      const pipeline::PlacedSharding placed_here{stage.mesh, *here, stage.first_device};
      const pipeline::PlacedSharding placed_there{peer.mesh, *there, peer.first_device};
      const graph::TensorType& type = program.graph().type_of(origin);
      total = saturating_add(total, is_received
                                        ? prices_.transfer(type, placed_there, placed_here)
                                        : prices_.transfer(type, placed_here, placed_there));
    };
    for_each_price(stage, [&](const pipeline::SpanProgram& span, const SpanPrice&) {
      for (const pipeline::BoundaryValue& boundary : span.received)
        if (boundary.phase == pipeline::Phase::forward) add(boundary.origin, true, stage.receive);
      for (const pipeline::BoundaryValue& boundary : span.sent)
        if (boundary.phase == pipeline::Phase::backward)
          add(boundary.origin, false, stage.send_back);
    });
  }

  void play() {
    std::vector<pipeline::ChunkTimes> times;
    std::vector<Cost> per_step(stage_count(), 0);
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) {
      const PlannedStage& stage = plan_.stages[i];
      times.push_back({.forward = stage.forward,
                       .input_backward = stage.backward - stage.weight_backward,
                       .weight_backward = stage.weight_backward,
                       .send_backward = stage.send_back,
                       .bytes = stage.memory.per_microbatch});
      if (i > 0) times[i - 1].send_forward = stage.receive;
      Cost& once = per_step[i % stage_count()];
      once = saturating_add(once, stage.per_step);
    }
    plan_.timeline = pipeline::simulate(plan_.schedule, times);
    plan_.step_time = saturating_add(plan_.timeline.step_time,
                                     *std::max_element(per_step.begin(), per_step.end()));
    for (std::size_t i = 0; i < plan_.stages.size(); ++i) fill_memory(i);
  }
  void fill_memory(std::size_t at) {
    PlannedStage& stage = plan_.stages[at];
    const std::size_t number = at % stage_count();
    stage.in_flight = plan_.timeline.peak_in_flight[number];
    stage.bytes = plan_.timeline.peak_bytes[number];
    for (std::size_t i = number; i < plan_.stages.size(); i += stage_count())
      stage.bytes += plan_.stages[i].memory.fixed;
  }

  void count_flops() {
    cost::Utilisation& use = plan_.utilisation;
    use.time = plan_.step_time;
    use.devices = prices_.cluster().device_count();
    for (const PlannedStage& stage : plan_.stages) {
      const StageConfig& config = stage.config;
      const SpanPrices& spans = prices_.spans();
      spans.for_each_span(stage.first, stage.last, [&](std::size_t from, std::size_t to) {
        const SpanPrice& price = *spans.price(config.view, from, to, config.level);
        const Rematerialization& rematerialization =
            *spans.rematerialization(config.view, from, to, config.level, config.rematerialization);
        use.peak = std::max(use.peak, price.peak);
        use.model_flops += price.model_flops * plan_.microbatches;
        Wide hardware = price.hardware_flops;
        // What is computed again is as spread as the rest.
        if (price.model_flops > 0)
          hardware += price.hardware_flops / 1000 *
                      (rematerialization.flops * 1000 / price.model_flops);
        use.hardware_flops += hardware * plan_.microbatches;
      });
    }
  }

  const StagePrices& prices_;
  PipelinePlan& plan_;
};

}  // namespace detail
}  // namespace tessera::plan
