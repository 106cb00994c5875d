// SPDX-License-Identifier: Apache-2.0
//
// plan(): a program, a mesh and a cost model in; a sharding for every tensor out, proven cheapest.
//
//   const plan::Plan plan = plan::plan(graph, Mesh<2, 4>(), cost::Alpa::with_defaults(2));
//   plan.ops[id].results[0]      // a DynamicSharding
//   plan.ops[id].steps           // what must run before and after the op
//   plan.cost, plan.lower_bound  // equal when plan.status is optimal
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tessera/cost/resharding.hpp"
#include "tessera/cost/resharding_buffers.hpp"
#include "tessera/cost/utilisation.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/budget.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/plan/moments.hpp"
#include "tessera/plan/shortage.hpp"
#include "tessera/plan/tidy.hpp"
#include "tessera/solver/evaluate.hpp"
#include "tessera/solver/solve.hpp"
#include "tessera/strategy/text.hpp"

namespace tessera::plan {

// What runs before an op, to bring an operand in the sharding that it needs, or after it, to finish
// its result: a collective, or a slice or a mask, which move nothing and cost nothing.
struct PlannedStep {
  Step step;  // of a halo exchange: along step.from_dim, over all axes that split it
  // The tensor's sharding, and what the step makes of it: the same, for a halo exchange.
  DynamicSharding before, after;
  cost::Message message;  // what a collective moves
  Cost price = 0;
  // The operand that is resharded before the op runs; nothing where the op's own result is
  // finished.
  std::optional<std::uint32_t> operand;

  bool is_collective() const noexcept { return tessera::is_collective(step.kind); }
  // Of the tensor as it is local to the other axes, rounded up.
  Extent bytes() const noexcept { return message.rounded_up(); }
};

struct PlannedOp {
  std::string strategy;                   // in words
  std::vector<DynamicSharding> operands;  // as the op needs them
  std::vector<DynamicSharding> computed;  // the results, as the op itself leaves them
  std::vector<DynamicSharding> results;   // and as they are handed on
  std::vector<Extent> result_bytes;       // per device, as they are handed on
  std::vector<PlannedStep> steps;         // in the order they run
  Cost work = 0;                          // of the op itself, where the model prices that
  // What stands beside tensors while operands are brought and the result is handed on, at most.
  Wide buffer_bytes = 0;
};

struct Plan {
  solver::Status status = solver::Status::unknown;
  Wide cost = 0;         // in the model's units, `denominator` of which make one as people write it
  Wide lower_bound = 0;  // no plan in the space that was searched is cheaper
  Cost denominator = 1;
  std::string unit;
  DynamicMesh mesh;
  std::vector<PlannedOp> ops;  // by op; empty unless status is optimal or feasible
  MemoryPeak memory;           // of the tensors
  // At its peak with all that stands beside them while something is resharded
  // (cost/resharding_buffers.hpp); the budget is for this.
  Wide memory_with_buffers = 0;
  std::optional<Extent> memory_budget;
  // Under a model of a real cluster, where cost is time: what a device has room for, and how well
  // the plan uses the devices.
  std::optional<Extent> memory_capacity;
  std::optional<cost::Utilisation> utilisation;
  std::optional<Shortage> shortage;  // when infeasible for want of memory
  std::size_t problem_nodes = 0, problem_edges = 0, problem_strategies = 0;
  solver::Statistics statistics;  // of the solver; the seconds are those of the whole plan()

  bool has_ops() const noexcept {
    return status == solver::Status::optimal || status == solver::Status::feasible;
  }
};

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

namespace detail {

// Whether the model is one of real devices, and tells of them.
template<class Model>
inline constexpr bool has_devices = requires(const Model& model) {
  model.device().memory_bytes;
};

// What follows from the strategies that were chosen: collectives, memory, how well devices are
// used.
template<cost::CostModel Model, MeshLike M>
class PlanWriter {
 public:
  // `in_memory`: by op, whether its results reach memory; `runs`: how often it runs, empty for
  // once.
  PlanWriter(const graph::Graph& graph, const std::vector<char>& in_memory,
             cost::Resharding<Model, M>& resharding, Plan& plan,
             const std::vector<std::int64_t>& runs = {})
      : graph_(graph),
        owns_(owners_of(graph, in_memory)),
        lifetimes_(plan::buffers_of(graph, in_memory)),
        resharding_(resharding),
        plan_(plan),
        runs_(runs) {}

