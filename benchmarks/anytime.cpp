// SPDX-License-Identifier: Apache-2.0
//
// anytime-curves: how cost and bound of solve() draw near each other over time, over several seeds.
//
// One run says little of a search that throws dice; so each problem is solved once per seed, and
// the least, the middle and the greatest are shown.  What is drawn is the distance of each cost
// and of each bound from the best cost that any seed found, in percent of it: for a bound that is
// the gap that would be left had the search been as lucky as it ever was.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "command_line.hpp"
#include "curves.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/iopddl.hpp"
#include "tessera/solver/solve.hpp"

namespace {

using namespace tessera;
using examples::ExitCode;

struct Arguments {
  std::vector<std::string> problems, targets;
  double seconds = 60;
  int threads = 1, seeds = 3;
  std::uint64_t first_seed = 0;
  std::string csv, svg;
};

constexpr const char* about =
    R"(Solves each problem with several seeds and shows cost, bound and gap over time.

NAME of a target is a problem's file name without folder and ending.  The CSV has one line for
each cost or bound reported; the picture one colour for each problem, costs solid, bounds dashed.)";

constexpr const char* epilogue = R"(Examples:
  anytime-curves a.json g.json --seconds 30 --threads 2 --csv curves.csv --svg curves.svg
  anytime-curves a.json --seeds 5 --target a=6548641531)";

void describe(CLI::App& app, Arguments& arguments) {
  app.description(about);
  app.footer(epilogue);
  app.add_option("PROBLEMS", arguments.problems, "JSON files")->required();
  app.add_option("--seconds", arguments.seconds, "wall clock for each solve, reading not included")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--threads", arguments.threads, "threads of the search")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--seeds", arguments.seeds, "solves of each problem")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--first-seed", arguments.first_seed, "the others follow it")
      ->capture_default_str();
  app.add_option("--target", arguments.targets,
                 "NAME=COST: also show when that cost was passed; may be given several times");
  app.add_option("--csv", arguments.csv, "where to write the curves as numbers");
  app.add_option("--svg", arguments.svg, "where to draw them");
}

std::map<std::string, double> parse_targets(const std::vector<std::string>& texts) {
  std::map<std::string, double> result;
  for (const std::string& text : texts) {
    const std::size_t at = text.rfind('=');
    char* end = nullptr;
    const double cost = at == std::string::npos ? 0 : std::strtod(text.c_str() + at + 1, &end);
    if (end == nullptr || end == text.c_str() + at + 1 || *end != '\0')
      throw InputError("--target", excerpt(text) + " is not of the form NAME=COST");
    result[text.substr(0, at)] = cost;
  }
  return result;
}

// --- Solving ------------------------------------------------------------------------------------

struct Run {
  std::string name;
  std::uint64_t seed;
  std::vector<solver::Progress> progress;  // what changed cost or bound
  solver::Result result;
};

Run solve(const std::string& name, const solver::Problem& problem, const Arguments& arguments,
          std::uint64_t seed) {
  Run run{name, seed, {}, {}};
  solver::Options options;
  options.time_limit = arguments.seconds;
  options.threads = arguments.threads;
  options.seed = seed;
  options.cancellation = examples::cancelled_by_interrupt();
  options.on_progress = [&](const solver::Progress& progress) {
    if (!run.progress.empty() && progress.lower_bound == run.progress.back().lower_bound &&
        progress.has_incumbent == run.progress.back().has_incumbent &&
        progress.incumbent == run.progress.back().incumbent)
      return;
    run.progress.push_back(progress);
    run.progress.back().event = "";
  };
  run.result = solver::solve(problem, options);
  // What is proven at the end need not have been reported.
  solver::Progress last;
  last.seconds = run.result.statistics.seconds;
  last.nodes = run.result.statistics.nodes;
  last.has_incumbent = run.result.has_assignment();
  last.incumbent = run.result.cost;
  last.lower_bound = run.result.lower_bound;
  run.progress.push_back(last);
  return run;
}

// --- Numbers ------------------------------------------------------------------------------------

double number(Wide value) { return static_cast<double>(value); }

std::optional<double> time_of_cost(const Run& run, double cost) {
  for (const solver::Progress& progress : run.progress)
    if (progress.has_incumbent && number(progress.incumbent) <= cost) return progress.seconds;
  return std::nullopt;
}
std::optional<double> gap(const Run& run) {
  if (!run.result.has_assignment()) return std::nullopt;
  const double cost = number(run.result.cost);
  return cost == 0 ? 0 : 100 * (cost - number(run.result.lower_bound)) / cost;
}

// Least, middle and greatest; runs that have none count as the greatest.
void print_spread(const char* what, std::vector<std::optional<double>> numbers,
                  const char* format) {
  std::sort(numbers.begin(), numbers.end(), [](const auto& a, const auto& b) {
    return a.has_value() && (!b.has_value() || *a < *b);
  });
  std::printf("  %-24s", what);
  for (const auto& value : {numbers.front(), numbers[numbers.size() / 2], numbers.back()}) {
    char text[64] = "-";
    if (value) std::snprintf(text, sizeof text, format, *value);
    std::printf(" %20s", text);
  }
  std::printf("\n");
}

