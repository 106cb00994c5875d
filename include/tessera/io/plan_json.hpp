// SPDX-License-Identifier: Apache-2.0
//
// A plan as one JSON object.
//
//   {"objective": 26872.03, "lower_bound": 26872.03, "status": "optimal", "unit": "alpa",
//    "mesh": [4, 8], "memory": {"peak_bytes": ..., "at": "dot.1", "budget_bytes": ...,
//    "peak_bytes_with_buffers": ..., "peak_bytes_of": {"weights": ..., ...}},
//    "instructions": {"NAME": {"sharding": "{devices=...}", "strategy": "S0R x RS1 -> S0S1",
//      "collectives": [{"kind": "all-reduce", "axes": [0], "bytes": 123, "cost": 98305.01,
//                       "operand": 1}]}},
//    "called": {"COMPUTATION": {"NAME": {...}}}}
//
// Shardings are HLO V1 strings.  Costs are exact decimals in the cost model's unit.  A collective
// without "operand" finishes the instruction's own result.  Costs add up to the objective.
//
// Under a model of real devices the unit is "us"; each instruction also has its own "work", part of
// that sum, "memory" the device's "capacity_bytes", and the plan its "utilisation": "mfu", "hfu",
// "model_flops", "hardware_flops", "peak_flops_per_second" of one device, "devices".
//
// An instruction may have become several ops: one for each array of a loop's state, and for each
// place that its computation is called from.  All their collectives are listed, each with its "op",
// and their strategies where they differ, separated by "; ".
#pragma once
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/io/hlo_emit.hpp"
#include "tessera/io/hlo_import.hpp"
#include "tessera/io/hlo_module.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::io {

namespace detail {

class PlanWriter {
 public:
  PlanWriter(const hlo::Module& module, const hlo::Program& program, const plan::Plan& plan)
      : module_(module), program_(program), plan_(plan) {
    json_.SetIndent(' ', 1);
    json_.SetFormatOptions(rapidjson::kFormatSingleLineArray);
  }

  std::string run() {
    json_.StartObject();
    if (plan_.has_ops()) cost("objective", plan_.cost);
    if (plan_.status != solver::Status::infeasible) cost("lower_bound", plan_.lower_bound);
    string("status", solver::to_string(plan_.status));
    string("unit", plan_.unit);
    json_.Key("mesh");
    json_.StartArray();
    for (std::size_t axis = 0; axis < plan_.mesh.rank(); ++axis)
      json_.Int64(plan_.mesh.extent(axis));
    json_.EndArray();
    memory();
    if (plan_.utilisation) utilisation();
    if (plan_.has_ops()) computations();
    json_.EndObject();
    return std::string(buffer_.GetString()) + '\n';
  }

 private:
  void key(std::string_view name) {
    json_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }
  void string(std::string_view name, std::string_view value) {
    key(name);
    json_.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
  }
  // Numbers that may not fit a double or 64 bits are written digit by digit.
  void raw(std::string_view name, const std::string& number) {
    key(name);
    json_.RawValue(number.data(), number.size(), rapidjson::kNumberType);
  }
  void cost(std::string_view name, Wide value) {
    raw(name, cost::to_decimal(value, plan_.denominator));
  }

  void memory() {
    json_.Key("memory");
    json_.StartObject();
    if (plan_.has_ops()) {
      raw("peak_bytes", to_string(plan_.memory.bytes));
      if (program_.graph.op_count() > 0) string("at", program_.graph.op(plan_.memory.at).name);
      raw("peak_bytes_with_buffers", to_string(plan_.memory_with_buffers));
      json_.Key("peak_bytes_of");
      json_.StartObject();
      for (std::size_t kind = 0; kind < plan::memory_kinds; ++kind)
        if (plan_.memory.of_kind[kind] != 0)
          raw(to_string(static_cast<plan::MemoryKind>(kind)),
              to_string(plan_.memory.of_kind[kind]));
      json_.EndObject();
    }
    if (plan_.memory_budget) raw("budget_bytes", std::to_string(*plan_.memory_budget));
    if (plan_.memory_capacity) raw("capacity_bytes", std::to_string(*plan_.memory_capacity));
    if (plan_.shortage) {
      raw("needed_bytes", to_string(plan_.shortage->needed));
      string("at", program_.graph.op(plan_.shortage->peak.at).name);
    }
    json_.EndObject();
  }

