// SPDX-License-Identifier: Apache-2.0
//
// Steps that remove values without usage: unsupported and dominated values.
#pragma once
#include <cstddef>
#include <optional>

#include "tessera/solver/detail/certificate/checker.hpp"

namespace tessera::solver::detail::certificate {

// Arc consistency: no remaining value of v is compatible with w's value x.
inline void require_no_support(const CheckedProblem& problem, VariableId w, std::size_t x,
                               VariableId v) {
  const auto e = find_table(problem, w, v);
  require(e.has_value(), "no table connects the two variables");
  const Variable& neighbour = problem.variables[v];
  for (std::size_t y = 0; y < neighbour.cost.size(); ++y)
    require(neighbour.remains[y] == 0 || !is_allowed(neighbour.cost[y]) ||
                !is_allowed(entry(problem, *e, w, x, y)),
            "the value is supported");
}

// unsupported W X V
inline void remove_unsupported(Checker& checker, Line& line) {
  const VariableId w = read_variable(checker, line);
  const std::size_t x = read_value(checker, line, w);
  const VariableId v = read_variable(checker, line);
  if (v == w)
    require(!is_allowed(checker.problem.variables[w].cost[x]), "the value's own cost is finite");
  else
    require_no_support(checker.problem, w, x, v);
  remove_value(checker, w, x);
}

// Value y of w in place of x, in one table.
struct Replacement {
  std::optional<Wide> largest_increase;  // of the cost, over all partners of x; none: x has none
  bool is_compatible = true;             // whether y is compatible with all partners of x
};

inline Replacement compare_in_table(const CheckedProblem& problem, TableId e, VariableId w,
                                    std::size_t x, std::size_t y) {
  const Variable& neighbour = problem.variables[other_end(problem, e, w)];
  Replacement result;
  for (std::size_t z = 0; z < neighbour.cost.size(); ++z) {
    const Wide before = entry(problem, e, w, x, z);
    if (neighbour.remains[z] == 0 || !is_allowed(before)) continue;
    const Wide after = entry(problem, e, w, y, z);
    result.is_compatible = result.is_compatible && is_allowed(after);
    if (!result.largest_increase || after - before > *result.largest_increase)
      result.largest_increase = after - before;
  }
  return result;
}

// With y in place of x, no assignment costs more.  Every table may take its own worst partner.
inline void require_no_increase(const CheckedProblem& problem, VariableId w, std::size_t x,
                                std::size_t y) {
  const Variable& here = problem.variables[w];
  Wide increase = here.cost[y] - here.cost[x];
  bool is_compatible = true;
  for (const TableId e : here.tables) {
    const Replacement replacement = compare_in_table(problem, e, w, x, y);
    if (!replacement.largest_increase) return;  // no assignment contains x at all
    is_compatible = is_compatible && replacement.is_compatible;
    increase += *replacement.largest_increase;
  }
  require(is_compatible, "the other value is not compatible with all partners of this one");
  require(increase <= 0, "the other value can cost more");
}

// dominated W X Y
inline void remove_dominated(Checker& checker, Line& line) {
  const VariableId w = read_variable(checker, line);
  const std::size_t x = read_value(checker, line, w), y = read_value(checker, line, w);
  require(x != y, "a value cannot dominate itself");
  separate_pieces(checker.problem, w);
  const Variable& here = checker.problem.variables[w];
  for (const UsagePiece& piece : here.pieces)
    require(piece.usage[y] <= piece.usage[x], "the other value uses more");
  require(is_allowed(here.cost[y]), "the other value is forbidden");
  if (is_allowed(here.cost[x])) require_no_increase(checker.problem, w, x, y);
  remove_value(checker, w, x);
}

}  // namespace tessera::solver::detail::certificate
