// SPDX-License-Identifier: Apache-2.0
//
// What a 0-1 program looks like, in the few numbers by which instances of one kind are known.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::benchmarks {

// The number below which a share of the others lie.
inline double quantile(std::vector<double> numbers, double share) {
  if (numbers.empty()) return 0;
  const auto at = std::min(numbers.size() - 1,
                           static_cast<std::size_t>(share * static_cast<double>(numbers.size())));
  std::nth_element(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(at),
                   numbers.end());
  return numbers[at];
}

inline std::string quantiles(const std::vector<double>& numbers) {
  std::string text;
  for (const double share : {0.1, 0.5, 0.9, 0.99, 1.0}) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%11.4g", quantile(numbers, share));
    text += buffer;
  }
  return text;
}

// The greatest total over time of one usage per node.
template<class UsageOf>
double peak(const solver::Problem& problem, UsageOf&& usage_of) {
  std::map<std::int64_t, double> change;
  for (solver::NodeId v = 0; v < problem.node_count(); ++v) {
    if (problem.interval(v).empty()) continue;
    const auto usage = static_cast<double>(usage_of(v));
    change[problem.interval(v).begin] += usage;
    change[problem.interval(v).end] -= usage;
  }
  double now = 0, most = 0;
  for (const auto& [time, delta] : change) most = std::max(most, now += delta);
  return most;
}

namespace detail {

inline void describe_nodes(const solver::Problem& problem) {
  std::vector<double> strategies, lengths, slack, share_of_limit;
  std::size_t empty = 0, single = 0, forbidden = 0, values = 0;
  std::int64_t horizon = 0;
  const double limit = static_cast<double>(problem.usage_limit.value_or(1));
  for (solver::NodeId v = 0; v < problem.node_count(); ++v) {
    const auto usages = problem.usages(v);
    const auto [least, most] = std::minmax_element(usages.begin(), usages.end());
    const solver::Interval interval = problem.interval(v);
    strategies.push_back(static_cast<double>(usages.size()));
    values += usages.size();
    single += usages.size() == 1;
    forbidden += static_cast<std::size_t>(
        std::count(problem.costs(v).begin(), problem.costs(v).end(), infinite));
    horizon = std::max(horizon, interval.end);
    if (interval.empty()) {
      ++empty;
      continue;
    }
    lengths.push_back(static_cast<double>(interval.end - interval.begin));
    share_of_limit.push_back(static_cast<double>(*most) / limit);
    if (usages.size() > 1 && *least > 0)
      slack.push_back(static_cast<double>(*most) / static_cast<double>(*least));
  }
  const auto count = static_cast<double>(problem.node_count());
  std::printf("%-34s%11s%11s%11s%11s%11s\n", "", "10 %", "median", "90 %", "99 %", "most");
  std::printf("%-34s%s\n", "strategies of a node", quantiles(strategies).c_str());
  std::printf("%-34s%s\n", "length of an interval", quantiles(lengths).c_str());
  std::printf("%-34s%s\n", "largest usage / smallest", quantiles(slack).c_str());
  std::printf("%-34s%s\n", "largest usage / limit", quantiles(share_of_limit).c_str());
  std::printf(
      "horizon %lld; nodes with one strategy %.3f, with an empty interval %.3f; "
      "forbidden values %.3f\n",
      static_cast<long long>(horizon), static_cast<double>(single) / count,
      static_cast<double>(empty) / count,
      static_cast<double>(forbidden) / static_cast<double>(values));
  const auto least = [&](solver::NodeId v) { return std::ranges::min(problem.usages(v)); };
  const auto most = [&](solver::NodeId v) { return std::ranges::max(problem.usages(v)); };
  const auto one = [&](solver::NodeId v) { return most(v) > 0 ? 1 : 0; };
  std::printf("peak / limit: %.3f of smallest usages, %.2f of largest; nodes live at most %.0f\n",
              peak(problem, least) / limit, peak(problem, most) / limit, peak(problem, one));
}

inline void describe_edges(const solver::Problem& problem) {
  std::vector<double> degrees(problem.node_count()), spans, costs;
  std::map<std::pair<solver::NodeId, solver::NodeId>, std::size_t> pairs;
  std::size_t with_infinite = 0, functional = 0, zero = 0, infinities = 0, entries = 0,
              backward = 0;
  for (solver::EdgeId e = 0; e < problem.edge_count(); ++e) {
    const auto nodes = problem.edge_nodes(e);
    for (const solver::NodeId v : nodes) degrees[v] += 1;
    if (nodes.size() != 2) continue;
    ++pairs[std::minmax(nodes[0], nodes[1])];
    backward += nodes[0] > nodes[1];
    spans.push_back(std::abs(static_cast<double>(nodes[0]) - static_cast<double>(nodes[1])));
    std::size_t finite = 0;
    bool is_zero = true;
    for (const Cost cost : problem.edge_costs(e)) {
      finite += is_finite(cost);
      is_zero = is_zero && cost == 0;
      if (is_finite(cost) && cost > 0) costs.push_back(static_cast<double>(cost));
    }
    const std::size_t all = problem.edge_costs(e).size();
    entries += all;
    infinities += all - finite;
    zero += is_zero;
    with_infinite += finite < all;
    functional += finite < all && finite <= std::max(problem.strategy_count(nodes[0]),
                                                     problem.strategy_count(nodes[1]));
  }
  const auto count = static_cast<double>(std::max<std::size_t>(1, problem.edge_count()));
  std::printf("%-34s%s\n", "edges of a node", quantiles(degrees).c_str());
  std::printf("%-34s%s\n", "between an edge's ends, in nodes", quantiles(spans).c_str());
  std::printf("%-34s%s\n", "an edge's cost, where positive", quantiles(costs).c_str());
  std::printf(
      "edges with infinities %.3f, functional %.3f, all zero %.3f, listed backward %.3f; "
      "repeated pairs %zu; infinite entries %.3f\n",
      static_cast<double>(with_infinite) / count, static_cast<double>(functional) / count,
      static_cast<double>(zero) / count, static_cast<double>(backward) / count,
      problem.edge_count() - pairs.size(),
      static_cast<double>(infinities) / static_cast<double>(std::max<std::size_t>(1, entries)));
}

}  // namespace detail

inline void describe(const solver::Problem& problem) {
  std::printf("%s: %zu nodes, %zu edges\n", problem.name.c_str(), problem.node_count(),
              problem.edge_count());
  if (problem.node_count() == 0) return;
  detail::describe_nodes(problem);
  detail::describe_edges(problem);
}

}  // namespace tessera::benchmarks
