// SPDX-License-Identifier: Apache-2.0
//
// The bodies of plan_json.hpp.
#pragma once
#include "tessera/io/plan_json.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/io/detail/json_writer.hpp"
#include "tessera/io/hlo/emit.hpp"
#include "tessera/io/hlo/importer.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/solver/result.hpp"

namespace tessera::io {

namespace detail {

class PlanWriter {
 public:
  PlanWriter(const hlo::Module& module, const hlo::Program& program, const plan::Plan& plan)
      : module_(module), program_(program), plan_(plan) {}

  std::string run() {
    json_.object([&] {
      if (plan_.has_ops()) cost("objective", plan_.cost);
      if (plan_.status != solver::Status::infeasible) cost("lower_bound", plan_.lower_bound);
      json_.string("status", solver::to_string(plan_.status));
      json_.string("unit", plan_.unit);
      json_.mesh(plan_.mesh);
      json_.object("memory", [&] { memory(); });
      if (plan_.utilisation) json_.utilisation(*plan_.utilisation);
      if (plan_.has_ops()) computations();
    });
    return json_.text();
  }

 private:
  void cost(std::string_view name, Wide value) {
    json_.raw(name, cost::to_decimal(value, plan_.denominator));
  }

  void memory() {
    if (plan_.has_ops()) {
      json_.raw("peak_bytes", to_string(plan_.memory.bytes));
      if (program_.graph.op_count() > 0)
        json_.string("at", program_.graph.op(plan_.memory.at).name);
      json_.raw("peak_bytes_with_buffers", to_string(plan_.memory_with_buffers));
      json_.object("peak_bytes_of", [&] {
        for (std::size_t kind = 0; kind < plan::memory_kinds; ++kind)
          if (plan_.memory.of_kind[kind] != 0)
            json_.raw(to_string(static_cast<plan::MemoryKind>(kind)),
                      to_string(plan_.memory.of_kind[kind]));
      });
    }
    if (plan_.memory_budget) json_.number("budget_bytes", *plan_.memory_budget);
    if (plan_.memory_capacity) json_.number("capacity_bytes", *plan_.memory_capacity);
    if (plan_.shortage) {
      json_.raw("needed_bytes", to_string(plan_.shortage->needed));
      json_.string("at", program_.graph.op(plan_.shortage->peak.at).name);
    }
  }

  void computations() {
    json_.object("instructions", [&] { instructions(module_.entry); });
    json_.object("called", [&] {
      for (std::uint32_t c = 0; c < module_.computations.size(); ++c)
        if (c != module_.entry && is_planned(c))
          json_.object(module_.computations[c].name, [&] { instructions(c); });
    });
  }
  // Reducers are not.
  bool is_planned(std::uint32_t c) const { return !program_.values[c][0].empty(); }

  void instructions(std::uint32_t c) {
    const hlo::Computation& computation = module_.computations[c];
    for (std::size_t i = 0; i < computation.instructions.size(); ++i)
      json_.object(computation.instructions[i].name, [&] { instruction(c, i); });
  }
  void instruction(std::uint32_t c, std::size_t i) {
    json_.string("sharding", hlo::instruction_sharding(module_, program_, plan_, c, i));
    const std::vector<graph::OpId> ops = hlo::ops_of(program_, c, i);
    json_.string("strategy", strategies_of(ops, [&](graph::OpId op) -> const std::string& {
                   return plan_.ops[op].strategy;
                 }));
    if (plan_.utilisation) cost("work", work_of(ops));
    json_.list("collectives", [&] {
      for (const graph::OpId op : ops)
        for (const plan::PlannedStep& planned : plan_.ops[op].steps)
          if (planned.is_collective())
            put(planned, ops.size() > 1 ? &program_.graph.op(op).name : nullptr);
    });
  }

  Wide work_of(const std::vector<graph::OpId>& ops) const {
    Wide work = 0;
    for (const graph::OpId op : ops) work += plan_.ops[op].work;
    return work;
  }

  void put(const plan::PlannedStep& collective, const std::string* op) {
    json_.object([&] {
      if (op != nullptr) json_.string("op", *op);
      json_.string("kind", to_string(collective.step.kind));
      json_.list("axes", [&] { json_.number(collective.step.axis); });
      json_.number("bytes", collective.bytes());
      cost("cost", collective.price);
      if (collective.operand) json_.number("operand", *collective.operand);
    });
  }

  const hlo::Module& module_;
  const hlo::Program& program_;
  const plan::Plan& plan_;
  JsonWriter json_;
};

}  // namespace detail

TESSERA_INLINE std::string write_plan(const hlo::Module& module, const hlo::Program& program,
                                      const plan::Plan& plan) {
  return detail::PlanWriter(module, program, plan).run();
}

}  // namespace tessera::io
