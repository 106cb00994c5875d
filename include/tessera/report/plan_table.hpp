// SPDX-License-Identifier: Apache-2.0
//
// A plan as text for people: what is sharded how, what must be communicated, what it costs.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/text.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/notation/alpa.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report {

struct TableOptions {
  bool all_ops = false;  // also ops that neither are heavy nor communicate
};

namespace detail {

class PlanTable {
 public:
  PlanTable(const graph::Graph& graph, const plan::Plan& plan, const TableOptions& options)
      : graph_(graph), plan_(plan), options_(options) {}

  std::string text() const {
    std::string result = summary();
    if (plan_.has_ops()) result += '\n' + parameters() + ops() + collectives() + memory();
    if (plan_.shortage) result += '\n' + shortage();
    return result;
  }

 private:
  // As people write it: time in the unit that fits, anything else exactly.
  std::string cost(Wide value) const {
    return plan_.utilisation ? time_text(value) : cost::to_decimal(value, plan_.denominator);
  }

  std::string summary() const {
    Columns lines;
    lines.add({"program", std::to_string(graph_.op_count()) + " ops on mesh " +
                              to_string(plan_.mesh) + ": " + std::to_string(plan_.problem_nodes) +
                              " nodes, " + std::to_string(plan_.problem_strategies) +
                              " strategies, " + std::to_string(plan_.problem_edges) + " edges"});
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.3f s", plan_.statistics.seconds);
    lines.add({"status", std::string(solver::to_string(plan_.status)) + " after " + seconds + ", " +
                             std::to_string(plan_.statistics.nodes) + " search nodes"});
    if (plan_.has_ops()) {
      const std::string bound = "   lower bound " + cost(plan_.lower_bound) + "   gap " +
                                gap_text(plan_.cost, plan_.lower_bound);
      if (plan_.utilisation)
        add_times(lines, bound);
      else
        lines.add({"cost", cost(plan_.cost) + " (" + plan_.unit + ")" + bound});
      lines.add({"memory", memory_use()});
    }
    return lines.text("");
  }

  // Of a plan for real devices: where its time goes, and how much of what they could do it is.
  void add_times(Columns& lines, const std::string& bound) const {
    const cost::Utilisation& use = *plan_.utilisation;
    Wide work = 0;
    for (const plan::PlannedOp& op : plan_.ops) work += op.work;
    lines.add({"time", cost(plan_.cost) + bound});
    lines.add({"", cost(work) + " of work, " + cost(plan_.cost - work) + " of communication"});
    if (use.model_flops == 0) return;
    lines.add({"devices", "MFU " + percent_text(use.mfu()) + " (" + flops_text(use.model_flops) +
                              " on " + std::to_string(use.devices) + " devices of " +
                              flops_text(use.peak) + "/s), HFU " + percent_text(use.hfu())});
  }

  std::string memory_use() const {
    std::string text = bytes_text(plan_.memory.bytes) + " per device at its peak";
    if (const std::string most = bytes_text(plan_.memory_with_buffers);
        most != bytes_text(plan_.memory.bytes))
      text += " (" + most + " with what is being resharded)";
    if (plan_.memory_budget && plan_.memory_budget != plan_.memory_capacity)
      text += ", budget " + bytes_text(*plan_.memory_budget);
    if (plan_.memory_capacity)
      text += ", " +
              percent_text(static_cast<double>(plan_.memory.bytes) /
                           static_cast<double>(*plan_.memory_capacity)) +
              " of the device's " + bytes_text(*plan_.memory_capacity);
    return text;
  }

  std::string shape(graph::OpId id) const {
    return joined(graph_.op(id).results, ", ",
                  [](const graph::TensorType& type) { return to_string(type); });
  }

  // "all-reduce @ 0 of 64.00 KiB (operand 1)"
  static std::string collectives_of(const plan::PlannedOp& op) {
    std::string text;
    for (const plan::PlannedStep& planned : op.steps) {
      if (!planned.is_collective()) continue;
      if (!text.empty()) text += ", ";
      text += std::string(to_string(planned.step.kind)) + " @ " +
              std::to_string(planned.step.axis) + " of " + bytes_text(planned.bytes());
      if (planned.operand) text += " (operand " + std::to_string(*planned.operand) + ')';
    }
    return text;
  }

