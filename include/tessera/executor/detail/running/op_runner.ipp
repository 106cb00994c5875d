// SPDX-License-Identifier: Apache-2.0
//
// Steps, kernel, steps.
#pragma once
#include "tessera/executor/detail/running/op_runner.hpp"

#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/executor/detail/kernels/compute.hpp"
#include "tessera/executor/detail/kernels/movement.hpp"

namespace tessera::executor::detail {

// Throws InvalidArgument where they do not belong together.
inline void check_plan(const graph::Graph& graph, const plan::Plan& plan) {
  if (plan.ops.size() != graph.op_count())
    throw InvalidArgument("the plan has " + std::to_string(plan.ops.size()) +
                          " ops, and the program " + std::to_string(graph.op_count()) +
                          ": it is the plan of another program");
}

TESSERA_INLINE OpRunner::OpRunner(const graph::Graph& graph, const plan::Plan& plan,
                                  Communicator& comm, Device first)
    : graph_(graph),
      plan_(plan),
      here_{plan.mesh, comm, first},
      payloads_(plan.ops.size()),
      runs_(plan.ops.size()) {
  check_plan(graph, plan);
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    payloads_[id].assign(plan.ops[id].steps.size(), 0);
    runs_[id].assign(plan.ops[id].steps.size(), 0);
  }
}

TESSERA_INLINE TensorPart OpRunner::shard_of(graph::OpId parameter, const Tensor& whole) const {
  const DynamicSharding sharding = plan_.ops[parameter].computed[0];
  return cut(whole_view(whole), slice_here(here_, sharding, whole.dims()));
}

TESSERA_INLINE TensorPart OpRunner::finished(graph::OpId id, TensorPart computed) {
  TensorPart result;
  const bool has_changed = take_steps(id, std::nullopt, computed.view(), result);
  return std::move(has_changed ? result : computed);
}

TESSERA_INLINE OpRun OpRunner::run(graph::OpId id, std::vector<TensorView> operands) {
  const graph::Op& op = graph_.op(id);
  OpRun ran;
  std::vector<TensorPart> resharded(operands.size());
  for (std::uint32_t i = 0; i < operands.size(); ++i) {
    if (!take_steps(id, i, operands[i], resharded[i])) continue;
    operands[i] = resharded[i].view();
    ran.copies += static_cast<Extent>(resharded[i].tensor.byte_size());
  }
  check_operands(id, operands);
  std::vector<Slice> slices;
  for (std::size_t r = 0; r < op.results.size(); ++r)
    slices.push_back(slice_here(here_, plan_.ops[id].computed[r], op.results[r].dims));
  ran.results = compute(op, operands, slices);
  for (const TensorPart& result : ran.results)
    ran.copies += static_cast<Extent>(result.tensor.byte_size());
  resharded.clear();
  if (ran.results.size() == 1) ran.results[0] = finished(id, std::move(ran.results[0]));
  return ran;
}

TESSERA_INLINE TensorPart OpRunner::run_state(graph::OpId id, std::uint32_t operand,
                                              TensorView from) {
  TensorPart resharded;
  if (take_steps(id, operand, from, resharded)) from = resharded.view();
  const Dims& dims = graph_.op(id).results[0].dims;
  return finished(id, cut(from, slice_here(here_, plan_.ops[id].computed[0], dims)));
}

TESSERA_INLINE bool OpRunner::take_steps(graph::OpId id, std::optional<std::uint32_t> operand,
                                         const TensorView& from, TensorPart& to) {
  bool any = false;
  const std::vector<plan::PlannedStep>& steps = plan_.ops[id].steps;
  for (std::size_t s = 0; s < steps.size(); ++s) {
    if (steps[s].operand != operand) continue;
    to = take_step(here_, steps[s], graph_.op(id).rule, any ? to.view() : from,
                   step_label(graph_, id, s), payloads_[id][s]);
    ++runs_[id][s];
    any = true;
  }
  return any;
}

// A plan whose steps end in another sharding than the op's is wrong.  Halos may have been added.
TESSERA_INLINE void OpRunner::check_operands(graph::OpId id,
                                             std::span<const TensorView> operands) const {
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const DynamicSharding sharding = plan_.ops[id].operands[i];
    const Slice wanted = slice_here(here_, sharding, operands[i].whole);
    const Slice& held = operands[i].slice;
    for (std::size_t d = 0; d < wanted.size(); ++d)
      if (wanted[d].size() != 0 && (held[d].begin > wanted[d].begin || held[d].end < wanted[d].end))
        throw InternalError(op_text(graph_.op(id)) + ": the steps of operand " + std::to_string(i) +
                            " do not lead to the sharding " + to_string(sharding) +
                            " that the op needs");
  }
}

}  // namespace tessera::executor::detail
