// SPDX-License-Identifier: Apache-2.0
// Certificates that claim more than they prove are rejected, with the faulty step.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/problems.hpp"
#include "tessera/solver/check.hpp"

namespace {
using namespace tessera_test;

using Lines = std::vector<std::string>;

Lines lines_of(const std::string& text) {
  Lines lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}
std::string text_of(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}
bool begins(const std::string& line, const std::string& word) {
  return line.compare(0, word.size() + 1, word + ' ') == 0 || line == word;
}
std::size_t find(const Lines& lines, const std::string& word) {
  return static_cast<std::size_t>(
      std::find_if(lines.begin(), lines.end(),
                   [&](const std::string& line) { return begins(line, word); }) -
      lines.begin());
}

struct Certified {
  Problem problem;
  Result result;
  Lines lines;

  Verdict check() const { return check_certificate(problem, text_of(lines)); }
};

Certified certified(Problem problem, bool presolve) {
  Certified made{std::move(problem), {}, {}};
  std::string text;
  Options options;
  options.presolve = presolve;
  options.on_proof = [&](std::string_view piece) { text += piece; };
  made.result = solve(made.problem, options);
  made.lines = lines_of(text);
  return made;
}

// Dense and tight in capacity, so that neither presolve nor the root node can finish it.
Problem hard_problem(std::uint64_t seed) {
  Random random(seed);
  Problem problem;
  constexpr NodeId nodes = 9;
  for (NodeId v = 0; v < nodes; ++v) {
    std::vector<Cost> costs;
    std::vector<Usage> usages;
    for (int s = 0; s < 3; ++s) {
      costs.push_back(random.between(0, 30));
      usages.push_back(random.between(0, 10));
    }
    const std::int64_t begin = random.between(0, 3);
    problem.add_node(costs, usages, {begin, begin + random.between(2, 4)});
  }
  for (NodeId u = 0; u < nodes; ++u)
    for (NodeId v = u + 1; v < nodes; ++v) {
      std::vector<Cost> costs(9);
      for (Cost& cost : costs) cost = random.between(0, 30);
      const NodeId ends[] = {u, v};
      problem.add_edge(ends, costs);
    }
  problem.usage_limit = 22;
  return problem;
}

// Cliques that only a hub connects.  One value of the hub is rarely worth its price: once a bound
// removes it, the component decomposes into the cliques.  Each is tight in capacity, at its own
// time.  `least` receives the optimum.
Problem hub_problem(std::uint64_t seed, Cost* least = nullptr) {
  Random random(seed);
  Problem problem;
  constexpr NodeId arms = 4, clique_size = 4;
  constexpr std::size_t values = 3, hub_values = 2;
  problem.usage_limit = 12;
  const Cost hub_costs[hub_values] = {0, 12};
  const Usage nothing[values] = {};
  const NodeId hub = problem.add_node(hub_costs, std::span(nothing).first<hub_values>(), {});
  Cost least_of_hub[hub_values] = {hub_costs[0], hub_costs[1]};
  const auto drawn = [&](std::size_t size, Cost most) {
    std::vector<Cost> costs(size);
    for (Cost& cost : costs) cost = random.between(0, most);
    return costs;
  };
  for (NodeId arm = 0; arm < arms; ++arm) {
    const auto first = static_cast<NodeId>(problem.node_count());
    for (NodeId v = 0; v < clique_size; ++v) {
      const Usage usages[values] = {random.between(3, 9), random.between(1, 5), 0};
      problem.add_node(drawn(values, 9), usages, {arm, arm + 1});
    }
    const std::vector<Cost> with_hub = drawn(hub_values * values, 9);
    const NodeId ends[] = {hub, first};
    problem.add_edge(ends, with_hub);
    std::map<std::pair<NodeId, NodeId>, std::vector<Cost>> tables;
    for (NodeId u = 0; u < clique_size; ++u)
      for (NodeId v = u + 1; v < clique_size; ++v) {
        const NodeId pair[] = {first + u, first + v};
        const std::vector<Cost>& costs = tables[{u, v}] = drawn(values * values, 30);
        problem.add_edge(pair, costs);
      }
    Cost best[hub_values] = {1000, 1000};
    std::vector<std::size_t> choice(clique_size, 0);
    for (std::size_t left = 81; left > 0; --left) {  // values^clique_size
      Cost cost = 0;
      Usage usage = 0;
      for (NodeId v = 0; v < clique_size; ++v) {
        cost += problem.costs(first + v)[choice[v]];
        usage += problem.usages(first + v)[choice[v]];
      }
      if (usage > *problem.usage_limit) cost = 1000;
      for (const auto& [pair, costs] : tables)
        cost += costs[choice[pair.first] * values + choice[pair.second]];
      for (std::size_t x = 0; x < hub_values; ++x)
        best[x] = std::min(best[x], cost + with_hub[x * values + choice[0]]);
      for (std::size_t v = 0; v < clique_size && ++choice[v] == values; ++v) choice[v] = 0;
    }
    for (std::size_t x = 0; x < hub_values; ++x) least_of_hub[x] += best[x];
  }
  if (least != nullptr) *least = std::min(least_of_hub[0], least_of_hub[1]);
  return problem;
}

// The first of many problems whose certificate has such a line.
Certified certified_with(const std::string& word, bool hard) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    Certified made = certified(hard ? hard_problem(seed) : random_problem(seed), !hard);
    if (made.result.status == Status::optimal && find(made.lines, word) < made.lines.size())
      return made;
  }
  FAIL("no certificate has the line ", word);
  return {};
}

