// SPDX-License-Identifier: Apache-2.0
//
// Single ops of a plan, as one device runs them: the steps that the plan lists for each operand,
// the device's slices of the results (kernels/compute.hpp), and the steps that finish the results.
//
// All devices of the plan's mesh do the same in the same order, which is what makes their calls
// meet. The order of ops, and what is held meanwhile, is the caller's: device.ipp runs a program
// once, pipeline_device.hpp a stage's passes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/detail/running/exchange.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::executor::detail {

// The label of a step to the communicator: "dot.1 #0".
inline std::string step_label(const graph::Graph& graph, graph::OpId op, std::size_t step) {
  return graph.op(op).name + " #" + std::to_string(step);
}

// The results of an op, and the bytes that it held besides them and its operands while it ran.
struct OpRun {
  std::vector<TensorPart> results;
  Extent copies = 0;
};

class OpRunner {
 public:
  // Keeps references to all three.  The plan's device 0 is device `first` of the communicator.
  // Throws InvalidArgument where the plan is not one of this graph.
  // @pre this device is one of the plan's
  OpRunner(const graph::Graph& graph, const plan::Plan& plan, Communicator& comm, Device first = 0);

  // This device's shard of a parameter.  @pre the tensor is the parameter's
  TensorPart shard_of(graph::OpId parameter, const Tensor& whole) const;

  // A result, or a parameter's shard, in the op's output sharding.
  TensorPart finished(graph::OpId id, TensorPart computed);

  // The op's results in its output shardings, from its operands in theirs.  Throws what kernels and
  // the communicator throw, and InternalError where the steps do not lead to what the op needs.
  OpRun run(graph::OpId id, std::vector<TensorView> operands);

  // A loop's state, from its initial value (operand 0) or its next one (operand 1).
  TensorPart run_state(graph::OpId id, std::uint32_t operand, TensorView from);

  // Bytes of all runs so far, without padding: by op, then by its steps.
  const std::vector<std::vector<Extent>>& payloads() const noexcept { return payloads_; }
  // How often each step was taken.
  const std::vector<std::vector<std::int64_t>>& runs() const noexcept { return runs_; }

 private:
  // Takes the plan's steps for one operand, or for the op's result.  Returns whether there were
  // any.
  bool take_steps(graph::OpId id, std::optional<std::uint32_t> operand, const TensorView& from,
                  TensorPart& to);
  void check_operands(graph::OpId id, std::span<const TensorView> operands) const;

  const graph::Graph& graph_;
  const plan::Plan& plan_;
  MeshDevice here_;
  std::vector<std::vector<Extent>> payloads_;
  std::vector<std::vector<std::int64_t>> runs_;
};

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/running/op_runner.ipp"
#endif