  // `is_second`, by op where it is not empty: work that is done a second time.
  void run(std::vector<strategy::Choice> choices, bool leaves_partial,
           const std::vector<char>& is_second = {}) {
    if (leaves_partial)
      for (graph::OpId id = 0; id < graph_.op_count(); ++id) finish_early(id, choices);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      plan_.ops.push_back(planned(id, choices));
    const auto bytes_of = [&](graph::Value value) {
      return plan_.ops[value.op].result_bytes[value.result];
    };
    plan_.memory = memory_peak(graph_, lifetimes_, bytes_of);
    plan_.memory_with_buffers = peak_with_buffers();
    if constexpr (has_devices<Model>)
      plan_.utilisation = utilisation(choices, is_second, resharding_.model().device());
  }

 private:
  cost::Utilisation utilisation(const std::vector<strategy::Choice>& choices,
                                const std::vector<char>& is_second,
                                const cost::Accelerator& device) const {
    cost::Utilisation result;
    result.time = plan_.cost;
    result.devices = plan_.mesh.device_count();
    std::map<graph::ElementType, Wide> flops_of_type;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      const graph::Op& op = graph_.op(id);
      if (!cost::is_product(op)) continue;
      const cost::Product local = cost::product_of(op.rule, [&](std::size_t factor) {
        return strategy::local_size(op.rule, plan_.mesh, choices[id].strategy, factor);
      });
      result.hardware_flops += local.flops() * result.devices * runs_of(id);
      if (!is_second.empty() && is_second[id] != 0) continue;
      const Wide flops = cost::flops_of(op) * runs_of(id);
      result.model_flops += flops;
      flops_of_type[graph_.type_of(graph_.operand(id, 0)).element] += flops;
    }
    Wide most = 0;
    for (const auto& [type, flops] : flops_of_type)
      if (flops > most) {
        most = flops;
        result.peak = device.peak_rate(type);
      }
    return result;
  }

