// SPDX-License-Identifier: Apache-2.0
// The solver's parts by themselves: what the small problems of the other tests are done with too
// soon to reach.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "support/problems.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/detail/bound/exact_costs_of.hpp"
#include "tessera/solver/detail/bound/relaxation.hpp"
#include "tessera/solver/detail/presolve/dominance.hpp"
#include "tessera/solver/detail/presolve/presolve.hpp"
#include "tessera/solver/detail/presolve/reduce.hpp"
#include "tessera/solver/detail/search/explorer.hpp"
#include "tessera/solver/detail/search/interchangeable.hpp"

namespace {
using namespace tessera_test;
using namespace tessera::solver::detail;

// In 64 bits.
Reduced reduced_of(const Problem& problem) {
  return make_reduced(problem, make_cost_tables(false), 0);
}

// A component as it would be without presolve, of some size, within reach of a feasible choice.
struct Sample {
  Problem problem;
  Reduced reduced;
  Component component;
  Weights weights;

  explicit Sample(Problem made)
      : problem(std::move(made)),
        reduced(reduced_of(problem)),
        component(remainder_of(reduced)),
        weights(component) {}
  Sample(const Sample&) = delete;
  Sample& operator=(const Sample&) = delete;
};

// A grid of nodes, so that elimination has something to hold; each uses something for a while.
Problem grid_problem(std::uint64_t seed, NodeId width, NodeId height, std::int64_t strategies,
                     std::optional<Usage> limit) {
  Random random(seed);
  Problem problem;
  for (NodeId v = 0; v < width * height; ++v) {
    std::vector<Cost> costs;
    std::vector<Usage> usages;
    for (std::int64_t s = 0; s < strategies; ++s) {
      usages.push_back(random.between(0, 10));
      costs.push_back(30 - 3 * usages.back() + random.between(0, 20));
    }
    const auto begin = static_cast<std::int64_t>(v);
    problem.add_node(costs, usages, {begin, begin + random.between(1, 12)});
  }
  const auto connect = [&](NodeId u, NodeId v) {
    std::vector<Cost> costs;
    for (std::int64_t i = 0; i < strategies * strategies; ++i)
      costs.push_back(random.between(0, 25));
    const NodeId ends[] = {u, v};
    problem.add_edge(ends, costs);
  };
  for (NodeId y = 0; y < height; ++y)
    for (NodeId x = 0; x < width; ++x) {
      if (x + 1 < width) connect(y * width + x, y * width + x + 1);
      if (y + 1 < height) connect(y * width + x, (y + 1) * width + x);
    }
  problem.usage_limit = limit;
  return problem;
}

Choice first_values(const Component& component) { return Choice(component.size(), 0); }

// Bucket elimination of all variables, with no value fixed and none conditioned on.
Choice eliminated(const Sample& sample, std::uint64_t seed) {
  RandomSource random(seed);
  BucketElimination elimination(sample.weights);
  std::vector<std::uint32_t> all(sample.component.size());
  std::iota(all.begin(), all.end(), 0U);
  elimination.plan(all, 30, random);
  REQUIRE(elimination.conditioned() == 0);
  Choice choice = first_values(sample.component);
  elimination.minimise(sample.weights.costs(), choice);
  return choice;
}

TEST_CASE("property: elimination without a limit finds the optimum") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    const Sample sample(grid_problem(seed, 3, 3, 2 + static_cast<std::int64_t>(seed % 2), {}));
    CHECK(cost_of(sample.component, eliminated(sample, seed)) == brute_force(sample.problem));
  }
}

