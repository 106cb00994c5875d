// SPDX-License-Identifier: Apache-2.0
//
// The bodies of plan.hpp.
#pragma once
#include "tessera/plan/plan.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/plan/budget.hpp"
#include "tessera/plan/buffers.hpp"
#include "tessera/plan/moments.hpp"
#include "tessera/plan/shortage.hpp"
#include "tessera/plan/tidy.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/evaluate.hpp"
#include "tessera/solver/solve.hpp"

namespace tessera::plan {

namespace detail {

class Planner {
 public:
  Planner(const graph::Graph& graph, const DynamicMesh& mesh, const cost::Prices& prices,
          const Options& options)
      : graph_(graph), resharding_(mesh, cost::prices_of(prices)), options_(options) {
    plan_.mesh = mesh;
    plan_.denominator = prices.denominator();
    plan_.unit = prices.unit();
    plan_.memory_budget = options.memory_budget;
    if (const cost::Accelerator* const device = prices.device())
      plan_.memory_capacity = device->memory_bytes;
  }

  Plan run() {
    if (formulate_in_time()) solve();
    plan_.statistics.seconds = deadline_.seconds();
    return std::move(plan_);
  }

  // All but the search: the plan of an assignment of somebody else's.
  void formulate_only() {
    if (!formulate_in_time()) throw InvalidArgument("the time for a formulation is over");
  }
  const Formulation& formulation() const noexcept { return formulation_; }
  Plan plan_of(const solver::Assignment& assignment) {
    const solver::Evaluation evaluation = evaluate(formulation_.problem, assignment);
    if (!evaluation.is_feasible())
      throw InvalidArgument("the assignment breaks a limit, or ties between ops");
    Plan plan = plan_;
    std::swap(plan, plan_);
    plan_.status = solver::Status::feasible;
    plan_.cost = evaluation.cost;
    fill_ops(assignment);
    std::swap(plan, plan_);
    return plan;
  }

 protected:
  struct OutOfTime {};

  // False where the time is over.
  bool formulate_in_time() {
    if (!formulate_in_time(true)) return false;
    if (options_.on_formulated) options_.on_formulated(formulation_);
    return true;
  }
  bool formulate_in_time(bool prune_buffers) {
    FormulateOptions options{options_.memory_budget, options_.prune,      prune_buffers,
                             options_.annotations,   [this] { check(); }, options_.runs,
                             options_.holdings};
    try {
      check();
      formulation_ = formulate(graph_, resharding_, options);
    } catch (const OutOfTime&) {
      return false;
    }
    formulation_.problem.name = options_.problem_name;
    count_problem();
    report("formulated");
    return true;
  }

  // Ends the formulation when the time is over, and shows that it goes on until then.
  void check() {
    if (deadline_.is_over()) throw OutOfTime();
    constexpr double interval = 1;  // seconds
    if (deadline_.seconds() < reported_ + interval) return;
    reported_ = deadline_.seconds();
    report("formulating");
  }
  void report(const char* event) const {
    if (!options_.solver.on_progress) return;
    solver::Progress progress;
    progress.seconds = deadline_.seconds();
    progress.event = event;
    options_.solver.on_progress(progress);
  }

  // What the caller asked for, with the time that is left, and a clock that goes on.
  solver::Options rest_of_options() const {
    solver::Options options = options_.solver;
    const double before = deadline_.seconds();
    options.time_limit = deadline_.seconds_left();
    options.presolve = options.presolve && options_.prune;
    if (options_.solver.on_progress)
      options.on_progress = [this, before](solver::Progress progress) {
        progress.seconds += before;
        options_.solver.on_progress(progress);
      };
    return options;
  }

