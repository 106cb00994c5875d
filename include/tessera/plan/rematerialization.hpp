// SPDX-License-Identifier: Apache-2.0
//
// plan_rematerializing(): plan(), and in the same search which forward results are kept for the
// backward pass and which are computed again (rematerialization, or activation checkpointing).
//
//   const auto step =
//       plan::plan_rematerializing(graph, mesh, model, options,
//       plan::RematerializationMode::automatic);
//   step.graph            // the program with the ops that run again: named "....again"
//   step.plan             // its plan, as of any program
//   step.rematerialized   // which tensors are computed again, the memory saved, the price
//
// detail/rematerialization/problem.hpp states the space that is searched;
// detail/rematerialization/candidates.hpp the ops that may run again, and where.
#pragma once
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/cost/prices.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/options.hpp"
#include "tessera/plan/plan.hpp"
#include "tessera/plan/planned_ops.hpp"

namespace tessera::plan {

/// A tensor that is computed again for the backward pass.
struct RematerializedTensor {
  graph::OpId op = 0;  ///< of the new program: the one that computes it again
  Extent bytes = 0;    ///< that need not be held on each device from forward to backward pass
  Cost price = 0;      ///< of the op the second time
};

/// A plan, and the program that it is of.
struct RematerializingPlan {
  graph::Graph graph;               ///< of the plan, or else of its shortage
  std::vector<graph::OpId> origin;  ///< by its ops: the op of the program that was given
  Plan plan;
  std::vector<RematerializedTensor> rematerialized;
  Wide peak_if_kept = 0;  ///< memory at its peak, were all kept in the same shardings
};

/// The cheapest plan within the memory budget, where the backward pass may have forward results
/// computed again; with RematerializationMode::none it is plan()'s.  Throws as plan() does.
/// @post the prices of all collectives and of all work add up to plan.cost
RematerializingPlan plan_rematerializing(const graph::Graph& graph, const DynamicMesh& mesh,
                                         const cost::Prices& prices, const Options& options,
                                         RematerializationMode mode);
template<cost::CostModel Model, MeshLike M>
RematerializingPlan plan_rematerializing(const graph::Graph& graph, const M& mesh,
                                         const Model& model, const Options& options,
                                         RematerializationMode mode) {
  return plan_rematerializing(graph, DynamicMesh(mesh), *cost::prices_of(model), options, mode);
}

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/rematerialization.ipp"
#endif
