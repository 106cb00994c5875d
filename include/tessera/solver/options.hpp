// SPDX-License-Identifier: Apache-2.0
//
// What a caller asks of the solver, and what it answers.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>

#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver {

// Four outcomes, never merged: reaching a limit says nothing about feasibility.
enum class Status : std::uint8_t {
  optimal,     // the assignment is proven the cheapest
  feasible,    // an assignment was found; the lower bound says how far it can be from the cheapest
  infeasible,  // there is none, proven
  unknown,     // none was found in time
};

constexpr const char* to_string(Status status) noexcept {
  switch (status) {
    case Status::optimal: return "optimal";
    case Status::feasible: return "feasible";
    case Status::infeasible: return "infeasible";
    case Status::unknown: return "unknown";
  }
  return "";
}

// Copies share one flag: keep one, hand another to the solver, and cancel from any thread.
class Cancellation {
 public:
  void cancel() const noexcept { flag_->store(true, std::memory_order_relaxed); }
  bool is_cancelled() const noexcept { return flag_->load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<bool>> flag_ = std::make_shared<std::atomic<bool>>(false);
};

// Where a solve stands.  Costs are of the whole problem.
struct Progress {
  double seconds = 0;       // since the solve began
  std::uint64_t nodes = 0;  // of the search tree
  bool has_incumbent = false;
  Wide incumbent = 0;      // meaningful when has_incumbent
  Wide lower_bound = 0;    // no assignment is cheaper
  const char* event = "";  // "presolved", "incumbent", "bound", "finished"
};

// What a unit of usage is worth at a time: a multiplier, as bounds are made with.
struct UsagePrice {
  std::int64_t time = 0;
  double price = 0;  // in units of cost
};

struct Options {
  double time_limit = std::numeric_limits<double>::infinity();  // seconds of wall clock
  int threads = 1;         // 1 and up; with 1, the same seed gives the same answer
  std::uint64_t seed = 0;  // breaks ties in the search
  bool presolve = true;    // off: the search sees the problem as it is (tests compare the two)
  // An assignment to begin with, such as the answer to a similar problem.  One that uses too much
  // is made to fit first, if that is soon done.  Empty, or forbidden: none.
  Assignment start;
  // Multipliers to begin with, such as those of a similar problem's answer; times ascend.  They
  // guide the search and prove nothing: any will do.
  std::vector<UsagePrice> usage_prices;
  std::uint64_t node_limit = std::numeric_limits<std::uint64_t>::max();
  // Kernel operations, of the search of a component by its first thread; 10^9 take a second or so.
  // Unlike time, they end the same search at the same place on every machine.
  double work_limit = std::numeric_limits<double>::infinity();
  // The search ends once nothing can be cheaper by more than this share of the cost: 0.001 is a
  // tenth of a percent.  0: only the cheapest will do.
  double gap_limit = 0;
  Cancellation cancellation;
  std::function<void(const Progress&)> on_progress;  // called from one thread at a time
  // Receives a certificate of the lower bound, piece by piece (proof.hpp; check.hpp verifies it).
  // Unset: none is written, which is faster.
  std::function<void(std::string_view)> on_proof;
};

struct Statistics {
  double seconds = 0;
  std::uint64_t nodes = 0;  // of the search tree
  // What presolve left of the problem.
  std::size_t variables = 0, values = 0, edges = 0, rows = 0, components = 0;
};

struct Result {
  Status status = Status::unknown;
  Assignment assignment;  // meaningful when optimal or feasible
  Wide cost = 0;          // of the assignment
  Wide lower_bound = 0;   // <= the cost of every assignment; equal to cost exactly when optimal
  // Where usage is short, and what more of it would save there, by the relaxation that gave the
  // bound; times ascend.
  std::vector<UsagePrice> usage_prices;
  Statistics statistics;

  bool has_assignment() const noexcept {
    return status == Status::optimal || status == Status::feasible;
  }
};

// Whether an answer is as near to the cheapest as was asked for.
inline bool is_near_enough(Wide cost, Wide lower_bound, double gap_limit) {
  return cost == lower_bound ||
         static_cast<double>(cost - lower_bound) <= gap_limit * std::abs(static_cast<double>(cost));
}
inline bool is_near_enough(const Result& result, const Options& options) {
  return result.has_assignment() &&
         is_near_enough(result.cost, result.lower_bound, options.gap_limit);
}

// The end of the time allowed, asked often and from anywhere in a solve.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Deadline(const Options& options)
      : cancellation_(options.cancellation), limit_(options.time_limit) {}

  // For a part of the work: over when the whole is, or when end() says that the part is done.
  Deadline part() const { return Deadline(*this, start_); }
  void end() const noexcept { ended_.cancel(); }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  // Of the time limit: what may be given to a solve that is a part of the work.
  double seconds_left() const { return std::max(0.0, limit_ - seconds()); }
  bool is_over() const {
    return ended_.is_cancelled() || cancellation_.is_cancelled() || seconds() >= limit_;
  }

 private:
  Deadline(const Deadline& whole, Clock::time_point start)
      : start_(start), cancellation_(whole.cancellation_), limit_(whole.limit_) {}

  Clock::time_point start_ = Clock::now();
  Cancellation cancellation_, ended_;
  double limit_;
};

}  // namespace tessera::solver
