// SPDX-License-Identifier: Apache-2.0
//
// Single ops of a plan, as one device runs them: the steps that the plan lists for each operand,
// the device's slices of the results (kernels.hpp), and the steps that finish them.
//
// Nothing is added, and nothing is left out.  All devices of the plan's mesh do the same in the
// same order, which is what makes their calls meet.  In what order, and what is held meanwhile,
// others say: spmd.hpp runs a program once, pipeline.hpp a stage's passes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/exchange.hpp"
#include "tessera/executor/kernels.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::executor {

// One collective of a plan, numbered in program order.
struct StepPlace {
  graph::OpId op = 0;
  std::size_t step = 0;  // of plan.ops[op].steps
};

// All collectives of a plan, in the order in which they run.
inline std::vector<StepPlace> collectives_of(const plan::Plan& plan) {
  std::vector<StepPlace> places;
  for (graph::OpId op = 0; op < plan.ops.size(); ++op)
    for (std::size_t s = 0; s < plan.ops[op].steps.size(); ++s)
      if (plan.ops[op].steps[s].is_collective()) places.push_back({op, s});
  return places;
}

// What the communicator knows a collective as.
inline std::string label_of(const graph::Graph& graph, StepPlace place) {
  return graph.op(place.op).name + " #" + std::to_string(place.step);
}

// What an op's results are, and what stood beside them and their operands while it ran.
struct RanOp {
  std::vector<OwnedPart> results;
  Extent copies = 0;  // bytes
};

template<Communicator C>
class OpRunner {
 public:
  // Keeps references to all three.  Throws InvalidArgument where the plan is none of this
  // graph, or of so many devices.
  OpRunner(const graph::Graph& graph, const plan::Plan& plan, C& comm)
      : graph_(graph),
        plan_(plan),
        exchange_(plan.mesh, checked(graph, plan, comm)),
        payloads_(plan.ops.size()),
        runs_(plan.ops.size()) {
    for (graph::OpId id = 0; id < graph.op_count(); ++id) {
      payloads_[id].assign(plan.ops[id].steps.size(), 0);
      runs_[id].assign(plan.ops[id].steps.size(), 0);
    }
  }

  // What the plan gives this device of a parameter.  @pre the tensor is the parameter's
  OwnedPart shard_of(graph::OpId parameter, const Tensor& whole) const {
    const DynamicSharding sharding = plan_.ops[parameter].computed[0];
    return cut(whole_part(whole), exchange_.slice(sharding, whole.dims()));
  }

  // A result, or a parameter's shard, as the op hands it on.
  OwnedPart finished(graph::OpId id, OwnedPart computed) {
    OwnedPart result;
    const bool has_changed = take_steps(id, std::nullopt, computed.view(), result);
    return std::move(has_changed ? result : computed);
  }

  // The op's results as it hands them on, from its operands as those before it do.  Throws what
  // kernels and the communicator do, and InternalError where steps do not lead to what the op
  // needs.
  RanOp run(graph::OpId id, std::vector<Part> operands) {
    const graph::Op& op = graph_.op(id);
    RanOp ran;
    std::vector<OwnedPart> brought(operands.size());
    for (std::uint32_t i = 0; i < operands.size(); ++i) {
      if (!take_steps(id, i, operands[i], brought[i])) continue;
      operands[i] = brought[i].view();
      ran.copies += static_cast<Extent>(brought[i].tensor.byte_size());
    }
    check_operands(id, operands);
    std::vector<Slice> slices;
    for (std::size_t r = 0; r < op.results.size(); ++r)
      slices.push_back(exchange_.slice(plan_.ops[id].computed[r], op.results[r].dims));
    ran.results = compute(op, operands, slices);
    for (const OwnedPart& result : ran.results)
      ran.copies += static_cast<Extent>(result.tensor.byte_size());
    brought.clear();
    if (ran.results.size() == 1) ran.results[0] = finished(id, std::move(ran.results[0]));
    return ran;
  }

  // A loop's state, from its initial value (operand 0) or its next one (operand 1).
  OwnedPart run_state(graph::OpId id, std::uint32_t operand, Part from) {
    OwnedPart brought;
    if (take_steps(id, operand, from, brought)) from = brought.view();
    const Dims& dims = graph_.op(id).results[0].dims;
    return finished(id, cut(from, exchange_.slice(plan_.ops[id].computed[0], dims)));
  }

  // Of all runs so far: by op, then by its steps; without padding.
  const std::vector<std::vector<Extent>>& payloads() const noexcept { return payloads_; }
  // How often each step was taken.
  const std::vector<std::vector<std::int64_t>>& runs() const noexcept { return runs_; }

 private:
  static C& checked(const graph::Graph& graph, const plan::Plan& plan, C& comm) {
    if (plan.ops.size() != graph.op_count())
      throw InvalidArgument("the plan has " + std::to_string(plan.ops.size()) +
                                  " ops, and the program " + std::to_string(graph.op_count()));
    if (plan.mesh.device_count() != comm.size())
      throw InvalidArgument("the plan is for " + std::to_string(plan.mesh.device_count()) +
                                  " devices, and there are " + std::to_string(comm.size()));
    return comm;
  }

  // Takes the plan's steps for one operand, or for the op's result.  Whether there were any.
  bool take_steps(graph::OpId id, std::optional<std::uint32_t> operand, const Part& from,
                  OwnedPart& to) {
    bool any = false;
    const std::vector<plan::PlannedStep>& steps = plan_.ops[id].steps;
    for (std::size_t s = 0; s < steps.size(); ++s) {
      if (steps[s].operand != operand) continue;
      to = exchange_.run(steps[s], graph_.op(id).rule, any ? to.view() : from,
                         label_of(graph_, {id, s}), payloads_[id][s]);
      ++runs_[id][s];
      any = true;
    }
    return any;
  }

  // Steps that end elsewhere than where the op begins are a wrong plan.  Rims may be added.
  void check_operands(graph::OpId id, std::span<const Part> operands) const {
    for (std::size_t i = 0; i < operands.size(); ++i) {
      const Slice wanted = exchange_.slice(plan_.ops[id].operands[i], operands[i].whole);
      for (std::size_t d = 0; d < wanted.size(); ++d)
        if (wanted[d].size() != 0 && (operands[i].slice[d].begin > wanted[d].begin ||
                                      operands[i].slice[d].end < wanted[d].end))
          throw InternalError(detail::op_text(graph_.op(id)) + ": operand " + std::to_string(i) +
                                 " is not brought in the sharding " +
                                 to_string(plan_.ops[id].operands[i]) + " that the op needs");
    }
  }

  const graph::Graph& graph_;
  const plan::Plan& plan_;
  Exchange<C> exchange_;
  std::vector<std::vector<Extent>> payloads_;
  std::vector<std::vector<std::int64_t>> runs_;
};

}  // namespace tessera::executor
