// SPDX-License-Identifier: Apache-2.0
//
// plan(): a program, a mesh and a cost model in; a sharding for every tensor out, proven cheapest.
//
//   const plan::Plan plan = plan::plan(graph, Mesh<2, 4>(), cost::Alpa::with_defaults(2));
//   plan.ops[id].results[0]      // a DynamicSharding
//   plan.ops[id].steps           // what must run before and after the op
//   plan.cost, plan.lower_bound  // equal when plan.status is optimal
#pragma once
#include <memory>
#include <utility>

#include "tessera/core/inline.hpp"
#include "tessera/cost/prices.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/options.hpp"
#include "tessera/plan/planned_ops.hpp"
#include "tessera/solver/options.hpp"

namespace tessera::plan {

/// All plans of a program, of which plan() finds the cheapest: for comparisons and experiments with
/// others.  Pruned columns lack strategies that no cheapest plan needs.
///
///   plan::PlanSpace space(graph, mesh, model, {.prune = false});
///   space.plan_of(assignment)   // a strategy for each node of space.formulation().problem
///
/// The graph must outlive it.
class PlanSpace {
 public:
  /// Throws what plan() does, and InvalidArgument where the time limit ends it.
  template<cost::CostModel Model>
  PlanSpace(const graph::Graph& graph, const DynamicMesh& mesh, const Model& model,
            Options options = {})
      : PlanSpace(graph, mesh, cost::prices_of(model), std::move(options)) {}
  PlanSpace(const graph::Graph& graph, const DynamicMesh& mesh,
            std::shared_ptr<const cost::Prices> prices, Options options = {});
  ~PlanSpace();
  PlanSpace(const PlanSpace&) = delete;
  PlanSpace& operator=(const PlanSpace&) = delete;

  const Formulation& formulation() const noexcept;
  /// The plan of an assignment of the problem.  Throws InvalidArgument where it is infeasible, or
  /// is none of the problem's.  @post status is feasible, lower_bound 0: nothing is known about
  /// others
  Plan plan_of(const solver::Assignment& assignment);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// The cheapest plan, or the best found within the limits.  Throws InvalidArgument where the
/// model lacks coefficients for an axis, InvalidAnnotation where a result can not have the sharding
/// that is asked for, Overflow where a price does not fit in 64 bits.
/// @post the prices of all collectives and of all work, each as often as its op runs, add up to
/// plan.cost
Plan plan(const graph::Graph& graph, const DynamicMesh& mesh, const cost::Prices& prices,
          const Options& options = {});
template<cost::CostModel Model, MeshLike M>
Plan plan(const graph::Graph& graph, const M& mesh, const Model& model,
          const Options& options = {}) {
  return plan(graph, DynamicMesh(mesh), *cost::prices_of(model), options);
}

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/plan.ipp"
#endif
