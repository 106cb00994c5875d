// SPDX-License-Identifier: Apache-2.0
//
// Steps that begin and end components and subcomponents, and the claim that ends the certificate.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/solver/detail/certificate/checker.hpp"

namespace tessera::solver::detail::certificate {

// --- The most expensive choice -------------------------------------------------------------------

inline Wide most_expensive(const Variable& here) {
  std::optional<Wide> most;
  for (std::size_t x = 0; x < here.cost.size(); ++x)
    if (here.remains[x] != 0 && is_allowed(here.cost[x]))
      most = std::max(most.value_or(here.cost[x]), here.cost[x]);
  return most.value_or(0);
}

inline Wide most_expensive(const CheckedProblem& problem, const Table& table) {
  const Variable &u = problem.variables[table.u], &v = problem.variables[table.v];
  std::optional<Wide> most;
  for (std::size_t x = 0; x < u.cost.size(); ++x)
    for (std::size_t y = 0; y < v.cost.size() && u.remains[x] != 0; ++y) {
      const Wide cost = table.cost[x * v.cost.size() + y];
      if (v.remains[y] != 0 && is_allowed(cost)) most = std::max(most.value_or(cost), cost);
    }
  return most.value_or(0);
}

// No choice of the remaining values of these variables costs more.
inline Total most_expensive(const CheckedProblem& problem,
                            const std::vector<VariableId>& variables) {
  Total total = 0;
  for (const VariableId w : variables) {
    total += most_expensive(problem.variables[w]);
    for (const TableId e : problem.variables[w].tables)
      if (problem.tables[e].u == w) total += most_expensive(problem, problem.tables[e]);
  }
  return total;
}

// --- Components ----------------------------------------------------------------------------------

inline std::vector<VariableId> read_scope_variables(Checker& checker, Line& line,
                                                    std::uint32_t from, std::uint32_t to) {
  auto& variables = checker.problem.variables;
  std::vector<VariableId> scope;
  while (!line.at_end()) {
    const VariableId w = line.index();
    require(w < variables.size() && variables[w].exists, "the variable does not exist (any more)");
    require(variables[w].component == from, "the variable belongs to two components");
    variables[w].component = to;
    scope.push_back(w);
  }
  return scope;
}

// Begins a scope of variables that belonged to the scope `from`.
inline void begin_scope(Checker& checker, Line& line, std::uint32_t from) {
  const CheckedProblem& problem = checker.problem;
  Scope scope;
  scope.id = ++checker.last_scope_id;
  scope.variables = read_scope_variables(checker, line, from, scope.id);
  for (const VariableId w : scope.variables)
    for (const TableId e : problem.variables[w].tables)
      require(problem.variables[other_end(problem, e, w)].component == scope.id,
              "a table leads out of the component");
  scope.constant_before = checker.constant;
  scope.most_expensive = most_expensive(problem, scope.variables);
  checker.scope = std::move(scope);
  checker.profile.clear();
}

// The lower bound of the current scope without its constant, rounded up to an integer.  None if
// nothing in it is feasible.
inline std::optional<Total> bound_of_scope(Checker& checker) {
  Scope& scope = checker.scope;
  close_node(checker);
  for (const auto& [number, node] : scope.open_nodes) close_with(scope, node.bound);
  if (!scope.closed || scope.closed->value > scaled(checker, scope.most_expensive))
    return std::nullopt;
  const Total bound = scope.closed->value - scope_constant(checker);
  Total rounded = bound >> checker.scale;
  if (scaled(checker, rounded) < bound) ++rounded;
  return rounded;
}

// Returns to the scope around the current one.
inline void leave_subcomponent(Checker& checker) {
  require(!checker.enclosing.empty(), "no subcomponent has begun");
  const std::optional<Total> bound = bound_of_scope(checker);
  Scope& scope = checker.scope;
  scope = std::move(checker.enclosing.back().scope);
  checker.problem.rows = std::move(checker.enclosing.back().rows);
  checker.enclosing.pop_back();
  // The subcomponent's variables are removed; its bound takes their place in the constant.
  std::erase_if(scope.variables, [&](VariableId w) {
    const Variable& here = checker.problem.variables[w];
    return !here.exists || here.component != scope.id;
  });
  scope.last_bound.reset();
  checker.profile.clear();
  if (!bound) return close_as_infeasible(checker);
  checker.constant += *bound;
  if (scope.variables.empty()) raise_bound(checker, scope_constant(checker));
}

inline void end_component(Checker& checker) {
  if (checker.scope.id == 0) return;
  while (!checker.enclosing.empty()) leave_subcomponent(checker);
  const std::optional<Total> bound = bound_of_scope(checker);
  if (!bound) {
    checker.problem.is_infeasible = true;
    return;
  }
  checker.components_line = checker.scope.closed->line;
  checker.components_bound += *bound;
}

// component W W ...
inline void begin_component(Checker& checker, Line& line) {
  end_component(checker);
  // Each component starts with the full capacity that presolve left: the minimum usage of another
  // component is only known for the assignments that its bounds have not excluded.
  if (checker.scope.id == 0)
    checker.presolved_rows = checker.problem.rows;
  else
    checker.problem.rows = checker.presolved_rows;
  begin_scope(checker, line, 0);
}

// subcomponent W W ...: like a component, it starts with the full capacity of the scope around it.
inline void begin_subcomponent(Checker& checker, Line& line) {
  require(checker.scope.id != 0 && !checker.scope.has_tree,
          "a subcomponent needs a component whose search tree has not begun");
  require(!checker.scope.is_closed, "nothing remains that could have subcomponents");
  const std::uint32_t from = checker.scope.id;
  checker.enclosing.push_back({std::move(checker.scope), checker.problem.rows});
  begin_scope(checker, line, from);
}

// end_subcomponent
inline void end_subcomponent(Checker& checker, Line&) { leave_subcomponent(checker); }

// --- The claim -----------------------------------------------------------------------------------

inline void require_all_covered(const CheckedProblem& problem) {
  for (const Variable& here : problem.variables)
    require(!here.exists || here.component != 0, "a variable belongs to no component");
}

// claim L, claim infeasible
inline void verify_claim(Checker& checker, Line& line) {
  end_component(checker);
  checker.has_claim = true;
  const bool is_infeasible = checker.problem.is_infeasible;
  if (!is_infeasible) require_all_covered(checker.problem);
  checker.proven = checker.constant + checker.components_bound;
  if (Line(line).word() == "infeasible") {
    line.word();
    return require(is_infeasible, "the steps do not exclude all assignments");
  }
  const Total claimed(line.number());
  if (is_infeasible || claimed <= checker.proven) return;
  throw Fault("it claims " + claimed.str() + ", but the steps prove no more than " +
              checker.proven.str() + " (the weakest bound of the last component is from line " +
              std::to_string(checker.components_line) + ")");
}

}  // namespace tessera::solver::detail::certificate
