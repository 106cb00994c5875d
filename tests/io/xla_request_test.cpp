// SPDX-License-Identifier: Apache-2.0
// Requests in XLA's format: a hand-made one, thousands of random ones against brute force over the
// request itself, the ways in which one can be wrong, and what is said about two choices.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "support/problems.hpp"
#include "tessera/io/xla_request.hpp"

namespace {
using namespace tessera_test;
using namespace tessera::io::xla;

Request::Node node(std::string name, std::vector<double> computation,
                   std::vector<double> communication, std::vector<Usage> memory,
                   std::optional<NodeId> follower = std::nullopt) {
  Request::Node result;
  result.name = std::move(name);
  result.strategy_count = computation.size();
  result.follower = follower;
  result.computation_costs = std::move(computation);
  result.communication_costs = std::move(communication);
  result.memory_costs = std::move(memory);
  return result;
}

// Two parameters into a product; its sum follows it, and is live twice.  The second parameter's
// update has no name and must agree with it.
Request example() {
  Request request;
  request.name = "example";
  request.nodes = {node("x", {0, 0}, {0, 0}, {40, 10}), node("w", {0, 0}, {0, 0}, {80, 20}),
                   node("dot.3", {10, 5, 2.5}, {0, 1, 12.5}, {100, 50, 25}),
                   node("sum", {1, 1, 1}, {0, 0.5, 0}, {60, 30, 15}, 2),
                   node("", {0, 0}, {3, 4}, {80, 20})};
  request.edges = {{0, 2, {0, 7, 9, 7, 0, 3}},
                   {1, 2, {0, 2, 8, 5, 1e13, 0}},
                   {2, 3, {1, 0, 0, 0, 2, 0, 0, 0, 4}},
                   {3, 4, {0, 6, 6, 0, 6, 0}}};
  request.aliases = {{1, 4, {0, 1, 1, 0}}};
  request.liveness = {{0, 1}, {0, 1, 2}, {1, 2, 3}, {1, 4}, {3, 4}, {4}};
  request.memory_budget = 200;
  return request;
}

bool is_next(const Request& request, Strategies& strategies) {
  for (NodeId v = 0; v < strategies.size(); ++v) {
    if (++strategies[v] < request.nodes[v].strategy_count) return true;
    strategies[v] = 0;
  }
  return false;
}

// The request's meaning once more, as plainly as can be: what a choice costs, or that it may not
// be.
std::optional<double> judge(const Request& request, const Strategies& choice) {
  double cost = 0;
  for (NodeId v = 0; v < request.nodes.size(); ++v) {
    const Request::Node& n = request.nodes[v];
    if (n.follower && choice[*n.follower] != choice[v]) return std::nullopt;
    const double own = n.computation_costs[choice[v]] + n.communication_costs[choice[v]];
    if (n.computation_costs[choice[v]] >= request.infinity || own >= request.infinity ||
        n.communication_costs[choice[v]] >= request.infinity)
      return std::nullopt;
    cost += own;
  }
  for (const Request::Edge& edge : request.edges) {
    const std::size_t width = request.nodes[edge.second].strategy_count;
    const double own = edge.resharding_costs[choice[edge.first] * width + choice[edge.second]];
    if (own >= request.infinity) return std::nullopt;
    cost += own;
  }
  for (const Request::Alias& alias : request.aliases) {
    const std::size_t width = request.nodes[alias.second].strategy_count;
    if (alias.incompatible[choice[alias.first] * width + choice[alias.second]] != 0)
      return std::nullopt;
  }
  for (const auto& live : request.liveness) {
    Wide memory = 0;
    for (const NodeId v : live) memory += request.nodes[v].memory_costs[choice[v]];
    if (request.memory_budget && memory > *request.memory_budget) return std::nullopt;
  }
  return cost;
}

// Chains of followers in any order, edges and aliases within and across them, nodes that come and
// go.  `parts`: into how many a unit of cost is divided.
Request random_request(std::uint64_t seed, std::int64_t parts) {
  Random random(seed);
  Request request;
  const auto count = static_cast<std::size_t>(random.between(1, 6));
  std::vector<NodeId> order(count);
  std::iota(order.begin(), order.end(), NodeId{0});
  for (std::size_t i = count; i-- > 1;) std::swap(order[i], order[random.below(i + 1)]);
  const auto cost = [&] {
    if (random.once_in(12)) return random.once_in(2) ? 1e13 : 3e17;
    return static_cast<double>(random.between(-5 * parts, 20 * parts)) / static_cast<double>(parts);
  };
  request.nodes.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    Request::Node& n = request.nodes[order[i]];
    n.strategy_count = static_cast<std::size_t>(random.between(1, 3));
    if (i > 0 && random.once_in(3)) {
      n.follower = order[random.below(i)];
      n.strategy_count = request.nodes[*n.follower].strategy_count;
    }
    for (std::size_t s = 0; s < n.strategy_count; ++s) {
      n.computation_costs.push_back(cost());
      n.communication_costs.push_back(cost());
      n.memory_costs.push_back(random.once_in(4) ? 0 : random.between(0, 10));
    }
  }
  const auto any_node = [&] { return static_cast<NodeId>(random.below(count)); };
  for (std::int64_t e = random.between(0, 6); e > 0; --e) {
    Request::Edge edge{any_node(), any_node(), {}};
    edge.resharding_costs.resize(request.nodes[edge.first].strategy_count *
                                 request.nodes[edge.second].strategy_count);
    for (double& entry : edge.resharding_costs) entry = cost();
    request.edges.push_back(edge);
  }
  for (std::int64_t a = random.between(-1, 2); a > 0; --a) {
    Request::Alias alias{any_node(), any_node(), {}};
    alias.incompatible.resize(request.nodes[alias.first].strategy_count *
                              request.nodes[alias.second].strategy_count);
    for (double& entry : alias.incompatible) entry = random.once_in(3) ? 1 : 0;
    request.aliases.push_back(alias);
  }
  request.liveness.resize(static_cast<std::size_t>(random.between(0, 7)));
  for (auto& live : request.liveness)
    for (const NodeId v : order)
      if (random.once_in(2)) live.push_back(v);
  if (!random.once_in(4)) request.memory_budget = random.between(0, 40);
  return request;
}

