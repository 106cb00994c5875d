// SPDX-License-Identifier: Apache-2.0
//
// A request made into a Problem, and the answer taken back.
//
//   const RequestProblem made = make_problem(request);
//   const Result result = solve(made.problem);
//   const Strategies chosen = strategies_of(request, made.mapping, result.assignment);
//
// Nodes that must have the same strategy become one, sets of live nodes intervals, and costs whole
// units of a power of two.  Which strategies the problem allows, and at what cost, is the same to
// the last digit but for the rounding of costs that no such unit makes whole.
#pragma once
#include <algorithm>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/error.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/solver/request.hpp"

namespace tessera::solver {

// Which node of the problem stands for which nodes of the request.
struct RequestMapping {
  std::vector<NodeId> node_of;    // by node of the request: the problem's
  std::vector<NodeId> leader_of;  // by node of the problem: the request's that the others follow
};

// Costs are counted in units, of which units_per_cost make 1: a power of two, so that nothing but
// rounding to the nearest unit (halves away from zero) is lost.  Which one:
//   - the smallest of 1, 2, 4, ... that makes all costs whole: 1 where they are integers.  But no
//     more than keeps the largest costs of all nodes and edges together below 2^54 units, which the
//     solver counts in 64 bits; or 1, where nothing does, and it counts in 128
//   - less than 1 only where a single cost of the problem could otherwise reach 2^61
struct RequestProblem {
  Problem problem;
  RequestMapping mapping;
  double units_per_cost = 1;
  // What a choice costs in the problem differs from what it costs in the request by this at most;
  // 0: by nothing.  Hence
  //   - to_cost(Result::lower_bound) - rounding_error is a lower bound for the request, and
  //   - an optimal answer costs at most 2 * rounding_error more than the request's optimum.
  double rounding_error = 0;

  double to_cost(Wide units) const { return static_cast<double>(units) / units_per_cost; }
};

namespace detail {

class RequestFormulation {
 public:
  explicit RequestFormulation(const Request& request) : request_(request) {}

  RequestProblem run() {
    find_groups();
    choose_units();
    result_.problem.name = request_.name;
    result_.problem.usage_limit = request_.memory_budget;
    add_nodes();
    add_edges();
    return std::move(result_);
  }

 private:
  NodeId group_of(NodeId v) const { return result_.mapping.node_of[v]; }
  template<class Pair>
  bool is_within_group(const Pair& pair) const {
    return group_of(pair.first) == group_of(pair.second);
  }

  // A group is a node that follows none, with all that follow it, and becomes one node.
  void find_groups() {
    constexpr NodeId none = std::numeric_limits<NodeId>::max();
    std::vector<NodeId>& node_of = result_.mapping.node_of;
    node_of.assign(request_.nodes.size(), none);
    for (NodeId v = 0; v < request_.nodes.size(); ++v)
      if (!request_.nodes[v].follower) {
        node_of[v] = static_cast<NodeId>(result_.mapping.leader_of.size());
        result_.mapping.leader_of.push_back(v);
      }
    std::vector<NodeId> chain;
    for (NodeId v = 0; v < request_.nodes.size(); ++v) {
      NodeId w = v;
      for (; node_of[w] == none; w = *request_.nodes[w].follower) chain.push_back(w);
      for (const NodeId follower : chain) node_of[follower] = node_of[w];
      chain.clear();
    }
    group_count_ = result_.mapping.leader_of.size();
  }

  // Calls visit(cost) for each cost of a kind that a choice can meet.
  template<class Visit>
  void for_each_cost(const Request::Node& node, const std::vector<double>& costs,
                     Visit&& visit) const {
    for (std::size_t s = 0; s < costs.size(); ++s)
      if (!is_forbidden(request_, node, s)) visit(costs[s]);
  }
  template<class Visit>
  void for_each_cost(const Request::Edge& edge, Visit&& visit) const {
    // Within a group only the diagonal can be met.
    const std::size_t step = is_within_group(edge) ? request_.nodes[edge.second].strategy_count + 1
                                                   : 1;
    for (std::size_t i = 0; i < edge.resharding_costs.size(); i += step)
      if (!is_forbidden(request_, edge.resharding_costs[i])) visit(edge.resharding_costs[i]);
  }

