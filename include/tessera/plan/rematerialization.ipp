// SPDX-License-Identifier: Apache-2.0
//
// The bodies of rematerialization.hpp.
#pragma once
#include "tessera/plan/rematerialization.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <utility>

#include "tessera/cost/workload.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/plan/detail/memory/buffer_budget.hpp"
#include "tessera/plan/detail/memory/least_memory.hpp"
#include "tessera/plan/detail/mesh/op_writer.hpp"
#include "tessera/plan/detail/mesh/planner.hpp"
#include "tessera/plan/detail/rematerialization/candidates.hpp"
#include "tessera/plan/detail/rematerialization/problem.hpp"

namespace tessera::plan {

namespace detail {

// The plan of the program as it was given.
TESSERA_INLINE RematerializingPlan nothing_rematerialized(const graph::Graph& graph) {
  RematerializingPlan result{graph, {}, {}, {}, 0};
  result.origin.resize(graph.op_count());
  std::iota(result.origin.begin(), result.origin.end(), graph::OpId{0});
  return result;
}

TESSERA_INLINE BufferBudget budget_of(PlanRun& run, const Candidates& candidates,
                                      const RematerializationProblem& problem) {
  const std::vector<char> owns = owners_of(run.graph, cost::ops_in_memory(run.graph));
  Timeline timeline = timeline_of(problem.all, owns);
  std::vector<BufferUse> uses;
  if (run.plan.memory_budget)
    uses = buffer_uses_of(run.formulation, candidates, problem, owns, timeline);
  return {run.resharding, std::move(timeline), std::move(uses)};
}

TESSERA_INLINE RematerializationProblem formulated(const PlanRun& run, const Candidates& candidates,
                                                   RematerializationMode mode) {
  return formulate_rematerialization(run.graph, run.formulation, candidates,
                                     cost::ops_in_memory(run.graph), mode);
}

// An assignment to begin with: of the problem in which all is kept, or else all is computed again.
// Those are easier to decide, and need not be solved to the optimum.
TESSERA_INLINE solver::Assignment start_for(PlanRun& run, const Candidates& candidates,
                                            const RematerializationProblem& problem) {
  constexpr double gap_of_start = 1e-3, work_of_start = 1e10;
  for (const RematerializationMode easy :
       {RematerializationMode::none, RematerializationMode::full}) {
    const RematerializationProblem easier = formulated(run, candidates, easy);
    solver::Options options = rest_of_options(run);
    options.time_limit /= 4;
    options.gap_limit = std::max(options.gap_limit, gap_of_start);
    options.work_limit = std::min(options.work_limit, work_of_start);
    const solver::Result solved = budget_of(run, candidates, easier).solve(easier.problem, options);
    if (solved.has_assignment()) return moved(easier, solved.assignment, problem);
  }
  return {};
}

// By op, the strategy by which it runs again; nothing where it does not.
TESSERA_INLINE std::vector<const strategy::Choice*> second_choices(
    const PlanRun& run, const RematerializationProblem& problem,
    const solver::Assignment& assignment) {
  std::vector<const strategy::Choice*> again(run.graph.op_count(), nullptr);
  for (graph::OpId id = 0; id < run.graph.op_count(); ++id) {
    if (!problem.later[id]) continue;
    const auto retention = problem.later[id]->retentions[assignment[problem.later[id]->node]];
    if (retention.kind == RematerializationProblem::Retention::Kind::recomputed)
      again[id] = &(*run.formulation.columns[id])[retention.strategy];
  }
  return again;
}

TESSERA_INLINE void list_rematerialized(const PlanRun& run, const RematerializedProgram& program,
                                        const ChosenOps& ops, RematerializingPlan& result) {
  const graph::Lifetimes lifetimes = buffers_of(program.graph, ops.in_memory);
  for (graph::OpId id = 0; id < run.graph.op_count(); ++id) {
    const graph::OpId again = program.second[id], first = program.first[id];
    if (again == first) continue;
    const bool is_held = !lifetimes[first][0].empty();
    result.rematerialized.push_back(
        {again, is_held ? ops.choices[first].result_bytes[0] : 0, ops.choices[again].price});
  }
  result.peak_if_kept = memory_peak(run.graph, run.formulation.lifetimes, [&](graph::Value value) {
                          return ops.choices[program.first[value.op]].result_bytes[value.result];
                        }).bytes;
}

// Writes the program and its plan down.
TESSERA_INLINE void write(PlanRun& run, const Candidates& candidates,
                          const RematerializationProblem& problem,
                          const solver::Assignment& assignment, RematerializingPlan& result) {
  const std::vector<char> in_memory = cost::ops_in_memory(run.graph);
  const std::vector<const strategy::Choice*> again = second_choices(run, problem, assignment);
  std::vector<char> runs_again;
  for (const strategy::Choice* const choice : again) runs_again.push_back(choice != nullptr);
  RematerializedProgram program = rematerialized_program(run.graph, candidates, runs_again);
  ChosenOps ops{program.graph, {}, {}, {}, {}};
  for (graph::OpId id = 0; id < program.graph.op_count(); ++id) {
    const graph::OpId origin = program.origin[id];
    ops.is_repeated.push_back(program.first[origin] != id ? 1 : 0);
    ops.in_memory.push_back(in_memory[origin]);
    ops.choices.push_back(ops.is_repeated[id] != 0 ? *again[origin]
                                                   : chosen(run, assignment, origin));
  }
  write_ops(ops, leaves_partial(run), run.resharding, run.plan);
  list_rematerialized(run, program, ops, result);
  result.graph = std::move(program.graph);
  result.origin = std::move(program.origin);
}

// The shortage may be of a program some of whose ops run again: the one in `result`.
TESSERA_INLINE Shortage shortage_of(PlanRun& run, const Candidates& candidates,
                                    const RematerializationProblem& problem, BufferBudget& budget,
                                    RematerializingPlan& result) {
  const LeastLimit least = least_limit(problem.problem, Wide(0), budget, rest_of_options(run));
  Shortage shortage{least.bytes, least.is_exact, {}};
  if (least.assignment.empty()) {
    shortage.peak = least_peak(run.graph, run.formulation);
    return shortage;
  }
  const Plan infeasible = run.plan;
  write(run, candidates, problem, least.assignment, result);
  shortage.peak = std::move(run.plan.memory);
  run.plan = infeasible;
  result.rematerialized.clear();
  return shortage;
}

TESSERA_INLINE void solve(PlanRun& run, RematerializationMode mode, RematerializingPlan& result) {
  const Candidates candidates = candidates_of(run.graph, cost::ops_in_memory(run.graph));
  const RematerializationProblem problem = formulated(run, candidates, mode);
  count_problem(problem.problem, run.plan);
  solver::Assignment start;
  if (mode == RematerializationMode::automatic) start = start_for(run, candidates, problem);
  solver::Options options = rest_of_options(run);
  options.start = std::move(start);
  BufferBudget budget = budget_of(run, candidates, problem);
  const solver::Result solved = budget.solve(problem.problem, options);
  run.plan.status = solved.status;
  run.plan.lower_bound = solved.lower_bound;
  run.plan.cost = solved.cost;
  run.plan.statistics = solved.statistics;
  if (solved.has_assignment()) write(run, candidates, problem, solved.assignment, result);
  if (solved.status == solver::Status::infeasible && run.plan.memory_budget)
    run.plan.shortage = shortage_of(run, candidates, problem, budget, result);
}

}  // namespace detail

TESSERA_INLINE RematerializingPlan plan_rematerializing(const graph::Graph& graph,
                                                        const DynamicMesh& mesh,
                                                        const cost::Prices& prices,
                                                        const Options& options,
                                                        RematerializationMode mode) {
  RematerializingPlan result = detail::nothing_rematerialized(graph);
  if (mode == RematerializationMode::none) {
    result.plan = plan::plan(graph, mesh, prices, options);
    result.peak_if_kept = result.plan.memory.bytes;
    return result;
  }
  detail::PlanRun run(graph, mesh, prices, options);
  if (formulate_in_time(run)) solve(run, mode, result);
  run.plan.statistics.seconds = run.deadline.seconds();
  result.plan = std::move(run.plan);
  return result;
}

}  // namespace tessera::plan
