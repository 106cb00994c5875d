// SPDX-License-Identifier: Apache-2.0
// A memory budget is a promise, buffers included; and what fits is the cheapest that does.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "support/programs.hpp"
#include "support/sanitized.hpp"
#include "tessera/cost.hpp"
#include "tessera/graph.hpp"
#include "tessera/models.hpp"
#include "tessera/plan.hpp"
#include "tessera/solver.hpp"

namespace {
using namespace tessera;
using namespace tessera::graph;
using tessera_test::random_program;

constexpr tessera_test::ProgramSizes small{f32, 4, 3, 4, 4};

cost::Alpa model() { return {{{1, 1}}, {{1, 1}}}; }

// --- The judge -----------------------------------------------------------------------------------

// All that a plan's own lists say is held while an op runs, or while its operands are brought.
class Held {
 public:
  Held(const Graph& graph, const plan::Plan& plan)
      : graph_(graph),
        plan_(plan),
        in_memory_(cost::ops_in_memory(graph)),
        lifetimes_(plan::buffers_of(graph, in_memory_)) {
    for (OpId id = 0; id < graph.op_count(); ++id) end_.push_back(last_needed(id));
  }

  Wide peak() const {
    Wide most = 0;
    for (OpId now = 0; now < graph_.op_count(); ++now) {
      Wide always = tensors_at(now);
      for (OpId before = 0; before < now; ++before)
        if (end_[before] >= now) always += all_of(before, graph_.operand_count(before) + 1);
      for (std::size_t moment = 0; moment <= graph_.operand_count(now); ++moment)
        most = std::max(most, always + all_of(now, moment) + on_its_way(now, moment));
    }
    return most;
  }

 private:
  bool owns(OpId id) const {
    const bool is_view = traits(graph_.op(id).opcode).is_view;
    return in_memory_[id] != 0 && !(is_view && in_memory_[graph_.operand(id, 0).op] != 0);
  }
  // What runs where it is read needs its operands until then.
  OpId last_needed(OpId id) const {
    OpId last = id;
    if (!owns(id))
      graph_.for_each_use(
          id, [&](OpId reader, const Use&) { last = std::max(last, last_needed(reader)); });
    return last;
  }
  Wide bytes(OpId op, std::size_t operand, DynamicSharding sharding) const {
    const TensorType& type = operand < graph_.operand_count(op)
                                 ? graph_.type_of(graph_.operand(op, operand))
                                 : graph_.op(op).results[0];
    return byte_count({type.element, local_shape(sharding, plan_.mesh, type.dims)});
  }
  Wide tensors_at(OpId now) const {
    Wide total = 0;
    for (OpId id = 0; id < graph_.op_count(); ++id)
      if (lifetimes_[id][0].begin <= now && now < lifetimes_[id][0].end)
        total += plan_.ops[id].result_bytes[0];
    return total;
  }
  // Steps of operand `which`, or of the result behind the last one.
  std::vector<plan::PlannedStep> steps(OpId id, std::size_t which) const {
    std::vector<plan::PlannedStep> result;
    for (const plan::PlannedStep& step : plan_.ops[id].steps) {
      const std::size_t of = step.operand ? *step.operand : graph_.operand_count(id);
      if (of == which && step.step.kind != StepKind::halo_exchange) result.push_back(step);
    }
    return result;
  }
  // What is left of it: the last that a collective wrote.
  Wide left_of(OpId id, std::size_t which) const {
    const bool is_result = which == graph_.operand_count(id);
    if (is_result && owns(id)) return 0;
    Wide left = 0;
    bool moves = false;
    for (const plan::PlannedStep& step : steps(id, which)) {
      moves = moves || step.is_collective();
      if (step.is_collective() || is_result) left = bytes(id, which, step.after);
    }
    return moves ? left : Wide(0);
  }
  Wide all_of(OpId id, std::size_t before) const {
    Wide total = 0;
    for (std::size_t which = 0; which < before; ++which) total += left_of(id, which);
    return total;
  }
  Wide on_its_way(OpId id, std::size_t which) const {
    const bool is_result = which == graph_.operand_count(id);
    const bool is_held = !is_result && owns(graph_.operand(id, which).op);
    const auto all = steps(id, which);
    const bool moves = std::any_of(all.begin(), all.end(),
                                   [](const plan::PlannedStep& s) { return s.is_collective(); });
    if (!moves && !(is_result && owns(id))) return 0;
    Wide most = 0;
    std::optional<Wide> buffer;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!is_result && !all[i].is_collective()) continue;
      const bool is_stored = is_result && owns(id) && i + 1 == all.size();
      const Wide read = buffer ? *buffer : is_held ? Wide(0) : bytes(id, which, all[i].before);
      buffer = is_stored ? Wide(0) : bytes(id, which, all[i].after);
      most = std::max(most, read + *buffer);
    }
    return most;
  }

  const Graph& graph_;
  const plan::Plan& plan_;
  std::vector<char> in_memory_;
  Lifetimes lifetimes_;
  std::vector<OpId> end_;
};