  void solve() {
    auto budget = budget_of_formulation();
    const bool may_lack = has_whole_budget() && options_.prune;
    solver::Result result =
        budget->solve(formulation_.problem, rest_of_options(), may_lack && may_widen());
    if (may_lack && budget->has_counted_buffers())
      budget = solve_for_buffers(std::move(budget), result);
    if (result.has_assignment()) {
      solver::Assignment smaller = result.assignment;
      prefer_small_shards(formulation_, smaller);
      if (budget->fits(formulation_.problem, smaller)) result.assignment = std::move(smaller);
    }
    plan_.status = result.status;
    plan_.lower_bound = result.lower_bound;
    plan_.cost = result.cost;
    plan_.statistics = result.statistics;
    if (result.has_assignment()) fill_ops(result.assignment);
    if (result.status == solver::Status::infeasible && has_whole_budget())
      plan_.shortage = find_shortage(graph_, formulation_, *budget, rest_of_options());
  }

  using Budget = BufferBudget;

  std::unique_ptr<Budget> budget_of_formulation() {
    const std::vector<char> owns = owners_of(graph_, cost::ops_in_memory(graph_));
    const Moments moments(graph_, owns);
    std::vector<BufferUse> buffers;
    if (has_whole_budget()) buffers = buffer_uses_of(graph_, formulation_, owns, moments);
    return std::make_unique<Budget>(resharding_, moments, std::move(buffers));
  }

  // Where buffers make a difference, a strategy that was left out for the sake of tensors alone may
  // leave more room for them.  Few programs come to that, and columns are wider without: so all is
  // formulated and solved again, from the answer there is.  `result` becomes the better answer,
  // with a bound that holds for all plans; the budget of its formulation is returned.
  std::unique_ptr<Budget> solve_for_buffers(std::unique_ptr<Budget> budget,
                                            solver::Result& result) {
    const bool is_too_large = !may_widen();
    if (is_too_large && !result.has_assignment()) return budget;
    Formulation narrow = std::move(formulation_);
    solver::Result wide;
    std::unique_ptr<Budget> wide_budget;
    if (!is_too_large && formulate_in_time(false)) {
      solver::Options options = rest_of_options();
      if (result.has_assignment()) options.start = found_again(narrow, result.assignment);
      options.shadow_prices = result.shadow_prices;
      wide_budget = budget_of_formulation();
      wide_budget->count_as(*budget);
      wide = wide_budget->solve(formulation_.problem, options);
      wide.statistics.nodes += result.statistics.nodes;
    }
    const Wide bound = std::max(wide.lower_bound, budget->bound_of_tensors());
    const bool keeps = !wide_budget || (result.has_assignment() &&
                                        (!wide.has_assignment() || result.cost < wide.cost));
    if (keeps) {
      formulation_ = std::move(narrow);
      result.status = result.has_assignment() ? solver::Status::feasible : solver::Status::unknown;
    } else {
      result = std::move(wide);
      budget = std::move(wide_budget);
    }
    result.lower_bound = bound;
    if (result.has_assignment() && result.cost == bound) result.status = solver::Status::optimal;
    return budget;
  }

  // Columns become about three times as wide, and tables as much on either side: 2^24 entries are
  // two gigabytes then.
  static constexpr std::size_t most_entries_to_widen = std::size_t{1} << 24U;
  bool may_widen() const {
    const solver::Problem& problem = formulation_.problem;
    std::set<solver::CostsId> seen;
    std::size_t entries = 0;
    for (solver::EdgeId e = 0; e < problem.edge_count(); ++e)
      if (seen.insert(problem.edge_costs_id(e)).second) entries += problem.edge_costs(e).size();
    return entries <= most_entries_to_widen;
  }

  // The same strategies in the formulation at hand; nothing where it lacks one.
  solver::Assignment found_again(const Formulation& other,
                                 const solver::Assignment& assignment) const {
    solver::Assignment result(assignment.size());
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      const strategy::Strategy& strategy =
          (*other.columns[id])[assignment[other.nodes[id][0]]].strategy;
      const strategy::Column& column = *formulation_.columns[id];
      const auto at = std::find_if(column.begin(), column.end(), [&](const strategy::Choice& here) {
        return here.strategy == strategy;
      });
      if (at == column.end()) return {};
      for (const solver::NodeId v : formulation_.nodes[id])
        result[v] = static_cast<std::uint32_t>(at - column.begin());
    }
    return result;
  }

