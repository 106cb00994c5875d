// SPDX-License-Identifier: Apache-2.0
//
// generate-problem: 0-1 programs of the contest's character in IOPDDL JSON, of any size, by seed.
//
// The families were set beside contest instances with --describe, at the same number of nodes (the
// contest's number, then ours):
//
//                                  A / contracting  M / layered    G / small-hard
//   edges                          54801 / 49192    47067 / 45928  1023 / 1112
//   strategies, median, 90 %       4, 9 / 9, 16     9, 16 / 4, 16  11, 25 / 15, 24
//   strategies, most               129 / 128        30 / 128       39 / 168 (V: 178)
//   edges of a node, 90 %          5 / 5            3 / 4          6 / 6
//   functional edges               0.63 / 0.71      0.36 / 0.51    0.42 / 0.51
//   infinite entries of tables     0.68 / 0.60      0.53 / 0.55    0.34 / 0.66
//   infinite costs of nodes        0.03 / 0.06      0.01 / 0.06    0.24 / 0.06
//   length of an interval, median  3 / 6            2 / 3          2 / 2
//   the same, 90 %, of the whole   0.39 / 0.66      0.26 / 0.58    0.15 / 0.42
//   nodes with one strategy        0.03 / 0.01      0.32 / 0.19    0.06 / 0.03
//   nodes with empty intervals     0.14 / 0.23      0.10 / 0.19    0.19 / 0.10
//   largest usage / smallest       32 / 32          64 / 64        32 / 32
//   peak of least usages / limit   0.91 / 0.91      0.91 / 0.91    0.91 / 0.91
//   the same of largest            29 / 29          58 / 58        29 / 29
//   variables after presolve       182 / 652        4117 / 3511    196 / 219
//
// S has the same numbers as M but for fewer single strategies (0.03) and up to 872 of them.  In the
// contest too, functional tables are diagonals of zeros but for a few permutations, and the
// variants without infinities (N R T U) are the same programs less their functional edges: U has
// A's nodes and 20188 edges, the dominated family at that size 19128.  Limits are 1.1 times the
// least peak in all four instances looked at.
//
// What differs: the contest has hubs (A: one node in 5821 edges; here a few hundred, or constants
// in thousands), one or two very large tensors, and its cheapest answer without a limit uses 7 to
// 29 times the limit, ours 2 to 6 (dominated: 20).
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "command_line.hpp"
#include "problem_statistics.hpp"
#include "sharded_program.hpp"
#include "tessera/core/text.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/iopddl.hpp"
#include "tessera/solver/evaluate.hpp"
#include "training_step.hpp"

namespace {

using namespace tessera;
using benchmarks::Character;
using benchmarks::Program;
using examples::ExitCode;
using solver::Assignment;
using solver::NodeId;

struct Family {
  const char* name;
  Character character;
  std::size_t layers;  // unless told otherwise, one for so many nodes
};

std::vector<Family> families() {
  Character contracting;
  contracting.mesh = {4, 8};
  contracting.across_layers = 0.9;
  contracting.scalars = 0.05;
  contracting.joined = 0.3;
  contracting.reversed = 0.33;
  contracting.wide_every = 20;
  contracting.variants = 8;

  Character layered = contracting;
  layered.mesh = {8, 8};
  layered.across_layers = 0;
  layered.scalars = 0.9;
  layered.zero_usage = 0.07;
  layered.reversed = 0;

  Character dominated = contracting;
  dominated.has_ties = false;
  dominated.reversed = 0;

  Character hard;
  hard.mesh = {2, 16};
  hard.has_batch = true;
  hard.has_moments = false;
  hard.followers = 0.8;
  hard.scalars = 0.05;
  hard.joined = 0.3;
  hard.wide_every = 2;
  hard.variants = 7;

  return {{"contracting", contracting, 340},
          {"layered", layered, 420},
          {"dominated", dominated, 340},
          {"small-hard", hard, 240}};
}

// --- Assignments that bracket the limit ---------------------------------------------------------

// What a choice of each root makes of all nodes.
class Choosing {
 public:
  explicit Choosing(const Program& program)
      : program_(program),
        members_(program.nodes().size()),
        edges_(program.nodes().size()),
        assignment_(program.nodes().size(), 0) {
    for (NodeId v = 0; v < members_.size(); ++v) members_[root_of(v)].push_back(v);
    for (std::uint32_t e = 0; e < program.edges().size(); ++e) {
      const Program::Edge& edge = program.edges()[e];
      const NodeId a = root_of(edge.from), b = root_of(edge.to);
      edges_[a].push_back(e);
      if (a != b) edges_[b].push_back(e);
    }
  }

  const Assignment& assignment() const { return assignment_; }

