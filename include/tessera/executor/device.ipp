// SPDX-License-Identifier: Apache-2.0
//
// The machine that holds a device's shards of a plan and counts their memory; and the door to a
// pipeline's device (detail/running/pipeline_device.hpp).
#pragma once
#include "tessera/executor/device.hpp"

#include <algorithm>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/executor/detail/kernels/compute.hpp"
#include "tessera/executor/detail/running/op_runner.hpp"
#include "tessera/executor/detail/running/order.hpp"
#include "tessera/executor/detail/running/pipeline_device.hpp"
#include "tessera/executor/detail/running/pipeline_passes.hpp"
#include "tessera/graph/liveness.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::executor {

TESSERA_INLINE std::vector<StepPlace> collectives_of(const plan::Plan& plan) {
  std::vector<StepPlace> places;
  for (graph::OpId op = 0; op < plan.ops.size(); ++op)
    for (std::size_t s = 0; s < plan.ops[op].steps.size(); ++s)
      if (plan.ops[op].steps[s].is_collective()) places.push_back({op, s});
  return places;
}

TESSERA_INLINE std::string label_of(const graph::Graph& graph, StepPlace place) {
  return detail::step_label(graph, place.op, place.step);
}

namespace detail {

inline Extent byte_size(const TensorPart& part) {
  return static_cast<Extent>(part.tensor.byte_size());
}

inline bool contains(const std::vector<graph::Value>& values, graph::Value value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

// When a device frees what it holds, and which of it the plan counts.
struct HoldingRules {
  graph::Lifetimes buffers;            // as the plan counts them; empty where it does not
  Releases done;                       // values that nothing reads any more, whose buffers are over
  Releases buffers_over;               // values whose buffers are over, though they may be read
  std::vector<graph::Value> in_place;  // outputs in the place of parameters

  bool is_counted(graph::Value value) const { return !buffers[value.op][value.result].empty(); }
};

// Parameters are the caller's, except for those whose place an output takes: their buffer stays,
// and the old value is freed.
inline HoldingRules holding_rules(const graph::Graph& graph) {
  HoldingRules rules{plan::buffers_of(graph), Releases(graph), Releases(graph), {}};
  const graph::Lifetimes reads = graph::read_lifetimes_of(graph);
  std::vector<char> stays(graph.op_count(), 0), is_replaced(graph.op_count(), 0);
  for (graph::OpId id = 0; id < graph.op_count(); ++id) stays[id] = graph.op(id).is_parameter;
  for (const graph::Alias& alias : graph.aliases) {
    if (alias.output.op == alias.parameter) continue;
    stays[alias.parameter] = 0;
    is_replaced[alias.parameter] = 1;
    rules.in_place.push_back(alias.output);
  }
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    if (stays[id] != 0) continue;
    for (std::uint32_t r = 0; r < reads[id].size(); ++r) {
      const graph::Value value{id, r};
      graph::OpId last = reads[id][r].end - 1;
      const std::size_t end = rules.buffers[id][r].end;
      const bool has_end = rules.is_counted(value) && is_replaced[id] == 0 &&
                           end < graph.op_count();
      if (has_end) rules.buffers_over.add(value, end - 1);
      if (has_end) last = std::max<graph::OpId>(last, end - 1);
      if (!contains(graph.outputs, value) && !is_condition(graph, value))
        rules.done.add(value, last);
    }
  }
  return rules;
}

// A device's parts of all values, by op and result, and the memory they take.
class HeldValues {
 public:
  HeldValues(std::size_t ops, const HoldingRules& rules, HeldMemory& memory)
      : rules_(rules), memory_(memory), values_(ops), bytes_(ops) {
    memory_.now = memory_.others = 0;
  }

  std::vector<TensorPart>& of(graph::OpId id) { return values_[id]; }
  TensorPart& of(graph::Value value) { return values_[value.op][value.result]; }
  const TensorPart& of(graph::Value value) const { return values_[value.op][value.result]; }

