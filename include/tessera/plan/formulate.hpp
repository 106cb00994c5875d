// SPDX-License-Identifier: Apache-2.0
//
// A program on a mesh under a cost model, as a 0-1 program.
//
// One node per op, its strategies the op's column; a further node for each further result, so that
// every result has a lifetime of its own, tied to the first.  One edge per operand, whose costs are
// the reshardings between what is produced and what is needed.  A parameter and the output that
// aliases it are tied: they share one sharding.
//
// Programs repeat themselves: equal ops share one column, and edges between the same columns have
// the same costs, which are computed once.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/liveness.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/strategy/annotation.hpp"
#include "tessera/strategy/choice.hpp"

namespace tessera::plan {

/// A program as a 0-1 program.
struct Formulation {
  solver::Problem problem;
  /// By op; ops with equal columns share one.
  std::vector<std::shared_ptr<const strategy::Column>> columns;
  std::vector<std::vector<solver::NodeId>> nodes;  ///< by op, then by result; the first decides
  graph::Lifetimes lifetimes;  ///< of the memory that results take (plan/memory.hpp)
};

/// How a result counts against the budget: its bytes, `times` times, during `life`.
struct Holding {
  Extent times = 1;
  graph::Lifetime life;
};

/// Requests to formulate().
struct FormulateOptions {
  std::optional<Extent> memory_budget;  ///< bytes per device
  /// Off: every strategy and every placement takes part, also those that can not be in a cheapest
  /// plan unless another plan costs the same.  On or off, partial sums pass through an op only
  /// where some op of the graph ends in their reduction: no others can come about.
  bool prune = true;
  /// Whether a strategy may be left out for one that takes larger buffers while something is
  /// resharded (cost/resharding_buffers.hpp): where buffers do not count against the budget, or not
  /// yet.
  bool prune_buffers = true;
  /// Shardings that results must have; one at most for each.
  std::span<const strategy::Annotation> annotations;
  /// Called often, where it is given; what it throws ends the formulation.
  std::function<void()> checkpoint;
  /// How often each op runs, by op; empty: once.  An op runs at least as often as its readers, but
  /// for parameters, which do not run.  The price of an op, and of resharding its operands, counts
  /// as often as it runs.
  std::span<const std::int64_t> runs;
  /// By op, then by result: the bytes that count against the budget.  Empty: each result once,
  /// while it is in memory.
  std::span<const std::vector<Holding>> holdings;
};

/// An annotation that can not be satisfied.
class InvalidAnnotation : public InvalidArgument {
 public:
  explicit InvalidAnnotation(const std::string& message) : InvalidArgument(message) {}
  InvalidAnnotation(const strategy::Annotation& annotation, const std::string& why)
      : InvalidArgument("annotation " + annotation.text + " can not be satisfied: " + why) {}
};

/// The 0-1 program of a graph.  Throws as the model and the mesh give reason for
/// (cost/resharding.hpp), and names the op in Error::op().
Formulation formulate(const graph::Graph& graph, cost::Resharding& resharding,
                      const FormulateOptions& options = {});

/// The problem without a limit, where an allowed strategy costs `cost()`, called for each in turn.
/// Edges are left out but for those that forbid something.  O(strategies + costs of distinct edges)
solver::Problem with_replaced_costs(const solver::Problem& problem,
                                    const std::function<Cost()>& cost);

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/formulate.ipp"
#endif