// What is listed adds up.
void check_comparison(const Request& request, const Strategies& chosen, const Strategies& instead) {
  const Comparison comparison = compare(request, chosen, instead);
  double sum = 0;
  for (const auto* changes : {&comparison.worse, &comparison.better}) {
    for (std::size_t i = 0; i < changes->size(); ++i) {
      sum += (*changes)[i].amount;
      REQUIRE(((*changes)[i].amount > 0) == (changes == &comparison.worse));
      if (i > 0) REQUIRE(std::abs((*changes)[i - 1].amount) >= std::abs((*changes)[i].amount));
    }
  }
  REQUIRE(std::abs(comparison.difference - sum) <= 1e-11);
  bool is_whole = true;
  for (const auto* side : {&comparison.chosen, &comparison.instead})
    for (const Violation& violation : side->evaluation.violations)
      is_whole = is_whole && violation.kind != Violation::Kind::forbidden_node &&
                 violation.kind != Violation::Kind::forbidden_edge;
  const double difference = comparison.instead.evaluation.objective() -
                            comparison.chosen.evaluation.objective();
  if (is_whole) REQUIRE(std::abs(comparison.difference - difference) <= 1e-11);
  if (comparison.chosen.evaluation.is_feasible())
    REQUIRE(comparison.new_violations.size() == comparison.instead.evaluation.violations.size());
}