TEST_CASE("property: elimination with a limit never makes things worse, and keeps what it says") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Sample sample(grid_problem(seed, 8, 8, 3, {}));
    RandomSource random(seed);
    BucketElimination elimination(sample.weights);
    std::vector<std::uint32_t> some;
    for (std::uint32_t v = 0; v < sample.component.size(); ++v)
      if (v % 3 != 0 || seed % 2 == 0) some.push_back(v);
    Choice choice = first_values(sample.component);
    for (int pass = 0; pass < 3; ++pass) {
      const Choice before = choice;
      elimination.plan(some, 5, random);
      elimination.minimise(sample.weights.costs(), choice);
      CHECK(*cost_of(sample.component, choice) <= *cost_of(sample.component, before));
      if (seed % 2 == 0) continue;
      for (std::uint32_t v = 0; v < choice.size(); v += 3) CHECK(choice[v] == before[v]);
    }
    if (seed % 2 == 0) CHECK(elimination.conditioned() > 0);
  }
}

TEST_CASE("elimination chooses among values where every choice is forbidden several times over") {
  // A star of three values a node whose leaves each forbid everything, with the hub and with nodes
  // that stay as they are; the fourth place of a row is padding.
  Problem problem;
  constexpr NodeId leaves = 4;
  const std::vector<Usage> nothing(3, 0);
  const NodeId hub = problem.add_node(std::vector<Cost>{1, 2, 3}, nothing, {0, 1});
  const std::vector<Cost> forbidden(9, infinite);
  std::vector<std::uint32_t> free{hub};
  for (NodeId k = 0; k < leaves; ++k) {
    const NodeId leaf = problem.add_node(std::vector<Cost>{3, 2, 1}, nothing, {0, 1});
    const NodeId held = problem.add_node(std::vector<Cost>{1, 1, 1}, nothing, {0, 1});
    free.push_back(leaf);
    for (const NodeId other : {hub, held}) {
      const NodeId ends[] = {other, leaf};
      problem.add_edge(ends, forbidden);
    }
  }
  Sample sample(problem);
  RandomSource random(0);
  BucketElimination elimination(sample.weights);
  elimination.plan(free, 30, random);
  Choice choice = first_values(sample.component);
  elimination.minimise(sample.weights.costs(), choice);
  for (const std::uint32_t value : choice) CHECK(value < 3);
}

TEST_CASE("property: a choice state keeps count of cost and usage") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Sample sample(grid_problem(seed, 5, 4, 3, 22));
    Random random(seed);
    ChoiceState state(sample.component);
    state.set(first_values(sample.component));
    for (int move = 0; move < 20; ++move) {
      Choice target = state.choice();
      std::vector<std::uint32_t> changed;
      for (std::uint32_t v = 0; v < target.size(); ++v) {
        if (!random.once_in(4)) continue;
        const auto value = static_cast<std::uint32_t>(random.between(0, 2));
        if (value == target[v]) continue;
        target[v] = value;
        changed.push_back(v);
      }
      const auto change = state.change_in_cost(changed, target);
      REQUIRE(change.has_value());
      CHECK(state.cost() + *change == *cost_of(sample.component, target));
      const bool fits_before = is_within_capacity(sample.component, state.choice());
      if (fits_before)
        CHECK(state.fits(changed, target) == is_within_capacity(sample.component, target));
      state.move(changed, target, *change);
      const std::vector<UsageSum> usage = usage_of(sample.component, target);
      for (std::size_t t = 0; t < usage.size(); ++t) CHECK(state.usage(t) == usage[t]);
    }
  }
}

TEST_CASE("property: the exact bound is one, and so are its reduced costs") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Sample sample(grid_problem(seed, 3, 3, 2, 22));
    const std::optional<Wide> best = brute_force(sample.problem);
    if (!best) continue;
    Random random(seed);
    Relaxation relaxation(sample.weights);
    if (seed % 3 != 0)
      relaxation.optimise(static_cast<int>(random.between(0, 60)), 1e300, [] { return false; });
    std::vector<double> messages = relaxation.messages().forward();
    if (seed % 3 == 0)
      for (double& message : messages)
        message = static_cast<double>(random.between(-50, 50));
    const Bound bound = exact_bound(
        sample.component, messages, rounded_multipliers(sample.component, relaxation.lambda()));
    CHECK(bound.value <= *best);
    for (NodeId v = 0; v < sample.problem.node_count(); ++v)
      for (std::uint32_t s = 0; s < sample.problem.strategy_count(v); ++s) {
        Problem fixed = sample.problem;
        fixed.fix(v, s);
        const std::optional<Wide> with_it = brute_force(fixed);
        if (!with_it) continue;
        CHECK(bound.value + bound.reduced_costs[sample.component.first[v] + s] <= *with_it);
      }
  }
}

