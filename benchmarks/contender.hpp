// SPDX-License-Identifier: Apache-2.0
//
// The solvers that compare_solvers.cpp runs: how each is called, and what its output says.
//
// All are separate programs, timed from their start, reading included, by the moment at which a
// line of their log arrives.  What they print of costs may be rounded; the answer itself is judged
// by evaluate(), whatever its solver thinks of it.
#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cost_function_network.hpp"
#include "linear_program.hpp"
#include "tessera/io/file.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::benchmarks {

// How a cost fell, or a bound rose, over time.
using Curve = std::vector<std::pair<double, double>>;

// What a solver said, and when.
struct Standing {
  Curve costs, bounds;
  std::optional<double> proven;  // the seconds after which it called its answer optimal

  void cost(double seconds, double value) {
    if (costs.empty() || value < costs.back().second) costs.emplace_back(seconds, value);
  }
  void bound(double seconds, double value) {
    if (bounds.empty() || value > bounds.back().second) bounds.emplace_back(seconds, value);
  }
  void prove(double seconds) {
    if (!proven) proven = seconds;
  }
};

struct Task {
  const solver::Problem& problem;
  std::string path;    // of the problem
  std::string folder;  // for what the solver needs and leaves
  double seconds;
  int threads;
  std::uint64_t seed;

  std::string file(const char* name) const { return folder + "/" + name; }
  std::string seconds_text() const {
    char text[32];
    std::snprintf(text, sizeof text, "%g", seconds);
    return text;
  }
};

inline std::optional<double> number_after(std::string_view line, std::string_view what) {
  const std::size_t at = line.find(what);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string rest(line.substr(at + what.size()));
  char* end = nullptr;
  const double value = std::strtod(rest.c_str(), &end);
  if (end == rest.c_str()) return std::nullopt;
  return value;
}

// "[0, 2, 1]" or "0 2 1"
inline std::optional<solver::Assignment> read_assignment(std::string_view text, std::size_t count) {
  solver::Assignment result;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    if (*at < '0' || *at > '9') {
      ++at;
      continue;
    }
    std::uint32_t value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc()) return std::nullopt;
    result.push_back(value);
    at = next;
  }
  if (result.size() != count) return std::nullopt;
  return result;
}

class Contender {
 public:
  explicit Contender(std::string name) : name_(std::move(name)) {}
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;
  virtual ~Contender() = default;

  const std::string& name() const { return name_; }

  // Why it can not be asked; empty if it can.
  virtual std::string obstacle(const solver::Problem&) const { return {}; }
  // Also writes what the command reads.
  virtual std::vector<std::string> command(const Task& task) = 0;
  virtual void read(double seconds, std::string_view line, Standing& standing) = 0;
  virtual std::optional<solver::Assignment> answer(const Task& task) = 0;

 private:
  std::string name_;
};

class Tessera : public Contender {
 public:
  Tessera(std::string name, std::string program)
      : Contender(std::move(name)), program_(std::move(program)) {}

  std::vector<std::string> command(const Task& task) override {
    last_.clear();
    return {program_,
            task.path,
            task.seconds_text(),
            "--threads",
            std::to_string(task.threads),
            "--seed",
            std::to_string(task.seed)};
  }
  void read(double seconds, std::string_view line, Standing& standing) override {
    last_ = line;
    if (line.starts_with("# status ")) {
      if (const auto cost = number_after(line, ", cost ")) standing.cost(seconds, *cost);
      if (const auto bound = number_after(line, "lower bound ")) standing.bound(seconds, *bound);
      if (line.starts_with("# status optimal")) standing.prove(seconds);
      return;
    }
    // # time nodes incumbent bound gap event
    std::istringstream words{std::string(line)};
    std::string hash, time, nodes, incumbent, bound, gap, event;
    if (!(words >> hash >> time >> nodes >> incumbent >> bound >> gap >> event) || hash != "#")
      return;
    char* end = nullptr;
    std::strtod(time.c_str(), &end);
    if (*end != '\0') return;  // the header
    if (incumbent != "-") standing.cost(seconds, std::strtod(incumbent.c_str(), nullptr));
    standing.bound(seconds, std::strtod(bound.c_str(), nullptr));
  }
  std::optional<solver::Assignment> answer(const Task& task) override {
    return read_assignment(last_, task.problem.node_count());
  }

 private:
  std::string program_, last_;
};

// The prototype's costs have 12 digits and its times are its own, so both are good to a rounding.
class Prototype : public Contender {
 public:
  explicit Prototype(std::string program) : Contender("prototype"), program_(std::move(program)) {}

