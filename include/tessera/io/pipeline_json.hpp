// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan as one JSON object.
//
//   {"status": "optimal", "unit": "us", "step_time": 26872.03, "objective": ..., "lower_bound":
//   ...,
//    "microbatches": 64, "schedule": "1f1b", "bubble": 0.12, "utilisation": {"mfu": ..., "hfu":
//    ...,
//      "model_flops": ..., "hardware_flops": ..., "peak_flops_per_second": ..., "devices": 64},
//    "stages": [{"layers": [0, 5], "devices": [0, 7], "mesh": [2, 4], "roles": ["dp", "tp"],
//      "forward": ..., "backward": ..., "receive": ..., "send_back": ..., "per_step": ...,
//      "recomputes": false, "memory": {"bytes": ..., "fixed_bytes": ..., "microbatch_bytes": ...,
//      "in_flight": 3}}],
//    "groups": {"tp": [[0, 1], ...], "dp": [...]},
//    "instructions": {"NAME": {"stage": 0, "sharding": "{devices=...}", "strategy": "..."}}}
//
// Layers and devices are the first and the last one.  Times are exact decimals in microseconds:
// those of a stage of one microbatch, but for per_step.  "step_time" is the schedule as it plays,
// "objective" the formula by which stages were chosen, of which "lower_bound" is the proven least.
// "instructions" are those of the entry computation.  Where nothing fits there are no stages.
#pragma once
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/io/hlo_import.hpp"
#include "tessera/io/hlo_module.hpp"
#include "tessera/io/hlo_stages.hpp"
#include "tessera/plan/pipeline_plan.hpp"
#include "tessera/plan/staged_ops.hpp"

namespace tessera::io {

namespace detail {

class PipelineWriter {
 public:
  PipelineWriter(const hlo::Module& module, const hlo::Program& program,
                 const plan::PipelinePlan& plan)
      : module_(module), program_(program), plan_(plan) {
    json_.SetIndent(' ', 1);
    json_.SetFormatOptions(rapidjson::kFormatSingleLineArray);
  }

  std::string run() {
    json_.StartObject();
    string("status", status());
    string("unit", cost::ClusterModel::unit());
    number("microbatches", plan_.microbatches);
    if (plan_.has_stages()) {
      time("step_time", plan_.step_time);
      time("objective", plan_.cost);
      time("lower_bound", plan_.lower_bound);
      string("schedule", pipeline::to_string(plan_.schedule.kind));
      json_.Key("bubble");
      json_.Double(plan_.timeline.bubble());
      utilisation();
      json_.Key("stages");
      json_.StartArray();
      for (const plan::PlannedStage& stage : plan_.stages) put(stage);
      json_.EndArray();
      groups();
      instructions();
    }
    json_.EndObject();
    return std::string(buffer_.GetString()) + '\n';
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

  void key(std::string_view name) {
    json_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }
  void string(std::string_view name, std::string_view value) {
    key(name);
    json_.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  }
  void raw(std::string_view name, const std::string& number) {
    key(name);
    json_.RawValue(number.data(), number.size(), rapidjson::kNumberType);
  }
  void number(std::string_view name, std::int64_t value) {
    key(name);
    json_.Int64(value);
  }
  void time(std::string_view name, Wide picoseconds) {
    raw(name, cost::to_decimal(picoseconds, cost::ClusterModel::denominator()));
  }
  void pair(std::string_view name, std::int64_t first, std::int64_t last) {
    key(name);
    json_.StartArray();
    json_.Int64(first);
    json_.Int64(last);
    json_.EndArray();
  }

  void utilisation() {
    const cost::Utilisation& use = plan_.utilisation;
    json_.Key("utilisation");
    json_.StartObject();
    json_.Key("mfu");
    json_.Double(use.mfu());
    json_.Key("hfu");
    json_.Double(use.hfu());
    raw("model_flops", to_string(use.model_flops));
    raw("hardware_flops", to_string(use.hardware_flops));
    number("peak_flops_per_second", use.peak);
    number("devices", use.devices);
    json_.EndObject();
  }

  void put(const plan::PlannedStage& stage) {
    json_.StartObject();
    pair("layers", static_cast<std::int64_t>(stage.first), static_cast<std::int64_t>(stage.last));
    pair("devices", stage.first_device, stage.first_device + stage.mesh.device_count() - 1);
    json_.Key("mesh");
    json_.StartArray();
    for (std::size_t axis = 0; axis < stage.mesh.rank(); ++axis)
      json_.Int64(stage.mesh.extent(axis));
    json_.EndArray();
    json_.Key("roles");
    json_.StartArray();
    for (const pipeline::Role role : stage.roles) json_.String(pipeline::to_string(role));
    json_.EndArray();
    time("forward", stage.forward);
    time("backward", stage.backward);
    time("receive", stage.receive);
    time("send_back", stage.send_back);
    time("per_step", stage.per_step);
    json_.Key("recomputes");
    json_.Bool(stage.recomputes);
    json_.Key("memory");
    json_.StartObject();
    raw("bytes", to_string(stage.bytes()));
    number("fixed_bytes", stage.memory.fixed);
    number("microbatch_bytes", stage.memory.per_microbatch);
    number("in_flight", stage.in_flight);
    json_.EndObject();
    json_.EndObject();
  }

  void groups() {
    const pipeline::Ranks ranks = plan_.ranks();
    json_.Key("groups");
    json_.StartObject();
    for (const pipeline::Role role : {pipeline::Role::tensor, pipeline::Role::data}) {
      json_.Key(pipeline::to_string(role));
      json_.StartArray();
      for (const pipeline::Group& group : ranks.groups({role})) {
        json_.StartArray();
        for (const Device rank : group) json_.Int64(rank);
        json_.EndArray();
      }
      json_.EndArray();
    }
    json_.EndObject();
  }

  void instructions() {
    const std::vector<plan::StagedOp> ops = plan::staged_ops(plan_, program_.graph.op_count());
    const auto text_of = hlo::texts_of(ops);
    const hlo::Computation& entry = module_.computations[module_.entry];
    json_.Key("instructions");
    json_.StartObject();
    for (std::size_t i = 0; i < entry.instructions.size(); ++i) {
      key(entry.instructions[i].name);
      json_.StartObject();
      std::string strategies;
      std::optional<std::size_t> stage;
      for (const hlo::OwnOps& own : program_.own_ops[module_.entry][i])
        for (graph::OpId op = own.begin; op < own.end; ++op) {
          if (!stage) stage = ops[op].stage;
          if (strategies.find(ops[op].op.strategy) == std::string::npos)
            strategies += (strategies.empty() ? "" : "; ") + ops[op].op.strategy;
        }
      if (stage) number("stage", static_cast<std::int64_t>(*stage));
      string("sharding", hlo::sharding_text(module_, program_, module_.entry, i, text_of));
      string("strategy", strategies);
      json_.EndObject();
    }
    json_.EndObject();
  }

  const hlo::Module& module_;
  const hlo::Program& program_;
  const plan::PipelinePlan& plan_;
  rapidjson::StringBuffer buffer_;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json_{buffer_};
};

}  // namespace detail

inline std::string write_pipeline(const hlo::Module& module, const hlo::Program& program,
                                  const plan::PipelinePlan& plan) {
  return detail::PipelineWriter(module, program, plan).run();
}

}  // namespace tessera::io
