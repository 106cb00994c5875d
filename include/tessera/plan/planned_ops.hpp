// SPDX-License-Identifier: Apache-2.0
//
// A plan: ops with their shardings, and with all that they take.
//
// Which strategies are chosen is decided elsewhere (plan.hpp, recompute.hpp).  Here follow from
// them the steps that bring operands and finish results, memory moment by moment, and how well
// devices are used.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tessera/cost/resharding.hpp"
#include "tessera/cost/resharding_buffers.hpp"
#include "tessera/cost/utilisation.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/buffers.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/plan/moments.hpp"
#include "tessera/plan/shortage.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/result.hpp"
#include "tessera/strategy/column.hpp"
#include "tessera/strategy/text.hpp"

namespace tessera::plan {

// What runs before an op, to bring an operand in the sharding that it needs, or after it, to finish
// its result: a collective, or a slice or a mask, which move nothing and cost nothing.
struct PlannedStep {
  Step step;  // of a halo exchange: along step.from_dim, over all axes that split it
  // The tensor's sharding, and what the step makes of it: the same, for a halo exchange.
  DynamicSharding before, after;
  cost::Message message;  // what a collective moves
  Cost price = 0;
  // The operand that is resharded before the op runs; nothing where the op's own result is
  // finished.
  std::optional<std::uint32_t> operand;

  bool is_collective() const noexcept { return tessera::is_collective(step.kind); }
  // Of the tensor as it is local to the other axes, rounded up.
  Extent bytes() const noexcept { return message.rounded_up(); }
};

struct PlannedOp {
  std::string strategy;                   // in words
  std::vector<DynamicSharding> operands;  // as the op needs them
  std::vector<DynamicSharding> computed;  // the results, as the op itself leaves them
  std::vector<DynamicSharding> results;   // and as they are handed on
  std::vector<Extent> result_bytes;       // per device, as they are handed on
  std::vector<PlannedStep> steps;         // in the order they run
  Cost work = 0;                          // of the op itself, where the model prices that
  // What stands beside tensors while operands are brought and the result is handed on, at most.
  Wide buffer_bytes = 0;
};

struct Plan {
  solver::Status status = solver::Status::unknown;
  Wide cost = 0;         // in the model's units, `denominator` of which make one as people write it
  Wide lower_bound = 0;  // no plan in the space that was searched is cheaper
  Cost denominator = 1;
  std::string unit;
  DynamicMesh mesh;
  std::vector<PlannedOp> ops;  // by op; empty unless status is optimal or feasible
  MemoryPeak memory;           // of the tensors
  // At its peak with all that stands beside them while something is resharded
  // (cost/resharding_buffers.hpp); the budget is for this.
  Wide memory_with_buffers = 0;
  std::optional<Extent> memory_budget;
  // Under a model of a real cluster, where cost is time: what a device has room for, and how well
  // the plan uses the devices.
  std::optional<Extent> memory_capacity;
  std::optional<cost::Utilisation> utilisation;
  std::optional<Shortage> shortage;  // when infeasible for want of memory
  std::size_t problem_nodes = 0, problem_edges = 0, problem_strategies = 0;
  solver::Statistics statistics;  // of the solver; the seconds are those of the whole plan()

  bool has_ops() const noexcept {
    return status == solver::Status::optimal || status == solver::Status::feasible;
  }
};

namespace detail {

// Writes down what follows from the strategies that were chosen, op by op.
class OpWriter {
 public:
  // `in_memory`: by op, whether its results reach memory; `runs`: how often it runs, empty for
  // once.
  OpWriter(const graph::Graph& graph, const std::vector<char>& in_memory,
           cost::Resharding& resharding, Plan& plan,
           const std::vector<std::int64_t>& runs = {})
      : graph_(graph),
        owns_(owners_of(graph, in_memory)),
        lifetimes_(plan::buffers_of(graph, in_memory)),
        resharding_(resharding),
        plan_(plan),
        runs_(runs) {}

  // `is_second`, by op where it is not empty: work that is done a second time.
  void run(std::vector<strategy::Choice> choices, bool leaves_partial,
           const std::vector<char>& is_second = {}) {
    if (leaves_partial)
      for (graph::OpId id = 0; id < graph_.op_count(); ++id) finish_early(id, choices);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      plan_.ops.push_back(planned(id, choices));
    const auto bytes_of = [&](graph::Value value) {
      return plan_.ops[value.op].result_bytes[value.result];
    };
    plan_.memory = memory_peak(graph_, lifetimes_, bytes_of);
    plan_.memory_with_buffers = peak_with_buffers();
    if (const cost::Accelerator* const device = resharding_.prices().device())
      plan_.utilisation = utilisation(choices, is_second, *device);
  }

 private:
  cost::Utilisation utilisation(const std::vector<strategy::Choice>& choices,
                                const std::vector<char>& is_second,
                                const cost::Accelerator& device) const {
    cost::Utilisation result;
    result.time = plan_.cost;
    result.devices = plan_.mesh.device_count();
    std::map<graph::ElementType, Wide> flops_of_type;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      const graph::Op& op = graph_.op(id);
      if (!cost::is_product(op)) continue;
      const cost::Product local = cost::product_of(op.rule, [&](std::size_t factor) {
        return strategy::local_size(op.rule, plan_.mesh, choices[id].strategy, factor);
      });
      result.hardware_flops += local.flops() * result.devices * runs_of(id);
      if (!is_second.empty() && is_second[id] != 0) continue;
      const Wide flops = cost::flops_of(op) * runs_of(id);
      result.model_flops += flops;
      flops_of_type[graph_.type_of(graph_.operand(id, 0)).element] += flops;
    }
    Wide most = 0;
    for (const auto& [type, flops] : flops_of_type)
      if (flops > most) {
        most = flops;
        result.peak = device.peak_rate(type);
      }
    return result;
  }