void print_summary(const std::vector<Run>& runs, std::optional<double> target) {
  std::printf("%s, %zu seeds\n  %-24s %20s %20s %20s\n", runs.front().name.c_str(), runs.size(), "",
              "least", "median", "most");
  const auto collect = [&](auto&& of) {
    std::vector<std::optional<double>> numbers;
    for (const Run& run : runs) numbers.push_back(of(run));
    return numbers;
  };
  using Number = std::optional<double>;
  print_spread("cost", collect([](const Run& run) {
                 return run.result.has_assignment() ? Number(number(run.result.cost)) : Number();
               }),
               "%.0f");
  print_spread("bound",
               collect([](const Run& run) { return Number(number(run.result.lower_bound)); }),
               "%.0f");
  print_spread("gap, %", collect(gap), "%.5f");
  print_spread("seconds to last cost", collect([](const Run& run) {
                 return run.result.has_assignment() ? time_of_cost(run, number(run.result.cost))
                                                    : Number();
               }),
               "%.2f");
  print_spread("seconds to a proof", collect([](const Run& run) {
                 return run.result.status == solver::Status::optimal
                            ? Number(run.result.statistics.seconds)
                            : Number();
               }),
               "%.2f");
  print_spread("seconds in all",
               collect([](const Run& run) { return Number(run.result.statistics.seconds); }),
               "%.2f");
  if (target)
    print_spread("seconds to the target",
                 collect([&](const Run& run) { return time_of_cost(run, *target); }), "%.2f");
  std::fflush(stdout);
}

// --- Files --------------------------------------------------------------------------------------

std::string csv_of(const std::vector<Run>& runs) {
  std::string text = "problem,seed,seconds,nodes,incumbent,bound\n";
  for (const Run& run : runs)
    for (const solver::Progress& progress : run.progress) {
      char seconds[32];
      std::snprintf(seconds, sizeof seconds, "%.6f", progress.seconds);
      text += run.name + "," + std::to_string(run.seed) + "," + seconds + "," +
              std::to_string(progress.nodes) + "," +
              (progress.has_incumbent ? to_string(progress.incumbent) : "") + "," +
              to_string(progress.lower_bound) + "\n";
    }
  return text;
}

// A curve's distance from the best cost known, in percent of it.  What is nearer than can be drawn
// lies on the picture's edge.
void add_curves(benchmarks::Picture& picture, const Run& run, double best, std::size_t group) {
  constexpr double nearest = 1e-6, farthest = 100, earliest = 1e-3;
  benchmarks::Line costs{{}, group, false}, bounds{{}, group, true};
  for (const solver::Progress& progress : run.progress) {
    const double seconds = std::max(earliest, progress.seconds);
    const double scale = 100 / std::max(1.0, std::abs(best));
    const auto add = [&](benchmarks::Line& line, double distance) {
      line.points.emplace_back(seconds, std::clamp(distance * scale, nearest, farthest));
    };
    if (progress.has_incumbent) add(costs, number(progress.incumbent) - best);
    add(bounds, best - number(progress.lower_bound));
  }
  picture.add(std::move(costs));
  picture.add(std::move(bounds));
}

std::string svg_of(const std::vector<std::vector<Run>>& problems, const Arguments& arguments) {
  benchmarks::Picture picture("costs and bounds over time, " + std::to_string(arguments.threads) +
                                  " threads, " + std::to_string(arguments.seeds) + " seeds",
                              "seconds", "distance from the best cost found");
  picture.explain_dashes("cost", "bound");
  for (std::size_t p = 0; p < problems.size(); ++p) {
    picture.name_group(problems[p].front().name);
    std::optional<double> best;
    for (const Run& run : problems[p])
      if (run.result.has_assignment())
        best = std::min(best.value_or(number(run.result.cost)), number(run.result.cost));
    if (!best) continue;
    for (const Run& run : problems[p]) add_curves(picture, run, *best, p);
  }
  return picture.svg();
}

ExitCode run(const Arguments& arguments) {
  const auto targets = parse_targets(arguments.targets);
  // Better now than after an hour.
  for (const std::string& path : {arguments.csv, arguments.svg})
    if (!path.empty() && !std::ofstream(path, std::ios::app))
      throw InputError(path, "can not be written");
  std::vector<std::vector<Run>> problems;
  std::vector<Run> all;
  for (const std::string& path : arguments.problems) {
    const solver::Problem problem = io::read_iopddl(io::read_file(path), path);
    const std::string name = std::filesystem::path(path).stem().string();
    std::vector<Run> runs;
    for (int i = 0; i < arguments.seeds; ++i)
      runs.push_back(
          solve(name, problem, arguments, arguments.first_seed + static_cast<std::uint64_t>(i)));
    const auto target = targets.find(name);
    print_summary(runs, target == targets.end() ? std::nullopt : std::optional(target->second));
    all.insert(all.end(), runs.begin(), runs.end());
    problems.push_back(std::move(runs));
  }
  if (!arguments.csv.empty()) io::write_file(arguments.csv, csv_of(all));
  if (!arguments.svg.empty()) io::write_file(arguments.svg, svg_of(problems, arguments));
  return ExitCode::solved;
}

}  // namespace

int main(int argc, char** argv) { return examples::run_program(argc, argv, describe, run); }
