// SPDX-License-Identifier: Apache-2.0
//
// compare-solvers: the same problems, one solver after the other, in one run on one machine.
//
// Seconds on a shared machine say little; ratios within one run say more.  So every solver is set
// against the first: how much cheaper or tighter it ends, and how long each takes to come as far
// as the other did.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "command_line.hpp"
#include "contender.hpp"
#include "process.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/iopddl.hpp"
#include "tessera/solver/evaluate.hpp"

namespace {

using namespace tessera;
using benchmarks::Contender;
using benchmarks::Curve;
using benchmarks::Standing;
using benchmarks::Task;
using examples::ExitCode;

struct Arguments {
  std::vector<std::string> problems, tesseras, solvers{"tessera", "prototype", "cbc", "toulbar2"};
  std::string prototype, compiler = TESSERA_COMPILER;
  double seconds = 60;
  int threads = 1, rounds = 1;
  std::uint64_t seed = 0;
  std::size_t columns = 2'000'000;
};

constexpr const char* about =
    R"(Runs several solvers on the same problems and shows their costs, bounds, times and ratios.

  tessera    tessera-solve, by default the one beside this program; several may be named, and the
             first is what all others are set against
  prototype  the research prototype, compiled here from --prototype
  cbc        CBC, if installed: the problem as a linear program over the local polytope
  toulbar2   toulbar2, if installed: the problem as a weighted constraint network

Solvers that are not there, or to which a problem can not be put, are skipped with the reason.
Every answer is evaluated here, whatever its solver says of it.)";

constexpr const char* epilogue = R"(Examples:
  compare-solvers a.json b.json --seconds 60 --threads 2
  compare-solvers a.json --prototype search.cpp --solvers tessera,prototype --rounds 3
  compare-solvers a.json --tessera build/release/bin/tessera-solve --tessera old/tessera-solve)";

void describe(CLI::App& app, Arguments& arguments) {
  app.description(about);
  app.footer(epilogue);
  app.add_option("PROBLEMS", arguments.problems, "JSON files")->required();
  app.add_option("--seconds", arguments.seconds, "wall clock for each solver, reading included")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--threads", arguments.threads, "for those that can use several")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--rounds", arguments.rounds, "times that all is run, with one seed after another")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "of the first round")->capture_default_str();
  app.add_option("--solvers", arguments.solvers, "only these")
      ->delimiter(',')
      ->check(CLI::IsMember({"tessera", "prototype", "cbc", "toulbar2"}))
      ->capture_default_str();
  app.add_option("--tessera", arguments.tesseras, "a tessera-solve; may be given several times");
  app.add_option("--prototype", arguments.prototype, "source file of the prototype");
  app.add_option("--compiler", arguments.compiler, "of the prototype")->capture_default_str();
  app.add_option("--columns", arguments.columns,
                 "skip cbc and toulbar2 where they would have to read more than this")
      ->capture_default_str();
}

// --- Who takes part -----------------------------------------------------------------------------

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "tessera-compare-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw InputError(name, "can not be made");
    name_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(name_, ignored);
  }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

// Nothing is heard where a program is not there.
bool is_installed(const std::string& program) {
  const auto ended = benchmarks::run_process({"sh", "-c", "command -v " + program}, 10,
                                             [](double, std::string_view) {});
  return ended.status == 0;
}

void compile_prototype(const Arguments& arguments, const std::string& program) {
  const auto ended =
      benchmarks::run_process({arguments.compiler, "-O3", "-march=native", "-std=c++20", "-pthread",
                               arguments.prototype, "-o", program},
                              600, [](double, std::string_view) {});
  if (ended.status != 0)
    throw InputError(arguments.prototype, "does not compile with " + arguments.compiler);
}

std::vector<std::unique_ptr<Contender>> contenders(const Arguments& arguments,
                                                   const Folder& folder) {
  const auto wants = [&](const char* name) {
    return std::find(arguments.solvers.begin(), arguments.solvers.end(), name) !=
           arguments.solvers.end();
  };
  const auto skip = [](const char* name, const char* why) {
    std::printf("%s is skipped: %s\n", name, why);
  };
  std::vector<std::unique_ptr<Contender>> result;
  if (wants("tessera")) {
    std::vector<std::string> programs = arguments.tesseras;
    if (programs.empty())
      programs.push_back(std::filesystem::canonical("/proc/self/exe").parent_path() /
                         "tessera-solve");
    for (std::size_t i = 0; i < programs.size(); ++i) {
      if (!std::filesystem::exists(programs[i])) throw InputError(programs[i], "is not there");
      const std::string name = i == 0 ? "tessera" : "tessera-" + std::to_string(i + 1);
      result.push_back(std::make_unique<benchmarks::Tessera>(name, programs[i]));
    }
  }
  if (wants("prototype")) {
    if (arguments.prototype.empty()) {
      skip("prototype", "no source is given (--prototype)");
    } else {
      compile_prototype(arguments, folder.name() + "/prototype");
      result.push_back(std::make_unique<benchmarks::Prototype>(folder.name() + "/prototype"));
    }
  }
  if (wants("cbc")) {
    if (is_installed("cbc"))
      result.push_back(std::make_unique<benchmarks::Cbc>("cbc", arguments.columns));
    else
      skip("cbc", "it is not installed");
  }
  if (wants("toulbar2")) {
    if (is_installed("toulbar2"))
      result.push_back(std::make_unique<benchmarks::Toulbar2>("toulbar2", arguments.columns));
    else
      skip("toulbar2", "it is not installed");
  }
  return result;
}

