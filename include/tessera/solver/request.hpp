// SPDX-License-Identifier: Apache-2.0
//
// A request as XLA's auto-sharding sends it to its solver, made into a Problem; and the answer
// taken back, judged, and held against another one, in the request's own terms.
//
//   AutoShardingSolverRequest          here
//   ---------------------------------  ---------------------------------------------------------
//   s_len, s_follow                    Node::strategy_count, Node::follower
//   computation_costs, c               Node::computation_costs
//   communication_costs, d             Node::communication_costs
//   memory_costs, m                    Node::memory_costs, rounded up by the caller
//   edges, resharding_costs, e and r   Edge
//   live                               liveness; where there are node_intervals, list a node at
//                                      each of its points (XLA's intervals include both ends)
//   aliases, value_costs, a and v      Alias
//   memory_budget, <= 0 for none       memory_budget
//
// Left to others: reading the protocol buffer, and what only some versions of XLA ask for (memory
// of edges, reduced memory groups, departures from default strategies, a price on exceeding the
// budget, deduplication of strategies).  What the numbers mean is the caller's affair.
#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/text.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver {

// Plain data; validate() says what must hold.
struct Request {
  struct Node {
    std::string name;                // may be empty, and need not be unique
    std::size_t strategy_count = 0;  // the size of each of the three lists
    // Takes the strategy with the same index as this node, which may itself follow another one.
    std::optional<NodeId> follower = std::nullopt;
    std::vector<double> computation_costs, communication_costs;
    std::vector<Usage> memory_costs;  // used at each point where the node is live
  };
  struct Edge {
    NodeId first = 0, second = 0;
    std::vector<double> resharding_costs;  // row-major: the first node's strategy varies slowest
  };
  struct Alias {
    NodeId first = 0, second = 0;
    std::vector<double> incompatible;  // row-major; not 0: the two strategies can not go together
  };

  std::string name;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
  std::vector<Alias> aliases;
  // For each program point the nodes live there, in any order.  A node may come and go.
  std::vector<std::vector<NodeId>> liveness;
  std::optional<Usage> memory_budget;  // at each point; none: no limit at all
  // Costs from here on are forbidden, as is a strategy whose computation and communication together
  // reach this.  XLA's kInfinityCost, which was 1e13 for long and is 1e20 in newer versions.
  double infinity = 1e13;
};

// The strategy chosen for every node of a request.
using Strategies = std::vector<std::uint32_t>;

namespace detail {

// "dot.3", or "3" where it has no name.
inline std::string short_name(const Request& request, NodeId v) {
  const std::string& name = request.nodes[v].name;
  return name.empty() ? std::to_string(v) : name;
}

// "node 3 (dot.3)": in messages, where names need not tell nodes apart.
inline std::string full_name(const Request& request, NodeId v) {
  const std::string& name = request.nodes[v].name;
  return "node " + std::to_string(v) + (name.empty() ? "" : " (" + name + ")");
}

inline bool is_forbidden(const Request& request, double cost) { return cost >= request.infinity; }
inline bool is_forbidden(const Request& request, const Request::Node& node, std::size_t s) {
  const double computation = node.computation_costs[s], communication = node.communication_costs[s];
  return is_forbidden(request, computation) || is_forbidden(request, communication) ||
         is_forbidden(request, computation + communication);
}

template<class Pair>  // Edge or Alias
std::size_t index_of(const Request& request, const Pair& pair, std::size_t s, std::size_t t) {
  return s * request.nodes[pair.second].strategy_count + t;
}
template<class Pair>
std::size_t index_of(const Request& request, const Pair& pair, const Strategies& strategies) {
  return index_of(request, pair, strategies[pair.first], strategies[pair.second]);
}

class RequestValidator {
 public:
  explicit RequestValidator(const Request& request) : request_(request) {}

