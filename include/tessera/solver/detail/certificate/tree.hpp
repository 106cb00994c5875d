// SPDX-License-Identifier: Apache-2.0
//
// Steps of branch and bound: the search tree of a component, its nodes and branches.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/detail/certificate/checker.hpp"

namespace tessera::solver::detail::certificate {

// Variable::remains of the scope's variables, one after the other.
inline std::vector<char> remaining_values(const Checker& checker) {
  std::vector<char> result;
  for (const VariableId w : checker.scope.variables) {
    const std::vector<char>& remains = checker.problem.variables[w].remains;
    result.insert(result.end(), remains.begin(), remains.end());
  }
  return result;
}

inline void restore_values(Checker& checker, const std::vector<char>& remaining) {
  auto at = remaining.begin();
  for (const VariableId w : checker.scope.variables) {
    Variable& here = checker.problem.variables[w];
    const auto end = at + static_cast<std::ptrdiff_t>(here.remains.size());
    here.remains.assign(at, end);
    here.remaining = static_cast<std::size_t>(std::count(at, end, 1));
    at = end;
  }
}

// tree
inline void begin_tree(Checker& checker, Line&) {
  Scope& scope = checker.scope;
  require(scope.id != 0 && !scope.has_tree, "a component has one search tree");
  if (!scope.is_closed) {
    require(scope.bound.has_value(), "the remaining assignments have no lower bound");
    scope.open_nodes[0] = {remaining_values(checker), {scope.bound->value, checker.line}};
  }
  scope.has_tree = scope.is_closed = true;
  scope.has_node = false;
  scope.last_bound.reset();
  checker.profile.clear();
}

// node I
inline void visit_node(Checker& checker, Line& line) {
  Scope& scope = checker.scope;
  require(scope.has_tree, "the component has no search tree");
  close_node(checker);
  const auto found = scope.open_nodes.find(line.index());
  require(found != scope.open_nodes.end(), "there is no open node with this number");
  restore_values(checker, found->second.remains);
  scope.bound = found->second.bound;
  scope.open_nodes.erase(found);
  scope.has_node = true;
  scope.is_closed = false;
  scope.last_bound.reset();
  checker.profile.clear();
}

// A lower bound of the current node with one of w's remaining values.
inline Bound bound_of_child(const Checker& checker, const Variable& here) {
  const Scope& scope = checker.scope;
  std::optional<Total> least;
  if (scope.last_bound)
    for (std::size_t x = 0; x < here.remains.size(); ++x)
      if (here.remains[x] != 0 && here.reduced_cost[x] &&
          (!least || *here.reduced_cost[x] < *least))
        least = here.reduced_cost[x];
  Total bound = scope.bound->value;
  if (least) bound = std::max<Total>(bound, *scope.last_bound + *least + scope_constant(checker));
  return {bound, checker.line};
}

// branch W I J : X X ...
inline void branch(Checker& checker, Line& line) {
  Scope& scope = checker.scope;
  require(scope.has_node && !scope.is_closed, "there is no node to branch on");
  const VariableId w = read_variable(checker, line);
  const std::uint32_t first = line.index(), second = line.index();
  require(
      first != second && !scope.open_nodes.contains(first) && !scope.open_nodes.contains(second),
      "the number of the node is taken");
  line.expect(':');
  Variable& here = checker.problem.variables[w];
  const std::vector<char> before = here.remains;
  std::vector<char> chosen(before.size(), 0);
  while (!line.at_end()) chosen[read_value(checker, line, w)] = 1;
  for (const bool is_first : {true, false}) {
    for (std::size_t x = 0; x < before.size(); ++x)
      here.remains[x] = before[x] != 0 && (chosen[x] != 0) == is_first;
    scope.open_nodes[is_first ? first : second] = {remaining_values(checker),
                                                   bound_of_child(checker, here)};
  }
  here.remains = before;
  scope.has_node = false;
  scope.is_closed = true;
}

}  // namespace tessera::solver::detail::certificate
