// SPDX-License-Identifier: Apache-2.0
//
// The sections of the table, from the summary to the memory.
#pragma once
#include "tessera/report/plan_table.hpp"

#include <cstddef>
#include <cstdio>
#include <map>
#include <utility>

#include "tessera/core/text.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/notation/alpa.hpp"
#include "tessera/report/detail/devices_text.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {
namespace detail {

// Time if the plan is for real devices, else an exact number in the unit of its cost model.
TESSERA_INLINE std::string cost_text(const plan::Plan& plan, Wide value) {
  return plan.utilisation ? time_text(value) : cost::to_decimal(value, plan.denominator);
}

// --- Summary -------------------------------------------------------------------------------------

TESSERA_INLINE std::string memory_summary(const plan::Plan& plan) {
  std::string text = bytes_text(plan.memory.bytes) + " per device at its peak";
  if (const std::string most = bytes_text(plan.memory_with_buffers);
      most != bytes_text(plan.memory.bytes))
    text += " (" + most + " with buffers of resharding)";
  if (plan.memory_budget && plan.memory_budget != plan.memory_capacity)
    text += ", budget " + bytes_text(*plan.memory_budget);
  if (plan.memory_capacity)
    text += ", " +
            percent_text(static_cast<double>(plan.memory.bytes) /
                         static_cast<double>(*plan.memory_capacity)) +
            " of the device's " + bytes_text(*plan.memory_capacity);
  return text;
}

// Of a plan for real devices: computation and communication, and the utilization.
TESSERA_INLINE void add_times(const plan::Plan& plan, const std::string& bound, Columns& lines) {
  Wide work = 0;
  for (const plan::PlannedOp& op : plan.ops) work += op.work;
  lines.add({"time", cost_text(plan, plan.cost) + bound});
  lines.add({"", cost_text(plan, work) + " of computation, " + cost_text(plan, plan.cost - work) +
                     " of communication"});
  if (plan.utilisation->model_flops != 0) lines.add({"devices", devices_text(*plan.utilisation)});
}

TESSERA_INLINE std::string summary(const graph::Graph& graph, const plan::Plan& plan) {
  Columns lines;
  lines.add({"program", std::to_string(graph.op_count()) + " ops on mesh " + to_string(plan.mesh) +
                            ": " + std::to_string(plan.problem_nodes) + " nodes, " +
                            std::to_string(plan.problem_strategies) + " strategies, " +
                            std::to_string(plan.problem_edges) + " edges"});
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.3f s", plan.statistics.seconds);
  lines.add({"status", std::string(solver::to_string(plan.status)) + " after " + seconds + ", " +
                           std::to_string(plan.statistics.nodes) + " search nodes"});
  if (!plan.has_ops()) return lines.text("");
  const std::string bound = "   lower bound " + cost_text(plan, plan.lower_bound) + "   gap " +
                            gap_text(plan.cost, plan.lower_bound);
  if (plan.utilisation)
    add_times(plan, bound, lines);
  else
    lines.add({"cost", cost_text(plan, plan.cost) + " (" + plan.unit + ")" + bound});
  lines.add({"memory", memory_summary(plan)});
  return lines.text("");
}

// --- Ops -----------------------------------------------------------------------------------------

TESSERA_INLINE std::string results_text(const graph::Op& op) {
  return joined(op.results, ", ", [](const graph::TensorType& type) { return to_string(type); });
}

// "all-reduce @ 0 of 64.00 KiB (operand 1)"
TESSERA_INLINE std::string collectives_of(const plan::PlannedOp& op) {
  std::string text;
  for (const plan::PlannedStep& planned : op.steps) {
    if (!planned.is_collective()) continue;
    if (!text.empty()) text += ", ";
    text += std::string(to_string(planned.step.kind)) + " @ " + std::to_string(planned.step.axis) +
            " of " + bytes_text(planned.bytes());
    if (planned.operand) text += " (operand " + std::to_string(*planned.operand) + ')';
  }
  return text;
}

TESSERA_INLINE std::string parameters_section(const graph::Graph& graph, const plan::Plan& plan) {
  Columns rows;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_parameter)
      rows.add({graph.op(id).name, results_text(graph.op(id)),
                notation::alpa_text(plan.ops[id].results[0]),
                bytes_text(plan.ops[id].result_bytes[0])});
  if (rows.empty()) return "";
  return "parameters, and the bytes of each device's shard\n" + rows.text();
}