  void choose_units() {
    double total = 0;  // of the largest cost of each list
    std::vector<double> of_group(group_count_, 0);
    double largest_table = 0;
    int lowest_bit = 0;  // 2^lowest_bit divides every cost; not positive
    const auto largest_of = [&](auto&& for_each) {
      double largest = 0;
      for_each([&](double cost) {
        largest = std::max(largest, std::abs(cost));
        if (cost != 0) lowest_bit = std::min(lowest_bit, lowest_bit_of(cost));
      });
      total += largest;
      return largest;
    };
    for (NodeId v = 0; v < request_.nodes.size(); ++v) {
      const Request::Node& node = request_.nodes[v];
      for (const auto* costs : {&node.computation_costs, &node.communication_costs})
        of_group[group_of(v)] +=
            largest_of([&](auto&& visit) { for_each_cost(node, *costs, visit); });
    }
    for (const Request::Edge& edge : request_.edges) {
      const double largest = largest_of([&](auto&& visit) { for_each_cost(edge, visit); });
      if (is_within_group(edge))
        of_group[group_of(edge.first)] += largest;
      else
        largest_table = std::max(largest_table, largest);
    }
    double largest_sum = largest_table;
    for (const double sum : of_group) largest_sum = std::max(largest_sum, sum);
    constexpr int total_bits = 54, sum_bits = 61, most = 1000;
    shift_ = std::min({-lowest_bit, std::max(total_bits - bits_of(total), 0),
                       sum_bits - bits_of(largest_sum), most});
    result_.units_per_cost = std::ldexp(1.0, shift_);
    find_rounding_error();
  }

  // The least k with value < 2^k.  @pre value >= 0
  static int bits_of(double value) {
    int bits = 0;
    std::frexp(value, &bits);
    return bits;
  }
  // The largest k with value / 2^k whole.  @pre value != 0
  static int lowest_bit_of(double value) {
    int bits = 0;
    const double digits = std::ldexp(std::frexp(std::abs(value), &bits), 53);  // whole
    return bits - 53 + __builtin_ctzll(static_cast<unsigned long long>(digits));
  }

  Cost to_units(double cost) const { return std::llround(std::ldexp(cost, shift_)); }

  void find_rounding_error() {
    double& bound = result_.rounding_error;
    const auto add_largest = [&](auto&& for_each) {
      double largest = 0;
      for_each([&](double cost) {  // exact: what is lost are some of the cost's own digits
        const double kept = std::ldexp(static_cast<double>(to_units(cost)), -shift_);
        largest = std::max(largest, std::abs(cost - kept));
      });
      // Up, so that it remains a bound.
      if (largest > 0)
        bound = std::nextafter(bound + largest, std::numeric_limits<double>::infinity());
    };
    for (const Request::Node& node : request_.nodes)
      for (const auto* costs : {&node.computation_costs, &node.communication_costs})
        add_largest([&](auto&& visit) { for_each_cost(node, *costs, visit); });
    for (const Request::Edge& edge : request_.edges)
      add_largest([&](auto&& visit) { for_each_cost(edge, visit); });
  }