  std::string parameters() const {
    Columns rows;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      if (graph_.op(id).is_parameter)
        rows.add({graph_.op(id).name, shape(id), notation::alpa_text(plan_.ops[id].results[0]),
                  bytes_text(plan_.ops[id].result_bytes[0])});
    if (rows.empty()) return "";
    return "parameters, and what each device holds of them\n" + rows.text();
  }

  std::string ops() const {
    Columns rows;
    std::size_t silent = 0;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      const graph::Op& op = graph_.op(id);
      if (op.is_parameter) continue;
      const std::string collectives = collectives_of(plan_.ops[id]);
      if (!options_.all_ops && !op.is_heavy && collectives.empty()) {
        ++silent;
        continue;
      }
      rows.add({op.name, shape(id), plan_.ops[id].strategy, collectives});
    }
    std::string text = options_.all_ops ? "\nops\n" : "\nheavy ops, and ops that communicate\n";
    text += rows.text();
    if (silent > 0) text += "  (" + std::to_string(silent) + " further ops run on their shards)\n";
    return text;
  }

  std::string collectives() const {
    struct Total {
      std::size_t count = 0;
      Wide bytes = 0, price = 0;
    };
    std::map<std::pair<StepKind, Axis>, Total> totals;
    for (const plan::PlannedOp& op : plan_.ops)
      for (const plan::PlannedStep& planned : op.steps) {
        if (!planned.is_collective()) continue;
        Total& total = totals[{planned.step.kind, planned.step.axis}];
        ++total.count;
        total.bytes += planned.bytes();
        total.price += planned.price;
      }
    if (totals.empty()) return "\nno communication at all\n";
    Columns rows;
    for (const auto& [key, total] : totals)
      rows.add({to_string(key.first), "@ axis " + std::to_string(key.second),
                std::to_string(total.count) + (total.count == 1 ? " time" : " times"),
                bytes_text(total.bytes), (plan_.utilisation ? "" : "cost ") + cost(total.price)});
    return "\ncommunication in all\n" + rows.text();
  }

  std::string live_tensors(const plan::MemoryPeak& peak, std::size_t most) const {
    Columns rows;
    for (std::size_t i = 0; i < peak.live.size() && i < most; ++i) {
      const graph::Value value = peak.live[i].value;
      rows.add({graph_.op(value.op).name, to_string(graph_.type_of(value)),
                bytes_text(peak.live[i].bytes)});
    }
    return rows.text();
  }

  std::string memory() const {
    if (plan_.memory.live.empty()) return "";
    return "\nlargest tensors on each device at the peak, while " +
           graph_.op(plan_.memory.at).name + " runs\n" + live_tensors(plan_.memory, 5) + "in all " +
           kinds(plan_.memory) + '\n';
  }

  // "4.00 MiB of weights, 8.00 MiB of optimizer state"
  static std::string kinds(const plan::MemoryPeak& peak) {
    std::string text;
    for (std::size_t kind = 0; kind < plan::memory_kinds; ++kind) {
      if (peak.of_kind[kind] == 0) continue;
      if (!text.empty()) text += ", ";
      text += bytes_text(peak.of_kind[kind]) + " of ";
      text += to_string(static_cast<plan::MemoryKind>(kind));
    }
    return text;
  }

  std::string shortage() const {
    const plan::Shortage& shortage = *plan_.shortage;
    return "no plan fits the budget of " + to_string(Wide(*plan_.memory_budget)) +
           " bytes per device: " + (shortage.is_exact ? "" : "at least ") +
           to_string(shortage.needed) + " bytes (" + bytes_text(shortage.needed) +
           ") are needed.\nThe most is asked for while " + graph_.op(shortage.peak.at).name +
           " runs; largest there, in a plan that needs least:\n" + live_tensors(shortage.peak, 5);
  }

  const graph::Graph& graph_;
  const plan::Plan& plan_;
  const TableOptions& options_;
};

}  // namespace detail

// Several lines, each ended.  `plan` is one of `graph`; where it is infeasible, the table says what
// memory would do instead.  Bytes are per device.
inline std::string plan_table(const graph::Graph& graph, const plan::Plan& plan,
                              const TableOptions& options = {}) {
  return detail::PlanTable(graph, plan, options).text();
}

}  // namespace tessera::report