// The least cost of all assignments that fit; tries those that cost less than `limit`, in the order
// of the program's ops.  Nothing where there are too many to try.
class AllPlans {
 public:
  AllPlans(const Graph& graph, plan::PlanSpace& space, Extent budget)
      : graph_(graph), space_(space), problem_(space.formulation().problem), budget_(budget) {
    edges_.resize(problem_.node_count());
    for (solver::EdgeId e = 0; e < problem_.edge_count(); ++e) {
      const auto nodes = problem_.edge_nodes(e);
      edges_[std::max(nodes[0], nodes[1])].push_back(e);
    }
  }

  std::optional<Wide> cheapest_below(Wide limit) {
    best_ = limit;
    assignment_.assign(problem_.node_count(), 0);
    go_on(0, 0);
    if (tried_ > most_tried) return std::nullopt;
    return best_;
  }

 private:
  static constexpr std::size_t most_tried = 20'000;

  void go_on(solver::NodeId v, Wide cost) {
    if (cost >= best_ || tried_ > most_tried) return;
    if (v == problem_.node_count()) {
      ++tried_;
      if (evaluate(problem_, assignment_).peak_usage > budget_) return;
      const plan::Plan plan = space_.plan_of(assignment_);
      if (Held(graph_, plan).peak() <= budget_) best_ = cost;
      return;
    }
    for (std::uint32_t s = 0; s < problem_.strategy_count(v); ++s) {
      assignment_[v] = s;
      Wide more = problem_.costs(v)[s];
      for (const solver::EdgeId e : edges_[v]) {
        const auto nodes = problem_.edge_nodes(e);
        const Cost price = problem_.edge_costs(
            e)[assignment_[nodes[0]] * problem_.strategy_count(nodes[1]) + assignment_[nodes[1]]];
        more = is_finite(price) && more < infinite ? more + price : Wide(infinite);
      }
      if (more < infinite) go_on(v + 1, cost + more);
    }
  }

  const Graph& graph_;
  plan::PlanSpace& space_;
  const solver::Problem& problem_;
  Extent budget_;
  std::vector<std::vector<solver::EdgeId>> edges_;  // by the later of their nodes
  solver::Assignment assignment_;
  Wide best_ = 0;
  std::size_t tried_ = 0;
};

// --- What it judges ------------------------------------------------------------------------------

TEST_CASE("property: memory with buffers is what the plan's steps say") {
  for (std::uint64_t seed = 0; seed < tessera_test::share_of(60); ++seed) {
    CAPTURE(seed);
    const Graph graph = random_program(seed, small);
    for (const DynamicMesh& mesh : {DynamicMesh{2}, DynamicMesh{2, 2}}) {
      const cost::Alpa prices = cost::Alpa::with_defaults(mesh.rank());
      const plan::Plan cheapest = plan::plan(graph, mesh, prices);
      CHECK(cheapest.memory_with_buffers == Held(graph, cheapest).peak());
      plan::Options options;
      options.prune = false;
      options.memory_budget = static_cast<Extent>(cheapest.memory.bytes * 9 / 10);
      const plan::Plan tight = plan::plan(graph, mesh, prices, options);
      if (!tight.has_ops()) continue;
      CHECK(tight.memory_with_buffers == Held(graph, tight).peak());
      CHECK(tight.memory_with_buffers <= *options.memory_budget);
    }
  }
}

