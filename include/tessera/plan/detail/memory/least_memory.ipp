// SPDX-License-Identifier: Apache-2.0
//
// The bodies of least_memory.hpp.
#pragma once
#include "tessera/plan/detail/memory/least_memory.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "tessera/plan/memory.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/solve.hpp"

namespace tessera::plan::detail {

// The limits tried so far.
struct LimitSearch {
  solver::Problem feasibility;  // all that is allowed is free: only the limit counts
  BufferBudget& budget;
  const solver::Options& options;
  solver::Deadline deadline;
  Extent low = 0;   // too little
  Extent high = 0;  // enough, for the assignment found; 0 where none was
  LeastLimit found;
};

TESSERA_INLINE void report_limit(const LimitSearch& search) {
  if (!search.options.on_progress) return;
  solver::Progress progress;
  progress.seconds = search.deadline.seconds();
  progress.event = "least memory";
  search.options.on_progress(progress);
}

TESSERA_INLINE solver::Status try_limit(LimitSearch& search, Extent limit) {
  constexpr double work_of_trial = 3e9;  // a trial that is not settled by then ends the search
  solver::Options options;
  options.threads = search.options.threads;
  options.cancellation = search.options.cancellation;
  options.time_limit = search.deadline.seconds_left();
  options.work_limit = work_of_trial;
  search.feasibility.usage_limit = limit;
  solver::Result result = search.budget.solve(search.feasibility, options);
  if (result.status == solver::Status::infeasible) search.low = std::max(search.low, limit);
  if (result.has_assignment()) {
    search.high = static_cast<Extent>(search.budget.peak(search.feasibility, result.assignment));
    search.found.assignment = std::move(result.assignment);
  }
  report_limit(search);
  return result.status;
}

// It is harder to see that a limit is too little the nearer it is to the least one, and no
// bisection ends without that.  So after each limit that was too little, the search tries at once
// whether anything below the best assignment so far is enough: when nothing is, all is known.
TESSERA_INLINE void bisect(LimitSearch& search) {
  constexpr Extent most = std::numeric_limits<Extent>::max();
  // The least peak of single tensors often is that of all, and any assignment is better than none.
  if (try_limit(search, search.low + 1) != solver::Status::optimal) try_limit(search, most);
  bool is_below_best = false;
  while (search.high - search.low > 1) {
    const Extent middle = search.low + (search.high - search.low) / 2;
    const solver::Status status = try_limit(search, is_below_best ? search.high - 1 : middle);
    if (status == solver::Status::unknown) break;
    is_below_best = status == solver::Status::infeasible;
  }
  search.found.is_exact = search.high == search.low + 1;
  search.found.bytes = Wide(search.low) + 1;
}

TESSERA_INLINE LeastLimit least_limit(const solver::Problem& problem, Wide floor,
                                      BufferBudget& budget, const solver::Options& options) {
  const Wide least = std::max<Wide>(floor, Wide(problem.usage_limit.value_or(0)) + 1);
  LimitSearch search{with_replaced_costs(problem, [] { return Cost{0}; }),
                     budget,
                     options,
                     solver::Deadline(options),
                     0,
                     0,
                     {least, false, {}}};
  if (least >= std::numeric_limits<Extent>::max()) return std::move(search.found);
  search.low = static_cast<Extent>(least) - 1;
  bisect(search);
  return std::move(search.found);
}

TESSERA_INLINE MemoryPeak least_peak(const graph::Graph& graph, const Formulation& formulation) {
  return memory_peak(graph, formulation.lifetimes, [&](graph::Value value) {
    Extent least = std::numeric_limits<Extent>::max();
    for (const strategy::Choice& choice : *formulation.columns[value.op])
      least = std::min(least, choice.result_bytes[value.result]);
    return least;
  });
}

TESSERA_INLINE Shortage find_shortage(const graph::Graph& graph, const Formulation& formulation,
                                      BufferBudget& budget, const solver::Options& options) {
  Shortage shortage;
  shortage.peak = least_peak(graph, formulation);
  const LeastLimit least = least_limit(formulation.problem, shortage.peak.bytes, budget, options);
  shortage.needed = least.bytes;
  shortage.is_exact = least.is_exact;
  if (!least.assignment.empty())
    shortage.peak = memory_peak(graph, formulation.lifetimes, [&](graph::Value value) {
      const std::uint32_t strategy = least.assignment[formulation.nodes[value.op][0]];
      return (*formulation.columns[value.op])[strategy].result_bytes[value.result];
    });
  return shortage;
}

}  // namespace tessera::plan::detail
