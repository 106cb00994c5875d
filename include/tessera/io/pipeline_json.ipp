// SPDX-License-Identifier: Apache-2.0
//
// The bodies of pipeline_json.hpp.
#pragma once
#include "tessera/io/pipeline_json.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/cost/cluster_model.hpp"
#include "tessera/io/detail/json_writer.hpp"
#include "tessera/io/hlo/emit_stages.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/plan/staged_ops.hpp"

namespace tessera::io {

namespace detail {

class PipelineWriter {
 public:
  PipelineWriter(const hlo::Module& module, const hlo::Program& program,
                 const plan::PipelinePlan& plan)
      : module_(module), program_(program), plan_(plan) {}

  std::string run() {
    json_.object([&] {
      json_.string("status", status());
      json_.string("unit", cost::ClusterModel::unit());
      json_.number("microbatches", plan_.microbatches);
      if (!plan_.obstacle.empty()) json_.string("obstacle", plan_.obstacle);
      if (plan_.has_stages()) step();
    });
    return json_.text();
  }

 private:
  const char* status() const {
    switch (plan_.status) {
      case plan::PipelineStatus::optimal: return "optimal";
      case plan::PipelineStatus::feasible: return "feasible";
      case plan::PipelineStatus::infeasible: return "infeasible";
      case plan::PipelineStatus::unknown: break;
    }
    return "unknown";
  }

  void time(std::string_view name, Wide picoseconds) {
    json_.raw(name, cost::to_decimal(picoseconds, cost::ClusterModel::denominator()));
  }

  void step() {
    time("step_time", plan_.step_time);
    time("objective", plan_.cost);
    time("lower_bound", plan_.lower_bound);
    if (plan_.work_bound > 0) time("work_bound", plan_.work_bound);
    json_.string("schedule", pipeline::to_string(plan_.schedule.kind));
    json_.real("bubble", plan_.timeline.bubble());
    json_.utilisation(plan_.utilisation);
    json_.list("stages", [&] {
      for (const plan::PlannedStage& stage : plan_.stages) json_.object([&] { put(stage); });
    });
    json_.object("groups", [&] { groups(); });
    json_.object("instructions", [&] { instructions(); });
  }

  void put(const plan::PlannedStage& stage) {
    json_.pair("layers", static_cast<std::int64_t>(stage.first),
               static_cast<std::int64_t>(stage.last));
    json_.pair("devices", stage.first_device, stage.first_device + stage.mesh.device_count() - 1);
    json_.mesh(stage.mesh);
    json_.list("roles", [&] {
      for (const pipeline::Role role : stage.roles) json_.string(pipeline::to_string(role));
    });
    time("forward", stage.forward);
    time("backward", stage.backward);
    time("receive", stage.receive);
    time("send_back", stage.send_back);
    time("per_step", stage.per_step);
    json_.flag("recomputes", stage.again > 0);
    time("again", stage.again);
    json_.object("memory", [&] {
      json_.raw("bytes", to_string(stage.bytes));
      json_.number("fixed_bytes", stage.memory.fixed);
      json_.number("microbatch_bytes", stage.memory.per_microbatch);
      json_.number("in_flight", stage.in_flight);
    });
  }

  void groups() {
    const pipeline::Ranks ranks = plan_.ranks();
    for (const pipeline::Role role : {pipeline::Role::tensor, pipeline::Role::data})
      json_.list(pipeline::to_string(role), [&] {
        for (const pipeline::Group& group : ranks.groups({role}))
          json_.list([&] {
            for (const Device rank : group) json_.number(rank);
          });
      });
  }

  void instructions() {
    const std::vector<plan::StagedOp> staged = plan::staged_ops(plan_, program_.graph.op_count());
    const auto text_of = hlo::texts_of(staged);
    const hlo::Computation& entry = module_.computations[module_.entry];
    for (std::size_t i = 0; i < entry.instructions.size(); ++i)
      json_.object(entry.instructions[i].name, [&] {
        const std::vector<graph::OpId> ops = hlo::ops_of(program_, module_.entry, i);
        if (!ops.empty())
          json_.number("stage", static_cast<std::int64_t>(staged[ops.front()].stage));
        if (std::any_of(ops.begin(), ops.end(),
                        [&](graph::OpId op) { return staged[op].runs_again; }))
          json_.flag("again", true);
        json_.string("sharding", hlo::sharding_text(module_, program_, module_.entry, i, text_of));
        json_.string("strategy", strategies_of(ops, [&](graph::OpId op) -> const std::string& {
                       return staged[op].op.strategy;
                     }));
      });
  }

  const hlo::Module& module_;
  const hlo::Program& program_;
  const plan::PipelinePlan& plan_;
  JsonWriter json_;
};

}  // namespace detail

TESSERA_INLINE std::string write_pipeline(const hlo::Module& module, const hlo::Program& program,
                                          const plan::PipelinePlan& plan) {
  return detail::PipelineWriter(module, program, plan).run();
}

}  // namespace tessera::io