TEST_CASE("every kind of step occurs, and checks") {
  for (const char* word : {"unsupported", "dominated", "over_capacity", "subtract_minimum_usage",
                           "keep_rows", "fix", "merge", "eliminate", "component", "lower_bound"}) {
    CAPTURE(word);
    CHECK(certified_with(word, false).check().is_valid);
  }
  for (const char* word :
       {"reduced_cost_fixing", "tree", "node", "branch", "profile", "oversubscribed"}) {
    CAPTURE(word);
    const Certified made = certified_with(word, true);
    const Verdict verdict = made.check();
    INFO(verdict.line, ": ", verdict.fault);
    CHECK(verdict.is_valid);
    CHECK(verdict.lower_bound == to_string(made.result.cost));
  }
}

TEST_CASE("property: bucket elimination solves a component that is long and narrow") {
  int eliminated = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const Certified made = certified(layered_problem(seed, 8, 4, {}), false);
    CHECK(made.result.status == Status::optimal);
    if (find(made.lines, "bucket_elimination") < made.lines.size()) ++eliminated;
    const Verdict verdict = made.check();
    INFO(verdict.line, ": ", verdict.fault);
    CHECK(verdict.is_valid);
    CHECK(verdict.lower_bound == to_string(made.result.cost));
  }
  CHECK(eliminated > 5);  // for the others, the root's bound was enough
}

TEST_CASE("property: subcomponents are proven one by one") {
  int decomposed = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    Cost least = 0;
    const Certified made = certified(hub_problem(seed, &least), true);
    REQUIRE(made.result.status == Status::optimal);
    CHECK(made.result.cost == least);
    const Verdict verdict = made.check();
    INFO(verdict.line, ": ", verdict.fault);
    CHECK(verdict.is_valid);
    CHECK(verdict.lower_bound == to_string(made.result.cost));
    if (find(made.lines, "subcomponent") < made.lines.size()) ++decomposed;
  }
  CHECK(decomposed > 0);  // the others never decompose
}

// A cycle of nodes in which no two neighbours may both choose the lower usage: at most half of the
// nodes can.
Problem circle(NodeId nodes, Usage limit) {
  Problem problem;
  const std::vector<Cost> costs{3, 5}, pairs{0, 1, 2, infinite};
  for (NodeId v = 0; v < nodes; ++v)
    problem.add_node(costs, std::vector<Usage>{2, 1}, Interval{0, 1});
  for (NodeId v = 0; v < nodes; ++v)
    problem.add_edge(std::vector<NodeId>{v, (v + 1) % nodes}, pairs);
  problem.usage_limit = limit;
  return problem;
}

TEST_CASE(
    "a bound above the most expensive assignment proves infeasibility without a search tree") {
  for (const bool presolve : {false, true}) {
    CAPTURE(presolve);
    const Certified enough = certified(circle(60, 90), presolve);
    CHECK(enough.result.status == Status::optimal);
    CHECK(enough.check().is_valid);
    Certified too_little = certified(circle(60, 88), presolve);
    CHECK(too_little.result.status == Status::infeasible);
    CHECK(too_little.result.statistics.nodes == 0);
    const Verdict verdict = too_little.check();
    CHECK(verdict.is_valid);
    CHECK(verdict.is_infeasible);
    // With more capacity, the same certificate proves nothing.
    too_little.problem.usage_limit = 90;
    CHECK_FALSE(too_little.check().is_valid);
  }
}

TEST_CASE("a table that is a sum of two vectors is removed") {
  // Two nodes that both use something, and always at the same time.
  Problem problem;
  const Cost costs[] = {3, 1, 0};
  const Usage usages[] = {0, 2, 5};
  const NodeId ends[] = {problem.add_node(costs, usages, {0, 2}),
                         problem.add_node(costs, usages, {0, 2})};
  const Cost sums[] = {11, 12, 13, 21, 22, 23, 15, 16, 17};  // 10 20 14 plus 1 2 3
  problem.add_edge(ends, sums);
  problem.usage_limit = 6;
  const Certified made = certified(problem, true);
  CHECK(find(made.lines, "separable") < made.lines.size());
  CHECK(made.check().is_valid);
  CHECK(made.check().lower_bound == to_string(*brute_force(problem)));
}

