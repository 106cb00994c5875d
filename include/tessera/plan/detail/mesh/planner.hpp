// SPDX-License-Identifier: Apache-2.0
//
// The steps of one call of plan(): formulate, solve, and write the plan down.
#pragma once
#include <memory>

#include "tessera/core/inline.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/detail/memory/buffer_budget.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/options.hpp"
#include "tessera/plan/planned_ops.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/strategy/choice.hpp"

namespace tessera::plan::detail {

// One call of plan().
struct PlanRun {
  PlanRun(const graph::Graph& program, const DynamicMesh& mesh, const cost::Prices& prices,
          const Options& wanted);
  PlanRun(const PlanRun&) = delete;
  PlanRun& operator=(const PlanRun&) = delete;

  const graph::Graph& graph;
  cost::Resharding resharding;
  const Options& options;
  solver::Deadline deadline;    // of all of it
  double reported_seconds = 0;  // when progress was last shown
  Formulation formulation;
  Plan plan;
};

// Makes the formulation, and sizes of the problem in the plan.  False where the time is over.
bool formulate_in_time(PlanRun& run);
// Counts the nodes, edges and strategies of a problem in the plan.
void count_problem(const solver::Problem& problem, Plan& plan);

// The solver's options as the caller gave them, with the time that is left, and a clock that goes
// on.  Valid as long as the run.
solver::Options rest_of_options(const PlanRun& run);

// Whether the budget limits all that the program holds; where holdings are given, it limits those.
bool has_whole_budget(const PlanRun& run);
// Whether columns leave it to single readers to finish partial sums.
bool leaves_partial(const PlanRun& run);

const strategy::Choice& chosen(const PlanRun& run, const solver::Assignment& assignment,
                               graph::OpId id);
// Writes the ops of an assignment into the plan.
void write_ops_of(PlanRun& run, const solver::Assignment& assignment);

// The whole of it.
Plan planned(PlanRun& run);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/mesh/planner.ipp"
#endif
