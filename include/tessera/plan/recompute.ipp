// SPDX-License-Identifier: Apache-2.0
//
// The bodies of recompute.hpp.
#pragma once
#include "tessera/plan/recompute.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "tessera/plan/plan.ipp"
#include "tessera/solver/result.hpp"

namespace tessera::plan {

namespace detail {

class RecomputingPlanner : Planner {
 public:
  using Base = Planner;
  RecomputingPlanner(const graph::Graph& graph, const DynamicMesh& mesh, const cost::Prices& prices,
                     const Options& options, Recompute mode)
      : Base(graph, mesh, prices, options),
        mode_(mode),
        in_memory_(cost::ops_in_memory(graph)),
        runs_(second_runs_of(graph, in_memory_)) {}

  RecomputingPlan run() {
    result_.graph = graph_;
    result_.origin.resize(graph_.op_count());
    std::iota(result_.origin.begin(), result_.origin.end(), graph::OpId{0});
    if (this->formulate_in_time()) solve_with_reruns();
    plan_.statistics.seconds = this->deadline_.seconds();
    result_.plan = std::move(plan_);
    return std::move(result_);
  }

 private:
  using Base::formulation_;
  using Base::graph_;
  using Base::plan_;

  void solve_with_reruns() {
    const RerunProblem rerun = formulated(mode_);
    plan_.problem_nodes = rerun.problem.node_count();
    plan_.problem_edges = rerun.problem.edge_count();
    plan_.problem_strategies = 0;
    for (solver::NodeId v = 0; v < rerun.problem.node_count(); ++v)
      plan_.problem_strategies += rerun.problem.strategy_count(v);
    solver::Assignment start = start_for(rerun);
    solver::Options options = this->rest_of_options();
    options.start = std::move(start);
    BufferBudget budget = budget_of(rerun);
    const solver::Result solved = budget.solve(rerun.problem, options);
    plan_.status = solved.status;
    plan_.lower_bound = solved.lower_bound;
    plan_.cost = solved.cost;
    plan_.statistics = solved.statistics;
    if (solved.has_assignment()) write(rerun, solved.assignment);
    if (solved.status == solver::Status::infeasible && plan_.memory_budget)
      plan_.shortage = shortage_of(rerun, budget);
  }

  BufferBudget budget_of(const RerunProblem& rerun) {
    const std::vector<char> owns = owners_of(graph_, in_memory_);
    Moments moments = moments_of(rerun.all, owns);
    std::vector<BufferUse> uses;
    if (plan_.memory_budget) uses = buffer_uses_of(formulation_, runs_, rerun, owns, moments);
    return {this->resharding_, std::move(moments), std::move(uses)};
  }

  // Some of what it tells of may run again: it is of the program in result_.
  Shortage shortage_of(const RerunProblem& rerun, BufferBudget& budget) {
    const LeastLimit least = least_limit(rerun.problem, Wide(0), budget, this->rest_of_options());
    Shortage shortage{least.bytes, least.is_exact, {}};
    if (least.assignment.empty()) {
      shortage.peak = least_peak(graph_, formulation_);
      return shortage;
    }
    const Plan infeasible = plan_;
    write(rerun, least.assignment);
    shortage.peak = std::move(plan_.memory);
    plan_ = infeasible;
    result_.recomputed.clear();
    return shortage;
  }

  RerunProblem formulated(Recompute mode) const {
    return formulate_rerun(graph_, formulation_, runs_, in_memory_, mode);
  }

  // To keep all, or else to compute all again, is easier to decide, and a plan to begin with, which
  // need not be the cheapest of its kind.
  static constexpr double gap_of_start = 1e-3, work_of_start = 1e10;
  solver::Assignment start_for(const RerunProblem& rerun) {
    if (mode_ != Recompute::automatic) return {};
    for (const Recompute easy : {Recompute::none, Recompute::full}) {
      const RerunProblem easier = formulated(easy);
      solver::Options options = this->rest_of_options();
      options.time_limit /= 4;
      options.gap_limit = std::max(options.gap_limit, gap_of_start);
      options.work_limit = std::min(options.work_limit, work_of_start);
      const solver::Result solved = budget_of(easier).solve(easier.problem, options);
      if (solved.has_assignment()) return moved(easier, solved.assignment, rerun);
    }
    return {};
  }

  void write(const RerunProblem& rerun, const solver::Assignment& assignment) {
    std::vector<char> runs_again(graph_.op_count(), 0);
    std::vector<const strategy::Choice*> again(graph_.op_count(), nullptr);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      if (!rerun.later[id]) continue;
      const auto fate = rerun.later[id]->fates[assignment[rerun.later[id]->node]];
      runs_again[id] = fate.kind == RerunProblem::Fate::Kind::again ? 1 : 0;
      again[id] = &(*formulation_.columns[id])[fate.strategy];
    }
    RerunProgram program = with_second_runs(graph_, runs_, runs_again);
    std::vector<strategy::Choice> choices;
    std::vector<char> is_second, in_memory;
    for (graph::OpId id = 0; id < program.graph.op_count(); ++id) {
      const graph::OpId origin = program.origin[id];
      is_second.push_back(program.first[origin] != id ? 1 : 0);
      in_memory.push_back(in_memory_[origin]);
      choices.push_back(is_second[id] != 0 ? *again[origin] : this->chosen(assignment, origin));
    }
    const graph::Lifetimes lifetimes = buffers_of(program.graph, in_memory);
    OpWriter(program.graph, in_memory, this->resharding_, plan_)
        .run(choices, this->leaves_partial(), is_second);
    list_recomputed(program, choices, lifetimes);
    result_.graph = std::move(program.graph);
    result_.origin = std::move(program.origin);
  }

  void list_recomputed(const RerunProgram& program, const std::vector<strategy::Choice>& choices,
                       const graph::Lifetimes& lifetimes) {
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      const graph::OpId again = program.second[id];
      if (again == program.first[id]) continue;
      const bool is_held = !lifetimes[program.first[id]][0].empty();
      result_.recomputed.push_back(
          {again, is_held ? choices[program.first[id]].result_bytes[0] : 0, choices[again].price});
    }
    result_.peak_if_kept = memory_peak(graph_, formulation_.lifetimes, [&](graph::Value value) {
                             return choices[program.first[value.op]].result_bytes[value.result];
                           }).bytes;
  }

  Recompute mode_;
  std::vector<char> in_memory_;
  SecondRuns runs_;
  RecomputingPlan result_;
};

}  // namespace detail

TESSERA_INLINE RecomputingPlan plan_recomputing(const graph::Graph& graph, const DynamicMesh& mesh,
                                                const cost::Prices& prices, const Options& options,
                                                Recompute mode) {
  if (mode != Recompute::none)
    return detail::RecomputingPlanner(graph, mesh, prices, options, mode).run();
  RecomputingPlan result{graph, {}, plan::plan(graph, mesh, prices, options), {}, 0};
  result.origin.resize(graph.op_count());
  std::iota(result.origin.begin(), result.origin.end(), graph::OpId{0});
  result.peak_if_kept = result.plan.memory.bytes;
  return result;
}

}  // namespace tessera::plan