void check_against_brute_force(const Request& request, bool is_exact) {
  const RequestProblem made = make_problem(request);
  CHECK((made.rounding_error == 0) == is_exact);
  // Sums of doubles are themselves rounded.
  const double slack = made.rounding_error + (is_exact ? 0 : 1e-12);

  std::optional<double> best;
  Strategies best_choice, choice(request.nodes.size(), 0), previous = choice;
  do {
    const std::optional<double> cost = judge(request, choice);
    const RequestEvaluation evaluation = evaluate(request, choice);
    REQUIRE(evaluation.is_feasible() == cost.has_value());
    if (cost) REQUIRE(std::abs(evaluation.objective() - *cost) <= (is_exact ? 0 : 1e-12));
    const Assignment assignment = assignment_of(request, made.mapping, choice);
    const Strategies back = strategies_of(request, made.mapping, assignment);
    bool follows = true;
    for (NodeId v = 0; v < choice.size(); ++v)
      if (const auto followed = request.nodes[v].follower)
        follows = follows && choice[v] == choice[*followed];
    REQUIRE((back == choice) == follows);
    if (follows) {
      const Evaluation there = evaluate(made.problem, assignment);
      REQUIRE(there.is_feasible() == cost.has_value());
      REQUIRE(there.peak_usage == evaluation.peak_memory);
      if (there.peak_usage > 0)
        REQUIRE(there.peak_time == static_cast<std::int64_t>(evaluation.peak_point));
      if (cost) REQUIRE(std::abs(made.to_cost(there.cost) - *cost) <= slack);
    }
    check_comparison(request, previous, choice);
    previous = choice;
    if (cost && (!best || *cost < *best)) {
      best = cost;
      best_choice = choice;
    }
  } while (is_next(request, choice));

  const Result result = solve(made.problem);
  CHECK((result.status == Status::optimal) == best.has_value());
  CHECK((result.status == Status::infeasible) == !best.has_value());
  if (!best) return;
  const Strategies answer = strategies_of(request, made.mapping, result.assignment);
  const std::optional<double> cost = judge(request, answer);
  REQUIRE(cost);
  CHECK(std::abs(*cost - *best) <= 2 * slack);
  CHECK(made.to_cost(result.lower_bound) - slack <= *best);
  if (is_exact) CHECK(made.to_cost(result.cost) == *best);
  Options warm;
  warm.start = assignment_of(request, made.mapping, best_choice);
  CHECK(solve(made.problem, warm).cost == result.cost);
}

TEST_CASE("a small request, by hand") {
  const Request request = example();
  const RequestProblem made = make_problem(request);
  // Halves; "sum" is one with "dot.3", but for its memory, which comes twice.
  CHECK(made.units_per_cost == 2);
  CHECK(made.rounding_error == 0);
  CHECK(made.problem.name == "example");
  CHECK(made.problem.usage_limit == 200);
  CHECK(made.mapping.node_of == std::vector<NodeId>{0, 1, 2, 2, 3});
  REQUIRE(made.problem.node_count() == 6);
  CHECK(made.mapping.leader_of == std::vector<NodeId>{0, 1, 2, 4, 2, 2});
  const auto costs = made.problem.costs(2);  // computation, communication, and the edge between
  CHECK(std::vector<Cost>(costs.begin(), costs.end()) == std::vector<Cost>{24, 19, 40});
  CHECK(made.problem.interval(2) == Interval{1, 3});
  CHECK(made.problem.interval(4) == Interval{2, 3});
  CHECK(made.problem.interval(5) == Interval{4, 5});
  CHECK(made.problem.edge_count() == 6);  // two ties, three edges, an alias
  CHECK(made.problem.edge_costs(3)[4] == infinite);

  // The cheapest choice of all has 220 alive at point 1, and 240 at point 2.
  const Result result = solve(made.problem);
  REQUIRE(result.status == Status::optimal);
  const Strategies strategies = strategies_of(request, made.mapping, result.assignment);
  CHECK(strategies == Strategies{1, 0, 1, 1, 0});
  CHECK(made.to_cost(result.cost) == 20.5);
  const RequestEvaluation evaluation = evaluate(request, strategies);
  CHECK(evaluation.is_feasible());
  CHECK(evaluation.computation == 6);
  CHECK(evaluation.communication == 4.5);
  CHECK(evaluation.resharding == 10);
  CHECK(evaluation.objective() == 20.5);
  CHECK(evaluation.peak_memory == 160);
  CHECK(evaluation.peak_point == 2);
}

TEST_CASE("without a budget, the problem still has memory usage") {
  Request request = example();
  request.memory_budget.reset();
  RequestProblem made = make_problem(request);
  CHECK(made.problem.node_count() == 6);
  CHECK(made.to_cost(solve(made.problem).cost) == 15);
  made.problem.usage_limit = 200;
  CHECK(made.to_cost(solve(made.problem).cost) == 20.5);
}

