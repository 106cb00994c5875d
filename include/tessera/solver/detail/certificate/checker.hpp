// SPDX-License-Identifier: Apache-2.0
//
// The state of the checker between two steps, and what all steps need of it.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/solver/detail/certificate/checked_problem.hpp"
#include "tessera/solver/detail/certificate/line.hpp"

namespace tessera::solver::detail::certificate {

// A lower bound, and the line that proved it.
struct Bound {
  Total value;
  std::size_t line = 0;
};

// A node of the search tree that has not been visited.
struct OpenNode {
  std::vector<char> remains;  // Variable::remains of the component's variables, one after the other
  Bound bound;                // of its parent
};

// The component or subcomponent that the steps concern.
struct Scope {
  std::uint32_t id = 0;  // 0: before the first component
  std::vector<VariableId> variables;
  Total constant_before;  // Checker::constant when it began
  Total most_expensive;   // no choice costs more than this; not scaled

  std::optional<Bound> bound;   // of the current node, or of the component before its tree
  std::optional<Bound> closed;  // the minimum over everything that has been closed
  bool is_closed = false;       // whether nothing remains of the current node or component

  // The bound of the last lower_bound step, without the constant, while the variables' reduced
  // costs hold.
  std::optional<Total> last_bound;

  bool has_tree = false, has_node = false;
  std::map<std::uint32_t, OpenNode> open_nodes;
};

struct Checker {
  CheckedProblem problem;
  std::size_t line = 0;  // of the current step; 1 is the first
  unsigned scale = 0;
  bool has_claim = false;
  Total proven;  // by the claim

  Total constant;                   // the cost of variables that were removed
  Total components_bound;           // the sum over the components that have ended
  std::size_t components_line = 0;  // where the bound of the last of them was proven
  std::vector<Wide> profile;        // recorded minimum usage by row; empty if there is none

  std::uint32_t last_scope_id = 0;
  Scope scope;
  Rows presolved_rows;  // as each component finds them

  // The scopes around the current subcomponent, the component first, and their rows.
  struct Enclosing {
    Scope scope;
    Rows rows;
  };
  std::vector<Enclosing> enclosing;
};

// --- Reading -------------------------------------------------------------------------------------

// A variable of the current scope.
inline VariableId read_variable(const Checker& checker, Line& line) {
  const VariableId w = line.index();
  const auto& variables = checker.problem.variables;
  require(w < variables.size() && variables[w].exists, "the variable does not exist (any more)");
  require(variables[w].component == checker.scope.id,
          "the variable does not belong to the current component");
  return w;
}

// The place of a remaining value in the lists of its variable.
inline std::size_t read_value(const Checker& checker, Line& line, VariableId w) {
  const std::uint32_t label = line.index();
  const Variable& here = checker.problem.variables[w];
  const auto at = std::lower_bound(here.label.begin(), here.label.end(), label);
  const auto x = static_cast<std::size_t>(at - here.label.begin());
  require(at != here.label.end() && *at == label && here.remains[x] != 0,
          "the variable does not have this value (any more)");
  return x;
}

inline Row read_row(const Checker& checker, Line& line) {
  const Row t = line.index();
  const Rows& rows = checker.problem.rows;
  require(t < rows.capacity.size() && rows.is_kept[t] != 0, "the row does not exist (any more)");
  return t;
}

struct ConnectedPair {
  VariableId u = 0, v = 0;
  TableId table = 0;
};
// Two variables that a table connects.
inline ConnectedPair read_connected(const Checker& checker, Line& line) {
  const VariableId u = read_variable(checker, line);
  const VariableId v = read_variable(checker, line);
  const auto table = u == v ? std::nullopt : find_table(checker.problem, u, v);
  require(table.has_value(), "no table connects the two variables");
  return {u, v, *table};
}

// --- Consequences --------------------------------------------------------------------------------

inline Total scaled(const Checker& checker, const Total& unscaled) {
  return unscaled << checker.scale;
}

// The cost of the scope's variables that have been removed; scaled.
inline Total scope_constant(const Checker& checker) {
  return scaled(checker, checker.constant - checker.scope.constant_before);
}

// Nothing feasible remains of the current node, component or problem.
inline void close_as_infeasible(Checker& checker) {
  checker.scope.is_closed = true;
  if (checker.scope.id == 0) checker.problem.is_infeasible = true;
}

inline void remove_value(Checker& checker, VariableId w, std::size_t x) {
  Variable& here = checker.problem.variables[w];
  here.remains[x] = 0;
  if (--here.remaining == 0) close_as_infeasible(checker);
}

// Every step that changes more than the remaining values begins with this.
inline void begin_structural_change(Checker& checker) {
  require(!checker.scope.has_tree, "only values can be removed inside the search tree");
  checker.scope.last_bound.reset();
}

// Keeps the best bound of the current node.  `value` includes the scope's constant.
inline void raise_bound(Checker& checker, const Total& value) {
  std::optional<Bound>& bound = checker.scope.bound;
  if (!bound || value > bound->value) bound = Bound{value, checker.line};
}

// All that the bound covers has been closed.
inline void close_with(Scope& scope, const Bound& bound) {
  if (!scope.closed || bound.value < scope.closed->value) scope.closed = bound;
}

// The current node, or the component before its tree, ends: its best bound covers what remains.
inline void close_node(Checker& checker) {
  Scope& scope = checker.scope;
  if (scope.is_closed || (scope.has_tree && !scope.has_node)) return;
  require(scope.bound.has_value(), "the remaining assignments have no lower bound");
  close_with(scope, *scope.bound);
  scope.has_node = false;
}

// Calls visit(w) for the existing variables of the current scope; before the first component, for
// all.
template<class Visit>
void for_each_variable(const Checker& checker, Visit&& visit) {
  const auto& variables = checker.problem.variables;
  if (checker.scope.id != 0) {
    for (const VariableId w : checker.scope.variables)
      if (variables[w].exists) visit(w);
  } else {
    for (VariableId w = 0; w < variables.size(); ++w)
      if (variables[w].exists) visit(w);
  }
}

}  // namespace tessera::solver::detail::certificate