  void count_problem() {
    plan_.problem_nodes = formulation_.problem.node_count();
    plan_.problem_edges = formulation_.problem.edge_count();
    plan_.problem_strategies = 0;
    for (solver::NodeId v = 0; v < formulation_.problem.node_count(); ++v)
      plan_.problem_strategies += formulation_.problem.strategy_count(v);
  }

  const strategy::Choice& chosen(const solver::Assignment& assignment, graph::OpId id) const {
    return (*formulation_.columns[id])[assignment[formulation_.nodes[id][0]]];
  }

  void fill_ops(const solver::Assignment& assignment) {
    std::vector<strategy::Choice> choices;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      choices.push_back(chosen(assignment, id));
    OpWriter(graph_, cost::ops_in_memory(graph_), resharding_, plan_, options_.runs)
        .run(std::move(choices), leaves_partial());
  }
  // A limit to all that the program holds; where holdings are told, it is to what they say alone.
  bool has_whole_budget() const { return options_.memory_budget && options_.holdings.empty(); }
  // Whether columns leave it to single readers to finish partial results.
  bool leaves_partial() const { return options_.prune && !options_.memory_budget; }

  const graph::Graph& graph_;
  cost::Resharding resharding_;
  const Options& options_;
  solver::Deadline deadline_{options_.solver};  // of all of it
  double reported_ = 0;                         // when progress was last shown, in seconds
  Formulation formulation_;
  Plan plan_;
};

// A budget that binds nobody makes a problem harder for nothing: columns are wider, and nodes must
// be held against a limit.  So the program is planned without one first.  That plan's bound holds
// for all plans, and where it fits it may be the answer.
TESSERA_INLINE Plan plan_within(const graph::Graph& graph, const DynamicMesh& mesh,
                                const cost::Prices& prices, const Options& options) {
  const solver::Deadline deadline(options.solver);
  Options ample_options = options;
  ample_options.memory_budget.reset();
  ample_options.solver.time_limit /= 4;
  Plan ample = Planner(graph, mesh, prices, ample_options).run();
  ample.memory_budget = options.memory_budget;
  const bool fits = ample.has_ops() && ample.memory_with_buffers <= *options.memory_budget;
  if (fits && solver::is_near_enough(ample.cost, ample.lower_bound, options.solver.gap_limit))
    return ample;
  Options rest = options;
  rest.solver.time_limit = deadline.seconds_left();
  Plan plan = Planner(graph, mesh, prices, rest).run();
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
      : options(std::move(wanted)),
        prices(std::move(given)),
        planner(graph, mesh, *prices, options) {
    planner.formulate_only();
  }

  Options options;
  std::shared_ptr<const cost::Prices> prices;
  detail::Planner planner;
};

TESSERA_INLINE PlanSpace::PlanSpace(const graph::Graph& graph, const DynamicMesh& mesh,
                                    std::shared_ptr<const cost::Prices> prices, Options options)
    : parts_(std::make_unique<Parts>(graph, mesh, std::move(prices), std::move(options))) {}
TESSERA_INLINE PlanSpace::~PlanSpace() = default;
TESSERA_INLINE const Formulation& PlanSpace::formulation() const noexcept {
  return parts_->planner.formulation();
}
TESSERA_INLINE Plan PlanSpace::plan_of(const solver::Assignment& assignment) {
  return parts_->planner.plan_of(assignment);
}

TESSERA_INLINE Plan plan(const graph::Graph& graph, const DynamicMesh& mesh,
                         const cost::Prices& prices, const Options& options) {
  // Who wants to see the problem wants the one with the limit, and that one solved.
  if (options.memory_budget && options.holdings.empty() && !options.on_formulated)
    return detail::plan_within(graph, mesh, prices, options);
  return detail::Planner(graph, mesh, prices, options).run();
}

}  // namespace tessera::plan
