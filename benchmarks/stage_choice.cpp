// SPDX-License-Identifier: Apache-2.0
//
// stage-choice: our choice of stages beside the paper's algorithm, in one run; and how the work
// grows with layers and devices.
//
// Two kinds of tables.  `random`: every time drawn evenly, nothing to hold on to.  `transformer`:
// layers of nearly the same work (the first an embedding, the last an output layer), devices that
// help less the more there are of them and least across hosts, and memory that binds.  The paper's
// algorithm has the same innermost loop and gets so many times the seconds that ours took, and no
// more: what it would need is then told from the share of candidate periods that it went through.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "tessera/pipeline/paper_stages.hpp"
#include "tessera/pipeline/stage_search.hpp"

namespace {

using namespace tessera;
using namespace tessera::pipeline;
using examples::ExitCode;

constexpr Extent host = 8;  // devices in one

struct Arguments {
  std::size_t layers = 128;
  Extent devices = 1024;
  std::int64_t microbatches = 1024;
  double patience = 150;
  std::uint64_t seed = 1;
  bool growth = false;
};

// The paper's submeshes: 1, 2, 4, ... within a host, whole hosts beyond.
std::vector<Extent> submesh_sizes(Extent devices) {
  std::vector<Extent> sizes;
  for (Extent size = 1; size < host && size <= devices; size *= 2) sizes.push_back(size);
  for (Extent size = host; size <= devices; size += host) sizes.push_back(size);
  return sizes;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  // From 0 to limit - 1.
  std::int64_t below(std::int64_t limit) {
    return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(limit));
  }

 private:
  std::mt19937_64 engine_;
};

constexpr Cost second = 1'000'000'000'000;

StageProblem random_problem(const Arguments& arguments) {
  const std::vector<Extent> sizes = submesh_sizes(arguments.devices);
  StageProblem problem(arguments.layers, arguments.devices, arguments.microbatches, sizes);
  Random random(arguments.seed);
  for (std::size_t first = 0; first < arguments.layers; ++first)
    for (std::size_t last = first; last < arguments.layers; ++last)
      for (std::size_t size = 0; size < sizes.size(); ++size)
        problem.add(first, last, size, {.time = 1 + random.below(second)});
  return problem;
}

// The work of layers first..last, one being an ordinary layer's on average.
std::vector<double> work_before(std::size_t layers, Random& random) {
  std::vector<double> before{0};
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const double share = layer == 0 ? 0.3 : layer + 1 == layers ? 1.4 : 1;
    before.push_back(before.back() + share * (1 + static_cast<double>(random.below(1000)) / 10000));
  }
  return before;
}

StageOption transformer_option(double work, Extent devices, double layers_per_device,
                               std::int64_t microbatches, Random& random) {
  const auto count = static_cast<double>(devices);
  const double within = devices > 1 ? 0.02 * work / static_cast<double>(host) : 0;
  const double across = devices > host ? 0.01 * work / static_cast<double>(host) * std::log2(count)
                                       : 0;
  StageOption option;
  option.time = static_cast<Cost>((work / count + within + across) * static_cast<double>(second)) +
                random.below(1'000'000);
  // A device has room for 1.8 times its share of the weights; a microbatch in flight takes a
  // sixteenth of what its layers' weights do.
  constexpr double unit = 1e9;
  const StageMemory memory{static_cast<std::int64_t>(unit * work / count),
                           static_cast<std::int64_t>(unit * work / count / 16)};
  const auto limit = static_cast<std::int64_t>(unit * layers_per_device * 1.8);
  option.max_successors = most_successors(memory, limit, ScheduleKind::one_f_one_b, microbatches);
  return option;
}

