// SPDX-License-Identifier: Apache-2.0
// The solver's manners: what it says at every limit, and what it refuses.
#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "support/files.hpp"
#include "support/problems.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/iopddl.hpp"

namespace {
using namespace tessera_test;

// --- The problem itself --------------------------------------------------------------------------
Problem example() {
  Problem problem;
  const auto node = [&](std::vector<Cost> costs, std::vector<Usage> usages, Interval interval) {
    problem.add_node(costs, usages, interval);
  };
  node({15}, {10}, {30, 70});
  node({55, 65}, {25, 25}, {40, 70});
  node({25, 45, 35}, {15, 20, 15}, {50, 120});
  node({85, 75}, {10, 10}, {110, 140});
  node({95}, {15}, {110, 150});
  const auto edge = [&](NodeId u, NodeId v, std::vector<Cost> costs) {
    const NodeId ends[] = {u, v};
    problem.add_edge(ends, costs);
  };
  edge(0, 1, {30, 40});
  edge(0, 2, {50, 10, 40});
  edge(1, 3, {90, 10, 20, 80});
  edge(2, 4, {60, 20, 30});
  edge(3, 4, {70, 60});
  problem.usage_limit = 50;
  return problem;
}

TEST_CASE("the contest's example") {
  const Problem problem = example();
  const Result result = solve(problem);
  CHECK(result.status == Status::optimal);
  CHECK(result.assignment == Assignment{0, 0, 2, 1, 0});
  CHECK(result.cost == 445);
  const Evaluation evaluation = evaluate(problem, result.assignment);
  CHECK(evaluation.peak_usage == 50);
  CHECK(evaluation.peak_time == 50);
  CHECK_FALSE(evaluate(problem, {0, 0, 1, 1, 0}).within_limit);
}

TEST_CASE("an assignment of another problem is refused") {
  CHECK_THROWS_AS(evaluate(example(), {0, 0}), tessera::InvalidArgument);
  CHECK_THROWS_AS(evaluate(example(), {0, 0, 9, 0, 0}), tessera::InvalidArgument);
}

TEST_CASE("what is no problem is refused when it is built") {
  Problem problem;
  const Cost costs[] = {1, 2};
  const Usage usages[] = {1, 2}, one[] = {1}, negative[] = {1, -2};
  CHECK_THROWS_WITH(problem.add_node({}, {}), "node 0 has no strategies");
  CHECK_THROWS_WITH(problem.add_node(costs, one), "node 0 has 2 costs but 1 usages");
  CHECK_THROWS_WITH(problem.add_node(costs, negative), "node 0 has a negative usage");
  problem.add_node(costs, usages);
  const NodeId stranger[] = {0, 7}, self[] = {0, 0};
  CHECK_THROWS_WITH(problem.add_edge(stranger, costs), "edge 0 names node 7 of 1");
  CHECK_THROWS_WITH(problem.add_edge({}, costs), "edge 0 has no nodes");
  CHECK_THROWS_WITH(problem.add_edge(self, costs),
                    "edge 0 has 2 costs where its nodes' strategies need 4");
}

// --- Small and odd -------------------------------------------------------------------------------
TEST_CASE("nothing to choose") {
  const Result result = solve(Problem());
  CHECK(result.status == Status::optimal);
  CHECK(result.cost == 0);
  CHECK(result.assignment.empty());
}

TEST_CASE("a limit without usage, and usage without an interval") {
  Problem problem;
  problem.usage_limit = 0;
  const Cost costs[] = {3, 1};
  const Usage usages[] = {0, 9};
  problem.add_node(costs, usages, {0, 0});
  CHECK(solve(problem).cost == 1);
  problem.add_node(costs, usages, {5, 6});
  CHECK(solve(problem).cost == 4);
}

TEST_CASE("what can not be is infeasible, with and without presolve") {
  for (const bool presolve : {true, false}) {
    Options options;
    options.presolve = presolve;
    Problem forbidden;
    const Cost never[] = {infinite}, zero[] = {0};
    const Usage none[] = {0}, some[] = {5};
    forbidden.add_node(never, none);
    CHECK(solve(forbidden, options).status == Status::infeasible);
    Problem tight;
    tight.usage_limit = 9;
    tight.add_node(zero, some, {0, 2});
    tight.add_node(zero, some, {1, 3});
    CHECK(solve(tight, options).status == Status::infeasible);
    tight.usage_limit = 10;
    CHECK(solve(tight, options).status == Status::optimal);
    tight.usage_limit = -1;
    CHECK(solve(tight, options).status == Status::infeasible);
  }
}

// --- Limits --------------------------------------------------------------------------------------

// A dense problem that takes more than a moment.
Problem hard_problem() {
  Random random(7);
  Problem problem;
  constexpr NodeId nodes = 40;
  for (NodeId v = 0; v < nodes; ++v) {
    std::vector<Cost> costs(6);
    std::vector<Usage> usages(6);
    for (std::size_t s = 0; s < 6; ++s) {
      costs[s] = random.between(0, 1000);
      usages[s] = random.between(0, 100);
    }
    problem.add_node(costs, usages, {static_cast<std::int64_t>(v) / 2, v / 2 + 15});
  }
  for (NodeId u = 0; u < nodes; ++u)
    for (NodeId v = u + 1; v < nodes; ++v) {
      std::vector<Cost> costs(36);
      for (Cost& cost : costs) cost = random.between(0, 1000);
      const NodeId ends[] = {u, v};
      problem.add_edge(ends, costs);
    }
  problem.usage_limit = 1200;
  return problem;
}

void check_honest(const Problem& problem, const Result& result) {
  if (!result.has_assignment()) return;
  const Evaluation evaluation = evaluate(problem, result.assignment);
  CHECK(evaluation.is_feasible());
  CHECK(evaluation.cost == result.cost);
  CHECK(result.lower_bound <= result.cost);
  CHECK((result.status == Status::optimal) == (result.lower_bound == result.cost));
}

TEST_CASE("at the time limit the best so far is returned, with a bound") {
  const Problem problem = hard_problem();
  Options options;
  options.time_limit = 0.3;
  const Result result = solve(problem, options);
  CHECK(result.status == Status::feasible);
  check_honest(problem, result);
}

TEST_CASE("without any time nothing is claimed") {
  const Problem problem = hard_problem();
  Options options;
  options.time_limit = 0;
  const Result result = solve(problem, options);
  CHECK(result.status != Status::optimal);
  CHECK(result.status != Status::infeasible);
  check_honest(problem, result);
}

TEST_CASE("the node limit stops a search, and a larger one gives no worse an answer") {
  const Problem problem = hard_problem();
  std::optional<Wide> before, bound_before;
  for (const std::uint64_t limit : {1U, 5U, 20U}) {
    Options options;
    options.node_limit = limit;
    const Result result = solve(problem, options);
    CHECK(result.statistics.nodes <= limit);
    check_honest(problem, result);
    REQUIRE(result.has_assignment());
    if (before) CHECK(result.cost <= *before);
    if (bound_before) CHECK(result.lower_bound >= *bound_before);
    before = result.cost;
    bound_before = result.lower_bound;
  }
}

TEST_CASE("the work limit ends a search at the same place every time") {
  const Problem problem = hard_problem();
  std::uint64_t nodes = 0;
  for (const double limit : {1e4, 1e7, 1e9}) {
    Options options;
    options.work_limit = limit;
    const Result result = solve(problem, options), again = solve(problem, options);
    check_honest(problem, result);
    CHECK(result.statistics.nodes >= nodes);
    CHECK(result.statistics.nodes == again.statistics.nodes);
    nodes = result.statistics.nodes;
    CHECK(result.lower_bound == again.lower_bound);
    CHECK(result.assignment == again.assignment);
  }
  CHECK(nodes > 0);
}

// So many parts that nothing connects, each of nodes that all pay for each other.
Problem parts_apart(std::uint64_t seed, NodeId parts) {
  constexpr NodeId nodes = 9;
  constexpr std::size_t strategies = 5;
  Random random(seed);
  Problem problem;
  const std::vector<Cost> none(strategies, 0);
  for (NodeId v = 0; v < parts * nodes; ++v) problem.add_node(none, none);
  for (NodeId u = 0; u < parts * nodes; ++u)
    for (NodeId v = u + 1; v % nodes != 0; ++v) {
      std::vector<Cost> costs(strategies * strategies);
      for (Cost& cost : costs) cost = random.between(0, 1000);
      const NodeId ends[] = {u, v};
      problem.add_edge(ends, costs);
    }
  return problem;
}

TEST_CASE("property: the gap limit ends a search once all parts together are near enough") {
  std::uint64_t nodes = 0, exact_nodes = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed)
    for (const NodeId parts : {1U, 3U}) {
      CAPTURE(seed);
      CAPTURE(parts);
      const Problem problem = parts_apart(seed, parts);
      Options options;
      const Result exact = solve(problem, options);
      REQUIRE(exact.status == Status::optimal);
      options.gap_limit = 0.05;
      const Result near = solve(problem, options);
      check_honest(problem, near);
      CHECK(is_near_enough(near, options));
      nodes += near.statistics.nodes;
      exact_nodes += exact.statistics.nodes;
    }
  CHECK(nodes < exact_nodes);
}

