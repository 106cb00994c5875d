// SPDX-License-Identifier: Apache-2.0
//
// The bodies of buffer_budget.hpp.
#pragma once
#include "tessera/plan/detail/memory/buffer_budget.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/solve.hpp"

namespace tessera::plan::detail {

TESSERA_INLINE BufferBudget::BufferBudget(cost::Resharding& resharding, Timeline timeline,
                                          std::vector<BufferUse> uses)
    : resharding_(resharding),
      timeline_(std::move(timeline)),
      uses_(std::move(uses)),
      is_node_(uses_.size(), 0) {}

TESSERA_INLINE std::vector<Wide> BufferBudget::in_use(const solver::Problem& problem,
                                                      const solver::Assignment& assignment) {
  TimelineUsage usage(timeline_);
  for (solver::NodeId v = 0; v < problem.node_count(); ++v)
    usage.add(timeline_.of(problem.interval(v)), problem.usages(v)[assignment[v]]);
  for (const BufferUse& use : uses_)
    usage.add(use.interval, bytes_of(resharding_, use, assignment));
  return usage.in_use();
}
TESSERA_INLINE Wide BufferBudget::peak(const solver::Problem& problem,
                                       const solver::Assignment& assignment) {
  const std::vector<Wide> bytes = in_use(problem, assignment);
  return bytes.empty() ? Wide(0) : *std::max_element(bytes.begin(), bytes.end());
}
TESSERA_INLINE bool BufferBudget::fits(const solver::Problem& problem,
                                       const solver::Assignment& assignment) {
  return !problem.usage_limit || peak(problem, assignment) <= *problem.usage_limit;
}

// --- Problems
// --------------------------------------------------------------------------------------

TESSERA_INLINE solver::Problem BufferBudget::with_buffers(const solver::Problem& problem) const {
  solver::Problem result;
  result.name = problem.name;
  result.usage_limit = problem.usage_limit;
  for (solver::NodeId v = 0; v < problem.node_count(); ++v)
    result.add_node(problem.costs(v), problem.usages(v), timeline_.of(problem.interval(v)));
  std::map<solver::CostsId, solver::CostsId> known;
  for (solver::EdgeId e = 0; e < problem.edge_count(); ++e) {
    const auto ends = problem.edge_nodes(e);
    const auto [at, is_new] = known.try_emplace(problem.edge_costs_id(e), 0);
    if (is_new)
      at->second = result.edge_costs_id(result.add_edge(ends, problem.edge_costs(e)));
    else
      result.add_edge(ends, at->second);
  }
  for (const BufferNode& node : nodes_) add_node(result, uses_[node.use], *node.tables);
  return result;
}

// The same assignment with the least strategies of buffers.
TESSERA_INLINE solver::Assignment BufferBudget::with_buffers(solver::Assignment assignment) const {
  if (assignment.empty()) return assignment;
  for (const BufferNode& node : nodes_)
    assignment.push_back(least_strategy(uses_[node.use], *node.tables, assignment));
  return assignment;
}

// An assignment of the problem, cheapest as far as buffers are counted.  `options.start` is one of
// the problem's, too.
TESSERA_INLINE solver::Result BufferBudget::solve_with_buffers(
    const solver::Problem& problem, const solver::Options& options) const {
  if (!problem.usage_limit) return solver::solve(problem, options);
  solver::Options round = options;
  round.start = with_buffers(options.start);
  solver::Result found = solver::solve(with_buffers(problem), round);
  found.assignment.resize(found.has_assignment() ? problem.node_count() : 0);
  return found;
}

// --- Rounds
// ----------------------------------------------------------------------------------------

// A trial is exact to a thousandth, and ends where even that would take too long.
TESSERA_INLINE void set_limits(solver::Options& round, const solver::Options& options,
                               const solver::Deadline& deadline, bool is_trial) {
  constexpr double gap_of_trial = 1e-3, work_of_trial = 1e10;
  round.time_limit = deadline.seconds_left() / (is_trial ? 4 : 1);
  round.gap_limit = std::max(options.gap_limit, is_trial ? gap_of_trial : 0);
  round.work_limit = std::min(options.work_limit,
                              is_trial ? work_of_trial : std::numeric_limits<double>::infinity());
}

TESSERA_INLINE void keep(const solver::Result& found, solver::Result& best) {
  best.status = found.status;
  best.cost = found.cost;
  best.assignment = found.assignment;
}

TESSERA_INLINE solver::Result BufferBudget::solve(const solver::Problem& problem,
                                                  const solver::Options& options,
                                                  bool ends_with_trials) {
  const solver::Deadline deadline(options);
  solver::Result best;
  solver::Options round = options;
  std::uint64_t nodes = 0;
  for (bool is_trial = problem.usage_limit.has_value();;) {
    set_limits(round, options, deadline, is_trial);
    const bool is_of_tensors = nodes_.empty();
    solver::Result found = solve_with_buffers(problem, round);
    if (is_of_tensors) bound_of_tensors_ = std::max(bound_of_tensors_, found.lower_bound);
    found.statistics.nodes = nodes += found.statistics.nodes;
    best.statistics = found.statistics;
    best.lower_bound = std::max(best.lower_bound, found.lower_bound);
    if (!found.shadow_prices.empty())
      round.shadow_prices = best.shadow_prices = found.shadow_prices;
    const bool fits = found.has_assignment() && keep_or_refine(problem, found, best);
    if (found.status == solver::Status::infeasible) best.status = found.status;
    const bool goes_on = found.has_assignment() ? !fits || is_trial : is_trial;
    const bool is_over = found.status == solver::Status::infeasible || deadline.is_over() ||
                         (fits && solver::is_near_enough(found, options)) || !goes_on;
    is_trial = is_trial && found.has_assignment() && !fits;
    if (is_over || (ends_with_trials && !is_trial && has_counted_buffers())) break;
    if (found.has_assignment())
      round.start = best.has_assignment() ? best.assignment : std::move(found.assignment);
  }
  if (best.has_assignment() && best.cost == best.lower_bound) best.status = solver::Status::optimal;
  return best;
}

// Keeps an answer that fits and is the cheapest so far; where it does not fit, makes nodes of the
// buffers that it has at the moments when it does not.
TESSERA_INLINE bool BufferBudget::keep_or_refine(const solver::Problem& problem,
                                                 const solver::Result& found,
                                                 solver::Result& best) {
  if (!problem.usage_limit) {
    keep(found, best);
    return true;
  }
  const std::vector<Wide> bytes = in_use(problem, found.assignment);
  const Wide limit = *problem.usage_limit;
  if (std::all_of(bytes.begin(), bytes.end(), [&](Wide at) { return at <= limit; })) {
    if (!best.has_assignment() || found.cost <= best.cost) keep(found, best);
    return true;
  }
  count_where_exceeded(bytes, limit, found.assignment);
  return false;
}

TESSERA_INLINE void BufferBudget::count_where_exceeded(const std::vector<Wide>& bytes, Wide limit,
                                                       const solver::Assignment& assignment) {
  std::vector<std::size_t> exceeded(bytes.size() + 1, 0);  // moments before this one
  for (std::size_t at = 0; at < bytes.size(); ++at)
    exceeded[at + 1] = exceeded[at] + (bytes[at] > limit ? 1 : 0);
  const std::size_t before = nodes_.size();
  for (std::size_t u = 0; u < uses_.size(); ++u) {
    const solver::Interval interval = uses_[u].interval;
    const bool matters = !interval.empty() && exceeded[static_cast<std::size_t>(interval.begin)] !=
                                                  exceeded[static_cast<std::size_t>(interval.end)];
    if (is_node_[u] == 0 && matters && bytes_of(resharding_, uses_[u], assignment) > 0) count(u);
  }
  if (nodes_.size() == before)
    throw InternalError("a plan takes more than its problem says: this is a defect");
}

TESSERA_INLINE void BufferBudget::count(std::size_t use) {
  is_node_[use] = 1;
  std::shared_ptr<const BufferNodeTables> tables = tables_of(resharding_, uses_[use], tables_);
  if (tables->usages != std::vector<solver::Usage>{0}) nodes_.push_back({use, std::move(tables)});
}

TESSERA_INLINE void BufferBudget::count_as(const BufferBudget& other) {
  for (std::size_t u = 0; u < uses_.size(); ++u)
    if (other.is_node_[u] != 0) count(u);
}

}  // namespace tessera::plan::detail