StageProblem transformer_problem(const Arguments& arguments) {
  const std::vector<Extent> sizes = submesh_sizes(arguments.devices);
  StageProblem problem(arguments.layers, arguments.devices, arguments.microbatches, sizes);
  Random random(arguments.seed);
  const std::vector<double> before = work_before(arguments.layers, random);
  const double layers_per_device = before.back() / static_cast<double>(arguments.devices);
  for (std::size_t first = 0; first < arguments.layers; ++first)
    for (std::size_t last = first; last < arguments.layers; ++last)
      for (std::size_t size = 0; size < sizes.size(); ++size)
        problem.add(first, last, size,
                    transformer_option(before[last + 1] - before[first], sizes[size],
                                       layers_per_device, arguments.microbatches, random));
  return problem;
}

void print_head() {
  std::printf("%-12s %6s %7s %6s %20s %6s %10s %14s %9s\n", "times", "layers", "devices", "B",
              "picoseconds a step", "stages", "thresholds", "updates", "seconds");
}
void print_row(const char* kind, const Arguments& arguments, const std::string& cost,
               std::size_t stages, const StageStatistics& statistics) {
  std::printf("%-12s %6zu %7lld %6lld %20s %6zu %10llu %14llu %9.3f\n", kind, arguments.layers,
              static_cast<long long>(arguments.devices),
              static_cast<long long>(arguments.microbatches), cost.c_str(), stages,
              static_cast<unsigned long long>(statistics.thresholds),
              static_cast<unsigned long long>(statistics.updates), statistics.seconds);
  std::fflush(stdout);
}

StageAnswer solve(const char* kind, const Arguments& arguments, const StageProblem& problem) {
  StageAnswer answer = find_stages(problem);
  print_row(kind, arguments, answer.is_feasible ? to_string(answer.cost) : "infeasible",
            answer.stages.size(), answer.statistics);
  return answer;
}

void compare(const char* kind, const Arguments& arguments, const StageProblem& problem) {
  const StageAnswer ours = solve(kind, arguments, problem);
  PaperOptions options;
  options.seconds = std::max(0.1, ours.statistics.seconds) * arguments.patience;
  const PaperAnswer paper = paper_stages(problem, options);
  print_row("  the paper's", arguments, paper.is_feasible ? to_string(paper.cost) : "nothing found",
            0, paper.statistics);
  const double times = paper.statistics.seconds / ours.statistics.seconds;
  if (paper.is_finished)
    std::printf("  finished, %.0f times as long; %s\n", times,
                paper.cost == ours.cost ? "the same step" : "ANOTHER STEP");
  else
    std::printf("  given up after %.0f times as long, at period %llu of up to %zu\n", times,
                static_cast<unsigned long long>(paper.statistics.thresholds), paper.values);
}

void show_growth(Arguments arguments) {
  const Arguments middle = arguments;
  print_head();
  for (const std::size_t layers : {16U, 32U, 64U, 128U, 256U}) {
    arguments.layers = layers;
    solve("random", arguments, random_problem(arguments));
    solve("transformer", arguments, transformer_problem(arguments));
  }
  arguments = middle;
  for (Extent devices = 8; devices <= 16384; devices *= devices < 1024 ? 8 : 4) {
    arguments.devices = devices;
    solve("random", arguments, random_problem(arguments));
    solve("transformer", arguments, transformer_problem(arguments));
  }
}

ExitCode run(const Arguments& arguments) {
  if (arguments.growth) {
    show_growth(arguments);
    return ExitCode::solved;
  }
  print_head();
  compare("random", arguments, random_problem(arguments));
  compare("transformer", arguments, transformer_problem(arguments));
  return ExitCode::solved;
}

void describe(CLI::App& app, Arguments& arguments) {
  app.description("Our choice of pipeline stages beside the algorithm of Alpa's paper.");
  app.add_option("--layers", arguments.layers)->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--devices", arguments.devices)
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--microbatches", arguments.microbatches)
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--patience", arguments.patience,
                 "how many times the seconds of ours the paper's algorithm gets")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--seed", arguments.seed)->capture_default_str();
  app.add_flag("--growth", arguments.growth,
               "instead, ours alone: 16 to 256 layers, 8 to 16384 devices");
}

}  // namespace

int main(int argc, char** argv) { return examples::run_program(argc, argv, describe, run); }
