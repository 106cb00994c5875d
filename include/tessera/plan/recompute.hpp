// SPDX-License-Identifier: Apache-2.0
//
// plan_recomputing(): plan(), and in the same search what of the forward pass is kept for the
// backward pass and what is computed again (activation checkpointing).
//
//   const auto step = plan::plan_recomputing(graph, mesh, model, options, Recompute::automatic);
//   step.graph           // the program with what runs again: ops named "....again"
//   step.plan            // its plan, as of any program
//   step.recomputed      // what is computed again, and what that saves and takes
//
// The space, and what is exact about it, is told in rerun_problem.hpp; what may run again, and
// when, in second_run.hpp.  The more a budget leaves, the cheaper the plan.
#pragma once
#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "tessera/plan/plan.hpp"
#include "tessera/plan/rerun_problem.hpp"
#include "tessera/plan/second_run.hpp"

namespace tessera::plan {

struct RecomputedTensor {
  graph::OpId op = 0;  // of the new program: the one that computes it again
  Extent bytes = 0;    // that need not be held on each device from forward to backward pass
  Cost price = 0;      // of the op the second time
};

struct RecomputingPlan {
  graph::Graph graph;               // that the plan, or else its shortage, is of
  std::vector<graph::OpId> origin;  // by its ops: the op of the program that was given
  Plan plan;
  std::vector<RecomputedTensor> recomputed;
  Wide peak_if_kept = 0;  // memory at its peak, were all kept in the same shardings
};

// The cheapest plan within the memory budget, where the backward pass may have forward results
// computed again; with Recompute::none it is plan()'s.  Throws as plan() does.
// @post the prices of all collectives and of all work add up to plan.cost
RecomputingPlan plan_recomputing(const graph::Graph& graph, const DynamicMesh& mesh,
                                 const cost::Prices& prices, const Options& options,
                                 Recompute mode);
template<cost::CostModel Model, MeshLike M>
RecomputingPlan plan_recomputing(const graph::Graph& graph, const M& mesh, const Model& model,
                                 const Options& options, Recompute mode) {
  return plan_recomputing(graph, DynamicMesh(mesh), *cost::prices_of(model), options, mode);
}

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/recompute.ipp"
#endif