  void run() const {
    if (!(request_.infinity > 0 && request_.infinity <= 1e100))
      throw std::invalid_argument("the cost taken for infinity is not between 0 and 1e100");
    if (request_.memory_budget && *request_.memory_budget < 0)
      throw std::invalid_argument(
          "the memory budget is negative; where there is none, leave it out");
    for (NodeId v = 0; v < request_.nodes.size(); ++v) check_node(v);
    for (NodeId v = 0; v < request_.nodes.size(); ++v) check_follower(v);
    check_cycles();
    for (std::size_t e = 0; e < request_.edges.size(); ++e) {
      const Request::Edge& edge = request_.edges[e];
      const std::string where = check_pair("edge ", e, edge, "costs", edge.resharding_costs.size());
      check_costs(where, "resharding", edge.resharding_costs);
    }
    for (std::size_t a = 0; a < request_.aliases.size(); ++a) {
      const Request::Alias& alias = request_.aliases[a];
      const std::string where =
          check_pair("alias ", a, alias, "entries", alias.incompatible.size());
      for (std::size_t i = 0; i < alias.incompatible.size(); ++i)
        if (std::isnan(alias.incompatible[i]))
          throw std::invalid_argument(where + ": entry " + std::to_string(i) + " is not a number");
    }
    check_liveness();
  }

 private:
  void check_node(NodeId v) const {
    const Request::Node& node = request_.nodes[v];
    const std::string where = full_name(request_, v);
    if (node.strategy_count == 0) throw std::invalid_argument(where + " has no strategies");
    const auto check_size = [&](const char* what, std::size_t size) {
      if (size != node.strategy_count)
        throw std::invalid_argument(where + " has " + std::to_string(size) + " " + what +
                                    " costs for " + std::to_string(node.strategy_count) +
                                    " strategies");
    };
    check_size("computation", node.computation_costs.size());
    check_size("communication", node.communication_costs.size());
    check_size("memory", node.memory_costs.size());
    check_costs(where, "computation", node.computation_costs);
    check_costs(where, "communication", node.communication_costs);
    for (std::size_t s = 0; s < node.strategy_count; ++s)
      if (node.memory_costs[s] < 0)
        throw std::invalid_argument(where + ": memory cost " + std::to_string(s) + " is negative");
  }

  void check_costs(const std::string& where, const char* what,
                   const std::vector<double>& costs) const {
    for (std::size_t i = 0; i < costs.size(); ++i) {
      const auto fail = [&](const char* fault) {
        throw std::invalid_argument(where + ": " + what + " cost " + std::to_string(i) + fault);
      };
      if (std::isnan(costs[i])) fail(" is not a number");
      if (costs[i] <= -request_.infinity) fail(" is minus infinity");
    }
  }

  void check_follower(NodeId v) const {
    if (!request_.nodes[v].follower) return;
    const NodeId followed = *request_.nodes[v].follower;
    const std::string where = full_name(request_, v);
    if (followed >= request_.nodes.size())
      throw std::invalid_argument(where + " follows node " + std::to_string(followed) + " of " +
                                  std::to_string(request_.nodes.size()));
    const std::size_t own = request_.nodes[v].strategy_count;
    const std::size_t other = request_.nodes[followed].strategy_count;
    if (own != other)
      throw std::invalid_argument(where + " has " + std::to_string(own) + " strategies, but " +
                                  full_name(request_, followed) + ", which it follows, has " +
                                  std::to_string(other));
  }

  void check_cycles() const {
    constexpr NodeId none = std::numeric_limits<NodeId>::max();
    std::vector<NodeId> seen_from(request_.nodes.size(), none);  // in which walk
    for (NodeId start = 0; start < request_.nodes.size(); ++start) {
      NodeId v = start;
      while (seen_from[v] == none) {
        seen_from[v] = start;
        if (!request_.nodes[v].follower) break;
        v = *request_.nodes[v].follower;
      }
      // Met again in the same walk: either the end of a chain, or a cycle.
      if (seen_from[v] != start || !request_.nodes[v].follower) continue;
      std::string cycle = full_name(request_, v);
      NodeId w = v;
      do {
        w = *request_.nodes[w].follower;
        cycle += " -> " + full_name(request_, w);
      } while (w != v);
      throw std::invalid_argument("nodes follow each other in a cycle: " + cycle);
    }
  }

  template<class Pair>
  std::string check_pair(const char* kind, std::size_t index, const Pair& pair, const char* entries,
                         std::size_t size) const {
    std::string where = kind + std::to_string(index);
    for (const NodeId v : {pair.first, pair.second})
      if (v >= request_.nodes.size())
        throw std::invalid_argument(where + " names node " + std::to_string(v) + " of " +
                                    std::to_string(request_.nodes.size()));
    where += " (" + short_name(request_, pair.first) + " -> " + short_name(request_, pair.second) +
             ")";
    const std::size_t expected = request_.nodes[pair.first].strategy_count *
                                 request_.nodes[pair.second].strategy_count;
    if (size != expected)
      throw std::invalid_argument(where + " has " + std::to_string(size) + " " + entries +
                                  " where its nodes' strategies need " + std::to_string(expected));
    return where;
  }