  // In the place of what the last round of a loop left there, if anything.
  void hold(graph::OpId id, std::vector<TensorPart> results) {
    values_[id] = std::move(results);
    bytes_[id].resize(values_[id].size());
    for (std::uint32_t r = 0; r < values_[id].size(); ++r) {
      uncount({id, r});
      Bytes& bytes = bytes_[id][r];
      const Extent size = byte_size(values_[id][r]);
      if (rules_.is_counted({id, r}))
        memory_.add(bytes.counted = size);
      else if (!contains(rules_.in_place, {id, r}))
        memory_.add_other(bytes.others = size);
    }
  }
  void hold_one(graph::OpId id, TensorPart part) {
    std::vector<TensorPart> results;
    results.push_back(std::move(part));
    hold(id, std::move(results));
  }
  void release(const std::vector<graph::Value>& buffers_over,
               const std::vector<graph::Value>& done) {
    for (const graph::Value value : buffers_over)
      if (Bytes* const bytes = find_bytes(value)) memory_.now -= std::exchange(bytes->counted, 0);
    for (const graph::Value value : done) {
      if (values_[value.op].empty()) continue;  // in a loop whose body never ran
      memory_.others -= std::exchange(bytes_[value.op][value.result].others, 0);
      of(value) = {};
    }
  }
  void drop(graph::OpId id) {
    for (std::uint32_t r = 0; r < bytes_[id].size(); ++r) uncount({id, r});
    values_[id].clear();
  }
  void note(Extent copies) { memory_.note(copies); }

 private:
  // The memory that a value occupies at present.
  struct Bytes {
    Extent counted = 0, others = 0;
  };

  Bytes* find_bytes(graph::Value value) {
    return bytes_[value.op].empty() ? nullptr : &bytes_[value.op][value.result];
  }
  void uncount(graph::Value value) {
    Bytes& bytes = bytes_[value.op][value.result];
    memory_.now -= std::exchange(bytes.counted, 0);
    memory_.others -= std::exchange(bytes.others, 0);
  }

  const HoldingRules& rules_;
  HeldMemory& memory_;
  std::vector<std::vector<TensorPart>> values_;
  std::vector<std::vector<Bytes>> bytes_;
};

class PlanMachine final : public Machine {
 public:
  PlanMachine(const graph::Graph& graph, OpRunner& runner, const HoldingRules& rules,
              HeldValues& values, const Observer& observe)
      : graph_(graph), runner_(runner), rules_(rules), values_(values), observe_(observe) {}

  void run(graph::OpId id) override {
    if (!graph_.op(id).is_parameter) compute_op(id);
    if (observe_) observe_(id, values_.of(id));
    values_.release(rules_.buffers_over.after_op(id), rules_.done.after_op(id));
  }
  void begin_state(graph::OpId id) override { values_.hold_one(id, state(id, 0)); }
  void next_states(const graph::Loop& loop, graph::OpId end) override {
    std::vector<TensorPart> next;
    for (graph::OpId id = loop.begin; id < end; ++id) next.push_back(state(id, 1));
    for (graph::OpId id = end; id < loop.end; ++id) values_.drop(id);
    for (std::size_t i = 0; i < next.size(); ++i)
      values_.hold_one(loop.begin + i, std::move(next[i]));
  }
  // The same on all devices, which all hold all of it.
  bool holds(graph::Value condition) const override {
    return *std::as_const(values_).of(condition).tensor.data<std::uint8_t>() != 0;
  }
  void end_loop(std::size_t loop) override {
    values_.release(rules_.buffers_over.after_loop(loop), rules_.done.after_loop(loop));
  }

 private:
  void compute_op(graph::OpId id) {
    std::vector<TensorView> operands;
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
      operands.push_back(values_.of(graph_.operand(id, i)).view());
    OpRun ran = runner_.run(id, std::move(operands));
    values_.note(ran.copies);
    values_.hold(id, std::move(ran.results));
  }
  // A loop's state takes its initial value, or its next one.
  TensorPart state(graph::OpId id, std::uint32_t operand) {
    return runner_.run_state(id, operand, values_.of(graph_.operand(id, operand)).view());
  }

  const graph::Graph& graph_;
  OpRunner& runner_;
  const HoldingRules& rules_;
  HeldValues& values_;
  const Observer& observe_;
};

inline void check_conditions(const graph::Graph& graph, const plan::Plan& plan) {
  check_order(graph);
  for (const graph::Loop& loop : graph.loops)
    if (!plan.ops[loop.condition->op].results[loop.condition->result].partial_axes().empty())
      throw Unsupported(op_text(graph.op(loop.condition->op)) +
                        ": a loop's condition that is a partial sum can not be executed");
}

}  // namespace detail