TEST_CASE("an answer tells what room is worth, and another search begins with that") {
  // Node i saves i + 1 by using ten, and there is room for half of them: the last one to have some
  // saves about 50.
  constexpr NodeId nodes = 100;
  Problem problem;
  for (NodeId v = 0; v < nodes; ++v) {
    const Cost costs[] = {0, static_cast<Cost>(v) + 1};
    const Usage usages[] = {10, 0};
    problem.add_node(costs, usages, {3, 7});
  }
  problem.usage_limit = 10 * nodes / 2;
  Options options;
  options.presolve = false;
  const Result result = solve(problem, options);
  REQUIRE(result.status == Status::optimal);
  REQUIRE(result.shadow_prices.size() == 1);
  CHECK(result.shadow_prices[0].time == 3);
  CHECK(result.shadow_prices[0].price == doctest::Approx(5).epsilon(0.1));
  options.shadow_prices = result.shadow_prices;
  options.start.assign(nodes, 0);  // all of them: twice as much as there is room for
  const Result again = solve(problem, options);
  CHECK(again.status == Status::optimal);
  CHECK(again.cost == result.cost);
}

TEST_CASE("cancelling from another thread ends the solve") {
  const Problem problem = hard_problem();
  Options options;
  const Cancellation cancellation = options.cancellation;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancellation.cancel();
  });
  const Result result = solve(problem, options);
  other.join();
  check_honest(problem, result);
}