TEST_CASE("each kind of violation names its nodes") {
  Request request = example();
  request.nodes[4].communication_costs[0] = 6e12;  // forbidden only together
  request.nodes[4].computation_costs[0] = 6e12;
  const Strategies strategies{0, 1, 1, 0, 0};
  const RequestEvaluation evaluation = evaluate(request, strategies);
  REQUIRE(evaluation.violations.size() == 4);
  using Kind = Violation::Kind;
  const auto check = [&](std::size_t i, Kind kind, std::size_t index, std::vector<NodeId> nodes) {
    CHECK(evaluation.violations[i].kind == kind);
    CHECK(evaluation.violations[i].index == index);
    CHECK(evaluation.violations[i].nodes == nodes);
  };
  check(0, Kind::follower, 3, {3, 2});
  check(1, Kind::alias, 0, {1, 4});
  check(2, Kind::forbidden_node, 4, {4});
  check(3, Kind::forbidden_edge, 1, {1, 2});
  CHECK(evaluation.communication == 1);

  const RequestEvaluation large = evaluate(example(), {0, 0, 0, 0, 0});
  REQUIRE(large.violations.size() == 2);
  CHECK(large.violations[1].kind == Kind::memory);
  CHECK(large.violations[1].index == 2);
  CHECK(large.violations[1].excess == 40);
  CHECK(large.violations[1].nodes == std::vector<NodeId>{2, 1, 3});
  CHECK(large.peak_memory == 240);
}

TEST_CASE("the largest of many users are named") {
  Request request;
  for (Usage v = 0; v < 20; ++v) request.nodes.push_back(node("", {0}, {0}, {v}));
  request.liveness.emplace_back(20);
  std::iota(request.liveness[0].begin(), request.liveness[0].end(), NodeId{0});
  request.memory_budget = 0;
  const RequestEvaluation evaluation = evaluate(request, Strategies(20, 0));
  REQUIRE(evaluation.violations.size() == 1);
  CHECK(evaluation.violations[0].excess == 190);
  CHECK(evaluation.violations[0].nodes == std::vector<NodeId>{19, 18, 17, 16, 15, 14, 13, 12});
}

TEST_CASE("why not this one instead") {
  const Request request = example();
  const Strategies chosen{1, 0, 1, 1, 0};
  const Comparison dearer = compare(request, chosen, {1, 1, 2, 2, 1});
  CHECK(dearer.difference == 6.5);
  CHECK(dearer.worse.size() == 4);
  CHECK(dearer.better.size() == 4);
  CHECK(dearer.new_violations.empty());
  CHECK(to_string(request, dearer) ==
        "costs 6.5 more: 27 instead of 20.5\n"
        "worse:\n"
        "  node dot.3: communication +11.5 (strategy 2 instead of 1)\n"
        "  edge x -> dot.3: resharding +3 (strategies 1 and 2 instead of 1 and 1)\n"
        "  edge dot.3 -> sum: resharding +2 (strategies 2 and 2 instead of 1 and 1)\n"
        "  node 4: communication +1 (strategy 1 instead of 0)\n"
        "better:\n"
        "  edge sum -> 4: resharding -6 (strategies 2 and 1 instead of 1 and 0)\n"
        "  node dot.3: computation -2.5 (strategy 2 instead of 1)\n"
        "  edge w -> dot.3: resharding -2 (strategies 1 and 2 instead of 0 and 1)\n"
        "  node sum: communication -0.5 (strategy 2 instead of 1)\n"
        "peak memory: 60 at program point 2 instead of 160 at 2\n");
  CHECK(to_string(request, dearer, 1) ==
        "costs 6.5 more: 27 instead of 20.5\n"
        "worse:\n"
        "  node dot.3: communication +11.5 (strategy 2 instead of 1)\n"
        "  and 3 more: +6 in all\n"
        "better:\n"
        "  edge sum -> 4: resharding -6 (strategies 2 and 1 instead of 1 and 0)\n"
        "  and 3 more: -5 in all\n"
        "peak memory: 60 at program point 2 instead of 160 at 2\n");
  CHECK(to_string(request, compare(request, chosen, {0, 0, 0, 0, 0}), 2) ==
        "costs 5.5 less: 15 instead of 20.5\n"
        "new violations:\n"
        "  memory at program point 1: 20 over the budget; the largest there: node dot.3 uses 100, "
        "node w uses 80, node x uses 40\n"
        "  memory at program point 2: 40 over the budget; the largest there: node dot.3 uses 100, "
        "node w uses 80, node sum uses 60\n"
        "worse:\n"
        "  node dot.3: computation +5 (strategy 0 instead of 1)\n"
        "better:\n"
        "  edge sum -> 4: resharding -6 (strategies 0 and 0 instead of 1 and 0)\n"
        "  edge w -> dot.3: resharding -2 (strategies 0 and 0 instead of 0 and 1)\n"
        "  and 3 more: -2.5 in all\n"
        "peak memory: 240 at program point 2 instead of 160 at 2\n");
  // The forbidden edge has no amount: it is a violation, and the rest is added up without it.
  const Comparison forbidden = compare(request, chosen, {1, 1, 1, 2, 0});
  CHECK(to_string(request, forbidden) ==
        "costs 2.5 less, forbidden costs aside\n"
        "new violations:\n"
        "  node sum follows node dot.3, but takes strategy 2 where that takes 1\n"
        "  alias w -> 4: strategies 1 and 0 can not go together\n"
        "  edge w -> dot.3: strategies 1 and 1 are forbidden together\n"
        "better:\n"
        "  edge dot.3 -> sum: resharding -2 (strategies 1 and 2 instead of 1 and 1)\n"
        "  node sum: communication -0.5 (strategy 2 instead of 1)\n"
        "peak memory: 100 at program point 3 instead of 160 at 2\n");
  CHECK(to_string(request, compare(request, chosen, chosen)) == "costs the same: 20.5\n");

  Request wrong = example();
  wrong.nodes[4].computation_costs[1] = 1e13;
  CHECK(to_string(wrong, compare(wrong, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 1}), 0).find("node 4") ==
        std::string::npos);
  CHECK(to_string(wrong, compare(wrong, {1, 1, 2, 2, 0}, {1, 1, 2, 2, 1})) ==
        "costs 6 less, forbidden costs aside\n"
        "new violations:\n"
        "  node 4: strategy 1 is forbidden\n"
        "better:\n"
        "  edge sum -> 4: resharding -6 (strategies 2 and 1 instead of 2 and 0)\n"
        "peak memory: 60 at program point 2 instead of 100 at 3\n");
}

