// SPDX-License-Identifier: Apache-2.0
//
// The bodies of op_writer.hpp.
#pragma once
#include "tessera/plan/detail/mesh/op_writer.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "tessera/cost/accelerator.hpp"
#include "tessera/cost/resharding_buffers.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/plan/detail/memory/timeline.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/strategy/text.hpp"

namespace tessera::plan::detail {

TESSERA_INLINE std::int64_t runs_of(const ChosenOps& chosen, graph::OpId id) {
  return chosen.runs.empty() ? 1 : chosen.runs[id];
}

// --- Utilisation
// -----------------------------------------------------------------------------------

TESSERA_INLINE cost::Utilisation utilisation_of(const ChosenOps& chosen, const Plan& plan,
                                                const cost::Accelerator& device) {
  cost::Utilisation result;
  result.time = plan.cost;
  result.devices = plan.mesh.device_count();
  std::map<graph::ElementType, Wide> flops_of_type;
  for (graph::OpId id = 0; id < chosen.graph.op_count(); ++id) {
    const graph::Op& op = chosen.graph.op(id);
    if (!cost::is_product(op)) continue;
    const cost::Product local = cost::product_of(op.rule, [&](std::size_t factor) {
      return strategy::local_size(op.rule, plan.mesh, chosen.choices[id].strategy, factor);
    });
    result.hardware_flops += local.flops() * result.devices * runs_of(chosen, id);
    if (!chosen.is_repeated.empty() && chosen.is_repeated[id] != 0) continue;
    const Wide flops = cost::flops_of(op) * runs_of(chosen, id);
    result.model_flops += flops;
    flops_of_type[chosen.graph.type_of(chosen.graph.operand(id, 0)).element] += flops;
  }
  Wide most = 0;
  for (const auto& [type, flops] : flops_of_type)
    if (flops > most) {
      most = flops;
      result.peak = device.peak_rate(type);
    }
  return result;
}

// --- Partial sums
// ----------------------------------------------------------------------------------

// The operand sharding of an op's only reader, where it has one that runs as often.
TESSERA_INLINE std::optional<DynamicSharding> wanted_by_reader(const ChosenOps& chosen,
                                                               graph::OpId id) {
  std::optional<DynamicSharding> wanted;
  std::size_t uses = 0;
  graph::OpId only_reader = 0;
  chosen.graph.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
    ++uses;
    only_reader = reader;
    wanted = chosen.choices[reader].operands[use.operand];
  });
  if (uses != 1 || runs_of(chosen, id) != runs_of(chosen, only_reader)) return std::nullopt;
  return wanted;
}

// Where a column left it to the only reader to finish a partial sum, the op itself takes the steps
// to the smallest sharding on that path: the price in all is the same.
TESSERA_INLINE void finish_early(ChosenOps& chosen, graph::OpId id, cost::Resharding& resharding) {
  strategy::Choice& choice = chosen.choices[id];
  if (choice.results.size() != 1 || choice.results[0].partial_axes().empty()) return;
  const std::optional<DynamicSharding> wanted = wanted_by_reader(chosen, id);
  if (!wanted) return;
  cost::TensorResharding& tensor = resharding.of(chosen.graph.op(id).results[0]);
  const auto rank = [&](DynamicSharding sharding) {
    return std::pair(tensor.local_bytes(sharding), sharding.partial_axes().size());
  };
  DynamicSharding best = choice.results[0], at = best;
  Cost paid = 0, price = 0;
  for (const cost::PricedStep& step : tensor.path(at, *wanted)) {
    at = apply(step.step, at, wanted->reduction());
    paid += step.price;
    if (rank(at) >= rank(best)) continue;
    best = at;
    price = paid;
  }
  choice.strategy.output_sharding = choice.results[0] = best;
  choice.result_bytes[0] = tensor.local_bytes(best);
  choice.price += price;
}

// --- Ops
// -------------------------------------------------------------------------------------------

TESSERA_INLINE void add_steps(PlannedOp& op, cost::TensorResharding& tensor, DynamicSharding from,
                              DynamicSharding to, std::optional<std::uint32_t> operand) {
  for (const cost::PricedStep& step : tensor.path(from, to)) {
    const DynamicSharding after = apply(step.step, from, to.reduction());
    op.steps.push_back({step.step, from, after, step.message, step.price, operand});
    from = after;
  }
}

