// SPDX-License-Identifier: Apache-2.0
//
// A plan as one JSON object.
//
//   {"objective": 26872.03, "lower_bound": 26872.03, "status": "optimal", "unit": "alpa",
//    "mesh": [4, 8], "memory": {"peak_bytes": ..., "at": "dot.1", "budget_bytes": ...},
//    "instructions": {"NAME": {"sharding": "{devices=...}", "strategy": "S0R x RS1 -> S0S1",
//      "collectives": [{"kind": "all-reduce", "axes": [0], "bytes": 123, "cost": 98305.01,
//                       "operand": 1}]}},
//    "called": {"COMPUTATION": {"NAME": {...}}}}
//
// Shardings are HLO V1 strings.  Costs are exact decimals in the cost model's unit.  A collective
// without "operand" finishes the instruction's own result.  Costs add up to the objective.
#pragma once
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <string>
#include <string_view>

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
    }
    if (plan_.memory_budget) raw("budget_bytes", std::to_string(*plan_.memory_budget));
    if (plan_.shortage) {
      raw("needed_bytes", to_string(plan_.shortage->needed));
      string("at", program_.graph.op(plan_.shortage->peak.at).name);
    }
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
      const plan::PlannedOp* op = op_of(c, i);
      string("strategy", op == nullptr ? "" : op->strategy);
      json_.Key("collectives");
      json_.StartArray();
      if (op != nullptr)
        for (const plan::PlannedCollective& collective : op->collectives) put(collective);
      json_.EndArray();
      json_.EndObject();
    }
    json_.EndObject();
  }

  // The op that an instruction became; nothing for plumbing.
  const plan::PlannedOp* op_of(std::uint32_t c, std::size_t i) const {
    const auto& sites = program_.values[c][i];
    if (sites.empty() || sites[0].empty()) return nullptr;
    const graph::OpId id = sites[0][0].op;
    const std::string& instruction = module_.computations[c].instructions[i].name;
    const std::string& name = program_.graph.op(id).name;
    // An op carries the name of the instruction that it came from, after its callers' and before
    // the number of a leaf.
    const std::string_view own = std::string_view(name).substr(name.rfind('/') + 1);
    const bool is_own = own.substr(0, instruction.size()) == instruction &&
                        (own.size() == instruction.size() || own[instruction.size()] == '{');
    return is_own ? &plan_.ops[id] : nullptr;
  }

  void put(const plan::PlannedCollective& collective) {
    json_.StartObject();
    string("kind", to_string(collective.kind));
    json_.Key("axes");
    json_.StartArray();
    json_.Uint(collective.axis);
    json_.EndArray();
    json_.Key("bytes");
    json_.Int64(collective.bytes);
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