struct DevicePlan::State {
  State(const graph::Graph& its_graph, const plan::Plan& plan, Communicator& comm)
      : graph(its_graph), runner(its_graph, plan, comm), rules(detail::holding_rules(its_graph)) {}

  const graph::Graph& graph;
  detail::OpRunner runner;
  detail::HoldingRules rules;
  HeldMemory memory;
};

TESSERA_INLINE DevicePlan::DevicePlan(const graph::Graph& graph, const plan::Plan& plan,
                                      Communicator& comm) {
  if (plan.mesh.device_count() != comm.size())
    throw InvalidArgument("the plan is for " + std::to_string(plan.mesh.device_count()) +
                          " devices, and there are " + std::to_string(comm.size()));
  state_ = std::make_unique<State>(graph, plan, comm);
  detail::check_conditions(graph, plan);
}
TESSERA_INLINE DevicePlan::~DevicePlan() = default;

TESSERA_INLINE std::vector<TensorPart> DevicePlan::shards_of(std::span<const Tensor> inputs) const {
  check_inputs(state_->graph, inputs);
  const std::vector<graph::OpId> parameters = parameters_of(state_->graph);
  std::vector<TensorPart> shards;
  for (std::size_t i = 0; i < parameters.size(); ++i)
    shards.push_back(state_->runner.shard_of(parameters[i], inputs[i]));
  return shards;
}

TESSERA_INLINE std::vector<TensorPart> DevicePlan::operator()(std::vector<TensorPart> parameters,
                                                              const Observer& observe) {
  const graph::Graph& graph = state_->graph;
  detail::HeldValues values(graph.op_count(), state_->rules, state_->memory);
  std::size_t next = 0;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (graph.op(id).is_parameter)
      values.hold_one(id, state_->runner.finished(id, std::move(parameters.at(next++))));
  detail::PlanMachine machine(graph, state_->runner, state_->rules, values, observe);
  detail::run_in_order(graph, machine);
  std::vector<TensorPart> outputs;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const auto at = graph.outputs.begin() + static_cast<std::ptrdiff_t>(i);
    const bool comes_again = std::find(at + 1, graph.outputs.end(), *at) != graph.outputs.end();
    TensorPart& part = values.of(*at);
    outputs.push_back(comes_again ? part : std::move(part));
  }
  return outputs;
}

TESSERA_INLINE const std::vector<std::vector<Extent>>& DevicePlan::payloads() const noexcept {
  return state_->runner.payloads();
}
TESSERA_INLINE const std::vector<std::vector<std::int64_t>>& DevicePlan::runs() const noexcept {
  return state_->runner.runs();
}
TESSERA_INLINE const HeldMemory& DevicePlan::memory() const noexcept { return state_->memory; }

// --- A device ------------------------------------------------------------------------------------

struct DevicePipeline::State {
  State(const PipelineProgram& program, Communicator& comm) : device(program, comm) {}
  detail::PipelineDevice device;
};

TESSERA_INLINE DevicePipeline::DevicePipeline(const PipelineProgram& program, Communicator& comm) {
  if (program.devices() != comm.size())
    throw InvalidArgument("the pipeline is for " + std::to_string(program.devices()) +
                          " devices, and there are " + std::to_string(comm.size()));
  state_ = std::make_unique<State>(program, comm);
}
TESSERA_INLINE DevicePipeline::~DevicePipeline() = default;

TESSERA_INLINE void DevicePipeline::load(std::span<const Tensor> inputs) {
  detail::load_weights(state_->device, inputs);
}
TESSERA_INLINE const std::vector<std::vector<TensorPart>>& DevicePipeline::step(
    const StepInputs& inputs) {
  detail::run_training_step(state_->device, inputs);
  return state_->device.outputs;
}
TESSERA_INLINE bool DevicePipeline::is_here(std::size_t stage) const noexcept {
  return state_->device.is_here(stage);
}
TESSERA_INLINE const std::vector<std::vector<Extent>>& DevicePipeline::payloads(
    std::size_t stage, std::size_t span) const {
  return state_->device.span_at(stage, span).runner.payloads();
}
TESSERA_INLINE const HeldMemory& DevicePipeline::memory() const noexcept {
  return state_->device.memory;
}
TESSERA_INLINE std::size_t DevicePipeline::stage() const noexcept { return state_->device.number; }

}  // namespace tessera::executor