TEST_CASE("a claim that is one too high is rejected with the bound that is proven") {
  for (const bool hard : {false, true}) {
    Certified made = certified_with(hard ? "branch" : "lower_bound", hard);
    made.lines.back() = "claim " + to_string(made.result.cost + 1);
    const Verdict verdict = made.check();
    CHECK_FALSE(verdict.is_valid);
    CHECK(verdict.line == made.lines.size());
    CHECK(verdict.fault.find("prove no more than " + to_string(made.result.cost)) !=
          std::string::npos);
  }
}

TEST_CASE("a missing leaf is rejected with the line that created it") {
  Certified made = certified_with("branch", true);
  // The last node of the tree goes, with all that is said of it.
  std::size_t node = made.lines.size();
  while (!begins(made.lines[node - 1], "node")) --node;
  const std::string number = made.lines[node - 1].substr(5);
  made.lines.erase(made.lines.begin() + static_cast<std::ptrdiff_t>(node - 1),
                   made.lines.end() - 1);
  std::size_t split = 0;
  for (std::size_t i = 0; i < made.lines.size(); ++i)
    if (begins(made.lines[i], "branch") &&
        made.lines[i].find(' ' + number + ' ') != std::string::npos)
      split = i + 1;
  const Verdict verdict = made.check();
  CHECK_FALSE(verdict.is_valid);
  CHECK(verdict.line == made.lines.size());
  CHECK(verdict.fault.find("line " + std::to_string(split) + ")") != std::string::npos);
}

TEST_CASE("a wrong witness of dominance is rejected where it stands") {
  int rejected = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    Certified made = certified(random_problem(seed), true);
    const std::size_t at = find(made.lines, "dominated");
    if (at == made.lines.size()) continue;
    // "dominated W X Y" as "dominated W Y X"
    std::string& line = made.lines[at];
    const std::size_t last = line.rfind(' '), middle = line.rfind(' ', last - 1);
    line = line.substr(0, middle) + line.substr(last) + line.substr(middle, last - middle);
    const Verdict verdict = made.check();
    if (verdict.is_valid) continue;  // the two may be interchangeable
    ++rejected;
    CHECK(verdict.line >= at + 1);
  }
  CHECK(rejected > 20);
}

TEST_CASE("a changed multiplier is rejected where it stands") {
  Certified made = certified_with("branch", true);
  int tried = 0, rejected = 0;
  for (std::size_t i = 0; i < made.lines.size(); ++i) {
    const std::size_t colon = made.lines[i].find(':');
    const std::size_t table = made.lines[i].find("| ", made.lines[i].find('|') + 1);
    if (!begins(made.lines[i], "lower_bound") || colon > table) continue;
    Certified changed = made;
    changed.lines[i].insert(colon + 1, "9");  // a much larger one
    const Verdict verdict = changed.check();
    ++tried;
    if (verdict.is_valid)
      continue;  // if the remaining usage equals the capacity, any multiplier will do
    CHECK(verdict.line == i + 1);
    ++rejected;
  }
  MESSAGE(rejected, " of ", tried, " rejected");
  CHECK(rejected > 0);
  CHECK(rejected * 4 >= tried * 3);
}

TEST_CASE("a certificate that is cut off is rejected, wherever it is cut") {
  const Certified made = certified_with("branch", true);
  const std::string text = text_of(made.lines);
  for (std::size_t length = 0; length + 1 < text.size(); length += 1 + text.size() / 200) {
    CAPTURE(length);
    CHECK_FALSE(check_certificate(made.problem, text.substr(0, length)).is_valid);
  }
  CHECK_FALSE(check_certificate(made.problem, text.substr(0, text.size() - 1)).is_valid);
  CHECK_FALSE(check_certificate(made.problem, text + "subtract_minimum_usage\n").is_valid);
}

// Written by hand to deceive: every step by itself is well formed.
Verdict check_lines(const Problem& problem, const Lines& lines) {
  return check_certificate(problem, text_of(lines));
}

TEST_CASE("components do not take capacity from each other") {
  // Both can have their cheapest value.  The minimum usage of the first holds only for the values
  // that its bound has left, so it must not exclude the second one's cheapest value.
  Problem problem;
  const Cost first_costs[] = {0, 5}, second_costs[] = {0, 3};
  const Usage first_usages[] = {0, 5}, second_usages[] = {5, 0};
  problem.add_node(first_costs, first_usages, {0, 1});
  problem.add_node(second_costs, second_usages, {0, 1});
  problem.usage_limit = 5;
  REQUIRE(brute_force(problem) == Wide(0));
  const Verdict verdict = check_lines(
      problem, {"certificate 2 scale 0", "component 0", "lower_bound 0 0 |",
                "reduced_cost_fixing 0 0:0", "lower_bound 5 0 |", "subtract_minimum_usage",
                "component 1", "profile", "over_capacity 1 0 0", "lower_bound 3 0 |", "claim 3"});
  CHECK_FALSE(verdict.is_valid);
  CHECK(verdict.line == 9);
}

