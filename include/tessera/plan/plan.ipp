// SPDX-License-Identifier: Apache-2.0
//
// The bodies of plan.hpp.
#pragma once
#include "tessera/plan/plan.hpp"

#include <algorithm>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/plan/detail/mesh/planner.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/evaluate.hpp"
#include "tessera/solver/solve.hpp"

namespace tessera::plan {

namespace detail {

TESSERA_INLINE Plan plan_once(const graph::Graph& graph, const DynamicMesh& mesh,
                              const cost::Prices& prices, const Options& options) {
  PlanRun run(graph, mesh, prices, options);
  return planned(run);
}

// A budget that excludes no plan makes a problem harder without need: columns are wider, and usages
// must be held against a limit.  So the program is planned without one first.  That plan's bound
// holds for all plans, and where it fits it may be the answer.
TESSERA_INLINE Plan plan_within(const graph::Graph& graph, const DynamicMesh& mesh,
                                const cost::Prices& prices, const Options& options) {
  const solver::Deadline deadline(options.solver);
  Options ample_options = options;
  ample_options.memory_budget.reset();
  ample_options.solver.time_limit /= 4;
  Plan ample = plan_once(graph, mesh, prices, ample_options);
  ample.memory_budget = options.memory_budget;
  const bool fits = ample.has_ops() && ample.memory_with_buffers <= *options.memory_budget;
  if (fits && solver::is_near_enough(ample.cost, ample.lower_bound, options.solver.gap_limit))
    return ample;
  Options rest = options;
  rest.solver.time_limit = deadline.seconds_left();
  Plan plan = plan_once(graph, mesh, prices, rest);
  const bool is_better = fits && (!plan.has_ops() || ample.cost < plan.cost);
  plan.lower_bound = std::max(plan.lower_bound, ample.lower_bound);
  if (is_better) {
    ample.lower_bound = std::min(ample.cost, plan.lower_bound);
    std::swap(ample, plan);
  }
  if (plan.has_ops() && plan.lower_bound == plan.cost) plan.status = solver::Status::optimal;
  plan.statistics.seconds = deadline.seconds();
  return plan;
}

}  // namespace detail

struct PlanSpace::Parts {
  Parts(const graph::Graph& graph, const DynamicMesh& mesh,
        std::shared_ptr<const cost::Prices> given, Options wanted)
      : options(std::move(wanted)), prices(std::move(given)), run(graph, mesh, *prices, options) {
    if (!detail::formulate_in_time(run))
      throw InvalidArgument("the time for a formulation is over");
  }

  Options options;
  std::shared_ptr<const cost::Prices> prices;
  detail::PlanRun run;
};

TESSERA_INLINE PlanSpace::PlanSpace(const graph::Graph& graph, const DynamicMesh& mesh,
                                    std::shared_ptr<const cost::Prices> prices, Options options)
    : parts_(std::make_unique<Parts>(graph, mesh, std::move(prices), std::move(options))) {}
TESSERA_INLINE PlanSpace::~PlanSpace() = default;

TESSERA_INLINE const Formulation& PlanSpace::formulation() const noexcept {
  return parts_->run.formulation;
}

TESSERA_INLINE Plan PlanSpace::plan_of(const solver::Assignment& assignment) {
  detail::PlanRun& run = parts_->run;
  const solver::Evaluation evaluation = evaluate(run.formulation.problem, assignment);
  if (!evaluation.is_feasible())
    throw InvalidArgument("the assignment breaks a limit, or ties between ops");
  const Plan empty = run.plan;
  run.plan.status = solver::Status::feasible;
  run.plan.cost = evaluation.cost;
  write_ops_of(run, assignment);
  return std::exchange(run.plan, empty);
}

TESSERA_INLINE Plan plan(const graph::Graph& graph, const DynamicMesh& mesh,
                         const cost::Prices& prices, const Options& options) {
  // A caller that asks for the problem gets the one with the limit, and that one is solved.
  if (options.memory_budget && options.holdings.empty() && !options.on_formulated)
    return detail::plan_within(graph, mesh, prices, options);
  return detail::plan_once(graph, mesh, prices, options);
}

}  // namespace tessera::plan
