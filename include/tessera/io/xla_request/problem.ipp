// SPDX-License-Identifier: Apache-2.0
//
// A request converted to a problem: groups of followers, then the unit of the costs, then nodes
// with their lifetimes, then edges.
#pragma once
#include "tessera/io/xla_request/problem.hpp"

#include <algorithm>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "tessera/core/cost.hpp"
#include "tessera/core/error.hpp"
#include "tessera/io/xla_request/detail/access.hpp"

namespace tessera::io::xla {
namespace detail {

using solver::NodeId;
using solver::Usage;

// --- Groups --------------------------------------------------------------------------------------

// A group is a node that follows none, with all that follow it.  It becomes one node.
TESSERA_INLINE RequestMapping find_groups(const Request& request) {
  constexpr NodeId none = std::numeric_limits<NodeId>::max();
  RequestMapping mapping;
  std::vector<NodeId>& node_of = mapping.node_of;
  node_of.assign(request.nodes.size(), none);
  for (RequestNode v = 0; v < request.nodes.size(); ++v)
    if (!request.nodes[v].follower) {
      node_of[v] = static_cast<NodeId>(mapping.leader_of.size());
      mapping.leader_of.push_back(v);
    }
  std::vector<RequestNode> chain;
  for (RequestNode v = 0; v < request.nodes.size(); ++v) {
    RequestNode w = v;
    for (; node_of[w] == none; w = *request.nodes[w].follower) chain.push_back(w);
    for (const RequestNode follower : chain) node_of[follower] = node_of[w];
    chain.clear();
  }
  return mapping;
}

template<class Pair>  // Edge or Alias
bool is_within_group(const RequestMapping& mapping, const Pair& pair) {
  return mapping.node_of[pair.first] == mapping.node_of[pair.second];
}

// --- The unit of the costs -----------------------------------------------------------------------

// Calls visit(cost) for each cost of a kind that a choice can incur.
template<class Visit>
void for_each_cost(const Request& request, const Request::Node& node,
                   const std::vector<double>& costs, Visit&& visit) {
  for (std::size_t s = 0; s < costs.size(); ++s)
    if (!is_forbidden(request, node, s)) visit(costs[s]);
}
template<class Visit>
void for_each_cost(const Request& request, const RequestMapping& mapping, const Request::Edge& edge,
                   Visit&& visit) {
  // Within a group, only the diagonal can be chosen.
  const std::size_t step =
      is_within_group(mapping, edge) ? request.nodes[edge.second].strategy_count + 1 : 1;
  for (std::size_t i = 0; i < edge.resharding_costs.size(); i += step)
    if (!is_forbidden(request, edge.resharding_costs[i])) visit(edge.resharding_costs[i]);
}

// The least k with value < 2^k.  @pre value >= 0
TESSERA_INLINE int bits_of(double value) {
  int bits = 0;
  std::frexp(value, &bits);
  return bits;
}
// The largest k for which value / 2^k is an integer.  @pre value != 0
TESSERA_INLINE int lowest_bit_of(double value) {
  int bits = 0;
  const double digits = std::ldexp(std::frexp(std::abs(value), &bits), 53);  // an integer
  return bits - 53 + __builtin_ctzll(static_cast<unsigned long long>(digits));
}

// How large and how fine the costs of a request are.
struct CostRange {
  double total = 0;    // sum of the largest cost of each list
  double largest = 0;  // bound on the absolute value of any cost of the problem
  int lowest_bit = 0;  // 2^lowest_bit divides every cost; not positive
};

TESSERA_INLINE CostRange cost_range(const Request& request, const RequestMapping& mapping) {
  CostRange range;
  std::vector<double> of_group(mapping.leader_of.size(), 0);
  double largest = 0;  // of the list at hand
  const auto visit = [&](double cost) {
    largest = std::max(largest, std::abs(cost));
    if (cost != 0) range.lowest_bit = std::min(range.lowest_bit, lowest_bit_of(cost));
  };
  for (RequestNode v = 0; v < request.nodes.size(); ++v) {
    const Request::Node& node = request.nodes[v];
    for (const auto* costs : {&node.computation_costs, &node.communication_costs}) {
      largest = 0;
      for_each_cost(request, node, *costs, visit);
      range.total += largest;
      of_group[mapping.node_of[v]] += largest;
    }
  }
  for (const Request::Edge& edge : request.edges) {
    largest = 0;
    for_each_cost(request, mapping, edge, visit);
    range.total += largest;
    if (is_within_group(mapping, edge))
      of_group[mapping.node_of[edge.first]] += largest;
    else
      range.largest = std::max(range.largest, largest);
  }
  for (const double sum : of_group) range.largest = std::max(range.largest, sum);
  return range;
}

// The shift k for which 2^k units make a cost of 1.
TESSERA_INLINE int choose_shift(const CostRange& range) {
  constexpr int total_bits = 54, sum_bits = 61, most = 1000;
  return std::min({-range.lowest_bit, std::max(total_bits - bits_of(range.total), 0),
                   sum_bits - bits_of(range.largest), most});
}

TESSERA_INLINE Cost to_units(double cost, int shift) {
  return std::llround(std::ldexp(cost, shift));
}

// The bound plus an error, rounded up so that it remains a bound.
TESSERA_INLINE double add_up(double bound, double error) {
  if (error == 0) return bound;
  return std::nextafter(bound + error, std::numeric_limits<double>::infinity());
}

// The sum, over all lists of costs, of the largest rounding error in each.
TESSERA_INLINE double rounding_error(const Request& request, const RequestMapping& mapping,
                                     int shift) {
  double bound = 0, largest = 0;
  const auto visit = [&](double cost) {  // the difference is exact: it has fewer digits than cost
    const double kept = std::ldexp(static_cast<double>(to_units(cost, shift)), -shift);
    largest = std::max(largest, std::abs(cost - kept));
  };
  const auto add_largest = [&] { bound = add_up(bound, std::exchange(largest, 0)); };
  for (const Request::Node& node : request.nodes)
    for (const auto* costs : {&node.computation_costs, &node.communication_costs}) {
      for_each_cost(request, node, *costs, visit);
      add_largest();
    }
  for (const Request::Edge& edge : request.edges) {
    for_each_cost(request, mapping, edge, visit);
    add_largest();
  }
  return bound;
}

// --- Costs ---------------------------------------------------------------------------------------

TESSERA_INLINE Cost cost_of(const Request& request, const Request::Edge& edge, std::size_t i,
                            int shift) {
  const double cost = edge.resharding_costs[i];
  return is_forbidden(request, cost) ? infinite : to_units(cost, shift);
}
TESSERA_INLINE Cost cost_of(const Request&, const Request::Alias& alias, std::size_t i, int) {
  return alias.incompatible[i] != 0 ? infinite : 0;
}

TESSERA_INLINE void add_node_costs(const Request& request, const Request::Node& node, int shift,
                                   std::vector<Cost>& sums) {
  sums.resize(node.strategy_count, 0);
  for (std::size_t s = 0; s < node.strategy_count; ++s) {
    if (is_forbidden(request, node, s)) {
      sums[s] = infinite;
      continue;
    }
    sums[s] = saturating_add(sums[s], to_units(node.computation_costs[s], shift));
    sums[s] = saturating_add(sums[s], to_units(node.communication_costs[s], shift));
  }
}

// By group: the costs of its members, and of the edges and aliases between them.
TESSERA_INLINE std::vector<std::vector<Cost>> group_costs(const Request& request,
                                                          const RequestMapping& mapping,
                                                          int shift) {
  std::vector<std::vector<Cost>> costs(mapping.leader_of.size());
  for (RequestNode v = 0; v < request.nodes.size(); ++v)
    add_node_costs(request, request.nodes[v], shift, costs[mapping.node_of[v]]);
  const auto add_diagonal = [&](const auto& pair) {
    if (!is_within_group(mapping, pair)) return;
    std::vector<Cost>& sums = costs[mapping.node_of[pair.first]];
    for (std::size_t s = 0; s < sums.size(); ++s)
      sums[s] =
          saturating_add(sums[s], cost_of(request, pair, index_of(request, pair, s, s), shift));
  };
  for (const Request::Edge& edge : request.edges) add_diagonal(edge);
  for (const Request::Alias& alias : request.aliases) add_diagonal(alias);
  return costs;
}

// --- Lifetimes -----------------------------------------------------------------------------------

// The program points [begin, end) at which members of a group are live.  The number is 0, unless a
// sum of usages would leave 64 bits: then the rest has the next number.
struct Lifetime {
  std::size_t begin = 0, end = 0, number = 0;