  // Where a partial result was left to its only reader, to finish as it pleases
  // (strategy::Pruning), the op itself takes the steps up to where least is held: the price in all
  // is the same.
  void finish_early(graph::OpId id, std::vector<strategy::Choice>& choices) {
    strategy::Choice& choice = choices[id];
    if (choice.results.size() != 1 || choice.results[0].partial_axes().empty()) return;
    std::optional<DynamicSharding> wanted;
    std::size_t uses = 0;
    graph::OpId only_reader = 0;
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
      ++uses;
      only_reader = reader;
      wanted = choices[reader].operands[use.operand];
    });
    if (uses != 1 || runs_of(id) != runs_of(only_reader)) return;
    auto& tensor = resharding_.of(graph_.op(id).results[0]);
    DynamicSharding best = choice.results[0], at = best;
    Cost paid = 0, price = 0;
    for (const cost::PricedStep& step : tensor.path(at, *wanted)) {
      at = apply(step.step, at, wanted->reduction());
      paid += step.price;
      const auto rank = [&](DynamicSharding sharding) {
        return std::pair(tensor.local_bytes(sharding), sharding.partial_axes().size());
      };
      if (rank(at) >= rank(best)) continue;
      best = at;
      price = paid;
    }
    choice.strategy.handed_on = choice.results[0] = best;
    choice.result_bytes[0] = tensor.local_bytes(best);
    choice.price += price;
  }

  PlannedOp planned(graph::OpId id, const std::vector<strategy::Choice>& choices) {
    const graph::Rule& rule = graph_.op(id).rule;
    const strategy::Choice& choice = choices[id];
    PlannedOp op{strategy::to_string(rule, choice),
                 choice.operands,
                 {},
                 choice.results,
                 choice.result_bytes,
                 {},
                 choice.work};
    for (std::size_t r = 0; r < rule.result_count(); ++r)
      op.computed.push_back(sharding_of(rule, choice.strategy, rule.operand_count() + r));
    for (std::uint32_t i = 0; i < graph_.operand_count(id); ++i) {
      const graph::Value value = graph_.operand(id, i);
      add_steps(op, graph_.type_of(value), choices[value.op].results[value.result],
                choice.operands[i], i);
    }
    for (const strategy::PricedHalo& halo : choice.halos) {
      const DynamicSharding sharding = choice.operands[halo.operand];
      const Step step{StepKind::halo_exchange, halo.axis, halo.dim, halo.dim};
      op.steps.push_back({step, sharding, sharding, halo.message, halo.price, halo.operand});
    }
    if (rule.result_count() == 1)
      add_steps(op, graph_.op(id).results[0], op.computed[0], choice.results[0], std::nullopt);
    return op;
  }

  // All that is held while the program runs, moment by moment.
  Wide peak_with_buffers() {
    const Moments moments(graph_, owns_);
    MomentUsage usage(moments);
    for_each_buffer(graph_, lifetimes_, [&](graph::Value value, graph::Lifetime life) {
      usage.add(moments.of(life), plan_.ops[value.op].result_bytes[value.result]);
    });
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      PlannedOp& op = plan_.ops[id];
      Wide held = 0;
      for (std::size_t i = 0; i < op.operands.size(); ++i) {
        const graph::Value value = graph_.operand(id, i);
        const cost::ReshardingBuffers buffers = cost::operand_buffers(
            resharding_.of(graph_.type_of(value)), plan_.ops[value.op].results[value.result],
            op.operands[i], owns_[value.op] != 0);
        usage.add(moments.bringing(id, i), buffers.during);
        usage.add(moments.brought(id, i), buffers.after);
        op.buffer_bytes = std::max(op.buffer_bytes, held + buffers.during);
        held += buffers.after;
      }
      op.buffer_bytes = std::max(op.buffer_bytes, held);
      if (op.results.size() != 1) continue;
      const cost::ReshardingBuffers buffers = cost::result_buffers(
          resharding_.of(graph_.op(id).results[0]), op.computed[0], op.results[0], owns_[id] != 0);
      usage.add(moments.finishing(id), buffers.during);
      usage.add(moments.finished(id), buffers.after);
      op.buffer_bytes = std::max(op.buffer_bytes, held + buffers.during);
    }
    return usage.peak();
  }

  void add_steps(PlannedOp& op, const graph::TensorType& type, DynamicSharding from,
                 DynamicSharding to, std::optional<std::uint32_t> operand) {
    for (const cost::PricedStep& step : resharding_.of(type).path(from, to)) {
      const Reduction reduction = to.reduction();  // that a mask introduces
      const DynamicSharding after = apply(step.step, from, reduction);
      op.steps.push_back({step.step, from, after, step.message, step.price, operand});
      from = after;
    }
  }

  std::int64_t runs_of(graph::OpId id) const { return runs_.empty() ? 1 : runs_[id]; }

  const graph::Graph& graph_;
  std::vector<char> owns_;  // by op: whether its results take memory of their own
  graph::Lifetimes lifetimes_;
  cost::Resharding& resharding_;
  Plan& plan_;
  std::vector<std::int64_t> runs_;
};

}  // namespace detail

}  // namespace tessera::plan