TEST_CASE("property: a subproblem costs what the whole does, and fits where it does") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Sample sample(grid_problem(seed, 4, 4, 3, 22));
    const Result result = solve(sample.problem, [] {
      Options options;
      options.node_limit = 5;
      return options;
    }());
    if (!result.has_assignment()) continue;
    const Choice& choice = result.assignment;
    Random random(seed);
    Domains domains(sample.component.total_values(), 0);
    for (std::uint32_t v = 0; v < choice.size(); ++v) {
      domains[sample.component.first[v] + choice[v]] = 1;
      const auto other = static_cast<std::uint32_t>(random.between(0, 2));
      if (random.once_in(2)) domains[sample.component.first[v] + other] = 1;
    }
    const Subproblem subproblem(sample.component, domains, choice);
    CHECK(subproblem.lifted(subproblem.start()) == choice);
    const Wide whole_cost = *cost_of(sample.component, choice);
    const Wide part_cost = *cost_of(subproblem.component(), subproblem.start());
    for (int i = 0; i < 10; ++i) {
      Choice part;
      for (std::uint32_t v = 0; v < subproblem.component().size(); ++v)
        part.push_back(static_cast<std::uint32_t>(
            random.between(0, subproblem.component().value_count(v) - 1)));
      const Choice whole = subproblem.lifted(part);
      CHECK(*cost_of(sample.component, whole) - whole_cost ==
            *cost_of(subproblem.component(), part) - part_cost);
      CHECK(is_within_capacity(sample.component, whole) ==
            is_within_capacity(subproblem.component(), part));
    }
  }
}

TEST_CASE("property: interchangeable variables with one value cost and use what the whole does") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    CAPTURE(seed);
    const Sample sample(layered_problem(seed, 20, 4, 150));
    const Component& whole = sample.component;
    std::vector<std::size_t> counts;
    for (const int depth : {0, 1, 3, 100}) {
      const std::vector<std::uint32_t> classes = interchangeable_classes(whole, depth);
      const MergedComponent merged(whole, classes);
      counts.push_back(merged.component().size());
      RandomSource random(seed);
      Choice choice(merged.component().size());
      for (std::uint32_t c = 0; c < choice.size(); ++c)
        choice[c] = static_cast<std::uint32_t>(random.below(merged.component().value_count(c)));
      const Choice lifted = merged.lifted(choice);
      CHECK(cost_of(whole, lifted) == cost_of(merged.component(), choice));
      CHECK(usage_of(whole, lifted) ==
            usage_of(merged.component(), choice));
    }
    // The farther one looks the more differs: in the end all layers do, by their distance from
    // either end.
    CHECK(counts[0] == 4);
    CHECK(std::is_sorted(counts.begin(), counts.end()));
    CHECK(counts[2] < whole.size() / 2);
    CHECK(counts[3] == whole.size());
  }
}

TEST_CASE("property: a row of equal layers has the optimum that elimination finds") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    const Sample sample(layered_problem(seed, 30, 4, {}));
    const Result result = solve(sample.problem);
    CHECK(result.status == Status::optimal);
    CHECK(result.cost == cost_of(sample.component, eliminated(sample, seed)));
  }
}

TEST_CASE("improver and explorer stay feasible, and never lose") {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    CAPTURE(seed);
    Sample sample(grid_problem(seed, 12, 12, 4, 34));
    Options options;
    options.node_limit = 1;
    const Result quick = solve(sample.problem, options);
    REQUIRE(quick.has_assignment());
    Improver improver(sample.weights, seed);
    improver.start_from(quick.assignment);
    Wide cost = improver.cost();
    CHECK(cost == quick.cost);
    for (int step = 0; step < 100; ++step) {
      improver.step();
      CHECK(improver.cost() <= cost);
      cost = improver.cost();
      CHECK(is_within_capacity(sample.component, improver.choice()));
      CHECK(*cost_of(sample.component, improver.choice()) == cost);
    }
    const Deadline deadline(options);
    Incumbent incumbent(sample.component, 1, 0, nullptr);
    Explorer explorer(sample.weights, incumbent, deadline, seed);
    for (int turn = 0; turn < 3; ++turn) explorer.advance({});
    REQUIRE(incumbent.cost().has_value());
    CHECK(*incumbent.cost() >= quick.lower_bound);
  }
}

