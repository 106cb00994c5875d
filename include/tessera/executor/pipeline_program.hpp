// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan made ready to run, shared by all devices (device.hpp has one device's run of
// it).
//
// The program has the spans of each stage with their plans, and for each value that goes from one
// span to another which device sends which piece to which other one.  Where spans are layers, a
// stage is a row of them: a value that crosses between two layers of one stage stays in place, or
// changes its sharding by a transfer on one submesh.  A weight that several spans read is updated
// by its owner, and sent to the other spans at the end of a step.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/pipeline/schedule.hpp"
#include "tessera/pipeline/span_program.hpp"
#include "tessera/pipeline/transfer.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::cost {
struct Cluster;
}
namespace tessera::plan {
struct PipelinePlan;
}

namespace tessera::executor {

/// The inputs of a training step: by microbatch, a tensor for each parameter.  Those of weights are
/// read from the first microbatch.
using StepInputs = std::vector<std::vector<Tensor>>;

/// One output of a training step: of the update, or of one microbatch.
struct StepOutput {
  std::size_t output = 0;        ///< of the program's
  std::int64_t microbatch = -1;  ///< -1: once per step

  friend bool operator==(const StepOutput&, const StepOutput&) = default;
};

/// A span of layers and its plan.
struct SpanRun {
  std::size_t first = 0, last = 0;  ///< layers
  pipeline::SpanProgram program;
  plan::Plan plan;
  std::vector<graph::OpId> rematerialized;  ///< ops that run again for the backward pass; sorted
};

/// A stage; under an interleaved schedule, one chunk of a stage.
struct StageRun {
  DynamicMesh mesh;
  Device first_device = 0;
  std::vector<SpanRun> spans;  ///< in the order of their layers
  /// Of each device, over all its chunks: the memory that was planned for when stages were chosen,
  /// and the memory that the schedule's passes hold under the spans' plans.
  Wide planned_bytes = 0, predicted_bytes = 0;

  Extent devices() const { return mesh.device_count(); }
};

/// A parameter of a span.
struct SpanParameter {
  std::size_t span = 0;
  graph::OpId op = 0;
};

/// The route of a value from one span to the spans of one stage that read it in one sharding.
struct TransferRoute {
  std::string label;
  std::size_t from_stage = 0, from_span = 0;
  graph::Value value;      ///< in that span
  pipeline::Phase sent{};  ///< how often: with each microbatch, or once per step
  bool is_weight = false;  ///< an updated weight, for spans that have a copy
  std::size_t to_stage = 0;
  std::vector<SpanParameter> readers;
  pipeline::Phase received{};  ///< update: the values received are added up before they are read
  DynamicSharding sharding;    ///< at the readers
  graph::TensorType type;
  pipeline::Transfer transfer;
};

/// Where an output of the whole program is computed.
struct OutputPlace {
  std::size_t output = 0;  ///< of the program's
  std::size_t stage = 0, span = 0;
  graph::Value value;  ///< in the span
};

/// A pipeline's plan made ready to run.
struct PipelineProgram {
  std::int64_t microbatches = 1;
  pipeline::Schedule schedule;
  std::vector<StageRun> stages;  ///< chunk i is on the devices of stage i % stage_count()
  std::vector<TransferRoute> routes;
  std::vector<OutputPlace> outputs;
  std::vector<graph::OpId> parameter_numbers;  ///< by op of the whole program: the input's index

  Extent devices() const { return stages.back().first_device + stages.back().devices(); }
  std::size_t stage_count() const noexcept { return static_cast<std::size_t>(schedule.stages); }
  /// Whether backward passes are split in two.
  bool has_split_backward() const noexcept {
    return schedule.kind == pipeline::ScheduleKind::zero_bubble;
  }
  /// The first of the chunks that the device has.  @pre 0 <= device < devices()
  std::size_t stage_of(Device device) const;
  /// How often an op runs in a step.
  std::int64_t runs(std::size_t stage, std::size_t span, graph::OpId id) const;
};

/// Makes a pipeline's plan ready to run.  `graph` is the program that was planned.  Distinct spans
/// are planned once more, as they were priced.  Throws Unsupported for programs that can not be
/// run, and Error where planning is cancelled.  @pre plan.has_stages()
PipelineProgram pipeline_program(const graph::Graph& graph, const plan::PipelinePlan& plan,
                                 const cost::Cluster& cluster);

/// The same with one element type for all floating-point numbers.
PipelineProgram with_floats(PipelineProgram program, ElementType element);

}  // namespace tessera::executor

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/pipeline_program.ipp"
#endif