  std::vector<std::string> command(const Task& task) override {
    return {program_,
            task.path,
            task.seconds_text(),
            std::to_string(task.threads),
            std::to_string(task.seed + 1),
            task.file("prototype.answer")};
  }
  void read(double seconds, std::string_view line, Standing& standing) override {
    // "[1.2] lns best COST LB BOUND gap ..." and "[9.9] FINAL COST LB BOUND"
    const auto lower = number_after(line, " LB ");
    if (!lower) return;
    auto cost = number_after(line, " best ");
    if (!cost) cost = number_after(line, "FINAL ");
    if (cost) standing.cost(seconds, *cost);
    if (*lower > -1e200) standing.bound(seconds, *lower);
    // It ends early where its bound, in doubles, comes within a half of its cost.
    if (cost && line.find("FINAL") != std::string_view::npos && *cost - *lower < 1)
      standing.prove(seconds);
  }
  std::optional<solver::Assignment> answer(const Task& task) override {
    if (!std::filesystem::exists(task.file("prototype.answer"))) return std::nullopt;
    return read_assignment(io::read_file(task.file("prototype.answer")), task.problem.node_count());
  }

 private:
  std::string program_;
};

class Cbc : public Contender {
 public:
  Cbc(std::string program, std::size_t most_columns)
      : Contender("cbc"), program_(std::move(program)), most_columns_(most_columns) {}

  std::string obstacle(const solver::Problem& problem) const override {
    const LinearProgram linear(problem);
    if (std::string why = linear.obstacle(); !why.empty()) return why;
    const std::size_t columns = linear.column_count();
    if (columns <= most_columns_) return {};
    return "its program would have " + std::to_string(columns) + " columns (--columns)";
  }
  std::vector<std::string> command(const Task& task) override {
    io::write_file(task.file("problem.lp"), LinearProgram(task.problem).text());
    return {program_,
            task.file("problem.lp"),
            "-timeMode",
            "elapsed",
            "-seconds",
            task.seconds_text(),
            "-threads",
            std::to_string(task.threads),
            "-ratioGap",
            "0",
            "-allowableGap",
            "0",
            "-solve",
            "-solution",
            task.file("cbc.answer")};
  }
  void read(double seconds, std::string_view line, Standing& standing) override {
    if (line.find("Cbc0038I") != std::string_view::npos) return;  // inside a heuristic
    for (const char* const what :
         {"nteger solution of ", "better solution of ", "Search completed - best objective "})
      if (const auto cost = number_after(line, what)) standing.cost(seconds, *cost);
    for (const char* const what : {"best possible ", "Continuous objective value is "})
      if (const auto bound = number_after(line, what)) standing.bound(seconds, *bound);
    if (const auto cost = number_after(line, "Objective value:")) {
      standing.cost(seconds, *cost);
      if (is_optimal_) standing.bound(seconds, *cost);
    }
    if (const auto bound = number_after(line, "Lower bound:")) standing.bound(seconds, *bound);
    if (line.find("Result - Optimal solution found") != std::string_view::npos) {
      is_optimal_ = true;
      standing.prove(seconds);
    }
  }
  std::optional<solver::Assignment> answer(const Task& task) override {
    is_optimal_ = false;
    if (!std::filesystem::exists(task.file("cbc.answer"))) return std::nullopt;
    return LinearProgram(task.problem).answer(io::read_file(task.file("cbc.answer")));
  }

 private:
  std::string program_;
  std::size_t most_columns_;
  bool is_optimal_ = false;
};

class Toulbar2 : public Contender {
 public:
  Toulbar2(std::string program, std::size_t most_entries)
      : Contender("toulbar2"), program_(std::move(program)), most_entries_(most_entries) {}

  std::string obstacle(const solver::Problem& problem) const override {
    std::size_t entries = 0;
    for (solver::EdgeId e = 0; e < problem.edge_count(); ++e)
      entries += problem.edge_costs(e).size();
    if (entries > most_entries_)
      return "its network would have " + std::to_string(entries) + " entries (--columns)";
    return CostFunctionNetwork(problem).obstacle();
  }
  std::vector<std::string> command(const Task& task) override {
    last_.clear();
    io::write_file(task.file("problem.wcsp"), CostFunctionNetwork(task.problem).text());
    return {program_, task.file("problem.wcsp"), "-s",
            "-timer=" + std::to_string(std::max(1L, std::lround(task.seconds)))};
  }
  void read(double seconds, std::string_view line, Standing& standing) override {
    if (is_next_) last_ = line;
    is_next_ = false;
    if (const auto cost = number_after(line, "New solution: ")) {
      standing.cost(seconds, *cost);
      is_next_ = true;
    }
    for (const char* const what :
         {"Reverse DAC dual bound: ", "Initial lower and upper bounds: [", "Optimality gap: ["})
      if (const auto bound = number_after(line, what)) standing.bound(seconds, *bound);
    if (!line.starts_with("Optimum: ")) return;
    if (const auto cost = number_after(line, "Optimum: ")) {
      standing.bound(seconds, *cost);
      standing.prove(seconds);
    }
  }
  std::optional<solver::Assignment> answer(const Task& task) override {
    // After the nodes' strategies come the variables of the knapsacks.
    std::istringstream words(last_);
    solver::Assignment result;
    for (std::uint32_t value = 0; result.size() < task.problem.node_count() && words >> value;)
      result.push_back(value);
    if (result.size() != task.problem.node_count()) return std::nullopt;
    return result;
  }

 private:
  std::string program_, last_;
  std::size_t most_entries_;
  bool is_next_ = false;
};

}  // namespace tessera::benchmarks