TEST_CASE("no moved cost is large enough to pass for a forbidden pair") {
  Problem problem;
  const Cost costs[] = {0};
  const Usage usages[] = {0};
  const NodeId ends[] = {problem.add_node(costs, usages), problem.add_node(costs, usages)};
  const Cost pair[] = {7};
  problem.add_edge(ends, pair);
  for (int bits = 60; bits < 125; ++bits) {
    CAPTURE(bits);
    const std::string message = to_string(-(Wide(1) << bits) + 1);
    const Verdict verdict = check_lines(
        problem,
        {"certificate 2 scale 0", "component 0 1",
         "lower_bound -999999999999999999999999999999 0 | | 0 1 : " + message + " : " + message,
         "claim infeasible"});
    CHECK_FALSE(verdict.is_valid);
  }
}

TEST_CASE("steps leave a variable without values alone") {
  Problem problem;
  const Cost costs[] = {infinite};
  const Usage usages[] = {0};
  problem.add_node(costs, usages);
  for (const char* step : {"fix 0", "eliminate 0", "subtract_minimum_usage", "profile"}) {
    CAPTURE(step);
    const Verdict verdict = check_lines(
        problem, {"certificate 2 scale 0", "unsupported 0 0 0", step, "claim infeasible"});
    INFO(verdict.fault);
    CHECK(verdict.is_valid);
    CHECK(verdict.is_infeasible);
  }
}

TEST_CASE("a certificate of another version is rejected, and says what to do") {
  Problem problem;
  const Cost costs[] = {1};
  const Usage usages[] = {0};
  problem.add_node(costs, usages);
  const Verdict verdict = check_lines(problem, {"certificate 1 scale 0", "claim 0"});
  CHECK_FALSE(verdict.is_valid);
  CHECK(verdict.line == 1);
  CHECK(
      verdict.fault ==
      "the certificate has version 1 of the format, but this program reads version 2; solve again "
      "to write a new one");
  CHECK(check_lines(problem, {"deed 2 scale 0"}).fault == "this is not a certificate");
}

TEST_CASE("a certificate proves nothing of another problem") {
  const Certified made = certified_with("branch", true);
  Problem cheaper = hard_problem(77);
  const Verdict verdict = check_certificate(cheaper, text_of(made.lines));
  CHECK_FALSE(verdict.is_valid);
}

// However a certificate is changed, whatever it still proves is true.
TEST_CASE("property: no mutation proves anything false") {
  int accepted = 0;
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const bool hard = seed % 4 == 0;
    Certified made = seed % 16 == 1
                         ? certified(hub_problem(seed % 7), true)
                         : certified(hard ? hard_problem(seed % 7) : random_problem(seed), !hard);
    const std::optional<Wide> best = made.result.has_assignment() ? std::optional(made.result.cost)
                                                                  : std::nullopt;
    const int changes = static_cast<int>(random.between(1, 3));
    for (int change = 0; change < changes; ++change) {
      const auto at = static_cast<std::size_t>(
          random.between(1, static_cast<std::int64_t>(made.lines.size()) - 1));
      std::string& line = made.lines[at];
      switch (random.between(0, 3)) {
        case 0: made.lines.erase(made.lines.begin() + static_cast<std::ptrdiff_t>(at)); break;
        case 1:
          made.lines.insert(made.lines.begin() + static_cast<std::ptrdiff_t>(at), line);
          break;
        case 2: std::swap(made.lines[at], made.lines[std::max<std::size_t>(at, 2) - 1]); break;
        default: {  // another digit somewhere
          std::vector<std::size_t> digits;
          for (std::size_t i = 0; i < line.size(); ++i)
            if (line[i] >= '0' && line[i] <= '9') digits.push_back(i);
          if (digits.empty()) break;
          const auto pick = static_cast<std::size_t>(
              random.between(0, static_cast<std::int64_t>(digits.size()) - 1));
          line[digits[pick]] = static_cast<char>('0' + random.between(0, 9));
        }
      }
      if (made.lines.size() < 2) break;
    }
    const Verdict verdict = made.check();
    if (!verdict.is_valid) continue;
    ++accepted;
    if (verdict.is_infeasible) {
      CHECK_FALSE(best.has_value());
    } else if (best) {
      const auto proven = std::stoll(verdict.lower_bound);
      CHECK(Wide(proven) <= *best);
    }
  }
  CHECK(accepted > 100);  // many changes do no harm, and some are none
}

}  // namespace