  auto operator<=>(const Lifetime&) const = default;
};
using Lifetimes = std::map<Lifetime, std::vector<Usage>>;

TESSERA_INLINE solver::Interval to_interval(const Lifetime& lifetime) {
  return {static_cast<std::int64_t>(lifetime.begin), static_cast<std::int64_t>(lifetime.end)};
}

// Adds usages to those of an equal lifetime, unless a sum would overflow.
TESSERA_INLINE bool try_add(std::vector<Usage>& to, const std::vector<Usage>& usages) {
  std::vector<Usage> sums = to;
  bool fits = true;
  for (std::size_t s = 0; s < sums.size(); ++s)
    fits = !__builtin_add_overflow(sums[s], usages[s], &sums[s]) && fits;
  if (fits) to = std::move(sums);
  return fits;
}

TESSERA_INLINE void add_lifetime(Lifetimes& lifetimes, Lifetime lifetime,
                                 const std::vector<Usage>& usages) {
  if (std::all_of(usages.begin(), usages.end(), [](Usage usage) { return usage == 0; })) return;
  for (;; ++lifetime.number) {
    const auto [at, is_new] = lifetimes.try_emplace(lifetime, usages);
    if (is_new || try_add(at->second, usages)) return;
  }
}

// By group.
TESSERA_INLINE std::vector<Lifetimes> group_lifetimes(const Request& request,
                                                      const RequestMapping& mapping) {
  std::vector<Lifetimes> lifetimes(mapping.leader_of.size());
  std::vector<Lifetime> current(request.nodes.size());  // consecutive points at which each is live
  const auto finish = [&](RequestNode v) {
    if (current[v].begin < current[v].end)
      add_lifetime(lifetimes[mapping.node_of[v]], current[v], request.nodes[v].memory_costs);
  };
  for (std::size_t point = 0; point < request.liveness.size(); ++point)
    for (const RequestNode v : request.liveness[point]) {
      if (current[v].end != point) {
        finish(v);
        current[v].begin = point;
      }
      current[v].end = point + 1;
    }
  for (RequestNode v = 0; v < request.nodes.size(); ++v) finish(v);
  return lifetimes;
}

// --- Nodes and edges -----------------------------------------------------------------------------

// A node for each group.  It takes the group's first lifetime out of the list.
TESSERA_INLINE void add_groups(const std::vector<std::vector<Cost>>& costs,
                               std::vector<Lifetimes>& lifetimes, solver::Problem& problem) {
  for (std::size_t group = 0; group < costs.size(); ++group) {
    if (lifetimes[group].empty()) {
      const std::vector<Usage> nothing(costs[group].size(), 0);
      problem.add_node(costs[group], nothing);
    } else {
      const auto first = lifetimes[group].extract(lifetimes[group].begin());
      problem.add_node(costs[group], first.mapped(), to_interval(first.key()));
    }
  }
}

// A node for each further lifetime of a group: it has no cost, and is tied to the group's node.
TESSERA_INLINE void add_tied_nodes(NodeId group, std::size_t size, const Lifetimes& lifetimes,
                                   RequestProblem& result) {
  if (lifetimes.empty()) return;
  const std::vector<Cost> nothing(size, 0);
  std::vector<Cost> tie(size * size, infinite);
  for (std::size_t s = 0; s < size; ++s) tie[s * size + s] = 0;
  for (const auto& [lifetime, usages] : lifetimes) {
    const NodeId tied = result.problem.add_node(nothing, usages, to_interval(lifetime));
    const NodeId ends[] = {group, tied};
    result.problem.add_edge(ends, tie);
    result.mapping.leader_of.push_back(result.mapping.leader_of[group]);
  }
}

// An edge for each edge and alias between groups.  The solver adds up those over the same nodes.
TESSERA_INLINE void add_edges(const Request& request, int shift, RequestProblem& result) {
  std::vector<Cost> costs;
  const auto add = [&](const auto& pair, std::size_t size) {
    if (is_within_group(result.mapping, pair)) return;
    costs.resize(size);
    for (std::size_t i = 0; i < size; ++i) costs[i] = cost_of(request, pair, i, shift);
    const NodeId ends[] = {result.mapping.node_of[pair.first], result.mapping.node_of[pair.second]};
    result.problem.add_edge(ends, costs);
  };
  for (const Request::Edge& edge : request.edges) add(edge, edge.resharding_costs.size());
  for (const Request::Alias& alias : request.aliases) add(alias, alias.incompatible.size());
}

}  // namespace detail

TESSERA_INLINE RequestProblem make_problem(const Request& request) {
  validate(request);
  RequestProblem result;
  result.problem.name = request.name;
  result.problem.usage_limit = request.memory_budget;
  result.mapping = detail::find_groups(request);
  const int shift = detail::choose_shift(detail::cost_range(request, result.mapping));
  result.units_per_cost = std::ldexp(1.0, shift);
  result.rounding_error = detail::rounding_error(request, result.mapping, shift);
  const auto costs = detail::group_costs(request, result.mapping, shift);
  auto lifetimes = detail::group_lifetimes(request, result.mapping);
  detail::add_groups(costs, lifetimes, result.problem);
  for (std::size_t group = 0; group < costs.size(); ++group)
    detail::add_tied_nodes(static_cast<solver::NodeId>(group), costs[group].size(),
                           lifetimes[group], result);
  detail::add_edges(request, shift, result);
  return result;
}

TESSERA_INLINE Strategies strategies_of(const Request& request, const RequestMapping& mapping,
                                        const solver::Assignment& assignment) {
  if (assignment.size() != mapping.leader_of.size() ||
      mapping.node_of.size() != request.nodes.size())
    throw InvalidArgument("the assignment has " + std::to_string(assignment.size()) +
                          " entries for " + std::to_string(mapping.leader_of.size()) +
                          " nodes of the problem, which represent " +
                          std::to_string(mapping.node_of.size()) + " of " +
                          std::to_string(request.nodes.size()) + " nodes of the request");
  Strategies strategies(request.nodes.size());
  for (RequestNode v = 0; v < strategies.size(); ++v)
    strategies[v] = assignment[mapping.node_of[v]];
  detail::check_strategies(request, strategies);
  return strategies;
}

TESSERA_INLINE solver::Assignment assignment_of(const Request& request,
                                                const RequestMapping& mapping,
                                                const Strategies& strategies) {
  detail::check_strategies(request, strategies);
  solver::Assignment assignment;
  for (const RequestNode v : mapping.leader_of) assignment.push_back(strategies[v]);
  return assignment;
}

}  // namespace tessera::io::xla