// --- One solver on one problem ------------------------------------------------------------------

struct Outcome {
  Standing standing;
  double seconds = 0;
  std::optional<Wide> cost;  // of its answer, as evaluated, if that is one
  std::string remark;
};

Outcome ask(Contender& contender, const Task& task) {
  // Time for a last word; whoever takes longer is not listened to.
  constexpr double grace = 5;
  Outcome outcome;
  const std::vector<std::string> command = contender.command(task);
  const benchmarks::Ended ended = benchmarks::run_process(
      command, task.seconds + grace, [&](double seconds, std::string_view line) {
        contender.read(seconds, line, outcome.standing);
      });
  outcome.seconds = ended.seconds;
  constexpr double late = 0.5;
  if (ended.seconds > task.seconds + late) outcome.remark = "late";
  if (ended.is_killed) outcome.remark = "killed, late";
  if (ended.status > 128 || (ended.status < 0 && !ended.is_killed)) outcome.remark = "crashed";
  const std::optional<solver::Assignment> answer = contender.answer(task);
  if (!answer) {
    outcome.remark += outcome.remark.empty() ? "no answer" : ", no answer";
    return outcome;
  }
  try {
    const solver::Evaluation evaluation = solver::evaluate(task.problem, *answer);
    if (evaluation.is_feasible())
      outcome.cost = evaluation.cost;
    else if (evaluation.forbidden > 0)
      outcome.remark = "its answer takes what is forbidden";
    else
      outcome.remark = "its answer uses more than the limit";
  } catch (const tessera::InvalidArgument& error) {
    outcome.remark = std::string("its answer is none: ") + error.what();
  }
  if (!outcome.cost) return outcome;
  // The printed cost may have as few as twelve digits.
  const double exact = static_cast<double>(*outcome.cost);
  const Curve& costs = outcome.standing.costs;
  if (!costs.empty() && std::abs(costs.back().second - exact) > 1e-6 * std::abs(exact) + 1)
    outcome.remark = "says that its answer costs something else";
  const Curve& bounds = outcome.standing.bounds;
  if (!bounds.empty() && bounds.back().second > exact + 1e-9 * std::abs(exact) + 0.5)
    outcome.remark = "its bound is above its cost";
  return outcome;
}

// --- Tables -------------------------------------------------------------------------------------

// Printed costs are rounded, so a cost within this share of another is as good.
constexpr double rounding = 1e-9;

std::optional<double> time_to_cost(const Standing& standing, double cost) {
  for (const auto& [seconds, reached] : standing.costs)
    if (reached <= cost + rounding * std::abs(cost)) return seconds;
  return std::nullopt;
}
std::optional<double> time_to_bound(const Standing& standing, double bound) {
  for (const auto& [seconds, reached] : standing.bounds)
    if (reached >= bound - rounding * std::abs(bound)) return seconds;
  return std::nullopt;
}

std::string text(const char* format, std::optional<double> value) {
  if (!value) return "-";
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, *value);
  return buffer;
}
std::optional<double> ratio(std::optional<double> a, std::optional<double> b) {
  if (!a || !b || *b == 0) return std::nullopt;
  return *a / *b;
}

std::optional<double> last(const Curve& curve) {
  if (curve.empty()) return std::nullopt;
  return curve.back().second;
}
std::optional<double> last_time(const Curve& curve) {
  if (curve.empty()) return std::nullopt;
  return curve.back().first;
}
std::optional<double> cost_of(const Outcome& outcome) {
  if (!outcome.cost) return std::nullopt;
  return static_cast<double>(*outcome.cost);
}
std::optional<double> gap_of(const Outcome& outcome) {
  const auto cost = cost_of(outcome), bound = last(outcome.standing.bounds);
  if (!cost || !bound) return std::nullopt;
  return *cost == 0 ? 0 : 100 * (*cost - *bound) / *cost;
}

void print_outcome(const std::string& name, const Outcome& outcome) {
  const Standing& standing = outcome.standing;
  const auto first = standing.costs.empty() ? std::optional<double>()
                                            : std::optional(standing.costs.front().first);
  std::printf(
      "  %-10s %8s %20s %8s %20s %8s %9s %8s %8.2f  %s\n", name.c_str(),
      text("%.2f", first).c_str(), outcome.cost ? to_string(*outcome.cost).c_str() : "-",
      text("%.2f", last_time(standing.costs)).c_str(), text("%.0f", last(standing.bounds)).c_str(),
      text("%.2f", last_time(standing.bounds)).c_str(), text("%.4f%%", gap_of(outcome)).c_str(),
      text("%.2f", standing.proven).c_str(), outcome.seconds, outcome.remark.c_str());
}

