// SPDX-License-Identifier: Apache-2.0
//
// Whether a plan is correct: it is run, and compared with the program run on one device, which is
// the reference.
//
//   const auto expected = executor::expectation_of(graph, executor::random_inputs(graph, seed));
//   const executor::Report report = executor::verify_on_threads(graph, plan, expected);
//   report.is_true()    // outputs agree, bytes are as planned, memory is no more than planned
//
// All shards of all devices are compared, replicas too.  The plan is run twice, in the program's
// own types and with all its numbers in double, since in bf16 a wrong sum may hide in the rounding.
// An output agrees where each element is within a tolerance of the reference, relative to the
// largest element of that output.  Bytes agree where the payloads of all groups of a collective add
// up to what the plan's messages do, exactly.  Of a halo exchange the plan gives what an inner
// device sends, so that is what is sent at most.
//
// Where rounding alone moves the reference by more than a thirty-second of an output's largest
// element, the run in the program's own types can not be compared: of such an output only the run
// in double counts, and elements must be numbers where the reference's are.  The run in double
// takes the same steps with the same shards, so an error of the plan shows there, too.  Its
// tolerance is measured in double itself, by inputs that are off by their last bit.  Some outputs
// are nothing but rounding even so, for example the gradient of a bias that a softmax does not
// depend on.
#pragma once
#include <optional>
#include <stop_token>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/device.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::executor {

/// How far a part is from the whole that it should be a part of: the largest difference of two
/// elements, relative to the largest magnitude in the whole.  0 where all are equal; infinity where
/// only one of two elements is finite, or only one is NaN.  The element types may differ.
double difference(const TensorPart& part, const Tensor& whole);

/// How far an output of the plan's run is from the reference, and how far it may be: differences
/// are those of difference(), the largest of all devices.
struct OutputReport {
  graph::Value value;
  double difference = 0;
  double tolerance = 0;
  double difference_in_double = 0;  ///< of the program in double
  double tolerance_in_double = 0;

  bool agrees() const noexcept {
    return difference <= tolerance && difference_in_double <= tolerance_in_double;
  }
};

/// The bytes of a collective.
struct CollectiveReport {
  StepPlace place;
  StepKind kind{};
  Axis axis = 0;
  Extent predicted = 0;  ///< as the plan prints them
  Extent counted = 0;  ///< the mean of all groups, rounded up; for a halo exchange, of all devices
  Extent moved = 0;  ///< that the communicator moved, padding included; the largest of all devices
  bool agrees = false;  ///< exactly
};

/// Whether a plan is correct.  Memory is in bytes.
struct Report {
  std::vector<OutputReport> outputs;
  std::vector<CollectiveReport> collectives;
  Wide predicted_peak = 0;
  Extent held_peak = 0;         ///< of the device that held most
  Extent held_peak_in_all = 0;  ///< with working copies, which no plan counts

  bool memory_agrees() const noexcept { return held_peak <= predicted_peak; }
  bool outputs_agree() const;
  bool is_true() const;
};

struct VerifyOptions {
  /// Of outputs in the program's own types, instead of the tolerance that is measured.
  std::optional<double> tolerance;
};

/// How far a sharded run may be from the reference, by output.
struct Tolerances {
  std::vector<double> own, in_double;
};

/// The reference of a run: the outputs of the program on one device, as it is and in double.
struct Expectation {
  graph::Graph graph_in_double;
  std::vector<Tensor> inputs, inputs_in_double;
  std::vector<Tensor> outputs, outputs_in_double;
  Tolerances tolerances;
};

/// The reference for a plan of this program.  Throws what interpret() throws.
Expectation expectation_of(const graph::Graph& graph, std::vector<Tensor> inputs);

/// One device's share of the verification, called on all devices; the report is the same on all.
/// Throws what DevicePlan throws.
Report verify(const graph::Graph& graph, const plan::Plan& plan, const Expectation& expected,
              Communicator& comm, const VerifyOptions& options = {});

/// The same with a thread for each device.  Throws what run_on_threads() throws.
Report verify_on_threads(const graph::Graph& graph, const plan::Plan& plan,
                         const Expectation& expected, const VerifyOptions& options = {},
                         std::stop_token stop = {});

/// The first op whose results differ from those of the program in double, to find where a wrong
/// plan goes wrong; nothing where none does.  Partial sums are skipped, since they can not be
/// compared before they are finished, and so are ops in loops, whose values differ from round to
/// round.
std::optional<graph::OpId> first_wrong_op(const graph::Graph& graph, const plan::Plan& plan,
                                          const Expectation& expected, std::stop_token stop = {});

}  // namespace tessera::executor

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/verify.ipp"
#endif
