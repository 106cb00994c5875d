// SPDX-License-Identifier: Apache-2.0
//
// From a Problem to the first Reduced: pairwise tables only, costs scaled, rows where time changes.
// And from a component back to one, once bounds have shown which values are not needed.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "tessera/solver/component.hpp"
#include "tessera/solver/reduced.hpp"

namespace tessera::solver {

namespace detail {

template<class Int>
std::vector<Int> scaled(std::span<const Cost> costs, int shift) {
  std::vector<Int> result;
  result.reserve(costs.size());
  for (const Cost cost : costs)
    result.push_back(is_finite(cost) ? Int(Int(cost) * (Int(1) << shift))
                                     : Arithmetic<Int>::infinity());
  return result;
}

// An edge over one node twice, or over one: only the entries that agree can be chosen.
template<class Int>
void add_unary(Reduced<Int>& reduced, NodeId v, const std::vector<Int>& cost, bool is_diagonal) {
  std::vector<Int>& own = reduced.nodes[v].cost;
  for (std::size_t x = 0; x < own.size(); ++x)
    own[x] = add(own[x], cost[is_diagonal ? x * own.size() + x : x]);
}

// An edge over three nodes or more becomes a variable of its own, whose values are the combinations
// that it allows, and which must agree with each of the nodes.
template<class Int>
void add_hidden(Reduced<Int>& reduced, std::span<const NodeId> edge, const std::vector<Int>& cost) {
  std::vector<Int> allowed_cost;
  std::vector<std::vector<Value>> values(edge.size());  // by position in the edge
  for (std::size_t index = 0; index < cost.size(); ++index) {
    if (!Reduced<Int>::finite(cost[index])) continue;
    std::vector<Value> combination(edge.size());
    std::size_t rest = index;
    for (std::size_t i = edge.size(); i-- > 0;) {
      const std::size_t size = reduced.nodes[edge[i]].size();
      combination[i] = static_cast<Value>(rest % size);
      rest /= size;
    }
    allowed_cost.push_back(cost[index]);
    for (std::size_t i = 0; i < edge.size(); ++i) values[i].push_back(combination[i]);
  }
  if (allowed_cost.empty()) {
    reduced.infeasible = true;
    return;
  }
  const Variable hidden = reduced.add_variable(std::move(allowed_cost));
  for (std::size_t i = 0; i < edge.size(); ++i) {
    const std::size_t width = reduced.nodes[edge[i]].size();
    std::vector<Int> table(values[i].size() * width, Arithmetic<Int>::infinity());
    for (std::size_t x = 0; x < values[i].size(); ++x) table[x * width + values[i][x]] = 0;
    reduced.add_table(hidden, edge[i], reduced.pooled(std::move(table)));
  }
}

// What the hidden variables' values are in an assignment that no edge forbids.
inline std::vector<Value> combinations_in(const Problem& problem, const Assignment& assignment) {
  std::vector<Value> values;
  for (EdgeId e = 0; e < problem.edge_count(); ++e) {
    const auto edge = problem.edge_nodes(e);
    if (edge.size() < 3) continue;
    std::size_t index = 0;
    for (const NodeId v : edge) index = index * problem.strategy_count(v) + assignment[v];
    const auto costs = problem.edge_costs(e);
    values.push_back(static_cast<Value>(
        std::count_if(costs.begin(), costs.begin() + static_cast<std::ptrdiff_t>(index),
                      [](Cost cost) { return is_finite(cost); })));
  }
  return values;
}

// When the rows are: at the points where some interval begins, which is where usage can be largest.
inline std::vector<std::int64_t> row_times(const Problem& problem) {
  std::vector<std::int64_t> begins;
  for (NodeId v = 0; v < problem.node_count(); ++v)
    if (!problem.interval(v).empty()) begins.push_back(problem.interval(v).begin);
  std::sort(begins.begin(), begins.end());
  begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
  return begins;
}

template<class Int>
void add_rows(Reduced<Int>& reduced, const Problem& problem) {
  if (!problem.usage_limit) return;
  const std::vector<std::int64_t> begins = row_times(problem);
  const auto row_at = [&](std::int64_t time) {  // the first row that begins at or after `time`
    return static_cast<std::uint32_t>(std::lower_bound(begins.begin(), begins.end(), time) -
                                      begins.begin());
  };
  reduced.capacity.assign(begins.size(), *problem.usage_limit);
  reduced.row_name.resize(begins.size());
  std::iota(reduced.row_name.begin(), reduced.row_name.end(), 0U);
  reduced.infeasible = reduced.infeasible || (*problem.usage_limit < 0 && !begins.empty());
  for (NodeId v = 0; v < problem.node_count(); ++v) {
    const Interval interval = problem.interval(v);
    const auto usages = problem.usages(v);
    const bool uses_any = std::any_of(usages.begin(), usages.end(), [](Usage u) { return u != 0; });
    if (interval.empty() || !uses_any) continue;
    reduced.nodes[v].items.push_back({row_at(interval.begin), row_at(interval.end),
                                      std::vector<Usage>(usages.begin(), usages.end())});
  }
}

}  // namespace detail

// A component as something to presolve again, with only the values that `domains` allows: variable
// i is the component's, row t too, and what is done to it goes to `proof`.  @pre every variable has
// a value
template<class Int>
Reduced<Int> make_reduced(const Component<Int>& component, const Domains& domains,
                          Proof* proof = nullptr) {
  Reduced<Int> reduced;
  reduced.capacity = component.capacity;
  reduced.row_name = component.row_name;
  reduced.proof = proof;
  for (std::uint32_t i = 0; i < component.size(); ++i) {
    reduced.add_variable({component.cost.begin() + component.first[i],
                          component.cost.begin() + component.first[i + 1]});
    reduced.nodes[i].name = component.name[i];
    reduced.nodes[i].label.assign(component.label.begin() + component.first[i],
                                  component.label.begin() + component.first[i + 1]);
    for (std::uint32_t k = component.first_item[i]; k < component.first_item[i + 1]; ++k) {
      const auto& item = component.items[k];
      const Usage* usage = component.usages.data() + item.usage;
      reduced.nodes[i].items.push_back(
          {item.begin, item.end, {usage, usage + component.value_count(i)}});
    }
  }
  for (const auto& table : component.tables) {
    const Int* cost = component.cost_of(table);
    const std::size_t entries = std::size_t{component.value_count(table.u)} *
                                component.value_count(table.v);
    reduced.add_new_table(table.u, table.v, reduced.pooled({cost, cost + entries}));
  }
  for (std::uint32_t i = 0; i < component.size(); ++i) {
    std::vector<Value> kept;
    for (std::uint32_t y = 0; y < component.value_count(i); ++y)
      if (domains[component.first[i] + y] != 0) kept.push_back(y);
    if (kept.size() < component.value_count(i)) reduced.restrict(i, kept);
  }
  return reduced;
}

// Costs are multiplied by 2^shift.  Variable v is the problem's node v; further ones are hidden.
// @pre spare_bits<Int>(magnitude_of(problem)) >= shift
template<class Int>
Reduced<Int> make_reduced(const Problem& problem, int shift) {
  Reduced<Int> reduced;
  for (NodeId v = 0; v < problem.node_count(); ++v)
    reduced.add_variable(detail::scaled<Int>(problem.costs(v), shift));
  using EntriesId = typename Reduced<Int>::EntriesId;
  std::vector<std::optional<EntriesId>> pooled(problem.edge_costs_ids());
  for (EdgeId e = 0; e < problem.edge_count(); ++e) {
    const auto edge = problem.edge_nodes(e);
    std::optional<EntriesId>& entries = pooled[problem.edge_costs_id(e)];
    if (!entries) entries = reduced.pooled(detail::scaled<Int>(problem.edge_costs(e), shift));
    if (edge.size() == 1)
      detail::add_unary(reduced, edge[0], reduced.entries(*entries), false);
    else if (edge.size() == 2 && edge[0] == edge[1])
      detail::add_unary(reduced, edge[0], reduced.entries(*entries), true);
    else if (edge.size() == 2)
      reduced.add_table(edge[0], edge[1], *entries);
    else
      detail::add_hidden(reduced, edge, reduced.entries(*entries));
  }
  detail::add_rows(reduced, problem);
  return reduced;
}

}  // namespace tessera::solver