TEST_CASE("property: presolve's way there and back") {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    const Problem problem = random_problem(seed);
    Options options;
    const Deadline deadline(options);
    Reduced reduced = reduced_of(problem);
    if (reduced.infeasible) continue;
    presolve(reduced, deadline);
    // Some feasible assignment, as presolve leaves it, and back: feasible, and no dearer.
    Random random(seed);
    for (int attempt = 0; attempt < 30; ++attempt) {
      Assignment assignment;
      for (NodeId v = 0; v < problem.node_count(); ++v)
        assignment.push_back(static_cast<std::uint32_t>(
            random.between(0, static_cast<std::int64_t>(problem.strategy_count(v)) - 1)));
      const Evaluation before = evaluate(problem, assignment);
      if (!before.is_feasible()) continue;
      CHECK_FALSE(reduced.infeasible);
      std::vector<Value> values(assignment.begin(), assignment.end());
      for (const Value value : combinations_in(problem, assignment))
        values.push_back(value);
      REQUIRE(project(reduced, values));
      undo(reduced, values);
      values.resize(problem.node_count());
      const Evaluation after = evaluate(problem, values);
      CHECK(after.is_feasible());
      CHECK(after.cost <= before.cost);
      break;
    }
  }
}

TEST_CASE("a start is taken up, and what is not feasible is passed over") {
  const Problem problem = grid_problem(1, 12, 12, 4, 34);
  Options options;
  options.node_limit = 30;
  const Result first = solve(problem, options);
  REQUIRE(first.has_assignment());
  Options again;
  again.time_limit = 0;
  again.start = first.assignment;
  const Result second = solve(problem, again);
  REQUIRE(second.has_assignment());
  CHECK(second.cost <= first.cost);
  again.start.pop_back();
  CHECK_FALSE(solve(problem, again).status == Status::infeasible);
  again.start.assign(problem.node_count(), 0);
  for (NodeId v = 0; v < problem.node_count(); ++v)
    again.start[v] = static_cast<std::uint32_t>(
        std::max_element(problem.usages(v).begin(), problem.usages(v).end()) -
        problem.usages(v).begin());
  if (!evaluate(problem, again.start).is_feasible())
    CHECK_FALSE(solve(problem, again).has_assignment());
}

TEST_CASE("large costs are bounded as well as small ones") {
  const Problem small = grid_problem(2, 5, 5, 3, 34);
  // As in real programs: usages are bytes, and totals of costs leave 64 bits.
  constexpr std::int64_t cost_factor = 1'000'000'000'000'000, usage_factor = 1 << 30;
  const auto scaled = [](std::span<const std::int64_t> numbers, std::int64_t factor) {
    std::vector<std::int64_t> result(numbers.begin(), numbers.end());
    for (std::int64_t& number : result) number *= factor;
    return result;
  };
  Problem large;
  large.usage_limit = *small.usage_limit * usage_factor;
  for (NodeId v = 0; v < small.node_count(); ++v)
    large.add_node(scaled(small.costs(v), cost_factor), scaled(small.usages(v), usage_factor),
                   small.interval(v));
  for (EdgeId e = 0; e < small.edge_count(); ++e)
    large.add_edge(small.edge_nodes(e), scaled(small.edge_costs(e), cost_factor));
  const Result expected = solve(small);
  REQUIRE(expected.status == Status::optimal);
  Options options;
  options.node_limit = 4 * expected.statistics.nodes + 50;
  const Result result = solve(large, options);
  REQUIRE(result.has_assignment());
  // Whole costs help to prove the small one; the large one must come nearly as far without.
  CHECK((result.cost - result.lower_bound) * 100 <= result.cost);
  CHECK((result.cost - expected.cost * cost_factor) * 100 <= result.cost);
}

