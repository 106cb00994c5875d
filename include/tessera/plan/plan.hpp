// SPDX-License-Identifier: Apache-2.0
//
// plan(): a program, a mesh and a cost model in; a sharding for every tensor out, proven cheapest.
//
//   const plan::Plan plan = plan::plan(graph, Mesh<2, 4>(), cost::Alpa::with_defaults(2));
//   plan.ops[id].results[0]      // a DynamicSharding
//   plan.ops[id].steps           // what must run before and after the op
//   plan.cost, plan.lower_bound  // equal when plan.status is optimal
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/cost/prices.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/planned_ops.hpp"
#include "tessera/solver/options.hpp"

namespace tessera::plan {

struct Options {
  std::optional<Extent> memory_budget = {};  // bytes per device
  // Off: no strategy is left out for being replaceable, and it takes longer (FormulateOptions).
  bool prune = true;
  // Shardings that results must have.  Where one can not be had, plan() throws InvalidAnnotation.
  std::vector<strategy::Annotation> annotations = {};
  // How often each op runs; empty: once (FormulateOptions).  Prices in a plan's ops are of one run,
  // its cost is of all.
  std::vector<std::int64_t> runs = {};
  // What counts against the budget, by op and result; empty: what is in memory, while it is there
  // (FormulateOptions).  Where it is given, what reshardings need beside the tensors does not
  // count, and nothing is told of what the budget lacks.
  std::vector<std::vector<Holding>> holdings = {};
  // Its time limit and cancellation are for the whole plan(); where they end it before the solver
  // begins, the plan's status is unknown.
  solver::Options solver = {};
  std::string problem_name = {};
  // Called with what is to be solved, before it is.
  std::function<void(const Formulation&)> on_formulated = {};
};

// All plans that there are of a program, of which plan() is to find the cheapest: for those who
// want another one, to compare or to try out.  Pruned columns lack what a cheapest plan does not
// need.
//
//   plan::PlanSpace space(graph, mesh, model, {.prune = false});
//   space.plan_of(assignment)   // a strategy for each node of space.formulation().problem
//
// The graph must outlive it.
class PlanSpace {
 public:
  // Throws what plan() does, and InvalidArgument where the time limit ends it.
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
  // Throws InvalidArgument where the assignment is infeasible, or is none of the problem's.
  // @post status is feasible, lower_bound 0: nothing is known about others
  Plan plan_of(const solver::Assignment& assignment);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// The cheapest plan, or the best found within the limits.  Throws InvalidArgument where the
// model lacks coefficients for an axis, InvalidAnnotation where a result can not have the sharding
// that is asked for, Overflow where a price does not fit in 64 bits.
// @post the prices of all collectives and of all work, each as often as its op runs, add up to
// plan.cost
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