  void add_nodes() {
    const std::vector<std::vector<Cost>> costs = group_costs();
    std::vector<Lifetimes> lifetimes = group_lifetimes();
    for (NodeId group = 0; group < group_count_; ++group) {
      // The first lifetime goes to the node itself.
      if (lifetimes[group].empty()) {
        const std::vector<Usage> nothing(costs[group].size(), 0);
        result_.problem.add_node(costs[group], nothing);
      } else {
        auto first = lifetimes[group].extract(lifetimes[group].begin());
        result_.problem.add_node(costs[group], first.mapped(), to_interval(first.key()));
      }
    }
    // The others to nodes tied to it, which cost nothing.
    for (NodeId group = 0; group < group_count_; ++group) {
      if (lifetimes[group].empty()) continue;
      const std::size_t size = costs[group].size();
      const std::vector<Cost> nothing(size, 0);
      std::vector<Cost> tie(size * size, infinite);
      for (std::size_t s = 0; s < size; ++s) tie[s * size + s] = 0;
      for (const auto& [key, usages] : lifetimes[group]) {
        const NodeId tied = result_.problem.add_node(nothing, usages, to_interval(key));
        const NodeId ends[] = {group, tied};
        result_.problem.add_edge(ends, tie);
        result_.mapping.leader_of.push_back(result_.mapping.leader_of[group]);
      }
    }
  }

  // Its members' costs, and those of edges and aliases among them.
  std::vector<std::vector<Cost>> group_costs() const {
    std::vector<std::vector<Cost>> costs(group_count_);
    for (NodeId v = 0; v < request_.nodes.size(); ++v) {
      const Request::Node& node = request_.nodes[v];
      std::vector<Cost>& sums = costs[group_of(v)];
      sums.resize(node.strategy_count, 0);
      for (std::size_t s = 0; s < node.strategy_count; ++s) {
        if (is_forbidden(request_, node, s)) {
          sums[s] = infinite;
          continue;
        }
        sums[s] = saturating_add(sums[s], to_units(node.computation_costs[s]));
        sums[s] = saturating_add(sums[s], to_units(node.communication_costs[s]));
      }
    }
    const auto add_diagonal = [&](const auto& pair, auto&& cost_at) {
      if (!is_within_group(pair)) return;
      std::vector<Cost>& sums = costs[group_of(pair.first)];
      for (std::size_t s = 0; s < sums.size(); ++s)
        sums[s] = saturating_add(sums[s], cost_at(index_of(request_, pair, s, s)));
    };
    for (const Request::Edge& edge : request_.edges)
      add_diagonal(edge, [&](std::size_t i) { return cost_of(edge, i); });
    for (const Request::Alias& alias : request_.aliases)
      add_diagonal(alias, [&](std::size_t i) { return cost_of(alias, i); });
    return costs;
  }

  Cost cost_of(const Request::Edge& edge, std::size_t i) const {
    return is_forbidden(request_, edge.resharding_costs[i]) ? infinite
                                                            : to_units(edge.resharding_costs[i]);
  }
  Cost cost_of(const Request::Alias& alias, std::size_t i) const {
    return alias.incompatible[i] != 0 ? infinite : 0;
  }

  // What a group uses, by the points from and up to which it does.  The number is 0 except where a
  // sum would leave 64 bits: then what is left over has the next one.
  struct LifetimeKey {
    std::size_t begin = 0, end = 0, number = 0;

    auto operator<=>(const LifetimeKey&) const = default;
  };
  using Lifetimes = std::map<LifetimeKey, std::vector<Usage>>;

  static Interval to_interval(const LifetimeKey& key) {
    return {static_cast<std::int64_t>(key.begin), static_cast<std::int64_t>(key.end)};
  }

  std::vector<Lifetimes> group_lifetimes() const {
    std::vector<Lifetimes> lifetimes(group_count_);
    struct Run {
      std::size_t begin = 0, end = 0;
    };
    std::vector<Run> runs(request_.nodes.size());  // the points in a row that a node is live at
    const auto finish = [&](NodeId v) {
      if (runs[v].begin < runs[v].end)
        add_lifetime(lifetimes[group_of(v)], {runs[v].begin, runs[v].end, 0},
                     request_.nodes[v].memory_costs);
    };
    for (std::size_t point = 0; point < request_.liveness.size(); ++point)
      for (const NodeId v : request_.liveness[point]) {
        if (runs[v].end != point) {
          finish(v);
          runs[v].begin = point;
        }
        runs[v].end = point + 1;
      }
    for (NodeId v = 0; v < request_.nodes.size(); ++v) finish(v);
    return lifetimes;
  }