  // Where a partial result was left to its only reader, to finish as it pleases
  // (strategy::Pruning), the op itself takes the steps up to where least is held: the price in all
  // is the same.
  void finish_early(graph::OpId id, std::vector<strategy::Choice>& choices) {
    strategy::Choice& choice = choices[id];
    if (choice.results.size() != 1 || choice.results[0].partial_axes().empty()) return;
    std::optional<DynamicSharding> wanted;
    std::size_t uses = 0;
    graph::OpId only_reader = 0;
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
      ++uses;
      only_reader = reader;
      wanted = choices[reader].operands[use.operand];
    });
    if (uses != 1 || runs_of(id) != runs_of(only_reader)) return;
    auto& tensor = resharding_.of(graph_.op(id).results[0]);
    DynamicSharding best = choice.results[0], at = best;
    Cost paid = 0, price = 0;
    for (const cost::PricedStep& step : tensor.path(at, *wanted)) {
      at = apply(step.step, at, wanted->reduction());
      paid += step.price;
      const auto rank = [&](DynamicSharding sharding) {
        return std::pair(tensor.local_bytes(sharding), sharding.partial_axes().size());
      };
      if (rank(at) >= rank(best)) continue;
      best = at;
      price = paid;
    }
    choice.strategy.handed_on = choice.results[0] = best;
    choice.result_bytes[0] = tensor.local_bytes(best);
    choice.price += price;
  }

  PlannedOp planned(graph::OpId id, const std::vector<strategy::Choice>& choices) {
    const graph::Rule& rule = graph_.op(id).rule;
    const strategy::Choice& choice = choices[id];
    PlannedOp op{strategy::to_string(rule, choice),
                 choice.operands,
                 {},
                 choice.results,
                 choice.result_bytes,
                 {},
                 choice.work};
    for (std::size_t r = 0; r < rule.result_count(); ++r)
      op.computed.push_back(sharding_of(rule, choice.strategy, rule.operand_count() + r));
    for (std::uint32_t i = 0; i < graph_.operand_count(id); ++i) {
      const graph::Value value = graph_.operand(id, i);
      add_steps(op, graph_.type_of(value), choices[value.op].results[value.result],
                choice.operands[i], i);
    }
    for (const strategy::PricedHalo& halo : choice.halos) {
      const DynamicSharding sharding = choice.operands[halo.operand];
      const Step step{StepKind::halo_exchange, halo.axis, halo.dim, halo.dim};
      op.steps.push_back({step, sharding, sharding, halo.message, halo.price, halo.operand});
    }
    if (rule.result_count() == 1)
      add_steps(op, graph_.op(id).results[0], op.computed[0], choice.results[0], std::nullopt);
    return op;
  }

  // All that is held while the program runs, moment by moment.
  Wide peak_with_buffers() {
    const Moments moments(graph_, owns_);
    MomentUsage usage(moments);
    for_each_buffer(graph_, lifetimes_, [&](graph::Value value, graph::Lifetime life) {
      usage.add(moments.of(life), plan_.ops[value.op].result_bytes[value.result]);
    });
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      PlannedOp& op = plan_.ops[id];
      Wide held = 0;
      for (std::size_t i = 0; i < op.operands.size(); ++i) {
        const graph::Value value = graph_.operand(id, i);
        const cost::ReshardingBuffers buffers = cost::operand_buffers(
            resharding_.of(graph_.type_of(value)), plan_.ops[value.op].results[value.result],
            op.operands[i], owns_[value.op] != 0);
        usage.add(moments.bringing(id, i), buffers.during);
        usage.add(moments.brought(id, i), buffers.after);
        op.buffer_bytes = std::max(op.buffer_bytes, held + buffers.during);
        held += buffers.after;
      }
      op.buffer_bytes = std::max(op.buffer_bytes, held);
      if (op.results.size() != 1) continue;
      const cost::ReshardingBuffers buffers = cost::result_buffers(
          resharding_.of(graph_.op(id).results[0]), op.computed[0], op.results[0], owns_[id] != 0);
      usage.add(moments.finishing(id), buffers.during);
      usage.add(moments.finished(id), buffers.after);
      op.buffer_bytes = std::max(op.buffer_bytes, held + buffers.during);
    }
    return usage.peak();
  }

  void add_steps(PlannedOp& op, const graph::TensorType& type, DynamicSharding from,
                 DynamicSharding to, std::optional<std::uint32_t> operand) {
    for (const cost::PricedStep& step : resharding_.of(type).path(from, to)) {
      const Reduction reduction = to.reduction();  // that a mask introduces
      const DynamicSharding after = apply(step.step, from, reduction);
      op.steps.push_back({step.step, from, after, step.message, step.price, operand});
      from = after;
    }
  }

  std::int64_t runs_of(graph::OpId id) const { return runs_.empty() ? 1 : runs_[id]; }

  const graph::Graph& graph_;
  std::vector<char> owns_;  // by op: whether its results take memory of their own
  graph::Lifetimes lifetimes_;
  cost::Resharding<Model, M>& resharding_;
  Plan& plan_;
  std::vector<std::int64_t> runs_;
};

template<cost::CostModel Model, MeshLike M>
class Planner {
 public:
  Planner(const graph::Graph& graph, const M& mesh, const Model& model, const Options& options)
      : graph_(graph), resharding_(mesh, model), options_(options) {
    plan_.mesh = DynamicMesh(mesh);
    plan_.denominator = model.denominator();
    plan_.unit = model.unit();
    plan_.memory_budget = options.memory_budget;
    if constexpr (has_devices<Model>) plan_.memory_capacity = model.device().memory_bytes;
  }

  Plan run() {
    if (formulate_in_time()) solve();
    plan_.statistics.seconds = deadline_.seconds();
    return std::move(plan_);
  }