TESSERA_INLINE std::string ops_section(const graph::Graph& graph, const plan::Plan& plan,
                                       const TableOptions& options) {
  Columns rows;
  std::size_t omitted = 0;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const graph::Op& op = graph.op(id);
    if (op.is_parameter) continue;
    const std::string collectives = collectives_of(plan.ops[id]);
    if (options.all_ops || op.is_heavy || !collectives.empty())
      rows.add({op.name, results_text(op), plan.ops[id].strategy, collectives});
    else
      ++omitted;
  }
  std::string text = options.all_ops ? "\nops\n" : "\nheavy ops, and ops that communicate\n";
  text += rows.text();
  if (omitted > 0) text += "  (" + std::to_string(omitted) + " other ops need no communication)\n";
  return text;
}

// --- Communication -------------------------------------------------------------------------------

struct CollectiveTotal {
  std::size_t count = 0;
  Wide bytes = 0, price = 0;
};
using CollectiveTotals = std::map<std::pair<StepKind, Axis>, CollectiveTotal>;

TESSERA_INLINE CollectiveTotals collective_totals(const plan::Plan& plan) {
  CollectiveTotals totals;
  for (const plan::PlannedOp& op : plan.ops)
    for (const plan::PlannedStep& planned : op.steps) {
      if (!planned.is_collective()) continue;
      CollectiveTotal& total = totals[{planned.step.kind, planned.step.axis}];
      ++total.count;
      total.bytes += planned.bytes();
      total.price += planned.price;
    }
  return totals;
}

TESSERA_INLINE std::string communication_section(const plan::Plan& plan) {
  const CollectiveTotals totals = collective_totals(plan);
  if (totals.empty()) return "\nno communication\n";
  Columns rows;
  for (const auto& [key, total] : totals)
    rows.add({to_string(key.first), "@ axis " + std::to_string(key.second),
              std::to_string(total.count) + (total.count == 1 ? " time" : " times"),
              bytes_text(total.bytes),
              (plan.utilisation ? "" : "cost ") + cost_text(plan, total.price)});
  return "\ntotal communication\n" + rows.text();
}

// --- Memory --------------------------------------------------------------------------------------

TESSERA_INLINE std::string live_tensors(const graph::Graph& graph, const plan::MemoryPeak& peak,
                                        std::size_t most) {
  Columns rows;
  for (std::size_t i = 0; i < peak.live.size() && i < most; ++i) {
    const graph::Value value = peak.live[i].value;
    rows.add(
        {graph.op(value.op).name, to_string(graph.type_of(value)), bytes_text(peak.live[i].bytes)});
  }
  return rows.text();
}

// "4.00 MiB of weights, 8.00 MiB of optimizer state"
TESSERA_INLINE std::string kinds_text(const plan::MemoryPeak& peak) {
  std::string text;
  for (std::size_t kind = 0; kind < plan::memory_kinds; ++kind) {
    if (peak.of_kind[kind] == 0) continue;
    if (!text.empty()) text += ", ";
    text += bytes_text(peak.of_kind[kind]) + " of ";
    text += to_string(static_cast<plan::MemoryKind>(kind));
  }
  return text;
}

TESSERA_INLINE std::string memory_section(const graph::Graph& graph, const plan::Plan& plan) {
  if (plan.memory.live.empty()) return "";
  return "\nlargest tensors on each device at the peak, while " + graph.op(plan.memory.at).name +
         " runs\n" + live_tensors(graph, plan.memory, 5) + "total " + kinds_text(plan.memory) +
         '\n';
}

TESSERA_INLINE std::string shortage_section(const graph::Graph& graph, const plan::Plan& plan) {
  const plan::Shortage& shortage = *plan.shortage;
  return "no plan fits the budget of " + to_string(Wide(*plan.memory_budget)) +
         " bytes per device: " + (shortage.is_exact ? "" : "at least ") +
         to_string(shortage.needed) + " bytes (" + bytes_text(shortage.needed) +
         ") are needed.\nA plan that needs least memory has its peak while " +
         graph.op(shortage.peak.at).name + " runs; the largest tensors there:\n" +
         live_tensors(graph, shortage.peak, 5);
}

}  // namespace detail

TESSERA_INLINE std::string plan_table(const graph::Graph& graph, const plan::Plan& plan,
                                      const TableOptions& options) {
  std::string result = detail::summary(graph, plan);
  if (plan.has_ops())
    result += '\n' + detail::parameters_section(graph, plan) +
              detail::ops_section(graph, plan, options) + detail::communication_section(plan) +
              detail::memory_section(graph, plan);
  if (plan.shortage) result += '\n' + detail::shortage_section(graph, plan);
  return result;
}

}  // namespace tessera::report