  // What uses the least among what is not forbidden: the planted answer.
  void lean() {
    choose([&](NodeId root, std::uint32_t s) {
      double usage = 0;
      for (const NodeId v : members_[root]) {
        const Program::Node& node = program_.nodes()[v];
        const std::uint32_t t = node.from_root[s];
        if (!is_finite(node.costs[t])) return std::numeric_limits<double>::infinity();
        usage += static_cast<double>(node.usages[t]) *
                 static_cast<double>(node.interval.end - node.interval.begin);
      }
      return usage;
    });
  }
  // What is cheap when nothing limits usage: coordinate descent from what is there.
  void cheap() {
    constexpr int rounds = 6;
    for (int round = 0; round < rounds; ++round)
      choose([&](NodeId root, std::uint32_t s) { return cost_of(root, s); });
  }

 private:
  NodeId root_of(NodeId v) const { return program_.nodes()[v].root; }

  template<class Judge>
  void choose(Judge&& judge) {
    for (NodeId root = 0; root < members_.size(); ++root) {
      if (members_[root].empty()) continue;
      double least = std::numeric_limits<double>::infinity();
      std::uint32_t best = assignment_[root];
      const std::size_t count = program_.nodes()[root].choices->size();
      for (std::uint32_t s = 0; s < count; ++s) {
        const double judged = judge(root, s);
        if (judged >= least) continue;
        least = judged;
        best = s;
      }
      set(root, best);
    }
  }
  void set(NodeId root, std::uint32_t s) {
    for (const NodeId v : members_[root]) assignment_[v] = program_.nodes()[v].from_root[s];
  }
  double cost_of(NodeId root, std::uint32_t s) {
    set(root, s);
    double total = 0;
    const auto pay = [&](Cost cost) {
      total += is_finite(cost) ? static_cast<double>(cost)
                               : std::numeric_limits<double>::infinity();
    };
    for (const NodeId v : members_[root]) pay(program_.nodes()[v].costs[assignment_[v]]);
    for (const std::uint32_t e : edges_[root]) {
      const Program::Edge& edge = program_.edges()[e];
      pay(program_.price(edge, assignment_[edge.from], assignment_[edge.to]));
    }
    return total;
  }

  const Program& program_;
  std::vector<std::vector<NodeId>> members_;       // of each root
  std::vector<std::vector<std::uint32_t>> edges_;  // that touch one of them
  Assignment assignment_;
};

// --- From a program to a problem ----------------------------------------------------------------

class Writer {
 public:
  Writer(const Program& program, Cost magnitude, std::uint64_t seed)
      : program_(program), magnitude_(magnitude), random_(seed) {}

  solver::Problem write() {
    find_largest();
    solver::Problem problem;
    for (const Program::Node& node : program_.nodes())
      problem.add_node(scaled(node.costs), node.usages, node.interval);
    for (const Program::Edge& edge : program_.edges()) {
      const bool is_reversed = random_.uniform() < program_.character().reversed;
      const NodeId ends[2] = {is_reversed ? edge.to : edge.from, is_reversed ? edge.from : edge.to};
      problem.add_edge(ends, scaled(table(edge, is_reversed)));
    }
    return problem;
  }

 private:
  std::vector<Cost> table(const Program::Edge& edge, bool is_reversed) const {
    const std::size_t rows = program_.nodes()[edge.from].choices->size();
    const std::size_t columns = program_.nodes()[edge.to].choices->size();
    std::vector<Cost> result(rows * columns);
    for (std::uint32_t i = 0; i < rows; ++i)
      for (std::uint32_t j = 0; j < columns; ++j)
        result[is_reversed ? j * rows + i : i * columns + j] = program_.price(edge, i, j);
    return result;
  }
  void find_largest() {
    const auto look = [&](const std::vector<Cost>& costs) {
      for (const Cost cost : costs)
        if (is_finite(cost)) largest_ = std::max(largest_, cost);
    };
    for (const Program::Node& node : program_.nodes()) look(node.costs);
    for (const Program::Edge& edge : program_.edges()) look(table(edge, false));
  }
  std::vector<Cost> scaled(std::vector<Cost> costs) const {
    if (magnitude_ == 0) return costs;
    for (Cost& cost : costs)
      if (is_finite(cost)) cost = static_cast<Cost>(Wide(cost) * magnitude_ / largest_);
    return costs;
  }

  const Program& program_;
  Cost magnitude_, largest_ = 1;
  RandomSource random_;
};

// --- The program --------------------------------------------------------------------------------

struct Arguments {
  std::string family = "contracting", output, planted, describe;
  std::size_t nodes = 0, layers = 0;
  std::uint64_t seed = 0;
  std::optional<double> tightness;
  Cost magnitude = 0;
};

constexpr const char* about =
    R"(Writes a 0-1 program of the contest's character as IOPDDL JSON.

A made-up training step, over 32 devices (layered: 64), of one of four families:
  contracting  followers and layers are tied by infinite costs: a few hundred choices remain
               (as contest instances A C D L P Q)
  layered      followers are tied, layers are not: thousands of choices remain (as K M S)
  dominated    nothing is infinite, and most strategies are dominated (as N R T U)
  small-hard   two thirds of the ties and longer tables; meant for some 800 nodes (as B G V)

The limit is set between the peak of a planted answer that uses as little as it can and that of a
cheap answer found without limit, so that an answer within the limit always exists.)";

