// SPDX-License-Identifier: Apache-2.0
//
// The bodies of planner.hpp.
#pragma once
#include "tessera/plan/detail/mesh/planner.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "tessera/cost/accelerator.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/plan/detail/memory/buffer_use.hpp"
#include "tessera/plan/detail/memory/least_memory.hpp"
#include "tessera/plan/detail/memory/timeline.hpp"
#include "tessera/plan/detail/mesh/op_writer.hpp"
#include "tessera/plan/detail/mesh/smaller_shards.hpp"
#include "tessera/plan/memory.hpp"

namespace tessera::plan::detail {

TESSERA_INLINE PlanRun::PlanRun(const graph::Graph& program, const DynamicMesh& mesh,
                                const cost::Prices& prices, const Options& wanted)
    : graph(program),
      resharding(mesh, cost::prices_of(prices)),
      options(wanted),
      deadline(wanted.solver) {
  plan.mesh = mesh;
  plan.denominator = prices.denominator();
  plan.unit = prices.unit();
  plan.memory_budget = options.memory_budget;
  if (const cost::Accelerator* const device = prices.device())
    plan.memory_capacity = device->memory_bytes;
}

TESSERA_INLINE bool has_whole_budget(const PlanRun& run) {
  return run.options.memory_budget && run.options.holdings.empty();
}
TESSERA_INLINE bool leaves_partial(const PlanRun& run) {
  return run.options.prune && !run.options.memory_budget;
}

// --- Formulation
// -----------------------------------------------------------------------------------

struct OutOfTime {};

TESSERA_INLINE void report(const PlanRun& run, const char* event) {
  if (!run.options.solver.on_progress) return;
  solver::Progress progress;
  progress.seconds = run.deadline.seconds();
  progress.event = event;
  run.options.solver.on_progress(progress);
}

// Ends the formulation when the time is over, and reports progress until then.
TESSERA_INLINE void check_time(PlanRun& run) {
  constexpr double interval = 1;  // seconds
  if (run.deadline.is_over()) throw OutOfTime();
  if (run.deadline.seconds() < run.reported_seconds + interval) return;
  run.reported_seconds = run.deadline.seconds();
  report(run, "formulating");
}

TESSERA_INLINE void count_problem(const solver::Problem& problem, Plan& plan) {
  plan.problem_nodes = problem.node_count();
  plan.problem_edges = problem.edge_count();
  plan.problem_strategies = 0;
  for (solver::NodeId v = 0; v < problem.node_count(); ++v)
    plan.problem_strategies += problem.strategy_count(v);
}

TESSERA_INLINE bool formulate_in_time(PlanRun& run, bool prune_buffers) {
  const Options& options = run.options;
  FormulateOptions wanted{
      options.memory_budget,       options.prune, prune_buffers,   options.annotations,
      [&run] { check_time(run); }, options.runs,  options.holdings};
  try {
    check_time(run);
    run.formulation = formulate(run.graph, run.resharding, wanted);
  } catch (const OutOfTime&) {
    return false;
  }
  run.formulation.problem.name = options.problem_name;
  count_problem(run.formulation.problem, run.plan);
  report(run, "formulated");
  return true;
}

TESSERA_INLINE bool formulate_in_time(PlanRun& run) {
  if (!formulate_in_time(run, true)) return false;
  if (run.options.on_formulated) run.options.on_formulated(run.formulation);
  return true;
}

TESSERA_INLINE solver::Options rest_of_options(const PlanRun& run) {
  solver::Options options = run.options.solver;
  const double before = run.deadline.seconds();
  options.time_limit = run.deadline.seconds_left();
  options.presolve = options.presolve && run.options.prune;
  if (run.options.solver.on_progress)
    options.on_progress = [&run, before](solver::Progress progress) {
      progress.seconds += before;
      run.options.solver.on_progress(progress);
    };
  return options;
}

// --- Solution
// --------------------------------------------------------------------------------------

TESSERA_INLINE std::unique_ptr<BufferBudget> budget_of(PlanRun& run) {
  const std::vector<char> owns = owners_of(run.graph, cost::ops_in_memory(run.graph));
  const Timeline timeline(run.graph, owns);
  std::vector<BufferUse> buffers;
  if (has_whole_budget(run)) buffers = buffer_uses_of(run.graph, run.formulation, owns, timeline);
  return std::make_unique<BufferBudget>(run.resharding, timeline, std::move(buffers));
}

// Without pruning for tensors alone, columns become about three times as wide, and tables as much
// on either side: 2^24 entries are two gigabytes then.
TESSERA_INLINE bool may_widen(const solver::Problem& problem) {
  constexpr std::size_t most_entries = std::size_t{1} << 24U;
  std::set<solver::CostsId> seen;
  std::size_t entries = 0;
  for (solver::EdgeId e = 0; e < problem.edge_count(); ++e)
    if (seen.insert(problem.edge_costs_id(e)).second) entries += problem.edge_costs(e).size();
  return entries <= most_entries;
}

// The same strategies in another formulation of the program; nothing where it lacks one.
TESSERA_INLINE solver::Assignment moved(const Formulation& from,
                                        const solver::Assignment& assignment,
                                        const Formulation& to) {
  solver::Assignment result(assignment.size());
  for (graph::OpId id = 0; id < to.columns.size(); ++id) {
    const strategy::Strategy& strategy =
        (*from.columns[id])[assignment[from.nodes[id][0]]].strategy;
    const strategy::Column& column = *to.columns[id];
    const auto at = std::find_if(column.begin(), column.end(), [&](const strategy::Choice& here) {
      return here.strategy == strategy;
    });
    if (at == column.end()) return {};
    for (const solver::NodeId v : to.nodes[id])
      result[v] = static_cast<std::uint32_t>(at - column.begin());
  }
  return result;
}

// Formulates again with wider columns, and solves from the answer so far.  Empty where the time is
// over.
struct WideAnswer {
  std::unique_ptr<BufferBudget> budget;
  solver::Result result;
};
TESSERA_INLINE WideAnswer solve_wide(PlanRun& run, const Formulation& narrow,
                                     const BufferBudget& budget, const solver::Result& result) {
  if (!formulate_in_time(run, false)) return {};
  solver::Options options = rest_of_options(run);
  if (result.has_assignment()) options.start = moved(narrow, result.assignment, run.formulation);
  options.shadow_prices = result.shadow_prices;
  WideAnswer wide{budget_of(run), {}};
  wide.budget->count_as(budget);
  wide.result = wide.budget->solve(run.formulation.problem, options);
  wide.result.statistics.nodes += result.statistics.nodes;
  return wide;
}

// Where buffers matter, a strategy that was left out for the sake of tensors alone may leave more
// memory for them.  Few programs come to that, and columns are wider without that pruning: so all
// is formulated and solved again, from the answer there is.  `result` becomes the better answer,
// with a bound that holds for all plans; `budget` becomes that of its formulation.
TESSERA_INLINE void solve_for_buffers(PlanRun& run, std::unique_ptr<BufferBudget>& budget,
                                      solver::Result& result) {
  const bool is_too_large = !may_widen(run.formulation.problem);
  if (is_too_large && !result.has_assignment()) return;
  Formulation narrow = std::move(run.formulation);
  WideAnswer wide;
  if (!is_too_large) wide = solve_wide(run, narrow, *budget, result);
  const Wide bound = std::max(wide.result.lower_bound, budget->bound_of_tensors());
  const bool keeps = !wide.budget || (result.has_assignment() && (!wide.result.has_assignment() ||
                                                                  result.cost < wide.result.cost));
  if (keeps) {
    run.formulation = std::move(narrow);
    result.status = result.has_assignment() ? solver::Status::feasible : solver::Status::unknown;
  } else {
    result = std::move(wide.result);
    budget = std::move(wide.budget);
  }
  result.lower_bound = bound;
  if (result.has_assignment() && result.cost == bound) result.status = solver::Status::optimal;
}

TESSERA_INLINE void solve(PlanRun& run) {
  std::unique_ptr<BufferBudget> budget = budget_of(run);
  const bool may_lack = has_whole_budget(run) && run.options.prune;
  solver::Result result = budget->solve(run.formulation.problem, rest_of_options(run),
                                        may_lack && may_widen(run.formulation.problem));
  if (may_lack && budget->has_counted_buffers()) solve_for_buffers(run, budget, result);
  if (result.has_assignment()) {
    solver::Assignment smaller = result.assignment;
    prefer_smaller_shards(run.formulation, smaller);
    if (budget->fits(run.formulation.problem, smaller)) result.assignment = std::move(smaller);
  }
  run.plan.status = result.status;
  run.plan.lower_bound = result.lower_bound;
  run.plan.cost = result.cost;
  run.plan.statistics = result.statistics;
  if (result.has_assignment()) write_ops_of(run, result.assignment);
  if (result.status == solver::Status::infeasible && has_whole_budget(run))
    run.plan.shortage = find_shortage(run.graph, run.formulation, *budget, rest_of_options(run));
}

// --- Plan
// ------------------------------------------------------------------------------------------

TESSERA_INLINE const strategy::Choice& chosen(const PlanRun& run,
                                              const solver::Assignment& assignment,
                                              graph::OpId id) {
  return (*run.formulation.columns[id])[assignment[run.formulation.nodes[id][0]]];
}

TESSERA_INLINE void write_ops_of(PlanRun& run, const solver::Assignment& assignment) {
  ChosenOps ops{run.graph, cost::ops_in_memory(run.graph), {}, run.options.runs, {}};
  for (graph::OpId id = 0; id < run.graph.op_count(); ++id)
    ops.choices.push_back(chosen(run, assignment, id));
  write_ops(std::move(ops), leaves_partial(run), run.resharding, run.plan);
}

TESSERA_INLINE Plan planned(PlanRun& run) {
  if (formulate_in_time(run)) solve(run);
  run.plan.statistics.seconds = run.deadline.seconds();
  return std::move(run.plan);
}

}  // namespace tessera::plan::detail