TEST_CASE("a violation is new only if it grew") {
  Request request;
  request.nodes = {node("a", {0, 0, 0}, {0, 0, 0}, {5, 7, 6})};
  request.liveness = {{0}};
  request.memory_budget = 1;
  CHECK(compare(request, {0}, {1}).new_violations.size() == 1);
  CHECK(compare(request, {1}, {2}).new_violations.empty());
  request.nodes[0].computation_costs = {1e13, 1e13, 0};
  request.memory_budget.reset();
  CHECK(compare(request, {0}, {1}).new_violations.empty());
  CHECK(compare(request, {2}, {1}).new_violations.size() == 1);
}

TEST_CASE("every way in which a request can be wrong is named") {
  const auto check = [](const std::function<void(Request&)>& change, const char* message) {
    CAPTURE(message);
    Request request = example();
    change(request);
    CHECK_THROWS_WITH_AS(validate(request), message, tessera::InvalidArgument);
    CHECK_THROWS_AS(make_problem(request), tessera::InvalidArgument);
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  check([](Request& r) { r.nodes[4].strategy_count = 0; }, "node 4 has no strategies");
  check([](Request& r) { r.nodes[2].strategy_count = 2; },
        "node 2 (dot.3) has 3 computation costs for 2 strategies");
  check([](Request& r) { r.nodes[0].communication_costs.pop_back(); },
        "node 0 (x) has 1 communication costs for 2 strategies");
  check([](Request& r) { r.nodes[0].memory_costs.push_back(1); },
        "node 0 (x) has 3 memory costs for 2 strategies");
  check([&](Request& r) { r.nodes[0].computation_costs[1] = nan; },
        "node 0 (x): computation cost 1 is not a number");
  check([&](Request& r) { r.nodes[4].communication_costs[0] = -inf; },
        "node 4: communication cost 0 is minus infinity");
  check([](Request& r) { r.nodes[0].memory_costs[1] = -1; },
        "node 0 (x): memory cost 1 is negative");
  check([](Request& r) { r.nodes[1].follower = 5; }, "node 1 (w) follows node 5 of 5");
  check([](Request& r) { r.nodes[1].follower = 2; },
        "node 1 (w) has 2 strategies, but node 2 (dot.3), which it follows, has 3");
  check([](Request& r) { r.nodes[1].follower = 1; },
        "nodes follow each other in a cycle: node 1 (w) -> node 1 (w)");
  check(
      [](Request& r) {
        r.nodes[0].follower = 1;
        r.nodes[1].follower = 4;
        r.nodes[4].follower = 1;
      },
      "nodes follow each other in a cycle: node 1 (w) -> node 4 -> node 1 (w)");
  check([](Request& r) { r.edges[3].second = 5; }, "edge 3 names node 5 of 5");
  check([](Request& r) { r.edges[1].resharding_costs.pop_back(); },
        "edge 1 (w -> dot.3) has 5 costs where its nodes' strategies need 6");
  check([&](Request& r) { r.edges[3].resharding_costs[2] = nan; },
        "edge 3 (sum -> 4): resharding cost 2 is not a number");
  check([](Request& r) { r.aliases[0].first = 9; }, "alias 0 names node 9 of 5");
  check([](Request& r) { r.aliases[0].incompatible.push_back(0); },
        "alias 0 (w -> 4) has 5 entries where its nodes' strategies need 4");
  check([&](Request& r) { r.aliases[0].incompatible[3] = nan; },
        "alias 0 (w -> 4): entry 3 is not a number");
  check([](Request& r) { r.liveness[5].push_back(5); }, "program point 5 lists node 5 of 5");
  check([](Request& r) { r.liveness[2].push_back(1); }, "program point 2 lists node 1 (w) twice");
  check([](Request& r) { r.memory_budget = -1; },
        "the memory budget is negative; where there is none, leave it out");
  for (const double infinity : {0.0, -1.0, nan, inf})
    check([&](Request& r) { r.infinity = infinity; },
          "the cost taken for infinity is not between 0 and 1e100");
  CHECK_NOTHROW(validate(Request()));
}

TEST_CASE("strategies and assignments that are not of this request") {
  const Request request = example();
  const RequestProblem made = make_problem(request);
  CHECK_THROWS_WITH_AS(evaluate(request, Strategies{0, 0}), "there are 2 strategies for 5 nodes",
                       tessera::InvalidArgument);
  CHECK_THROWS_WITH_AS(compare(request, {0, 0, 0, 0, 0}, {0, 0, 3, 0, 0}),
                       "node 2 (dot.3) has no strategy 3", tessera::InvalidArgument);
  CHECK_THROWS_AS(assignment_of(request, made.mapping, {2, 0, 0, 0, 0}), tessera::InvalidArgument);
  CHECK_THROWS_AS(strategies_of(request, made.mapping, {0, 0, 0, 0}), tessera::InvalidArgument);
  CHECK_THROWS_AS(strategies_of(request, made.mapping, {0, 0, 0, 2, 0, 0}), tessera::InvalidArgument);
  // Who follows is led.
  CHECK(assignment_of(request, made.mapping, {1, 0, 2, 0, 1}) == Assignment{1, 0, 2, 1, 2, 2});
}

TEST_CASE("units are as fine as 64 bits allow") {
  Request request;
  request.nodes = {node("", {0.1, 3}, {0, 0}, {0, 0}), node("", {0.25, 1e12}, {0, 0}, {0, 0})};
  const auto units = [&] { return make_problem(request).units_per_cost; };
  const auto error = [&] { return make_problem(request).rounding_error; };
  CHECK(units() == std::ldexp(1.0, 14));  // 10^12 < 2^40
  CHECK(error() > 0);
  CHECK(error() <= 0.5 / units());
  request.nodes[0].computation_costs[0] = 0.375;
  CHECK(units() == 8);
  CHECK(error() == 0);
  request.nodes[0].computation_costs[0] = 1.0 / 16;
  CHECK(units() == 16);
  // Too much in all for 64 bits: whole units, and integers remain what they are.
  request.infinity = 1e20;
  request.nodes[1].computation_costs[1] = std::ldexp(1.0, 60);
  CHECK(units() == 1);
  CHECK(error() == doctest::Approx(0.3125));
  request.nodes[0].computation_costs[0] = 1;
  request.nodes[1].computation_costs[0] = 4;
  CHECK(units() == 1);
  CHECK(error() == 0);
  // Followers add up in one cost, which must fit.
  request.nodes[1].follower = 0;
  request.nodes[0].computation_costs[1] = std::ldexp(1.0, 61);
  CHECK(units() == 0.5);
  CHECK(error() == doctest::Approx(1));  // of the 1; the 4 is two units
  CHECK(make_problem(request).to_cost(make_problem(request).problem.costs(0)[1]) ==
        std::ldexp(3.0, 60));
  // What can not be chosen does not count, nor what is very small.
  request.infinity = 1e13;
  CHECK(units() == 1);
  request.nodes[0].computation_costs = {5e-324, 0};
  request.nodes[1].computation_costs = {0, 0};
  CHECK(units() == std::ldexp(1.0, 1000));
  CHECK(error() < 1e-300);
  CHECK(make_problem(Request()).units_per_cost == 1);
}

TEST_CASE("memory of followers that does not fit in 64 bits when added up") {
  const Usage most = std::numeric_limits<Usage>::max();
  Request request;
  request.nodes = {node("", {0, 9}, {0, 0}, {most, 1}), node("", {0, 9}, {0, 0}, {most, 1}, 0),
                   node("", {0, 9}, {0, 0}, {2, 2}, 1)};
  request.liveness = {{0, 1, 2}};
  request.memory_budget = most;
  const RequestProblem made = make_problem(request);
  CHECK(made.problem.node_count() == 3);
  CHECK(evaluate(made.problem, {0, 0, 0}).peak_usage == Wide(most) * 2 + 2);
  const Result result = solve(made.problem);
  CHECK(strategies_of(request, made.mapping, result.assignment) == Strategies{1, 1, 1});
}

TEST_CASE("property: the rounding error of coarse units is within the stated bound") {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    // A price just below infinity, which nobody pays, leaves few digits to the others.
    Request request = random_request(seed, 10);
    for (Request::Edge& edge : request.edges)
      for (double& cost : edge.resharding_costs)
        if (cost >= 1e13) cost = 1e20;
    for (Request::Node& n : request.nodes)
      for (auto* costs : {&n.computation_costs, &n.communication_costs})
        for (double& cost : *costs)
          if (cost >= 1e13) cost = 1e20;
    request.infinity = 1e20;
    request.nodes.push_back(
        node("", {0, std::ldexp(1.0, 50 + static_cast<int>(seed % 9))}, {0, 0}, {0, 0}));
    const RequestProblem made = make_problem(request);
    CHECK(made.units_per_cost <= 16);
    const double slack = made.rounding_error + 1e-11;
    Strategies choice(request.nodes.size(), 0);
    std::optional<double> best;
    do {
      const std::optional<double> cost = judge(request, choice);
      if (!cost || choice.back() == 1) continue;
      if (!best || *cost < *best) best = cost;
      const Evaluation there = evaluate(made.problem, assignment_of(request, made.mapping, choice));
      REQUIRE(there.is_feasible());
      REQUIRE(std::abs(made.to_cost(there.cost) - *cost) <= slack);
    } while (is_next(request, choice));
    const Result result = solve(made.problem);
    CHECK(result.has_assignment() == best.has_value());
    if (!best) continue;
    const Strategies answer = strategies_of(request, made.mapping, result.assignment);
    CHECK(evaluate(request, answer).objective() <= *best + 2 * slack);
    CHECK(made.to_cost(result.lower_bound) - slack <= *best);
  }
}

TEST_CASE("property: thousands of requests are solved to the optimum") {
  for (std::uint64_t seed = 0; seed < 3'000; ++seed) {
    CAPTURE(seed);
    const std::int64_t parts = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 8 : 10;
    const Request request = random_request(seed, parts);
    bool is_exact = true;
    const RequestProblem made = make_problem(request);
    if (parts == 10) is_exact = made.rounding_error == 0;
    if (parts < 10) CHECK(made.units_per_cost <= static_cast<double>(parts));
    if (!is_exact) CHECK(made.rounding_error < 1e-12);
    check_against_brute_force(request, is_exact);
  }
}
}  // namespace
