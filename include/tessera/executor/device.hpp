// SPDX-License-Identifier: Apache-2.0
//
// One device's share of a run: of a plan, or of a pipeline.
//
// A plan's run: the device's shards, its share of every op, and the plan's steps in between.
//
//   executor::DevicePlan run(graph, plan, comm);             // on each device, its communicator
//   std::vector<TensorPart> shards = run.shards_of(inputs);  // the plan's shards of them
//   std::vector<TensorPart> outputs = run(std::move(shards));
//
// A device never sees more than the plan says it holds.  Counted are the payload of each step, what
// the communicator moved under the step's label, and the memory that is held.  Results are held as
// long as the plan counts their buffers (plan/memory.hpp), and an output in a parameter's place is
// in that parameter's buffer from its last use on.  Memory that no plan counts is counted apart:
// operands in another sharding, results before they are finished, and tensors that compilers fuse
// away and the executor does not.
//
// A pipeline's run: the device's passes through its stage, and the update.
//
//   const auto program = executor::pipeline_program(graph, plan, cluster);  // shared by all
//   executor::DevicePipeline run(program, comm);             // on each device, its communicator
//   run.load(inputs[0]);                                     // its shards of the weights
//   const auto& outputs = run.step(inputs);                  // inputs by microbatch
//
// A pass runs the ops of its phase in program order: forward through the chunk's spans, backward
// through them from the last to the first; where backward passes are split in two, first what the
// gradients that are sent need, later the rest.  A value that another stage needs is sent as soon
// as it is computed, which does not wait; a value from another stage is received when it is first
// read. So under every schedule devices wait for data and for nothing else.
//
// For each microbatch in flight a stage keeps what its backward pass will read.  Where the plan
// says that activations are rematerialized, it keeps what came into each span, and runs the span's
// forward ops again right before its backward pass.  Values that the update reads are added up, as
// partial sums where they are partial, and once per step the update reads their mean.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/interpret.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::plan {
struct Plan;
}

namespace tessera::executor {

struct PipelineProgram;

/// The inputs of a training step: by microbatch, a tensor for each parameter.  Those of weights are
/// read from the first microbatch.
using StepInputs = std::vector<std::vector<Tensor>>;

/// A collective of a plan.
struct StepPlace {
  graph::OpId op = 0;
  std::size_t step = 0;  ///< of plan.ops[op].steps
};

/// All collectives of a plan, in the order in which they run.  O(steps)
std::vector<StepPlace> collectives_of(const plan::Plan& plan);

/// The label of a collective in the communicator's traffic: "dot.1 #0".
std::string label_of(const graph::Graph& graph, StepPlace place);

/// One device's run of a plan.
class DevicePlan {
 public:
  /// Keeps references to all three.  Throws InvalidArgument where the plan is not one of this
  /// graph, or not of as many devices as the communicator's run has; Unsupported where the program
  /// has loops whose condition is not known.
  DevicePlan(const graph::Graph& graph, const plan::Plan& plan, Communicator& comm);
  ~DevicePlan();
  DevicePlan(const DevicePlan&) = delete;
  DevicePlan& operator=(const DevicePlan&) = delete;

  /// This device's shard of each parameter.  Throws InvalidArgument where the inputs are not those
  /// of the program's parameters.
  std::vector<TensorPart> shards_of(std::span<const Tensor> inputs) const;

  /// The outputs' shards, in order, from those of the parameters.  Called on all devices.  Throws
  /// what kernels and the communicator throw, and InternalError where steps do not lead to what an
  /// op needs.
  std::vector<TensorPart> operator()(std::vector<TensorPart> parameters,
                                     const Observer& observe = {});

  /// Payload bytes of all runs so far: by op, then by its steps.
  const std::vector<std::vector<Extent>>& payloads() const noexcept;
  /// How often each step was taken: in a loop, once in every round.
  const std::vector<std::vector<std::int64_t>>& runs() const noexcept;
  const HeldMemory& memory() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// One device's run of a pipeline.
class DevicePipeline {
 public:
  /// Keeps references to both.  Throws InvalidArgument where the communicator's run has another
  /// number of devices than the pipeline.
  DevicePipeline(const PipelineProgram& program, Communicator& comm);
  ~DevicePipeline();
  DevicePipeline(const DevicePipeline&) = delete;
  DevicePipeline& operator=(const DevicePipeline&) = delete;

  /// Takes the weights and the optimizer's state.  @pre a tensor for each parameter of the program
  void load(std::span<const Tensor> inputs);

  /// Runs one step, which updates the weights.  Called on all devices.  Returns for each
  /// OutputPlace of the program a part for each microbatch, or only the first for an output of the
  /// update; nothing for outputs of other stages.  @pre load() was called; as many inputs as
  /// microbatches
  const std::vector<std::vector<TensorPart>>& step(const StepInputs& inputs);

  /// Whether this device runs that one of PipelineProgram::stages.
  bool is_here(std::size_t stage) const noexcept;
  /// Payload bytes of all runs so far of a span of a stage that is here: by op, then by its steps.
  const std::vector<std::vector<Extent>>& payloads(std::size_t stage, std::size_t span) const;
  const HeldMemory& memory() const noexcept;
  /// The first of the stages that are here.
  std::size_t stage() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::executor

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/device.ipp"
#endif