  void check_liveness() const {
    std::vector<std::size_t> last(request_.nodes.size(), request_.liveness.size());
    for (std::size_t point = 0; point < request_.liveness.size(); ++point)
      for (const NodeId v : request_.liveness[point]) {
        const auto fail = [&](const std::string& what) {
          throw std::invalid_argument("program point " + std::to_string(point) + " lists " + what);
        };
        if (v >= request_.nodes.size())
          fail("node " + std::to_string(v) + " of " + std::to_string(request_.nodes.size()));
        if (last[v] == point) fail(full_name(request_, v) + " twice");
        last[v] = point;
      }
  }

  const Request& request_;
};

// What adding doubles one by one rounds away is kept beside the total (Neumaier).
class Sum {
 public:
  void add(double x) {
    const double next = total_ + x;
    lost_ += std::abs(total_) >= std::abs(x) ? (total_ - next) + x : (x - next) + total_;
    total_ = next;
  }
  double value() const { return total_ + lost_; }

 private:
  double total_ = 0, lost_ = 0;
};

inline void check_strategies(const Request& request, const Strategies& strategies) {
  if (strategies.size() != request.nodes.size())
    throw std::invalid_argument("there are " + std::to_string(strategies.size()) +
                                " strategies for " + std::to_string(request.nodes.size()) +
                                " nodes");
  for (NodeId v = 0; v < strategies.size(); ++v)
    if (strategies[v] >= request.nodes[v].strategy_count)
      throw std::invalid_argument(full_name(request, v) + " has no strategy " +
                                  std::to_string(strategies[v]));
}

// Thirteen digits: all costs below 1e13 without an exponent, and nothing of what binary fractions
// leave at the end.
inline std::string number_text(double value) {
  char buffer[32];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 13);
  return {buffer, end.ptr};
}

}  // namespace detail

// Throws std::invalid_argument, naming the node, edge, alias or program point, unless:
//   - every node has strategies, and as many costs of each kind; follows none, or one with as many
//     strategies, and never in a cycle; and uses no negative memory
//   - every edge and alias has an entry for each pair of its nodes' strategies
//   - only nodes that are there are named, and none twice at one program point
//   - no cost is NaN or -infinity or less, 0 < infinity <= 1e100, and no budget is negative
// O(size of the request).
inline void validate(const Request& request) { detail::RequestValidator(request).run(); }

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
// Throws std::invalid_argument as validate() does.  O(size of the request + ties), times the
// logarithm of the lifetimes in a group.
inline RequestProblem make_problem(const Request& request) {
  validate(request);
  return detail::RequestFormulation(request).run();
}

