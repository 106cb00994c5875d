// SPDX-License-Identifier: Apache-2.0
//
// tessera-solve: an IOPDDL problem in, an assignment out, by the contest's protocol.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "command_line.hpp"
#include "tessera/core/text.hpp"
#include "tessera/io/file.hpp"
#include "tessera/io/iopddl.hpp"
#include "tessera/report/solve_log.hpp"
#include "tessera/report/text.hpp"
#include "tessera/solver/check.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/solve.hpp"
#include "tessera/version.hpp"

namespace {

using namespace tessera;
using examples::ExitCode;

struct Arguments {
  std::string problem, seconds, seed = "0", gap, certificate;
  int threads = 1;
  bool quiet = false, check = false;
};

constexpr const char* about =
    R"(Chooses a strategy for every node of a problem, at least total cost.

Reads Google's IOPDDL contest format (JSON) and follows the contest's protocol: lines of log begin
with '#', the last line is the solution, one strategy per node in brackets, or [] if none was found.)";

constexpr const char* epilogue = R"(Examples:
  tessera-solve problem.json 60
  tessera-solve problem.json 60 --threads 2 | tail -n 1
  tessera-solve problem.json 60 --certificate proof.txt
      also writes a proof that no solution costs less than the lower bound
  tessera-solve --check problem.json proof.txt
      verifies the proof by code that shares nothing with the solver

Exit codes: 0 a solution was found (or the certificate is valid), 1 bad input (or an invalid
certificate), 2 proven to have no solution, 3 no solution found in time.)";

void describe(CLI::App& app, Arguments& arguments) {
  app.description(about);
  app.footer(epilogue);
  app.set_version_flag("--version", "tessera " TESSERA_VERSION_STRING);
  app.add_option("PROBLEM", arguments.problem, "JSON file; - reads standard input")->required();
  app.add_option("SECONDS", arguments.seconds,
                 "time limit in seconds of wall clock, reading included; with --check, the "
                 "certificate's file")
      ->required();
  app.add_option("--threads", arguments.threads, "threads of the search")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option(
      "--gap", arguments.gap,
      "stop once the solution is proven to be within this share of the optimum, as 0.01% "
      "(default: 0)");
  app.add_option("--seed", arguments.seed, "breaks ties in the search")->capture_default_str();
  app.add_option("--certificate", arguments.certificate,
                 "write a proof of the lower bound to this file, as text");
  app.add_flag("--check", arguments.check, "verify a certificate instead of solving");
  app.add_flag("-q,--quiet", arguments.quiet, "print only the solution");
}

class Log {
 public:
  explicit Log(bool quiet) : quiet_(quiet) {}
  void operator()(const std::string& line) const {
    if (!quiet_) std::printf("# %s\n", line.c_str());
    std::fflush(stdout);
  }

 private:
  bool quiet_;
};

void print_solution(const solver::Result& result) {
  std::printf("[%s]\n", joined(result.assignment, ", ").c_str());
}

ExitCode check(const Arguments& arguments) {
  const solver::Problem problem =
      io::read_iopddl(io::read_file(arguments.problem), arguments.problem);
  const solver::Verdict verdict =
      solver::check_certificate(problem, io::read_file(arguments.seconds));
  if (!verdict.is_valid)
    throw InputError(arguments.seconds, "line " + std::to_string(verdict.line) +
                                            " of the certificate is at fault: " + verdict.fault);
  if (!arguments.quiet)
    std::printf("# certificate valid: %s\n",
                verdict.is_infeasible
                    ? "no assignment is feasible"
                    : ("no assignment costs less than " + verdict.lower_bound).c_str());
  return ExitCode::solved;
}

// No problem where the time was over before it was read.
std::optional<solver::Problem> read_problem(const Arguments& arguments,
                                            const solver::Deadline& clock) {
  try {
    return io::read_iopddl(io::read_file(arguments.problem), arguments.problem,
                           [&] { return clock.is_over(); });
  } catch (const io::ReadingStopped&) {
    return std::nullopt;
  }
}

void log_beginning(const Log& log, const solver::Problem& problem, double seconds) {
  char line[200];
  std::snprintf(line, sizeof line, ": %zu nodes, %zu edges, read in %.2f s", problem.node_count(),
                problem.edge_count(), seconds);
  log(excerpt(problem.name, 60) + line);
  log(report::log_header());
}

void log_ending(const Log& log, const solver::Result& result) {
  char line[200];
  std::snprintf(line, sizeof line, "presolved to %zu variables, %zu values, %zu edges, %zu rows",
                result.statistics.variables, result.statistics.values, result.statistics.edges,
                result.statistics.rows);
  log(line);
  std::string ending = std::string("status ") + to_string(result.status);
  if (result.has_assignment()) ending += ", cost " + to_string(result.cost);
  if (result.status != solver::Status::infeasible)
    ending += ", lower bound " + to_string(result.lower_bound);
  if (result.has_assignment())
    ending += ", gap " + report::gap_text(result.cost, result.lower_bound);
  log(ending);
}

ExitCode exit_code_of(const solver::Result& result) {
  if (result.has_assignment()) return ExitCode::solved;
  return result.status == solver::Status::infeasible ? ExitCode::infeasible
                                                     : ExitCode::nothing_found;
}

ExitCode run(const Arguments& arguments) {
  if (arguments.check) return check(arguments);
  const Log log(arguments.quiet);
  const double seconds = examples::parse_seconds("SECONDS", arguments.seconds);
  solver::Options options;
  options.threads = arguments.threads;
  options.seed = examples::parse_seed("--seed", arguments.seed);
  if (!arguments.gap.empty()) options.gap_limit = examples::parse_gap("--gap", arguments.gap);
  options.time_limit = seconds;
  options.cancellation = examples::cancelled_by_interrupt();
  const solver::Deadline clock(options);  // which counts reading
  if (!arguments.certificate.empty()) io::check_writable(arguments.certificate);
  const std::optional<solver::Problem> problem = read_problem(arguments, clock);
  if (!problem) {
    log("no time was left to read the problem");
    print_solution({});
    return ExitCode::nothing_found;
  }
  log_beginning(log, *problem, clock.seconds());

  // Undoing presolve and printing take time, too.
  const double reserve = std::min(0.2, 0.05 * seconds);
  options.time_limit = std::max(0.0, clock.seconds_left() - reserve);
  options.on_progress = [&](const solver::Progress& progress) { log(report::log_line(progress)); };
  std::string certificate;
  if (!arguments.certificate.empty())
    options.on_proof = [&](std::string_view text) { certificate += text; };
  const solver::Result result = solver::solve(*problem, options);
  if (!arguments.certificate.empty()) io::write_file(arguments.certificate, certificate);
  log_ending(log, result);
  print_solution(result);
  return exit_code_of(result);
}

}  // namespace

int main(int argc, char** argv) { return examples::run_program(argc, argv, describe, run); }
