// SPDX-License-Identifier: Apache-2.0
// Ten thousand random problems against brute force, with and without presolve, on one and two
// threads, in 64 and in 128 bits; and every certificate is checked.
#include <doctest/doctest.h>

#include "support/problems.hpp"
#include "tessera/solver/check.hpp"

namespace {
using namespace tessera_test;

void check_against_brute_force(const Problem& problem, Options options,
                               const std::optional<Wide>& best) {
  std::string certificate;
  options.on_proof = [&](std::string_view text) { certificate += text; };
  const Result result = solve(problem, options);
  const Verdict verdict = check_certificate(problem, certificate);
  INFO("line ", verdict.line, ": ", verdict.fault);
  REQUIRE(verdict.is_valid);
  CHECK(verdict.is_infeasible == !best.has_value());
  if (best) CHECK(verdict.lower_bound == to_string(*best));
  if (!best) {
    CHECK(result.status == Status::infeasible);
    return;
  }
  REQUIRE(result.status == Status::optimal);
  CHECK(result.cost == *best);
  CHECK(result.lower_bound == *best);
  CHECK(evaluate(problem, result.assignment).cost == *best);
}

// Something to begin with: any prices, and an assignment that may use too much, or be forbidden.
void add_any_beginning(Options& options, const Problem& problem, std::uint64_t seed) {
  Random random(seed);
  for (std::int64_t time = -1; time < 12; time += random.between(1, 4))
    options.shadow_prices.push_back({time, static_cast<double>(random.between(-5, 50)) / 10});
  for (NodeId v = 0; v < problem.node_count(); ++v)
    options.start.push_back(static_cast<std::uint32_t>(
        random.between(0, static_cast<std::int64_t>(problem.strategy_count(v)) - 1)));
}

TEST_CASE("property: ten thousand small problems are solved to the optimum") {
  for (std::uint64_t seed = 0; seed < 10'000; ++seed) {
    CAPTURE(seed);
    const Problem problem = random_problem(seed);
    const std::optional<Wide> best = brute_force(problem);
    Options options;
    options.presolve = seed % 2 == 0;
    options.threads = seed % 16 == 0 ? 2 : 1;
    if (seed % 3 == 0) add_any_beginning(options, problem, seed);
    check_against_brute_force(problem, options, best);
  }
}

TEST_CASE("property: problems whose totals leave 64 bits") {
  ProblemShape shape;
  shape.lowest = -infinite / 2;
  shape.highest = infinite - 1;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    const Problem problem = random_problem(seed, shape);
    Options options;
    options.presolve = seed % 2 == 0;
    check_against_brute_force(problem, options, brute_force(problem));
  }
}

TEST_CASE("property: usages and limits near the end of 64 bits") {
  ProblemShape shape;
  shape.max_usage = std::numeric_limits<Usage>::max() / 2;
  shape.max_limit = std::numeric_limits<Usage>::max() - 1;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    const Problem problem = random_problem(seed, shape);
    check_against_brute_force(problem, {}, brute_force(problem));
  }
}

TEST_CASE("property: denser problems, where presolve does not finish the work") {
  ProblemShape shape;
  shape.max_nodes = 9;
  shape.max_strategies = 3;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed + 1'000'000);
    Problem problem = random_problem(seed, shape);
    for (NodeId u = 0; u < problem.node_count(); ++u)
      for (NodeId v = u + 1; v < problem.node_count(); ++v) {
        std::vector<Cost> costs(problem.strategy_count(u) * problem.strategy_count(v));
        for (Cost& cost : costs) cost = random.between(0, 30);
        const NodeId ends[] = {u, v};
        problem.add_edge(ends, costs);
      }
    check_against_brute_force(problem, {}, brute_force(problem));
  }
}

}  // namespace
