// SPDX-License-Identifier: Apache-2.0
//
// A comparison of two choices, and its text.
#pragma once
#include "tessera/io/xla_request/comparison.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <span>
#include <utility>

#include "tessera/core/wide.hpp"
#include "tessera/io/xla_request/detail/access.hpp"
#include "tessera/io/xla_request/detail/compensated_sum.hpp"

namespace tessera::io::xla {
namespace detail {

// --- Changes -------------------------------------------------------------------------------------

TESSERA_INLINE void add_change(Change::Kind kind, std::size_t index, double before, double after,
                               Comparison& result, CompensatedSum& difference) {
  if (before == after) return;
  difference.add(after);
  difference.add(-before);
  (after > before ? result.worse : result.better).push_back({kind, index, after - before});
}

TESSERA_INLINE void compare_nodes(const Request& request, Comparison& result,
                                  CompensatedSum& difference) {
  for (RequestNode v = 0; v < request.nodes.size(); ++v) {
    const Request::Node& node = request.nodes[v];
    const std::uint32_t before = result.chosen.strategies[v], after = result.instead.strategies[v];
    if (before == after || is_forbidden(request, node, before) ||
        is_forbidden(request, node, after))
      continue;
    add_change(Change::Kind::computation, v, node.computation_costs[before],
               node.computation_costs[after], result, difference);
    add_change(Change::Kind::communication, v, node.communication_costs[before],
               node.communication_costs[after], result, difference);
  }
}

TESSERA_INLINE void compare_edges(const Request& request, Comparison& result,
                                  CompensatedSum& difference) {
  for (std::size_t e = 0; e < request.edges.size(); ++e) {
    const Request::Edge& edge = request.edges[e];
    const auto cost_of = [&](const Comparison::Side& side) {
      return edge.resharding_costs[index_of(request, edge, side.strategies)];
    };
    const double before = cost_of(result.chosen), after = cost_of(result.instead);
    if (!is_forbidden(request, before) && !is_forbidden(request, after))
      add_change(Change::Kind::resharding, e, before, after, result, difference);
  }
}

TESSERA_INLINE void find_new_violations(Comparison& result) {
  std::map<std::pair<Violation::Kind, std::size_t>, Wide> old;
  for (const Violation& violation : result.chosen.evaluation.violations)
    old.try_emplace({violation.kind, violation.index}, violation.excess);
  for (const Violation& violation : result.instead.evaluation.violations) {
    const auto at = old.find({violation.kind, violation.index});
    if (at == old.end() || violation.excess > at->second)
      result.new_violations.push_back(violation);
  }
}

// --- Text ----------------------------------------------------------------------------------------

// Thirteen digits: every cost below 1e13 without an exponent, and without the last digits that
// binary fractions leave.
TESSERA_INLINE std::string number_text(double value) {
  char buffer[32];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 13);
  return {buffer, end.ptr};
}

TESSERA_INLINE std::string edge_text(const Request& request, const Comparison& comparison,
                                     const Change& change, const std::string& amount) {
  const Request::Edge& edge = request.edges[change.index];
  const auto both = [&](const Strategies& strategies) {
    return std::to_string(strategies[edge.first]) + " and " +
           std::to_string(strategies[edge.second]);
  };
  return "edge " + short_name(request, edge.first) + " -> " + short_name(request, edge.second) +
         ": resharding" + amount + " (strategies " + both(comparison.instead.strategies) +
         " instead of " + both(comparison.chosen.strategies) + ")";
}

TESSERA_INLINE std::string change_text(const Request& request, const Comparison& comparison,
                                       const Change& change) {
  const std::string amount = (change.amount > 0 ? " +" : " ") + number_text(change.amount);
  if (change.kind == Change::Kind::resharding)
    return edge_text(request, comparison, change, amount);
  return "node " + short_name(request, static_cast<RequestNode>(change.index)) +
         (change.kind == Change::Kind::computation ? ": computation" : ": communication") + amount +
         " (strategy " + std::to_string(comparison.instead.strategies[change.index]) +
         " instead of " + std::to_string(comparison.chosen.strategies[change.index]) + ")";
}

TESSERA_INLINE std::string sum_text(std::span<const Change> changes) {
  CompensatedSum sum;
  for (const Change& change : changes) sum.add(change.amount);
  return (sum.value() > 0 ? ": +" : ": ") + number_text(sum.value()) + " in all";
}

TESSERA_INLINE bool has_forbidden(const RequestEvaluation& evaluation) {
  return std::any_of(evaluation.violations.begin(), evaluation.violations.end(),
                     [](const Violation& violation) {
                       return violation.kind == Violation::Kind::forbidden_node ||
                              violation.kind == Violation::Kind::forbidden_edge;
                     });
}

// "costs 9.5 more: 49.5 instead of 40"
TESSERA_INLINE std::string headline(const Comparison& comparison) {
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

// A heading and a line for each entry; summary() describes those that are not shown.
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

TESSERA_INLINE std::string peak_text(const RequestEvaluation& chosen,
                                     const RequestEvaluation& instead) {
  if (chosen.peak_memory == instead.peak_memory) return "";
  return "peak memory: " + tessera::to_string(instead.peak_memory) + " at program point " +
         std::to_string(instead.peak_point) + " instead of " +
         tessera::to_string(chosen.peak_memory) + " at " + std::to_string(chosen.peak_point) + '\n';
}

}  // namespace detail

TESSERA_INLINE Comparison compare(const Request& request, const Strategies& chosen,
                                  const Strategies& instead) {
  Comparison result{
      {chosen, evaluate(request, chosen)}, {instead, evaluate(request, instead)}, {}, {}, {}, 0};
  detail::CompensatedSum difference;
  detail::compare_nodes(request, result, difference);
  detail::compare_edges(request, result, difference);
  result.difference = difference.value();
  for (auto* changes : {&result.worse, &result.better})
    std::stable_sort(changes->begin(), changes->end(), [](const Change& a, const Change& b) {
      return std::abs(a.amount) > std::abs(b.amount);
    });
  detail::find_new_violations(result);
  return result;
}

TESSERA_INLINE std::string to_string(const Request& request, const Comparison& comparison,
                                     std::size_t most) {
  const auto violation_text = [&](const Violation& violation) {
    return to_string(request, violation);
  };
  const auto change_text = [&](const Change& change) {
    return detail::change_text(request, comparison, change);
  };
  return detail::headline(comparison) + '\n' +
         detail::list_text("new violations", comparison.new_violations, most, violation_text,
                           [](const auto&) { return ""; }) +
         detail::list_text("worse", comparison.worse, most, change_text, detail::sum_text) +
         detail::list_text("better", comparison.better, most, change_text, detail::sum_text) +
         detail::peak_text(comparison.chosen.evaluation, comparison.instead.evaluation);
}

}  // namespace tessera::io::xla