TESSERA_INLINE PlannedOp planned(const ChosenOps& chosen, graph::OpId id,
                                 cost::Resharding& resharding) {
  const graph::Graph& graph = chosen.graph;
  const graph::Rule& rule = graph.op(id).rule;
  const strategy::Choice& choice = chosen.choices[id];
  PlannedOp op{strategy::to_string(rule, choice),
               choice.operands,
               {},
               choice.results,
               choice.result_bytes,
               {},
               choice.work};
  for (std::size_t r = 0; r < rule.result_count(); ++r)
    op.computed.push_back(sharding_of(rule, choice.strategy, rule.operand_count() + r));
  for (std::uint32_t i = 0; i < graph.operand_count(id); ++i) {
    const graph::Value value = graph.operand(id, i);
    add_steps(op, resharding.of(graph.type_of(value)),
              chosen.choices[value.op].results[value.result], choice.operands[i], i);
  }
  for (const strategy::PricedHalo& halo : choice.halos) {
    const DynamicSharding sharding = choice.operands[halo.operand];
    const Step step{StepKind::halo_exchange, halo.axis, halo.dim, halo.dim};
    op.steps.push_back({step, sharding, sharding, halo.message, halo.price, halo.operand});
  }
  if (rule.result_count() == 1)
    add_steps(op, resharding.of(graph.op(id).results[0]), op.computed[0], choice.results[0],
              std::nullopt);
  return op;
}

// --- Memory
// ----------------------------------------------------------------------------------------

// Adds the buffers of one op, and states their peak in it.
TESSERA_INLINE void add_buffers(const graph::Graph& graph, graph::OpId id,
                                const std::vector<char>& owns, const Timeline& timeline,
                                cost::Resharding& resharding, Plan& plan, TimelineUsage& usage) {
  PlannedOp& op = plan.ops[id];
  Wide held = 0;
  for (std::size_t i = 0; i < op.operands.size(); ++i) {
    const graph::Value value = graph.operand(id, i);
    const cost::ReshardingBuffers buffers = cost::operand_buffers(
        resharding.of(graph.type_of(value)), plan.ops[value.op].results[value.result],
        op.operands[i], owns[value.op] != 0);
    usage.add(timeline.resharding_operand(id, i), buffers.during);
    usage.add(timeline.holding_operand(id, i), buffers.after);
    op.buffer_bytes = std::max(op.buffer_bytes, held + buffers.during);
    held += buffers.after;
  }
  op.buffer_bytes = std::max(op.buffer_bytes, held);
  if (op.results.size() != 1) return;
  const cost::ReshardingBuffers buffers = cost::result_buffers(
      resharding.of(graph.op(id).results[0]), op.computed[0], op.results[0], owns[id] != 0);
  usage.add(timeline.resharding_result(id), buffers.during);
  usage.add(timeline.holding_result(id), buffers.after);
  op.buffer_bytes = std::max(op.buffer_bytes, held + buffers.during);
}

// The peak of tensors and buffers, moment by moment.
TESSERA_INLINE Wide peak_with_buffers(const ChosenOps& chosen, const graph::Lifetimes& lifetimes,
                                      cost::Resharding& resharding, Plan& plan) {
  const std::vector<char> owns = owners_of(chosen.graph, chosen.in_memory);
  const Timeline timeline(chosen.graph, owns);
  TimelineUsage usage(timeline);
  for (graph::OpId id = 0; id < chosen.graph.op_count(); ++id) {
    for (std::size_t r = 0; r < lifetimes[id].size(); ++r)
      if (!lifetimes[id][r].empty())
        usage.add(timeline.of(lifetimes[id][r]), plan.ops[id].result_bytes[r]);
    add_buffers(chosen.graph, id, owns, timeline, resharding, plan, usage);
  }
  return usage.peak();
}

TESSERA_INLINE void write_ops(ChosenOps chosen, bool leaves_partial, cost::Resharding& resharding,
                              Plan& plan) {
  if (leaves_partial)
    for (graph::OpId id = 0; id < chosen.graph.op_count(); ++id)
      finish_early(chosen, id, resharding);
  for (graph::OpId id = 0; id < chosen.graph.op_count(); ++id)
    plan.ops.push_back(planned(chosen, id, resharding));
  const graph::Lifetimes lifetimes = buffers_of(chosen.graph, chosen.in_memory);
  plan.memory = memory_peak(chosen.graph, lifetimes, [&](graph::Value value) {
    return plan.ops[value.op].result_bytes[value.result];
  });
  plan.memory_with_buffers = peak_with_buffers(chosen, lifetimes, resharding, plan);
  if (const cost::Accelerator* const device = resharding.prices().device())
    plan.utilisation = utilisation_of(chosen, plan, *device);
}

}  // namespace tessera::plan::detail