// An answer to the problem, by node of the request.  @pre the mapping is this request's.  Throws
// std::invalid_argument where the assignment is not one of its problem.  O(nodes).
inline Strategies strategies_of(const Request& request, const RequestMapping& mapping,
                                const Assignment& assignment) {
  if (assignment.size() != mapping.leader_of.size() ||
      mapping.node_of.size() != request.nodes.size())
    throw std::invalid_argument("the assignment has " + std::to_string(assignment.size()) +
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
// std::invalid_argument where the strategies are not of this request.  O(nodes).
inline Assignment assignment_of(const Request& request, const RequestMapping& mapping,
                                const Strategies& strategies) {
  detail::check_strategies(request, strategies);
  Assignment assignment;
  for (const NodeId v : mapping.leader_of) assignment.push_back(strategies[v]);
  return assignment;
}

// One thing that a choice must not do.
struct Violation {
  enum class Kind : std::uint8_t {
    follower,        // nodes: the one that follows, and the one it follows
    alias,           // nodes: the two
    forbidden_node,  // nodes: the one whose strategy is forbidden
    forbidden_edge,  // nodes: the two
    memory,          // nodes: the largest users there, `most_named` of them at most
  };
  static constexpr std::size_t most_named = 8;

  Kind kind = Kind::follower;
  std::size_t index = 0;  // of the node that follows or is forbidden, the alias, edge, or point
  std::vector<NodeId> nodes;
  Strategies strategies;  // of these nodes
  Wide excess = 0;        // of memory over the budget
};

struct RequestEvaluation {
  // Sums of what is chosen and not forbidden.
  double computation = 0, communication = 0, resharding = 0;
  Wide peak_memory = 0;               // over all program points
  std::size_t peak_point = 0;         // the first at which it is reached
  std::vector<Violation> violations;  // by kind, in the order of the request

  double objective() const noexcept { return computation + communication + resharding; }
  bool is_feasible() const noexcept { return violations.empty(); }
};

namespace detail {

inline std::vector<NodeId> largest_users(const Request& request, const Strategies& strategies,
                                         const std::vector<NodeId>& live) {
  const auto memory_of = [&](NodeId v) { return request.nodes[v].memory_costs[strategies[v]]; };
  std::vector<NodeId> users;
  for (const NodeId v : live)
    if (memory_of(v) > 0) users.push_back(v);
  const auto named = static_cast<std::ptrdiff_t>(std::min(users.size(), Violation::most_named));
  std::partial_sort(users.begin(), users.begin() + named, users.end(), [&](NodeId a, NodeId b) {
    return memory_of(a) != memory_of(b) ? memory_of(a) > memory_of(b) : a < b;
  });
  users.resize(static_cast<std::size_t>(named));
  return users;
}

}  // namespace detail

// What a choice costs and breaks in the request itself: shares nothing with make_problem().
// @pre validate(request) does not throw.  Throws std::invalid_argument where the strategies are not
// of this request.  O(nodes + edges + aliases + all that is listed live).
inline RequestEvaluation evaluate(const Request& request, const Strategies& strategies) {
  detail::check_strategies(request, strategies);
  RequestEvaluation result;
  const auto break_rule = [&](Violation::Kind kind, std::size_t index, std::vector<NodeId> nodes,
                              Wide excess = 0) {
    Strategies theirs;
    for (const NodeId v : nodes) theirs.push_back(strategies[v]);
    result.violations.push_back({kind, index, std::move(nodes), std::move(theirs), excess});
  };
  for (NodeId v = 0; v < request.nodes.size(); ++v)
    if (const auto followed = request.nodes[v].follower;
        followed && strategies[v] != strategies[*followed])
      break_rule(Violation::Kind::follower, v, {v, *followed});
  for (std::size_t a = 0; a < request.aliases.size(); ++a) {
    const Request::Alias& alias = request.aliases[a];
    if (alias.incompatible[detail::index_of(request, alias, strategies)] != 0)
      break_rule(Violation::Kind::alias, a, {alias.first, alias.second});
  }
  detail::Sum computation, communication, resharding;
  for (NodeId v = 0; v < request.nodes.size(); ++v) {
    const Request::Node& node = request.nodes[v];
    if (detail::is_forbidden(request, node, strategies[v])) {
      break_rule(Violation::Kind::forbidden_node, v, {v});
      continue;
    }
    computation.add(node.computation_costs[strategies[v]]);
    communication.add(node.communication_costs[strategies[v]]);
  }
  for (std::size_t e = 0; e < request.edges.size(); ++e) {
    const Request::Edge& edge = request.edges[e];
    const double cost = edge.resharding_costs[detail::index_of(request, edge, strategies)];
    if (detail::is_forbidden(request, cost))
      break_rule(Violation::Kind::forbidden_edge, e, {edge.first, edge.second});
    else
      resharding.add(cost);
  }
  result.computation = computation.value();
  result.communication = communication.value();
  result.resharding = resharding.value();
  for (std::size_t point = 0; point < request.liveness.size(); ++point) {
    Wide memory = 0;
    for (const NodeId v : request.liveness[point])
      memory += request.nodes[v].memory_costs[strategies[v]];
    if (memory > result.peak_memory) {
      result.peak_memory = memory;
      result.peak_point = point;
    }
    if (request.memory_budget && memory > *request.memory_budget)
      break_rule(Violation::Kind::memory, point,
                 detail::largest_users(request, strategies, request.liveness[point]),
                 memory - *request.memory_budget);
  }
  return result;
}

// One sentence.  @pre the violation is of this request.
inline std::string to_string(const Request& request, const Violation& violation) {
  const auto name = [&](std::size_t i) { return detail::short_name(request, violation.nodes[i]); };
  const auto strategy = [&](std::size_t i) { return std::to_string(violation.strategies[i]); };
  switch (violation.kind) {
    case Violation::Kind::follower:
      return "node " + name(0) + " follows node " + name(1) + ", but takes strategy " +
             strategy(0) + " where that takes " + strategy(1);
    case Violation::Kind::alias:
      return "alias " + name(0) + " -> " + name(1) + ": strategies " + strategy(0) + " and " +
             strategy(1) + " can not go together";
    case Violation::Kind::forbidden_node:
      return "node " + name(0) + ": strategy " + strategy(0) + " is forbidden";
    case Violation::Kind::forbidden_edge:
      return "edge " + name(0) + " -> " + name(1) + ": strategies " + strategy(0) + " and " +
             strategy(1) + " are forbidden together";
    case Violation::Kind::memory: {
      std::string text = "memory at program point " + std::to_string(violation.index) + ": " +
                         tessera::to_string(violation.excess) + " over the budget";
      for (std::size_t i = 0; i < violation.nodes.size(); ++i) {
        const Usage memory =
            request.nodes[violation.nodes[i]].memory_costs[violation.strategies[i]];
        text += (i == 0 ? "; the largest there: node " : ", node ") + name(i) + " uses " +
                std::to_string(memory);
      }
      return text;
    }
  }
  return "";
}

// One cost that differs between two choices.
struct Change {
  enum class Kind : std::uint8_t { computation, communication, resharding };

  Kind kind = Kind::computation;
  std::size_t index = 0;  // of the node; of the edge for resharding
  double amount = 0;      // what is to be paid more; negative: less
};

// Why not `instead`?
struct Comparison {
  struct Side {
    Strategies strategies;
    RequestEvaluation evaluation;
  };

  Side chosen, instead;
  std::vector<Change> worse, better;  // in `instead`; largest first
  // Those of `instead` that `chosen` does not have too (of memory: has too by as much).
  std::vector<Violation> new_violations;
  // The sum of all changes: the difference between the objectives, except where one side is
  // forbidden.  There, a change has no amount, and is not among them.
  double difference = 0;
};

// @pre validate(request) does not throw.  Throws std::invalid_argument where the strategies are not
// of this request.  O(n log n) in what evaluate() looks at.
inline Comparison compare(const Request& request, const Strategies& chosen,
                          const Strategies& instead) {
  Comparison result{
      {chosen, evaluate(request, chosen)}, {instead, evaluate(request, instead)}, {}, {}, {}, 0};
  detail::Sum difference;
  const auto change = [&](Change::Kind kind, std::size_t index, double before, double after) {
    if (before == after) return;
    difference.add(after);
    difference.add(-before);
    (after > before ? result.worse : result.better).push_back({kind, index, after - before});
  };
  for (NodeId v = 0; v < request.nodes.size(); ++v) {
    const Request::Node& node = request.nodes[v];
    const std::uint32_t before = chosen[v], after = instead[v];
    if (before == after || detail::is_forbidden(request, node, before) ||
        detail::is_forbidden(request, node, after))
      continue;
    change(Change::Kind::computation, v, node.computation_costs[before],
           node.computation_costs[after]);
    change(Change::Kind::communication, v, node.communication_costs[before],
           node.communication_costs[after]);
  }
  for (std::size_t e = 0; e < request.edges.size(); ++e) {
    const Request::Edge& edge = request.edges[e];
    const double before = edge.resharding_costs[detail::index_of(request, edge, chosen)];
    const double after = edge.resharding_costs[detail::index_of(request, edge, instead)];
    if (!detail::is_forbidden(request, before) && !detail::is_forbidden(request, after))
      change(Change::Kind::resharding, e, before, after);
  }
  result.difference = difference.value();
  for (auto* changes : {&result.worse, &result.better})
    std::stable_sort(changes->begin(), changes->end(), [](const Change& a, const Change& b) {
      return std::abs(a.amount) > std::abs(b.amount);
    });
  std::map<std::pair<Violation::Kind, std::size_t>, Wide> old;
  for (const Violation& violation : result.chosen.evaluation.violations)
    old.try_emplace({violation.kind, violation.index}, violation.excess);
  for (const Violation& violation : result.instead.evaluation.violations) {
    const auto at = old.find({violation.kind, violation.index});
    if (at == old.end() || violation.excess > at->second)
      result.new_violations.push_back(violation);
  }
  return result;
}

namespace detail {

inline std::string text_of(const Request& request, const Comparison& comparison,
                           const Change& change) {
  const Strategies& before = comparison.chosen.strategies;
  const Strategies& after = comparison.instead.strategies;
  const std::string amount = (change.amount > 0 ? " +" : " ") + number_text(change.amount);
  if (change.kind == Change::Kind::resharding) {
    const Request::Edge& edge = request.edges[change.index];
    const auto both = [&](const Strategies& strategies) {
      return std::to_string(strategies[edge.first]) + " and " +
             std::to_string(strategies[edge.second]);
    };
    return "edge " + short_name(request, edge.first) + " -> " + short_name(request, edge.second) +
           ": resharding" + amount + " (strategies " + both(after) + " instead of " + both(before) +
           ")";
  }
  return "node " + short_name(request, static_cast<NodeId>(change.index)) +
         (change.kind == Change::Kind::computation ? ": computation" : ": communication") + amount +
         " (strategy " + std::to_string(after[change.index]) + " instead of " +
         std::to_string(before[change.index]) + ")";
}

}  // namespace detail

// For people, a line for each entry, of each list `most` at the most; how many more there are, and
// what they come to, is said.  For example:
//
//   costs 9.5 more: 49.5 instead of 40
//   worse:
//     node dot.3: communication +12.5 (strategy 2 instead of 0)
//   better:
//     edge dot.3 -> add.7: resharding -3 (strategies 2 and 1 instead of 0 and 1)
//
// @pre the comparison is of this request.
inline std::string to_string(const Request& request, const Comparison& comparison,
                             std::size_t most = 20) {
  using detail::number_text;
  const double difference = comparison.difference;
  const RequestEvaluation& chosen = comparison.chosen.evaluation;
  const RequestEvaluation& instead = comparison.instead.evaluation;
  std::string text = "costs ";
  if (difference == 0)
    text += "the same";
  else
    text += number_text(std::abs(difference)) + (difference > 0 ? " more" : " less");
  const auto has_forbidden = [](const RequestEvaluation& evaluation) {
    return std::any_of(evaluation.violations.begin(), evaluation.violations.end(),
                       [](const Violation& violation) {
                         return violation.kind == Violation::Kind::forbidden_node ||
                                violation.kind == Violation::Kind::forbidden_edge;
                       });
  };
  if (has_forbidden(chosen) || has_forbidden(instead))
    text += ", forbidden costs aside";
  else if (difference == 0)
    text += ": " + number_text(instead.objective());
  else
    text += ": " + number_text(instead.objective()) + " instead of " +
            number_text(chosen.objective());
  text += '\n';

  const auto list = [&](const char* heading, const auto& entries, auto&& to_text, auto&& summary) {
    if (entries.empty()) return;
    text += heading + std::string(":\n");
    const std::size_t shown = std::min(most, entries.size());
    for (std::size_t i = 0; i < shown; ++i) text += "  " + to_text(entries[i]) + '\n';
    if (shown < entries.size())
      text += "  and " + std::to_string(entries.size() - shown) + " more" +
              summary(std::span(entries).subspan(shown)) + '\n';
  };
  list(
      "new violations", comparison.new_violations,
      [&](const Violation& violation) { return to_string(request, violation); },
      [](auto) { return std::string(); });
  const auto change_text = [&](const Change& change) {
    return detail::text_of(request, comparison, change);
  };
  const auto rest_text = [](std::span<const Change> rest) {
    detail::Sum sum;
    for (const Change& change : rest) sum.add(change.amount);
    return (sum.value() > 0 ? ": +" : ": ") + number_text(sum.value()) + " in all";
  };
  list("worse", comparison.worse, change_text, rest_text);
  list("better", comparison.better, change_text, rest_text);
  if (chosen.peak_memory != instead.peak_memory)
    text += "peak memory: " + tessera::to_string(instead.peak_memory) + " at program point " +
            std::to_string(instead.peak_point) + " instead of " +
            tessera::to_string(chosen.peak_memory) + " at " + std::to_string(chosen.peak_point) +
            '\n';
  return text;
}

}  // namespace tessera::solver