TEST_CASE("costs change, nodes are fixed, and the same problem is solved again") {
  Problem problem = grid_problem(3, 3, 3, 2, 22);
  const std::optional<Wide> best = brute_force(problem);
  REQUIRE(best.has_value());
  CHECK(solve(problem).cost == *best);
  const Cost costs[] = {100, 200};
  problem.set_costs(4, costs);
  const Cost edge_costs[] = {5, 0, 0, 5};
  problem.set_edge_costs(2, edge_costs);
  CHECK(solve(problem).cost == *brute_force(problem));
  problem.fix(4, 1);
  const Result fixed = solve(problem);
  CHECK(fixed.assignment[4] == 1);
  CHECK(fixed.cost == *brute_force(problem));
  CHECK_THROWS_AS(problem.set_costs(0, edge_costs), tessera::InvalidArgument);
  CHECK_THROWS_AS(problem.fix(4, 2), tessera::InvalidArgument);
}

TEST_CASE("edges share costs that are equal, and each changes by itself") {
  Random random(8);
  Problem problem;
  const Cost costs[] = {3, 0, 5};
  const Usage usages[] = {0, 0, 0};
  constexpr NodeId nodes = 6;
  for (NodeId v = 0; v < nodes; ++v) problem.add_node(costs, usages);
  std::vector<std::vector<Cost>> expected;  // by edge
  const auto some_costs = [&] {
    // Few different ones, so that they often meet.
    return std::vector<Cost>(9, random.between(0, 3));
  };
  for (NodeId v = 0; v + 1 < nodes; ++v) {
    const NodeId ends[] = {v, v + 1};
    expected.push_back(some_costs());
    problem.add_edge(ends, expected.back());
  }
  std::size_t most_ids = 0;
  for (int change = 0; change < 300; ++change) {
    const auto e = static_cast<EdgeId>(random.between(0, nodes - 2));
    expected[e] = some_costs();
    problem.set_edge_costs(e, expected[e]);
    most_ids = std::max(most_ids, problem.edge_costs_ids());
    for (EdgeId f = 0; f < problem.edge_count(); ++f) {
      REQUIRE(std::ranges::equal(problem.edge_costs(f), expected[f]));
      for (EdgeId g = 0; g < f; ++g)
        REQUIRE((problem.edge_costs_id(f) == problem.edge_costs_id(g)) ==
                (expected[f] == expected[g]));
    }
  }
  CHECK(most_ids <= 5);  // what nobody uses any more makes room
}

TEST_CASE("an edge may have the costs of another one, named by their number") {
  Problem problem;
  const Cost two[] = {3, 0}, three[] = {3, 0, 5}, four[] = {1, 2, 3, 4}, others[] = {4, 3, 2, 1};
  const Usage usages[] = {0, 0, 0};
  for (int v = 0; v < 3; ++v) problem.add_node(two, std::span(usages).first(2));
  problem.add_node(three, usages);
  const NodeId ends[] = {0, 1}, more[] = {1, 2}, unlike[] = {2, 3};
  const EdgeId first = problem.add_edge(ends, four);
  const EdgeId second = problem.add_edge(more, problem.edge_costs_id(first));
  CHECK(problem.edge_costs_id(second) == problem.edge_costs_id(first));
  CHECK_THROWS_WITH_AS(problem.add_edge(unlike, problem.edge_costs_id(first)),
                       "edge 2 has 4 costs where its nodes' strategies need 6",
                       tessera::InvalidArgument);
  CHECK_THROWS_WITH_AS(problem.add_edge(ends, CostsId{7}),
                       "edge 2 is to have the costs of an edge that there is not",
                       tessera::InvalidArgument);
  // They part again where one of them changes.
  problem.set_edge_costs(first, others);
  CHECK(std::ranges::equal(problem.edge_costs(second), four));
}

