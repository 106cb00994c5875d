// SPDX-License-Identifier: Apache-2.0
//
// Whether a pipeline's plan is correct: a step of it is run, and compared with the same
// microbatches run one after the other on one device.
//
//   const auto program = executor::pipeline_program(graph, plan, cluster);
//   const auto expected = executor::step_expectation_of(graph, inputs);  // inputs by microbatch
//   const executor::PipelineReport report = executor::verify_on_threads(program, expected);
//
// As in verify.hpp, all shards of all devices are compared, in the program's own types and in
// double; the bytes of collectives and of transfers agree exactly.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/pipeline_program.hpp"
#include "tessera/executor/verify.hpp"

namespace tessera::executor {

/// Of one output of a training step.
struct StepOutputReport {
  StepOutput output;
  OutputReport report;  ///< its value is the program's
};

/// Of one collective of a span.
struct StageCollectiveReport {
  std::size_t stage = 0, span = 0;
  std::string label;
  CollectiveReport report;  ///< its place is in the span; bytes are of one run
  std::int64_t runs = 0;    ///< in a step
};

/// Of one route's transfers, in bytes.
struct TransferReport {
  std::size_t route = 0;  ///< of PipelineProgram::routes
  Extent across = 0;      ///< between hosts, of one run
  Extent predicted = 0;   ///< that devices send each other in a step
  Extent counted = 0;
  bool agrees() const noexcept { return predicted == counted; }
};

/// Of one stage's memory, in bytes.
struct StageMemoryReport {
  Wide planned = 0;        ///< when stages were chosen
  Wide predicted = 0;      ///< under the spans' plans
  Extent held = 0;         ///< of the stage's device that held most
  Extent held_in_all = 0;  ///< with working copies, which no plan counts
  bool agrees() const noexcept { return held <= predicted; }
};

/// Whether a pipeline's plan is correct.
struct PipelineReport {
  std::vector<StepOutputReport> outputs;
  std::vector<StageCollectiveReport> collectives;
  std::vector<TransferReport> transfers;
  std::vector<StageMemoryReport> stages;  ///< all chunks of a stage together

  bool outputs_agree() const;
  bool bytes_agree() const;
  bool memory_agrees() const;
  bool is_true() const { return outputs_agree() && bytes_agree() && memory_agrees(); }
};

/// The reference of a step: the outputs of all microbatches on one device, as it is and in double.
struct StepExpectation {
  StepInputs inputs, inputs_in_double;
  std::vector<StepOutput> names;
  std::vector<graph::Value> values;  ///< of the program
  std::vector<Tensor> outputs, outputs_in_double;
  Tolerances tolerances;
};

/// The reference for a pipeline of this program.  Throws what interpret() throws.
StepExpectation step_expectation_of(const graph::Graph& graph, StepInputs inputs);

/// One device's share of the verification, called on all devices; the report is the same on all.
/// Throws what DevicePipeline throws.
PipelineReport verify(const PipelineProgram& program, const StepExpectation& expected,
                      Communicator& comm, const VerifyOptions& options = {});

/// The same with a thread for each device.  Throws what run_on_threads() throws.
PipelineReport verify_on_threads(const PipelineProgram& program, const StepExpectation& expected,
                                 const VerifyOptions& options = {}, std::stop_token stop = {});

}  // namespace tessera::executor

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/verify_pipeline.ipp"
#endif