  // All but the search: the plan of an assignment of somebody else's.
  void formulate_only() {
    if (!formulate_in_time()) throw std::invalid_argument("the time for a formulation is over");
  }
  const Formulation& formulation() const noexcept { return formulation_; }
  Plan plan_of(const solver::Assignment& assignment) {
    const solver::Evaluation evaluation = evaluate(formulation_.problem, assignment);
    if (!evaluation.is_feasible())
      throw std::invalid_argument("the assignment breaks a limit, or ties between ops");
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
    options.time_limit = std::max(0.0, options.time_limit - before);
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
    solver::Result result = budget->solve(formulation_.problem, rest_of_options());
    if (has_whole_budget() && options_.prune && budget->has_counted_buffers())
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

  using Budget = BufferBudget<Model, M>;

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
    const bool is_too_large = table_entries() > most_entries_to_widen;
    if (is_too_large && !result.has_assignment()) return budget;
    Formulation narrow = std::move(formulation_);
    solver::Result wide;
    std::unique_ptr<Budget> wide_budget;
    if (!is_too_large && formulate_in_time(false)) {
      solver::Options options = rest_of_options();
      if (result.has_assignment()) options.start = found_again(narrow, result.assignment);
      wide_budget = budget_of_formulation();
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
  std::size_t table_entries() const {
    const solver::Problem& problem = formulation_.problem;
    std::set<solver::CostsId> seen;
    std::size_t entries = 0;
    for (solver::EdgeId e = 0; e < problem.edge_count(); ++e)
      if (seen.insert(problem.edge_costs_id(e)).second) entries += problem.edge_costs(e).size();
    return entries;
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
    PlanWriter<Model, M>(graph_, cost::ops_in_memory(graph_), resharding_, plan_, options_.runs)
        .run(std::move(choices), leaves_partial());
  }
  // A limit to all that the program holds; where holdings are told, it is to what they say alone.
  bool has_whole_budget() const { return options_.memory_budget && options_.holdings.empty(); }
  // Whether columns leave it to single readers to finish partial results.
  bool leaves_partial() const { return options_.prune && !options_.memory_budget; }

  const graph::Graph& graph_;
  cost::Resharding<Model, M> resharding_;
  const Options& options_;
  solver::Deadline deadline_{options_.solver};  // of all of it
  double reported_ = 0;                         // when progress was last shown, in seconds
  Formulation formulation_;
  Plan plan_;
};

// A budget that binds nobody makes a problem harder for nothing: columns are wider, and nodes must
// be held against a limit.  So the program is planned without one first.  That plan's bound holds
// for all plans, and where it fits it may be the answer.
template<cost::CostModel Model, MeshLike M>
Plan plan_within(const graph::Graph& graph, const M& mesh, const Model& model,
                 const Options& options) {
  const solver::Deadline deadline(options.solver);
  Options ample_options = options;
  ample_options.memory_budget.reset();
  ample_options.solver.time_limit /= 4;
  Plan ample = Planner<Model, M>(graph, mesh, model, ample_options).run();
  ample.memory_budget = options.memory_budget;
  const bool fits = ample.has_ops() && ample.memory_with_buffers <= *options.memory_budget;
  if (fits && solver::is_near_enough(ample.cost, ample.lower_bound, options.solver.gap_limit))
    return ample;
  Options rest = options;
  rest.solver.time_limit = std::max(0.0, options.solver.time_limit - deadline.seconds());
  Plan plan = Planner<Model, M>(graph, mesh, model, rest).run();
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

// All plans that there are of a program, of which plan() is to find the cheapest: for those who
// want another one, to compare or to try out.  Pruned columns lack what a cheapest plan does not
// need.
//
//   plan::PlanSpace space(graph, mesh, model, {.prune = false});
//   space.plan_of(assignment)   // a strategy for each node of space.formulation().problem
//
// The graph must outlive it.
template<cost::CostModel Model, MeshLike M>
class PlanSpace {
 public:
  // Throws what plan() does, and std::invalid_argument where the time limit ends it.
  PlanSpace(const graph::Graph& graph, const M& mesh, const Model& model, Options options = {})
      : options_(std::move(options)), planner_(graph, mesh, model, options_) {
    planner_.formulate_only();
  }
  PlanSpace(const PlanSpace&) = delete;
  PlanSpace& operator=(const PlanSpace&) = delete;

  const Formulation& formulation() const noexcept { return planner_.formulation(); }
  // Throws std::invalid_argument where the assignment is infeasible, or is none of the problem's.
  // @post status is feasible, lower_bound 0: nothing is known about others
  Plan plan_of(const solver::Assignment& assignment) { return planner_.plan_of(assignment); }

 private:
  Options options_;
  detail::Planner<Model, M> planner_;
};

// The cheapest plan, or the best found within the limits.  Throws std::invalid_argument where the
// model lacks coefficients for an axis, InvalidAnnotation where a result can not have the sharding
// that is asked for, std::overflow_error where a price does not fit in 64 bits.
// @post the prices of all collectives and of all work, each as often as its op runs, add up to
// plan.cost
template<cost::CostModel Model, MeshLike M>
Plan plan(const graph::Graph& graph, const M& mesh, const Model& model,
          const Options& options = {}) {
  // Who wants to see the problem wants the one with the limit, and that one solved.
  if (options.memory_budget && options.holdings.empty() && !options.on_formulated)
    return detail::plan_within<Model, M>(graph, mesh, model, options);
  return detail::Planner<Model, M>(graph, mesh, model, options).run();
}

}  // namespace tessera::plan