TEST_CASE("progress tells of better incumbents and of bounds that only rise") {
  const Problem problem = hard_problem();
  Options options;
  options.node_limit = 30;
  std::optional<Wide> incumbent, bound;
  std::size_t calls = 0;
  options.on_progress = [&](const Progress& progress) {
    ++calls;
    if (progress.has_incumbent && incumbent) CHECK(progress.incumbent <= *incumbent);
    if (bound) CHECK(progress.lower_bound >= *bound);
    if (progress.has_incumbent) incumbent = progress.incumbent;
    bound = progress.lower_bound;
  };
  const Result result = solve(problem, options);
  CHECK(calls > 1);
  REQUIRE(incumbent.has_value());
  CHECK(*incumbent == result.cost);
}

TEST_CASE("one thread and one seed give one answer") {
  const Problem problem = hard_problem();
  Options options;
  options.node_limit = 10;
  const Result first = solve(problem, options), second = solve(problem, options);
  CHECK(first.assignment == second.assignment);
  CHECK(first.lower_bound == second.lower_bound);
}

TEST_CASE("several threads agree with one") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    ProblemShape shape;
    shape.max_nodes = 14;
    const Problem problem = random_problem(seed, shape);
    Options options;
    const Result one = solve(problem, options);
    options.threads = 4;
    const Result four = solve(problem, options);
    CHECK(one.status == four.status);
    if (one.has_assignment()) CHECK(one.cost == four.cost);
  }
}

// --- Real instances ------------------------------------------------------------------------------
TEST_CASE("the contest's example file") {
  const auto path = shared_file("instances/example.json");
  if (!path) return;
  const Problem problem = io::read_iopddl(io::read_file(*path), *path);
  CHECK(solve(problem).cost == 445);
}

}  // namespace