// What dominance.hpp is to find, in the words of its first sentence.
template<class Number>
bool always_replaces(const std::vector<Number>& cost,
                     const std::vector<std::vector<std::vector<Number>>>& tables,  // row by row
                     const std::vector<Usage>& usage, std::size_t y, std::size_t x) {
  if (usage[y] > usage[x]) return false;
  Number worst = cost[y] - cost[x];
  for (const auto& rows : tables) {
    Number largest = rows[y][0] - rows[x][0];
    for (std::size_t z = 1; z < rows[y].size(); ++z)
      largest = std::max<Number>(largest, rows[y][z] - rows[x][z]);
    worst += largest;
  }
  return worst <= 0;
}

template<class Number>
void check_dominance(std::uint64_t seed) {
  CAPTURE(seed);
  Random random(seed);
  const std::size_t values = 2 + random.below(12);
  std::vector<Number> cost;
  std::vector<Usage> usage;
  for (std::size_t x = 0; x < values; ++x) {
    cost.push_back(Number(random.between(0, 4)));
    usage.push_back(random.between(0, 1));
  }
  std::vector<std::vector<std::vector<Number>>> tables(1 + random.below(3));
  std::vector<std::vector<Number>> flat(tables.size());
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const std::size_t width = 1 + random.below(5), kinds = 1 + random.below(4);
    std::vector<std::vector<Number>> rows(kinds);  // which repeat, and columns too
    for (auto& row : rows) {
      for (std::size_t z = 0; z < width; ++z) row.push_back(Number(random.between(0, 3)));
      row.push_back(row[0]);
    }
    for (std::size_t x = 0; x < values; ++x) {
      tables[t].push_back(rows[random.below(kinds)]);
      flat[t].insert(flat[t].end(), tables[t].back().begin(), tables[t].back().end());
    }
  }
  const auto instead =
      Dominance<Number>(cost, {flat.begin(), flat.end()}, {std::span<const Usage>(usage)})
          .replacements();
  for (std::size_t x = 0; x < values; ++x) {
    if (instead[x] != x) CHECK(always_replaces(cost, tables, usage, instead[x], x));
    if (instead[x] != x) continue;
    for (std::size_t y = 0; y < values; ++y)
      if (y != x && instead[y] == y) CHECK(!always_replaces(cost, tables, usage, y, x));
  }
}

TEST_CASE("property: dominance finds what it says, where rows and columns repeat") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    check_dominance<std::int64_t>(seed);
    check_dominance<Wide>(seed);
  }
}

TEST_CASE("a pool gives equal lists one number, whatever has been removed") {
  Random random(9);
  Pool<std::int64_t> pool;
  std::map<std::vector<std::int64_t>, Pool<std::int64_t>::Id> present;
  for (int step = 0; step < 5000; ++step) {
    std::vector<std::int64_t> list(static_cast<std::size_t>(random.between(0, 3)));
    for (std::int64_t& number : list) number = random.between(-4, 4);
    const auto found = present.find(list);
    if (found != present.end() && random.between(0, 2) == 0) {
      pool.remove(found->second);
      present.erase(found);
      continue;
    }
    const auto id = pool.add(std::span<const std::int64_t>(list));
    REQUIRE(pool[id] == list);
    if (found != present.end()) REQUIRE(found->second == id);
    REQUIRE(std::ranges::all_of(
        present, [&](const auto& entry) { return (entry.first == list) == (entry.second == id); }));
    present[list] = id;
  }
  CHECK(pool.size() <= 1 + 9 + 81 + 729);
}

TEST_CASE("the same seed gives the same answer on one thread") {
  const Problem problem = grid_problem(5, 12, 12, 5, 34);
  Options options;
  options.node_limit = 20;
  const Result first = solve(problem, options), second = solve(problem, options);
  CHECK(first.assignment == second.assignment);
  CHECK(first.lower_bound == second.lower_bound);
  CHECK(first.statistics.nodes == second.statistics.nodes);
}

}  // namespace