// Another's numbers over the reference's.
struct Ratios {
  std::optional<double> cost, bound, time_to_ours, time_to_theirs, bound_to_theirs, proof;
};

Ratios ratios(const Outcome& other, const Outcome& ours) {
  Ratios result;
  result.cost = ratio(cost_of(other), cost_of(ours));
  result.bound = ratio(last(other.standing.bounds), last(ours.standing.bounds));
  if (const auto cost = cost_of(ours))
    result.time_to_ours =
        ratio(time_to_cost(other.standing, *cost), time_to_cost(ours.standing, *cost));
  if (const auto cost = cost_of(other))
    result.time_to_theirs =
        ratio(time_to_cost(other.standing, *cost), time_to_cost(ours.standing, *cost));
  if (const auto bound = last(other.standing.bounds))
    result.bound_to_theirs =
        ratio(time_to_bound(other.standing, *bound), time_to_bound(ours.standing, *bound));
  result.proof = ratio(other.standing.proven, ours.standing.proven);
  return result;
}

void print_ratios(const std::string& name, const Ratios& r) {
  std::printf("  %-10s %12s %12s %14s %14s %14s %12s\n", name.c_str(), text("%.6f", r.cost).c_str(),
              text("%.6f", r.bound).c_str(), text("%.2f", r.time_to_ours).c_str(),
              text("%.2f", r.time_to_theirs).c_str(), text("%.2f", r.bound_to_theirs).c_str(),
              text("%.2f", r.proof).c_str());
}
void print_ratio_header(const std::string& reference) {
  std::printf("  over %-23s %12s %14s %14s %14s %12s\n", (reference + ":       cost").c_str(),
              "bound", "t(its cost)", "t(own cost)", "t(own bound)", "t(proof)");
}

std::optional<double> median(std::vector<double> numbers) {
  if (numbers.empty()) return std::nullopt;
  std::sort(numbers.begin(), numbers.end());
  return numbers[numbers.size() / 2];
}

// Over all problems and rounds.
void print_medians(const std::string& reference,
                   const std::map<std::string, std::vector<Ratios>>& all) {
  std::printf("\nmedians over all problems and rounds\n");
  print_ratio_header(reference);
  for (const auto& entry : all) {
    const auto of = [&](std::optional<double> Ratios::*member) {
      std::vector<double> numbers;
      for (const Ratios& r : entry.second)
        if (r.*member) numbers.push_back(*(r.*member));
      return median(std::move(numbers));
    };
    print_ratios(entry.first,
                 {of(&Ratios::cost), of(&Ratios::bound), of(&Ratios::time_to_ours),
                  of(&Ratios::time_to_theirs), of(&Ratios::bound_to_theirs), of(&Ratios::proof)});
  }
}

ExitCode run(const Arguments& arguments) {
  const Folder folder;
  const auto all = contenders(arguments, folder);
  if (all.empty()) throw InputError("--solvers", "none of these is here");
  std::map<std::string, std::vector<Ratios>> collected;
  for (const std::string& path : arguments.problems) {
    const solver::Problem problem = io::read_iopddl(io::read_file(path), path);
    for (int round = 0; round < arguments.rounds; ++round) {
      const Task task{problem,           path,
                      folder.name(),     arguments.seconds,
                      arguments.threads, arguments.seed + static_cast<std::uint64_t>(round)};
      std::printf("\n%s: %zu nodes, %zu edges; %g s each, %d threads, seed %llu\n", path.c_str(),
                  problem.node_count(), problem.edge_count(), arguments.seconds, arguments.threads,
                  static_cast<unsigned long long>(task.seed));
      std::printf("  %-10s %8s %20s %8s %20s %8s %9s %8s %8s\n", "", "first", "cost", "at", "bound",
                  "at", "gap", "proven", "ended");
      std::vector<std::pair<std::string, Outcome>> outcomes;
      for (const auto& contender : all) {
        const std::string obstacle = contender->obstacle(problem);
        if (!obstacle.empty()) {
          std::printf("  %-10s is skipped: %s\n", contender->name().c_str(), obstacle.c_str());
          continue;
        }
        outcomes.emplace_back(contender->name(), ask(*contender, task));
        print_outcome(contender->name(), outcomes.back().second);
        std::fflush(stdout);
      }
      if (outcomes.size() < 2) continue;
      print_ratio_header(outcomes.front().first);
      for (std::size_t i = 1; i < outcomes.size(); ++i) {
        const Ratios r = ratios(outcomes[i].second, outcomes.front().second);
        print_ratios(outcomes[i].first, r);
        collected[outcomes[i].first].push_back(r);
      }
    }
  }
  if (arguments.problems.size() * static_cast<std::size_t>(arguments.rounds) > 1 &&
      !collected.empty())
    print_medians(all.front()->name(), collected);
  return ExitCode::solved;
}

}  // namespace

int main(int argc, char** argv) { return examples::run_program(argc, argv, describe, run); }