constexpr const char* epilogue = R"(Examples:
  generate-problem --nodes 35000 --output a.json
  generate-problem --family small-hard --seed 7 --tightness 1 --output hard.json
  generate-problem --family dominated --nodes 65000 --magnitude 999999999999999999 --output big.json
  generate-problem --describe a.json)";

void describe(CLI::App& app, Arguments& arguments) {
  app.description(about);
  app.footer(epilogue);
  std::vector<std::string> names;
  for (const Family& family : families()) names.emplace_back(family.name);
  app.add_option("--family", arguments.family, "see above")
      ->check(CLI::IsMember(names))
      ->capture_default_str();
  app.add_option("--nodes", arguments.nodes, "exactly so many; as many as the layers take if 0")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--layers", arguments.layers, "as many as suit the nodes if 0")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "the same seed gives the same file")
      ->capture_default_str();
  app.add_option("--tightness", arguments.tightness,
                 "where the limit lies between the cheap answer's peak (0) and the planted one's "
                 "(1), by ratio; if not given, at 1.1 times the latter, as in the contest")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--magnitude", arguments.magnitude,
                 "scale costs so that this is the largest, below 10^18; natural if 0")
      ->check(CLI::Range(Cost{0}, io::iopddl_infinity - 1))
      ->capture_default_str();
  auto* const output =
      app.add_option("--output", arguments.output, "JSON file; - is standard output");
  app.add_option("--planted", arguments.planted, "also write the planted answer here")
      ->needs(output);
  app.add_option("--describe", arguments.describe, "only print statistics of this file")
      ->excludes(output);
}

solver::Usage limit_of(const Arguments& arguments, double lean, double cheap) {
  constexpr double as_in_the_contest = 1.1;
  const double most = std::max(lean, cheap);
  const double limit = arguments.tightness ? lean * std::pow(most / lean, 1 - *arguments.tightness)
                                           : as_in_the_contest * lean;
  return static_cast<solver::Usage>(std::max(lean, limit));
}

ExitCode generate(const Arguments& arguments) {
  const std::vector<Family> all = families();
  const Family& family = *std::find_if(all.begin(), all.end(),
                                       [&](const Family& f) { return f.name == arguments.family; });
  std::size_t layers = arguments.layers;
  if (layers == 0) layers = std::max<std::size_t>(1, arguments.nodes / family.layers);
  const Program program =
      benchmarks::TrainingStep::make(family.character, arguments.seed, layers, arguments.nodes);
  solver::Problem problem = Writer(program, arguments.magnitude, arguments.seed).write();
  problem.name = "generated-" + arguments.family + "-" + std::to_string(problem.node_count()) +
                 "-" + std::to_string(arguments.seed);

  Choosing choosing(program);
  choosing.lean();
  const Assignment planted = choosing.assignment();
  const solver::Evaluation lean = solver::evaluate(problem, planted);
  choosing.cheap();
  const solver::Evaluation cheap = solver::evaluate(problem, choosing.assignment());
  problem.usage_limit = limit_of(arguments, static_cast<double>(lean.peak_usage),
                                 static_cast<double>(cheap.peak_usage));
  if (!solver::evaluate(problem, planted).is_feasible())
    throw std::logic_error("the planted answer does not fit: this is a defect");

  const std::string json = io::write_iopddl(problem);
  if (arguments.output == "-")
    std::fwrite(json.data(), 1, json.size(), stdout);
  else
    io::write_file(arguments.output, json);
  if (!arguments.planted.empty())
    io::write_file(arguments.planted, "[" + joined(planted, ", ") + "]\n");
  std::fprintf(stderr,
               "%s: %zu layers, %zu nodes, %zu edges; limit %lld; planted cost %s, peak %.3f of "
               "it; without limit cost %s or less, peak %.2f\n",
               problem.name.c_str(), layers, problem.node_count(), problem.edge_count(),
               static_cast<long long>(*problem.usage_limit), to_string(lean.cost).c_str(),
               static_cast<double>(lean.peak_usage) / static_cast<double>(*problem.usage_limit),
               to_string(cheap.cost).c_str(),
               static_cast<double>(cheap.peak_usage) / static_cast<double>(*problem.usage_limit));
  return ExitCode::solved;
}

ExitCode run(const Arguments& arguments) {
  if (!arguments.describe.empty()) {
    benchmarks::describe(io::read_iopddl(io::read_file(arguments.describe), arguments.describe));
    return ExitCode::solved;
  }
  if (arguments.output.empty()) throw tessera::InvalidArgument("--output is missing");
  if (arguments.nodes == 0 && arguments.layers == 0)
    throw tessera::InvalidArgument("say how large: --nodes or --layers");
  return generate(arguments);
}

}  // namespace

int main(int argc, char** argv) { return examples::run_program(argc, argv, describe, run); }
