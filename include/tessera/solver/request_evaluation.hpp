// SPDX-License-Identifier: Apache-2.0
//
// What a choice of strategies costs and breaks in a request, and how two choices compare.
//
//   const RequestEvaluation found = evaluate(request, strategies);
//   found.is_feasible(), found.objective(), found.violations
//   std::cout << to_string(request, compare(request, chosen, instead));  // why not `instead`?
//
// All of it in the request's own terms, by code that shares nothing with request_problem.hpp: so an
// answer of any solver's can be judged, and that of ours is judged by another way of reckoning.
#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/solver/request.hpp"

namespace tessera::solver {

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

// Thirteen digits: all costs below 1e13 without an exponent, and nothing of what binary fractions
// leave at the end.
inline std::string number_text(double value) {
  char buffer[32];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 13);
  return {buffer, end.ptr};
}

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

class RequestEvaluator {
 public:
  RequestEvaluator(const Request& request, const Strategies& strategies)
      : request_(request), strategies_(strategies) {}

  RequestEvaluation run() {
    look_at_followers();
    look_at_aliases();
    add_nodes();
    add_edges();
    for (std::size_t point = 0; point < request_.liveness.size(); ++point) add_memory(point);
    return std::move(result_);
  }

 private:
  void look_at_followers() {
    for (NodeId v = 0; v < request_.nodes.size(); ++v)
      if (const auto followed = request_.nodes[v].follower;
          followed && strategies_[v] != strategies_[*followed])
        report(Violation::Kind::follower, v, {v, *followed});
  }

  void look_at_aliases() {
    for (std::size_t a = 0; a < request_.aliases.size(); ++a) {
      const Request::Alias& alias = request_.aliases[a];
      if (alias.incompatible[index_of(request_, alias, strategies_)] != 0)
        report(Violation::Kind::alias, a, {alias.first, alias.second});
    }
  }

  void add_nodes() {
    Sum computation, communication;
    for (NodeId v = 0; v < request_.nodes.size(); ++v) {
      const Request::Node& node = request_.nodes[v];
      if (is_forbidden(request_, node, strategies_[v])) {
        report(Violation::Kind::forbidden_node, v, {v});
        continue;
      }
      computation.add(node.computation_costs[strategies_[v]]);
      communication.add(node.communication_costs[strategies_[v]]);
    }
    result_.computation = computation.value();
    result_.communication = communication.value();
  }

  void add_edges() {
    Sum resharding;
    for (std::size_t e = 0; e < request_.edges.size(); ++e) {
      const Request::Edge& edge = request_.edges[e];
      const double cost = edge.resharding_costs[index_of(request_, edge, strategies_)];
      if (is_forbidden(request_, cost))
        report(Violation::Kind::forbidden_edge, e, {edge.first, edge.second});
      else
        resharding.add(cost);
    }
    result_.resharding = resharding.value();
  }

  void add_memory(std::size_t point) {
    Wide memory = 0;
    for (const NodeId v : request_.liveness[point])
      memory += request_.nodes[v].memory_costs[strategies_[v]];
    if (memory > result_.peak_memory) {
      result_.peak_memory = memory;
      result_.peak_point = point;
    }
    if (request_.memory_budget && memory > *request_.memory_budget)
      report(Violation::Kind::memory, point,
             largest_users(request_, strategies_, request_.liveness[point]),
             memory - *request_.memory_budget);
  }

  void report(Violation::Kind kind, std::size_t index, std::vector<NodeId> nodes, Wide excess = 0) {
    Strategies theirs;
    for (const NodeId v : nodes) theirs.push_back(strategies_[v]);
    result_.violations.push_back({kind, index, std::move(nodes), std::move(theirs), excess});
  }

  const Request& request_;
  const Strategies& strategies_;
  RequestEvaluation result_;
};

}  // namespace detail

// What a choice costs and breaks in the request itself.  @pre validate(request) does not throw.
// Throws InvalidArgument where the strategies are not of this request.  O(nodes + edges +
// aliases + all that is listed live).
inline RequestEvaluation evaluate(const Request& request, const Strategies& strategies) {
  detail::check_strategies(request, strategies);
  return detail::RequestEvaluator(request, strategies).run();
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

// @pre validate(request) does not throw.  Throws InvalidArgument where the strategies are not
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

inline bool has_forbidden(const RequestEvaluation& evaluation) {
  return std::any_of(evaluation.violations.begin(), evaluation.violations.end(),
                     [](const Violation& violation) {
                       return violation.kind == Violation::Kind::forbidden_node ||
                              violation.kind == Violation::Kind::forbidden_edge;
                     });
}

// "costs 9.5 more: 49.5 instead of 40"
inline std::string headline(const Comparison& comparison) {
  const double difference = comparison.difference;
  const RequestEvaluation& chosen = comparison.chosen.evaluation;
  const RequestEvaluation& instead = comparison.instead.evaluation;
  const std::string text = difference == 0 ? "costs the same"
                                           : "costs " + number_text(std::abs(difference)) +
                                                 (difference > 0 ? " more" : " less");
  if (has_forbidden(chosen) || has_forbidden(instead)) return text + ", forbidden costs aside";
  const std::string is_now = text + ": " + number_text(instead.objective());
  return difference == 0 ? is_now : is_now + " instead of " + number_text(chosen.objective());
}

// A heading and a line for each entry; summary() says what those that are not shown come to.
template<class Entry, class ToText, class Summary>
std::string list_text(const char* heading, const std::vector<Entry>& entries, std::size_t most,
                      ToText&& to_text, Summary&& summary) {
  if (entries.empty()) return "";
  std::string text = heading + std::string(":\n");
  const std::size_t shown = std::min(most, entries.size());
  for (std::size_t i = 0; i < shown; ++i) text += "  " + to_text(entries[i]) + '\n';
  if (shown < entries.size())
    text += "  and " + std::to_string(entries.size() - shown) + " more" +
            summary(std::span(entries).subspan(shown)) + '\n';
  return text;
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
  const auto violation_text = [&](const Violation& violation) {
    return to_string(request, violation);
  };
  const auto change_text = [&](const Change& change) {
    return detail::text_of(request, comparison, change);
  };
  const auto sum_text = [](std::span<const Change> rest) {
    detail::Sum sum;
    for (const Change& change : rest) sum.add(change.amount);
    return (sum.value() > 0 ? ": +" : ": ") + detail::number_text(sum.value()) + " in all";
  };
  std::string text = detail::headline(comparison) + '\n';
  text += detail::list_text("new violations", comparison.new_violations, most, violation_text,
                            [](const auto&) { return ""; });
  text += detail::list_text("worse", comparison.worse, most, change_text, sum_text);
  text += detail::list_text("better", comparison.better, most, change_text, sum_text);
  const RequestEvaluation& chosen = comparison.chosen.evaluation;
  const RequestEvaluation& instead = comparison.instead.evaluation;
  if (chosen.peak_memory != instead.peak_memory)
    text += "peak memory: " + tessera::to_string(instead.peak_memory) + " at program point " +
            std::to_string(instead.peak_point) + " instead of " +
            tessera::to_string(chosen.peak_memory) + " at " + std::to_string(chosen.peak_point) +
            '\n';
  return text;
}

}  // namespace tessera::solver
