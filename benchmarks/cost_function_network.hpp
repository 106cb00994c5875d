// SPDX-License-Identifier: Apache-2.0
//
// A problem as a weighted constraint network, in the wcsp format that toulbar2 reads.
//
// Nodes are variables and tables are cost functions, as they stand.  The usage limit becomes one
// knapsack for each time that matters.  toulbar2 1.1's knapsacks are over 0-1 variables, at least
// so much and of 32 bits, so each usage that a node can have gets a variable that is 1 where the
// node has another usage, and
//
//   sum of usages of what is not so  >=  sum of all those usages - limit
//
// says the same as the limit.  Usages are divided by their common divisor, and where 32 bits are
// still too few, by more and rounded down: then the network is a relaxation, its bounds hold, and
// what its answers use must be looked at.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"
#include "usage_rows.hpp"

namespace tessera::benchmarks {

class CostFunctionNetwork {
 public:
  explicit CostFunctionNetwork(const solver::Problem& problem)
      : problem_(problem), rows_(usage_rows(problem)) {}

  // Why it has no such form; empty if it has one.
  std::string obstacle() const {
    if (top() > largest_top) return "the costs are too large for its 64 bits";
    for (solver::NodeId v = 0; v < problem_.node_count(); ++v)
      if (std::ranges::min(problem_.costs(v)) < 0) return "a cost is negative";
    for (solver::EdgeId e = 0; e < problem_.edge_count(); ++e) {
      const auto nodes = problem_.edge_nodes(e);
      if (std::set(nodes.begin(), nodes.end()).size() != nodes.size())
        return "an edge lists a node twice";
      if (std::ranges::min(problem_.edge_costs(e)) < 0) return "a cost is negative";
    }
    return {};
  }

  // @pre obstacle() is empty
  std::string text() {
    top_ = tessera::to_string(top());
    find_unit();
    for (const auto& row : rows_)
      for (const solver::NodeId v : row) count_levels(v);
    body_.clear();
    functions_ = 0;
    for (solver::NodeId v = 0; v < problem_.node_count(); ++v) {
      const solver::NodeId scope[1] = {v};
      function(scope, problem_.costs(v));
    }
    for (solver::EdgeId e = 0; e < problem_.edge_count(); ++e)
      function(problem_.edge_nodes(e), problem_.edge_costs(e));
    for (const auto& [level, variable] : levels_) link(level.first, level.second, variable);
    for (const auto& row : rows_) knapsack(row);

    std::size_t largest = 2;
    std::string domains;
    for (solver::NodeId v = 0; v < problem_.node_count(); ++v) {
      largest = std::max(largest, problem_.strategy_count(v));
      domains += std::to_string(problem_.strategy_count(v)) + " ";
    }
    for (std::size_t i = 0; i < levels_.size(); ++i) domains += "2 ";
    return "problem " + std::to_string(variable_count()) + " " + std::to_string(largest) + " " +
           std::to_string(functions_) + " " + top_ + "\n" + domains + "\n" + body_;
  }

 private:
  static constexpr Wide largest_top = 500'000'000'000'000'000;  // toulbar2's is a little more

  std::size_t variable_count() const { return problem_.node_count() + levels_.size(); }

  // More than any assignment costs.
  Wide top() const {
    Wide total = 1;
    const auto add_largest = [&](std::span<const Cost> costs) {
      Cost largest = 0;
      for (const Cost cost : costs)
        if (is_finite(cost)) largest = std::max(largest, cost);
      total += largest;
    };
    for (solver::NodeId v = 0; v < problem_.node_count(); ++v) add_largest(problem_.costs(v));
    for (solver::EdgeId e = 0; e < problem_.edge_count(); ++e) add_largest(problem_.edge_costs(e));
    return total;
  }

  std::set<solver::Usage> usages_of(solver::NodeId v) const {
    std::set<solver::Usage> result;
    for (const solver::Usage usage : problem_.usages(v)) result.insert(usage / unit_);
    return result;
  }
  void find_unit() {
    unit_ = 1;
    solver::Usage common = 0;
    Wide most = 0;
    for (const auto& row : rows_) {
      Wide sum = 0;
      for (const solver::NodeId v : row)
        for (const solver::Usage usage : usages_of(v)) {
          common = std::gcd(common, usage);
          sum += usage;
        }
      most = std::max(most, sum);
    }
    unit_ = std::max<solver::Usage>(1, common);
    constexpr Wide largest_sum = 1'000'000'000;
    while (most / unit_ > largest_sum) unit_ *= 2;
  }
  void count_levels(solver::NodeId v) {
    for (const solver::Usage usage : usages_of(v))
      levels_.try_emplace({v, usage}, problem_.node_count() + levels_.size());
  }

  std::string cost_text(Cost cost) const { return is_finite(cost) ? std::to_string(cost) : top_; }

  // Only what differs from the commonest cost is listed.
  void function(std::span<const solver::NodeId> scope, std::span<const Cost> costs) {
    std::map<Cost, std::size_t> counts;
    for (const Cost cost : costs) ++counts[cost];
    const auto common =
        std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
    if (counts.size() == 1 && common->first == 0) return;
    body_ += std::to_string(scope.size());
    for (const solver::NodeId v : scope) body_ += " " + std::to_string(v);
    body_ += " " + cost_text(common->first) + " " + std::to_string(costs.size() - common->second) +
             "\n";
    for (std::size_t k = 0; k < costs.size(); ++k) {
      if (costs[k] == common->first) continue;
      std::string tuple;
      std::size_t rest = k;
      for (std::size_t i = scope.size(); i-- > 0;) {
        tuple = std::to_string(rest % problem_.strategy_count(scope[i])) + " " + tuple;
        rest /= problem_.strategy_count(scope[i]);
      }
      body_ += tuple + cost_text(costs[k]) + "\n";
    }
    ++functions_;
  }
  // The variable is 1 exactly where v uses something else.
  void link(solver::NodeId v, solver::Usage usage, std::size_t variable) {
    const std::size_t count = problem_.strategy_count(v);
    body_ += "2 " + std::to_string(v) + " " + std::to_string(variable) + " 0 " +
             std::to_string(count) + "\n";
    for (std::uint32_t s = 0; s < count; ++s)
      body_ += std::to_string(s) + (problem_.usages(v)[s] / unit_ == usage ? " 1 " : " 0 ") + top_ +
               "\n";
    ++functions_;
  }
  void knapsack(const std::vector<solver::NodeId>& row) {
    std::string scope, weights;
    std::size_t count = 0;
    std::int64_t sum = 0;
    for (const solver::NodeId v : row)
      for (const solver::Usage usage : usages_of(v)) {
        if (usage == 0) continue;
        scope += " " + std::to_string(levels_.at({v, usage}));
        weights += " " + std::to_string(usage);
        sum += usage;
        ++count;
      }
    // Where usages are rounded down, so may the limit be: their sum is an integer.
    const std::int64_t needed = sum - *problem_.usage_limit / unit_;
    if (needed <= 0) return;
    body_ += std::to_string(count) + scope + " -1 knapsack " + std::to_string(needed) + weights +
             "\n";
    ++functions_;
  }

  const solver::Problem& problem_;
  std::vector<std::vector<solver::NodeId>> rows_;
  std::map<std::pair<solver::NodeId, solver::Usage>, std::size_t> levels_;
  std::string top_, body_;
  std::size_t functions_ = 0;
  solver::Usage unit_ = 1;
};

}  // namespace tessera::benchmarks