TEST_CASE("property: no plan that fits with its buffers is cheaper than the one that is found") {
  const int enough = tessera_test::is_sanitized ? 1 : 5;
  int judged = 0, dearer = 0, none = 0;
  for (std::uint64_t seed = 0; judged < 20 * enough || dearer < enough || none < enough; ++seed) {
    REQUIRE(seed < 1000);
    CAPTURE(seed);
    const Graph graph = random_program(seed, small);
    const DynamicMesh mesh{2};
    const Wide ample = plan::plan(graph, mesh, model()).memory_with_buffers;
    for (const Wide percent : {55, 65, 75, 85}) {
      plan::Options options;
      options.memory_budget = static_cast<Extent>(ample * percent / 100);
      CAPTURE(*options.memory_budget);
      const plan::Plan found = plan::plan(graph, mesh, model(), options);
      plan::PlanSpace space(graph, mesh, model(), options);
      const solver::Result tensors_alone = solver::solve(space.formulation().problem);
      const bool is_found = found.status == solver::Status::optimal;
      REQUIRE((is_found || found.status == solver::Status::infeasible));
      if (!tensors_alone.has_assignment()) {
        CHECK(!is_found);
        continue;
      }
      const Wide limit = is_found ? found.cost : Wide(infinite);
      const auto cheapest = AllPlans(graph, space, *options.memory_budget).cheapest_below(limit);
      if (!cheapest) continue;
      ++judged;
      CHECK(*cheapest == limit);
      if (!is_found) ++none;
      if (!is_found) continue;
      CHECK(found.memory_with_buffers <= *options.memory_budget);
      CHECK(found.lower_bound == found.cost);
      CHECK(found.cost >= tensors_alone.cost);
      if (found.cost > tensors_alone.cost) ++dearer;
    }
  }
  MESSAGE(judged << " budgets, of which buffers make " << dearer << " dearer and " << none
                 << " impossible");
}

TEST_CASE("what data parallelism needs is told by a plan whose weights are whole, its batch cut") {
  const Graph graph = models::build("gpt:layers=1,hidden=32,heads=4,seq=16,vocab=64,batch=8");
  const std::vector<plan::MemoryKind> kinds = plan::memory_kinds_of(graph);
  // Neither three nor sixteen divides the batch.
  struct Case {
    DynamicMesh mesh;
    int shares;
  };
  for (const Case& it :
       {Case{DynamicMesh{2, 4}, 8}, {DynamicMesh{2, 3}, 2}, {DynamicMesh{2, 8}, 8}}) {
    const DynamicMesh mesh = it.mesh;
    CAPTURE(to_string(mesh));
    plan::Options options;
    options.annotations = plan::data_parallel(graph, mesh);
    const plan::Plan found = plan::plan(graph, mesh, cost::Alpa::with_defaults(2), options);
    REQUIRE(found.status == solver::Status::optimal);
    std::size_t whole = 0, cut = 0;
    for (OpId id = 0; id < graph.op_count(); ++id) {
      if (!graph.op(id).is_parameter) continue;
      const bool is_data = kinds[id] == plan::MemoryKind::input;
      CHECK(found.ops[id].result_bytes[0] * (is_data ? it.shares : 1) ==
            byte_count(graph.op(id).results[0]));
      ++(is_data ? cut : whole);
    }
    CHECK(whole > 10);
    CHECK(cut == 2);
    options.annotations.clear();
    options.memory_budget = static_cast<Extent>(found.memory_with_buffers * 60 / 100);
    const plan::Plan less = plan::plan(graph, mesh, cost::Alpa::with_defaults(2), options);
    REQUIRE(less.status == solver::Status::optimal);
    CHECK(less.memory_with_buffers <= *options.memory_budget);
  }
  CHECK(plan::data_parallel(models::build("mlp:layers=1,width=8,classes=8,batch=8,step=infer"),
                            DynamicMesh{2})
            .empty());
}

TEST_CASE("a budget with a time limit is kept too") {
  const Graph graph = models::build("mlp:layers=3,width=256,classes=64,batch=512");
  const DynamicMesh mesh{2, 4};
  const cost::Alpa prices = cost::Alpa::with_defaults(2);
  const plan::Plan ample = plan::plan(graph, mesh, prices);
  plan::Options options;
  options.memory_budget = static_cast<Extent>(ample.memory_with_buffers * 3 / 4);
  const plan::Plan in_any_time = plan::plan(graph, mesh, prices, options);
  options.solver.time_limit = 600;
  const plan::Plan in_time = plan::plan(graph, mesh, prices, options);
  REQUIRE(in_any_time.status == solver::Status::optimal);
  CHECK(in_time.status == solver::Status::optimal);
  CHECK(in_time.cost == in_any_time.cost);
  CHECK(in_time.memory_with_buffers <= *options.memory_budget);
  // One that binds nobody costs no more than none, and is proven as fast.
  options.memory_budget = static_cast<Extent>(ample.memory_with_buffers);
  const plan::Plan no_limit = plan::plan(graph, mesh, prices, options);
  CHECK(no_limit.status == solver::Status::optimal);
  CHECK(no_limit.cost == ample.cost);
  CHECK(no_limit.problem_strategies == ample.problem_strategies);
  options.memory_budget = static_cast<Extent>(ample.memory_with_buffers * 3 / 4);
  options.solver.time_limit = 0;
  CHECK(plan::plan(graph, mesh, prices, options).status == solver::Status::unknown);
}

}  // namespace