  static void add_lifetime(Lifetimes& lifetimes, LifetimeKey key,
                           const std::vector<Usage>& usages) {
    if (std::all_of(usages.begin(), usages.end(), [](Usage usage) { return usage == 0; })) return;
    for (;; ++key.number) {
      const auto [at, is_new] = lifetimes.try_emplace(key, usages);
      if (is_new) return;
      std::vector<Usage> sums = at->second;
      bool fits = true;
      for (std::size_t s = 0; s < sums.size(); ++s)
        fits = !__builtin_add_overflow(sums[s], usages[s], &sums[s]) && fits;
      if (!fits) continue;
      at->second = std::move(sums);
      return;
    }
  }

  // One for each edge and alias between groups; presolve adds up those over the same nodes.
  void add_edges() {
    std::vector<Cost> costs;
    const auto add = [&](const auto& pair, std::size_t size) {
      if (is_within_group(pair)) return;
      costs.resize(size);
      for (std::size_t i = 0; i < size; ++i) costs[i] = cost_of(pair, i);
      const NodeId ends[] = {group_of(pair.first), group_of(pair.second)};
      result_.problem.add_edge(ends, costs);
    };
    for (const Request::Edge& edge : request_.edges) add(edge, edge.resharding_costs.size());
    for (const Request::Alias& alias : request_.aliases) add(alias, alias.incompatible.size());
  }

  const Request& request_;
  RequestProblem result_;
  std::size_t group_count_ = 0;
  int shift_ = 0;  // units_per_cost is 2^shift_
};

}  // namespace detail

// The problem whose feasible assignments are the request's allowed choices, at the same costs but
// for rounding.  A node and all that follow it, through however many others, are one node of it;
// where they are live at different points, further nodes tied to that one use their memory.
// Memory is there even where there is no budget, so that one can be set later.
// Throws InvalidArgument as validate() does.  O(size of the request + ties), times the
// logarithm of the lifetimes in a group.
inline RequestProblem make_problem(const Request& request) {
  validate(request);
  return detail::RequestFormulation(request).run();
}

// An answer to the problem, by node of the request.  @pre the mapping is this request's.  Throws
// InvalidArgument where the assignment is not one of its problem.  O(nodes).
inline Strategies strategies_of(const Request& request, const RequestMapping& mapping,
                                const Assignment& assignment) {
  if (assignment.size() != mapping.leader_of.size() ||
      mapping.node_of.size() != request.nodes.size())
    throw InvalidArgument("the assignment has " + std::to_string(assignment.size()) +
                                " entries for " + std::to_string(mapping.leader_of.size()) +
                                " nodes of the problem, which stand for " +
                                std::to_string(mapping.node_of.size()) + " of " +
                                std::to_string(request.nodes.size()) + " nodes of the request");
  Strategies strategies(request.nodes.size());
  for (NodeId v = 0; v < strategies.size(); ++v) strategies[v] = assignment[mapping.node_of[v]];
  detail::check_strategies(request, strategies);
  return strategies;
}

// The way there, for Options::start.  Those who follow take the strategy of the node that they
// follow, whatever was chosen for them.  @pre the mapping is this request's.  Throws
// InvalidArgument where the strategies are not of this request.  O(nodes).
inline Assignment assignment_of(const Request& request, const RequestMapping& mapping,
                                const Strategies& strategies) {
  detail::check_strategies(request, strategies);
  Assignment assignment;
  for (const NodeId v : mapping.leader_of) assignment.push_back(strategies[v]);
  return assignment;
}

}  // namespace tessera::solver
