// SPDX-License-Identifier: Apache-2.0
//
// A plan: ops with their shardings, their steps, and the memory that they take.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/cost/model.hpp"
#include "tessera/cost/utilisation.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/sharding/reshard.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/result.hpp"

namespace tessera::plan {

/// A step before an op, which reshards an operand, or after it, which finishes its result: a
/// collective, or a slice or a mask, which move nothing and cost nothing.
struct PlannedStep {
  Step step;  ///< of a halo exchange: along step.from_dim, over all axes that split it
  /// The tensor's sharding before and after the step: the same, for a halo exchange.
  DynamicSharding before, after;
  cost::Message message;  ///< the bytes that a collective moves
  Cost price = 0;
  /// The operand that is resharded before the op runs; nothing where the op's own result is
  /// finished.
  std::optional<std::uint32_t> operand;

  bool is_collective() const noexcept { return tessera::is_collective(step.kind); }
  /// Of the tensor as it is local to the other axes, rounded up.
  Extent bytes() const noexcept { return message.rounded_up(); }
};

/// An op with its strategy, its shardings and its steps.
struct PlannedOp {
  std::string strategy;                   ///< in words
  std::vector<DynamicSharding> operands;  ///< as the op needs them
  std::vector<DynamicSharding> computed;  ///< the results, as the op itself leaves them
  std::vector<DynamicSharding> results;   ///< their output shardings
  std::vector<Extent> result_bytes;       ///< per device, in their output shardings
  std::vector<PlannedStep> steps;         ///< in the order they run
  Cost work = 0;                          ///< of the op itself, where the model prices that
  /// Buffers beside tensors while operands and the result are resharded, at most.
  Wide buffer_bytes = 0;
};

/// When no plan fits the memory budget: how much would be needed.
struct Shortage {
  Wide needed = 0;        ///< no plan fits in fewer bytes per device
  bool is_exact = false;  ///< and some plan fits in just so many
  /// Of the plan that needs least of all that were found; where none was, with every tensor at the
  /// least it can take.
  MemoryPeak peak;
};

/// A solved problem in the program's own terms.
struct Plan {
  solver::Status status = solver::Status::unknown;
  Wide cost = 0;  ///< in the model's units, `denominator` of which make one as people write it
  Wide lower_bound = 0;  ///< no plan in the space that was searched is cheaper
  Cost denominator = 1;
  std::string unit;
  DynamicMesh mesh;
  std::vector<PlannedOp> ops;  ///< by op; empty unless status is optimal or feasible
  MemoryPeak memory;           ///< of the tensors
  /// The peak with the buffers of reshardings (cost/resharding_buffers.hpp); the budget is for
  /// this.
  Wide memory_with_buffers = 0;
  std::optional<Extent> memory_budget;
  /// Under a model of a real cluster, where cost is time: a device's memory, and how well the plan
  /// uses the devices.
  std::optional<Extent> memory_capacity;
  std::optional<cost::Utilisation> utilisation;
  std::optional<Shortage> shortage;  ///< when infeasible for want of memory
  std::size_t problem_nodes = 0, problem_edges = 0, problem_strategies = 0;
  solver::Statistics statistics;  ///< of the solver; the seconds are those of the whole plan()

  bool has_ops() const noexcept {
    return status == solver::Status::optimal || status == solver::Status::feasible;
  }
};

}  // namespace tessera::plan
