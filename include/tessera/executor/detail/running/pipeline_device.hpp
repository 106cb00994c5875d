// SPDX-License-Identifier: Apache-2.0
//
// The values that one device of a pipeline holds, and where they go.
//
// pipeline_passes.hpp runs the passes and pipeline_update.hpp the update, on this state.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/detail/running/microbatches.hpp"
#include "tessera/executor/detail/running/op_runner.hpp"
#include "tessera/executor/pipeline_program.hpp"
#include "tessera/plan/stage_memory.hpp"

namespace tessera::executor::detail {

// The results of an op, as far as they are held.
using HeldResults = std::vector<std::optional<TensorPart>>;

// One span on this device.
struct SpanState {
  SpanState(const PipelineProgram& whole, std::size_t chunk, std::size_t span, Communicator& comm);

  const graph::Graph& graph() const { return program.graph; }
  pipeline::Phase phase(graph::OpId id) const { return program.phases[id]; }
  bool is_parameter(graph::OpId id) const { return graph().op(id).is_parameter; }
  bool is_weight(graph::OpId id) const {
    return is_parameter(id) && pipeline::is_permanent(program, id);
  }
  bool is_received(graph::OpId id) const {
    return is_parameter(id) && program.parameter_kinds[id] == pipeline::ParameterKind::received;
  }
  bool is_received_for_update(graph::OpId id) const {
    return is_received(id) && phase(id) == pipeline::Phase::update;
  }
  bool is_output(graph::Value value) const;
  // Whether a weight's output sharding is that of its shard.
  bool stays_in_place(graph::OpId parameter) const { return run.plan.ops[parameter].steps.empty(); }
  // Whether the plan counts its memory as a microbatch's.
  bool is_counted(graph::Value value) const {
    return ends.owns(value.op) && summed[value.op][value.result] == 0;
  }
  void begin_step(std::int64_t microbatches);

  std::size_t chunk, number;  // which of PipelineProgram::stages, and of its spans
  const SpanRun& run;
  const pipeline::SpanProgram& program;
  OpRunner runner;
  plan::PassEnds ends;
  std::vector<char> varies;                           // by op: between microbatches
  std::vector<std::vector<char>> summed;              // by op and result: the update reads it
  std::vector<std::vector<std::size_t>> routes_from;  // by op
  std::vector<std::optional<std::size_t>> route_to;   // by op: of parameters that are received
  std::vector<TensorPart> state;                      // by op: weights' shards
  std::vector<std::optional<TensorPart>> resharded;   // by op: weights in another sharding
  std::vector<std::vector<HeldResults>> values;       // by microbatch and op
  std::map<graph::Value, MicrobatchMean> sums;
  std::vector<HeldResults> once;  // by op: of the update
};

// An op of the update: its number in the whole program, by which updates are ordered, the index of
// its span on this device, and its number there.
using UpdateOp = std::tuple<graph::OpId, std::size_t, graph::OpId>;

struct PipelineDevice {
  // Keeps references to both.  @pre the communicator's run has the pipeline's devices
  PipelineDevice(const PipelineProgram& its_program, Communicator& its_comm);

  bool is_here(std::size_t chunk) const noexcept { return chunk % program.stage_count() == number; }
  // @pre the chunk is here
  SpanState& span_at(std::size_t chunk, std::size_t span) const;
  const Tensor& input_of(const SpanState& span, graph::OpId id,
                         std::span<const Tensor> whole) const {
    return whole[program.parameter_numbers[span.program.origin[id]]];
  }

  const PipelineProgram& program;
  Communicator& comm;
  std::size_t number;  // of the stage
  const StageRun& stage;
  std::vector<std::unique_ptr<SpanState>> spans;  // of all chunks
  std::vector<UpdateOp> updates;
  const StepInputs* inputs = nullptr;            // of the step that runs
  std::vector<std::vector<TensorPart>> outputs;  // by OutputPlace and microbatch
  HeldMemory memory;
};

inline Extent byte_size_of(const TensorPart& part) {
  return static_cast<Extent>(part.tensor.byte_size());
}

// A weight in its output sharding.
TensorView weight_of(const SpanState& span, graph::OpId id);

// Holds a value of a microbatch; sends it, adds it up and notes it as an output, unless it is
// rematerialized.
void hold_value(PipelineDevice& device, SpanState& span, std::size_t microbatch, graph::Value value,
                TensorPart part, bool is_rematerialized = false);
void free_value(PipelineDevice& device, SpanState& span, std::size_t microbatch,
                graph::Value value);

// Where it is an output of the program.
void note_output(PipelineDevice& device, const SpanState& span, graph::Value value,
                 std::size_t microbatch, const TensorPart& part);

// Sends it by all routes that begin with this value.
void send_by_routes(PipelineDevice& device, SpanState& span, std::size_t microbatch,
                    graph::Value value, const TensorView& part);
void send_by(PipelineDevice& device, std::size_t route, std::size_t microbatch,
             const TensorView& part);
// Receives a value, and holds it for all readers of the route.
void receive_by(PipelineDevice& device, std::size_t route, std::size_t microbatch);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/running/pipeline_device.ipp"
#endif