  void utilisation() {
    const cost::Utilisation& use = *plan_.utilisation;
    json_.Key("utilisation");
    json_.StartObject();
    json_.Key("mfu");
    json_.Double(use.mfu());
    json_.Key("hfu");
    json_.Double(use.hfu());
    raw("model_flops", to_string(use.model_flops));
    raw("hardware_flops", to_string(use.hardware_flops));
    raw("peak_flops_per_second", std::to_string(use.peak));
    json_.Key("devices");
    json_.Int64(use.devices);
    json_.EndObject();
  }

  void computations() {
    json_.Key("instructions");
    instructions(module_.entry);
    json_.Key("called");
    json_.StartObject();
    for (std::uint32_t c = 0; c < module_.computations.size(); ++c) {
      if (c == module_.entry || !is_planned(c)) continue;
      key(module_.computations[c].name);
      instructions(c);
    }
    json_.EndObject();
  }
  // Reducers are not.
  bool is_planned(std::uint32_t c) const { return !program_.values[c][0].empty(); }

  void instructions(std::uint32_t c) {
    const hlo::Computation& computation = module_.computations[c];
    json_.StartObject();
    for (std::size_t i = 0; i < computation.instructions.size(); ++i) {
      key(computation.instructions[i].name);
      json_.StartObject();
      string("sharding", hlo::instruction_sharding(module_, program_, plan_, c, i));
      const std::vector<graph::OpId> ops = ops_of(c, i);
      string("strategy", strategies_of(ops));
      if (plan_.utilisation) cost("work", work_of(ops));
      json_.Key("collectives");
      json_.StartArray();
      for (const graph::OpId op : ops)
        for (const plan::PlannedStep& planned : plan_.ops[op].steps)
          if (planned.is_collective())
            put(planned, ops.size() > 1 ? &program_.graph.op(op).name : nullptr);
      json_.EndArray();
      json_.EndObject();
    }
    json_.EndObject();
  }

  // The ops that an instruction became; none for plumbing.
  std::vector<graph::OpId> ops_of(std::uint32_t c, std::size_t i) const {
    std::vector<graph::OpId> ops;
    for (const hlo::OwnOps& own : program_.own_ops[c][i])
      for (graph::OpId op = own.begin; op < own.end; ++op) ops.push_back(op);
    return ops;
  }
  std::string strategies_of(const std::vector<graph::OpId>& ops) const {
    std::vector<std::string> distinct;
    for (const graph::OpId op : ops) {
      const std::string& strategy = plan_.ops[op].strategy;
      if (std::find(distinct.begin(), distinct.end(), strategy) == distinct.end())
        distinct.push_back(strategy);
    }
    return joined(distinct, "; ", [](const std::string& strategy) { return strategy; });
  }

  Wide work_of(const std::vector<graph::OpId>& ops) const {
    Wide work = 0;
    for (const graph::OpId op : ops) work += plan_.ops[op].work;
    return work;
  }

  void put(const plan::PlannedStep& collective, const std::string* op) {
    json_.StartObject();
    if (op != nullptr) string("op", *op);
    string("kind", to_string(collective.step.kind));
    json_.Key("axes");
    json_.StartArray();
    json_.Uint(collective.step.axis);
    json_.EndArray();
    json_.Key("bytes");
    json_.Int64(collective.bytes());
    cost("cost", collective.price);
    if (collective.operand) {
      json_.Key("operand");
      json_.Uint(*collective.operand);
    }
    json_.EndObject();
  }

  const hlo::Module& module_;
  const hlo::Program& program_;
  const plan::Plan& plan_;
  rapidjson::StringBuffer buffer_;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json_{buffer_};
};

}  // namespace detail

inline std::string write_plan(const hlo::Module& module, const hlo::Program& program,
                              const plan::Plan& plan) {
  return detail::PlanWriter(module, program, plan).run();
}

}  // namespace tessera::io
