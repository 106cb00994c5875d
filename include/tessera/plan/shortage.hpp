// SPDX-License-Identifier: Apache-2.0
//
// When no plan fits the memory budget: how much would be needed, where, and which tensors ask for
// it.
#pragma once
#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>
#include <vector>

#include "tessera/plan/formulate.hpp"
#include "tessera/plan/memory.hpp"
#include "tessera/solver/solve.hpp"

namespace tessera::plan {

struct Shortage {
  Wide needed = 0;        // no plan fits in fewer bytes per device
  bool is_exact = false;  // and some plan fits in just so many
  MemoryPeak peak;        // with every tensor at the least it can take
};

namespace detail {

// The same choices and limits, every allowed choice free: only fitting counts.
inline solver::Problem feasibility_problem(const solver::Problem& problem, Extent limit) {
  solver::Problem result;
  result.usage_limit = limit;
  const auto freed = [](std::span<const Cost> costs) {
    std::vector<Cost> result_costs(costs.begin(), costs.end());
    for (Cost& cost : result_costs)
      if (is_finite(cost)) cost = 0;
    return result_costs;
  };
  for (solver::NodeId v = 0; v < problem.node_count(); ++v)
    result.add_node(freed(problem.costs(v)), problem.usages(v), problem.interval(v));
  for (solver::EdgeId e = 0; e < problem.edge_count(); ++e) {
    const std::vector<Cost> costs = freed(problem.edge_costs(e));
    const bool restricts = std::find(costs.begin(), costs.end(), infinite) != costs.end();
    if (restricts) result.add_edge(problem.edge_nodes(e), costs);
  }
  return result;
}

// Finds the least limit in (low, high] that has a solution.  @pre high has one, low has none
template<std::same_as<solver::Problem> P>  // a template for the reason that solve() is one
class LeastLimit {
 public:
  LeastLimit(const P& problem, const solver::Options& options)
      : problem_(problem), options_(options), deadline_(options) {}

  solver::Status try_limit(Extent limit, Extent* used = nullptr) {
    solver::Options options;
    options.threads = options_.threads;
    options.cancellation = options_.cancellation;
    options.time_limit = std::max(0.0, options_.time_limit - deadline_.seconds());
    const solver::Problem feasibility = feasibility_problem(problem_, limit);
    const solver::Result result = solver::solve(feasibility, options);
    if (result.has_assignment() && used != nullptr)
      *used = static_cast<Extent>(solver::evaluate(feasibility, result.assignment).peak_usage);
    return result.status;
  }

  // Returns the least limit found to be too small, plus one; sets `is_exact` when that one
  // suffices.
  Wide search(Extent low, Extent high, bool& is_exact) {
    while (high - low > 1) {
      const Extent middle = low + (high - low) / 2;
      Extent used = middle;
      const solver::Status status = try_limit(middle, &used);
      if (status == solver::Status::unknown) return Wide(low) + 1;
      if (status == solver::Status::infeasible)
        low = middle;
      else
        high = std::min(middle, used);
    }
    is_exact = true;
    return high;
  }

 private:
  const P& problem_;
  const solver::Options& options_;
  solver::Deadline deadline_;
};

}  // namespace detail

// @pre the formulation has no solution within its usage limit.  Spends at most options.time_limit.
template<std::same_as<Formulation> F>
Shortage find_shortage(const graph::Graph& graph, const F& formulation,
                       const solver::Options& options) {
  Shortage shortage;
  shortage.peak = memory_peak(graph, formulation.lifetimes, [&](graph::Value value) {
    Extent least = std::numeric_limits<Extent>::max();
    for (const strategy::Choice& choice : *formulation.columns[value.op])
      least = std::min(least, choice.result_bytes[value.result]);
    return least;
  });
  const Extent budget = formulation.problem.usage_limit.value_or(0);
  shortage.needed = std::max(shortage.peak.bytes, Wide(budget) + 1);
  constexpr Extent most = std::numeric_limits<Extent>::max();
  if (shortage.needed >= most) return shortage;

  const auto floor = static_cast<Extent>(shortage.needed);
  detail::LeastLimit limits(formulation.problem, options);
  switch (limits.try_limit(floor)) {
    case solver::Status::optimal:
    case solver::Status::feasible: shortage.is_exact = true; return shortage;
    case solver::Status::unknown: return shortage;
    case solver::Status::infeasible: break;
  }
  Extent enough = most;
  const solver::Status status = limits.try_limit(most, &enough);
  if (status == solver::Status::optimal || status == solver::Status::feasible)
    shortage.needed = limits.search(floor, enough, shortage.is_exact);
  return shortage;
}

}  // namespace tessera::plan
