// SPDX-License-Identifier: Apache-2.0
//
// When no plan fits the memory budget: how much would be needed, where, and which tensors ask for
// it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "tessera/plan/budget.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/free_choice.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/solve.hpp"

namespace tessera::plan {

struct Shortage {
  Wide needed = 0;        // no plan fits in fewer bytes per device
  bool is_exact = false;  // and some plan fits in just so many
  // Of the plan that needs least of all that were found; where none was, with every tensor at the
  // least it can take.
  MemoryPeak peak;
};

namespace detail {

// The least limit within which a problem has an assignment.
struct LeastLimit {
  Wide bytes = 0;                 // there is none below
  bool is_exact = false;          // and one within it
  solver::Assignment assignment;  // within the least limit for which one was found
};

// Finds it by halving.  That less is too little is harder to see the nearer it gets to what is
// enough, and no halving ends without it.  So after each limit that was too little it is tried at
// once whether anything below the best plan so far is enough: when it is not, all is known.
class LeastLimitFinder {
 public:
  // `budget` is of the problem.
  LeastLimitFinder(const solver::Problem& problem, BufferBudget& budget, const solver::Options& options)
      : feasibility_(with_free_choice(problem, [] { return Cost{0}; })),
        budget_(budget),
        options_(options),
        deadline_(options) {}

  // @pre there is none below `floor`, which is the least that can be found
  LeastLimit run(Wide floor) {
    constexpr Extent most = std::numeric_limits<Extent>::max();
    found_.bytes = floor;
    if (floor >= most) return std::move(found_);
    low_ = static_cast<Extent>(floor) - 1;
    // What is least by itself often is in all, and any plan is better than none to begin with.
    if (try_limit(low_ + 1) != solver::Status::optimal) try_limit(most);
    bool is_below_best = false;
    while (high_ - low_ > 1) {
      const solver::Status status =
          try_limit(is_below_best ? high_ - 1 : low_ + (high_ - low_) / 2);
      if (status == solver::Status::unknown) break;
      is_below_best = status == solver::Status::infeasible;
    }
    found_.is_exact = high_ == low_ + 1;
    found_.bytes = Wide(low_) + 1;
    return std::move(found_);
  }

 private:
  solver::Status try_limit(Extent limit) {
    solver::Options options;
    options.threads = options_.threads;
    options.cancellation = options_.cancellation;
    options.time_limit = deadline_.seconds_left();
    options.work_limit = work_of_trial;
    feasibility_.usage_limit = limit;
    solver::Result result = budget_.solve(feasibility_, options);
    if (result.status == solver::Status::infeasible) low_ = std::max(low_, limit);
    if (result.has_assignment()) {
      high_ = static_cast<Extent>(budget_.peak(feasibility_, result.assignment));
      found_.assignment = std::move(result.assignment);
    }
    report();
    return result.status;
  }

  void report() const {
    if (!options_.on_progress) return;
    solver::Progress progress;
    progress.seconds = deadline_.seconds();
    progress.event = "least memory";
    options_.on_progress(progress);
  }

  // A trial that is not settled by then ends the search: nobody waits hours for the last byte.
  static constexpr double work_of_trial = 3e9;

  solver::Problem feasibility_;  // all that is allowed is free: only fitting counts
  BufferBudget& budget_;
  const solver::Options& options_;
  solver::Deadline deadline_;
  Extent low_ = 0;   // too little
  Extent high_ = 0;  // enough, for what was found; 0 where nothing was
  LeastLimit found_;
};

// Spends at most options.time_limit.  @pre the problem has no assignment within its limit, nor
// below `floor`
inline LeastLimit least_limit(const solver::Problem& problem, Wide floor, BufferBudget& budget,
                       const solver::Options& options) {
  const Wide too_little = problem.usage_limit.value_or(0);
  return LeastLimitFinder(problem, budget, options).run(std::max(floor, too_little + 1));
}

// With every tensor at the least that it can take.
inline MemoryPeak least_peak(const graph::Graph& graph, const Formulation& formulation) {
  return memory_peak(graph, formulation.lifetimes, [&](graph::Value value) {
    Extent least = std::numeric_limits<Extent>::max();
    for (const strategy::Choice& choice : *formulation.columns[value.op])
      least = std::min(least, choice.result_bytes[value.result]);
    return least;
  });
}

}  // namespace detail

// @pre the formulation has no solution within its usage limit; `budget` is of its problem.  Spends at most options.time_limit.
inline Shortage find_shortage(const graph::Graph& graph, const Formulation& formulation, BufferBudget& budget,
                       const solver::Options& options) {
  Shortage shortage;
  shortage.peak = detail::least_peak(graph, formulation);
  const detail::LeastLimit least =
      detail::least_limit(formulation.problem, shortage.peak.bytes, budget, options);
  shortage.needed = least.bytes;
  shortage.is_exact = least.is_exact;
  if (!least.assignment.empty())
    shortage.peak = memory_peak(graph, formulation.lifetimes, [&](graph::Value value) {
      const std::uint32_t strategy = least.assignment[formulation.nodes[value.op][0]];
      return (*formulation.columns[value.op])[strategy].result_bytes[value.result];
    });
  return shortage;
}

}  // namespace tessera::plan
