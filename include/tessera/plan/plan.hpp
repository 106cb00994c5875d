// SPDX-License-Identifier: Apache-2.0
//
// plan(): a program, a mesh and a cost model in; a sharding for every tensor out, proven cheapest.
//
//   const plan::Plan plan = plan::plan(graph, Mesh<2, 4>(), cost::Alpa::with_defaults(2));
//   plan.ops[id].results[0]      // a DynamicSharding
//   plan.ops[id].collectives     // what must run before and after the op
//   plan.cost, plan.lower_bound  // equal when plan.status is optimal
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tessera/cost/resharding.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/plan/shortage.hpp"
#include "tessera/plan/tidy.hpp"
#include "tessera/solver/solve.hpp"
#include "tessera/strategy/text.hpp"

namespace tessera::plan {

struct PlannedCollective {
  StepKind kind{};
  Axis axis = 0;
  Extent bytes = 0;  // of the tensor as it is local to the other axes, rounded up
  Cost price = 0;
  // The operand that is resharded before the op runs; nothing where the op's own result is
  // finished.
  std::optional<std::uint32_t> operand;
};

struct PlannedOp {
  std::string strategy;  // in words
  std::vector<DynamicSharding> operands, results;
  std::vector<Extent> result_bytes;            // per device
  std::vector<PlannedCollective> collectives;  // in the order they run
};

struct Plan {
  solver::Status status = solver::Status::unknown;
  Wide cost = 0;         // in the model's units, `denominator` of which make one as people write it
  Wide lower_bound = 0;  // no plan in the space that was searched is cheaper
  Cost denominator = 1;
  std::string unit;
  DynamicMesh mesh;
  std::vector<PlannedOp> ops;  // by op; empty unless status is optimal or feasible
  MemoryPeak memory;           // of the plan
  std::optional<Extent> memory_budget;
  std::optional<Shortage> shortage;  // when infeasible for want of memory
  std::size_t problem_nodes = 0, problem_edges = 0, problem_strategies = 0;
  solver::Statistics statistics;

  bool has_ops() const noexcept {
    return status == solver::Status::optimal || status == solver::Status::feasible;
  }
};

struct Options {
  std::optional<Extent> memory_budget;  // bytes per device
  bool prune = true;                    // off: nothing is left out anywhere, and it takes longer
  solver::Options solver;
};

namespace detail {

template<cost::CostModel Model, MeshLike M>
class Planner {
 public:
  Planner(const graph::Graph& graph, const M& mesh, const Model& model, const Options& options)
      : graph_(graph), resharding_(mesh, model), options_(options) {
    plan_.mesh = DynamicMesh(mesh);
    plan_.denominator = model.denominator();
    plan_.unit = model.unit();
    plan_.memory_budget = options.memory_budget;
  }

  Plan run() {
    formulation_ = formulate(graph_, resharding_, {options_.memory_budget, options_.prune});
    count_problem();
    solver::Options solver_options = options_.solver;
    solver_options.presolve = solver_options.presolve && options_.prune;
    solver::Result result = solver::solve(formulation_.problem, solver_options);
    if (result.has_assignment()) prefer_small_shards(formulation_, result.assignment);
    plan_.status = result.status;
    plan_.lower_bound = result.lower_bound;
    plan_.cost = result.cost;
    plan_.statistics = result.statistics;
    if (result.has_assignment()) fill_ops(result.assignment);
    if (result.status == solver::Status::infeasible && options_.memory_budget)
      plan_.shortage = find_shortage(graph_, formulation_, options_.solver);
    return std::move(plan_);
  }

  const Formulation& formulation() const noexcept { return formulation_; }

 private:
  void count_problem() {
    plan_.problem_nodes = formulation_.problem.node_count();
    plan_.problem_edges = formulation_.problem.edge_count();
    for (solver::NodeId v = 0; v < formulation_.problem.node_count(); ++v)
      plan_.problem_strategies += formulation_.problem.strategy_count(v);
  }

  const strategy::Choice& chosen(const solver::Assignment& assignment, graph::OpId id) const {
    return formulation_.columns[id][assignment[formulation_.nodes[id][0]]];
  }

  void fill_ops(const solver::Assignment& assignment) {
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      const strategy::Choice& choice = chosen(assignment, id);
      PlannedOp op{strategy::to_string(graph_.op(id).rule, choice),
                   choice.operands,
                   choice.results,
                   choice.result_bytes,
                   {}};
      for (std::uint32_t i = 0; i < graph_.operand_count(id); ++i) {
        const graph::Value value = graph_.operand(id, i);
        add_steps(op, graph_.type_of(value), chosen(assignment, value.op).results[value.result],
                  choice.operands[i], i);
      }
      const graph::Rule& rule = graph_.op(id).rule;
      if (rule.result_count() == 1)
        add_steps(op, graph_.op(id).results[0],
                  sharding_of(rule, choice.strategy, rule.operand_count()), choice.results[0],
                  std::nullopt);
      plan_.ops.push_back(std::move(op));
    }
    plan_.memory = memory_peak(graph_, formulation_.lifetimes, [&](graph::Value value) {
      return plan_.ops[value.op].result_bytes[value.result];
    });
  }

  void add_steps(PlannedOp& op, const graph::TensorType& type, DynamicSharding from,
                 DynamicSharding to, std::optional<std::uint32_t> operand) {
    for (const cost::PricedStep& step : resharding_.of(type).path(from, to))
      if (is_collective(step.step.kind))
        op.collectives.push_back(
            {step.step.kind, step.step.axis, step.message.rounded_up(), step.price, operand});
  }

  const graph::Graph& graph_;
  cost::Resharding<Model, M> resharding_;
  const Options& options_;
  Formulation formulation_;
  Plan plan_;
};

}  // namespace detail

// The cheapest plan, or the best found within the limits.  @pre one cost coefficient per mesh axis
// @post the prices of all collectives add up to plan.cost
template<cost::CostModel Model, MeshLike M>
Plan plan(const graph::Graph& graph, const M& mesh, const Model& model,
          const Options& options = {}) {
  return detail::Planner<Model, M>(graph, mesh, model, options).run();
}

}  // namespace tessera::plan
