// SPDX-License-Identifier: Apache-2.0
//
// Steps that remove variables and tables: fix, merge, separable and eliminate.
#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/detail/certificate/checker.hpp"
#include "tessera/solver/detail/certificate/usage.hpp"

namespace tessera::solver::detail::certificate {

// Removes a variable that has no tables any more.  Its recorded minimum is no longer part of the
// profile: its usage was either zero or has been subtracted from the capacity.
inline void remove_variable(Checker& checker, VariableId w) {
  Variable& here = checker.problem.variables[w];
  here.exists = false;
  if (!checker.profile.empty())
    for (const UsagePiece& piece : here.pieces)
      for (Row t = piece.begin; t < piece.end && piece.recorded_minimum != 0; ++t)
        checker.profile[t] -= piece.recorded_minimum;
  here.pieces = {};
}

// --- fix -----------------------------------------------------------------------------------------

inline void subtract_from_capacity(Checker& checker, const UsagePiece& piece, Wide usage) {
  Rows& rows = checker.problem.rows;
  for (Row t = piece.begin; t < piece.end; ++t) {
    rows.capacity[t] -= usage;
    if (rows.is_kept[t] != 0 && rows.capacity[t] < 0) close_as_infeasible(checker);
  }
}

// Adds the only row of w's table to the costs of its other end.
inline void move_costs_to_neighbour(CheckedProblem& problem, VariableId w, TableId e) {
  Variable& neighbour = problem.variables[other_end(problem, e, w)];
  for (std::size_t y = 0; y < neighbour.cost.size(); ++y)
    neighbour.cost[y] = sum(neighbour.cost[y], entry(problem, e, w, 0, y));
  remove_table(problem, e);
}

// fix W
inline void fix(Checker& checker, Line& line) {
  const VariableId w = read_variable(checker, line);
  begin_structural_change(checker);
  CheckedProblem& problem = checker.problem;
  Variable& here = problem.variables[w];
  require(here.remaining <= 1, "the variable has more than one value");
  if (here.remaining == 0) return;
  drop_removed_values(problem, w);
  separate_pieces(problem, w);
  if (!is_allowed(here.cost[0])) return close_as_infeasible(checker);
  checker.constant += here.cost[0];
  for (const UsagePiece& piece : here.pieces)
    subtract_from_capacity(checker, piece, piece.usage[0]);
  for (const TableId e : std::vector<TableId>(here.tables)) move_costs_to_neighbour(problem, w, e);
  remove_variable(checker, w);
}

// --- merge ---------------------------------------------------------------------------------------

// The only value of v that is compatible with u's value x.
inline std::size_t only_partner(const CheckedProblem& problem, TableId e, VariableId u,
                                VariableId v, std::size_t x) {
  std::optional<std::size_t> only;
  for (std::size_t y = 0; y < problem.variables[v].cost.size(); ++y) {
    if (!is_allowed(entry(problem, e, u, x, y))) continue;
    require(!only, "a value is compatible with more than one value of the other variable");
    only = y;
  }
  require(only.has_value(), "a value is compatible with no value of the other variable");
  return *only;
}

// By value of u, the value of v that it implies.
inline std::vector<std::size_t> image_of(const CheckedProblem& problem, TableId e, VariableId u,
                                         VariableId v) {
  std::vector<std::size_t> image;
  for (std::size_t x = 0; x < problem.variables[u].cost.size(); ++x)
    image.push_back(only_partner(problem, e, u, v, x));
  return image;
}

// Connects a table of v to u instead; image[x] is the value of v that u's value x implies.
inline void move_table(CheckedProblem& problem, TableId e, VariableId u, VariableId v,
                       const std::vector<std::size_t>& image) {
  const VariableId w = other_end(problem, e, v);
  std::vector<Wide> cost;
  for (const std::size_t y : image)
    for (std::size_t z = 0; z < problem.variables[w].cost.size(); ++z)
      cost.push_back(entry(problem, e, v, y, z));
  remove_table(problem, e);
  add_table(problem, u, w, std::move(cost));
}

inline void move_usage(Variable& to, const Variable& from, const std::vector<std::size_t>& image) {
  for (const UsagePiece& piece : from.pieces) {
    UsagePiece moved{piece.begin, piece.end, {}, 0};
    for (const std::size_t y : image) moved.usage.push_back(piece.usage[y]);
    to.pieces.push_back(std::move(moved));
    to.pieces_overlap = true;
  }
}

// merge U V
inline void merge(Checker& checker, Line& line) {
  begin_structural_change(checker);
  CheckedProblem& problem = checker.problem;
  const auto [u, v, table] = read_connected(checker, line);
  drop_removed_values(problem, u);
  drop_removed_values(problem, v);
  Variable &into = problem.variables[u], &from = problem.variables[v];
  const std::vector<std::size_t> image = image_of(problem, table, u, v);
  for (std::size_t x = 0; x < into.cost.size(); ++x)
    into.cost[x] =
        sum(into.cost[x], sum(from.cost[image[x]], entry(problem, table, u, x, image[x])));
  remove_table(problem, table);
  for (const TableId e : std::vector<TableId>(from.tables)) move_table(problem, e, u, v, image);
  move_usage(into, from, image);
  checker.profile.clear();  // separated pieces do not keep what was recorded
  remove_variable(checker, v);
}

// --- separable -----------------------------------------------------------------------------------

// Every entry is the sum of the first in its row and the first in its column, less the corner.
inline void require_separable(const CheckedProblem& problem, TableId e, VariableId u,
                              VariableId v) {
  const Wide corner = entry(problem, e, u, 0, 0);
  for (std::size_t x = 0; x < problem.variables[u].cost.size(); ++x)
    for (std::size_t y = 0; y < problem.variables[v].cost.size(); ++y) {
      const Wide here = entry(problem, e, u, x, y);
      require(is_allowed(here), "the table forbids a pair");
      require(here - entry(problem, e, u, x, 0) == entry(problem, e, u, 0, y) - corner,
              "the table is not the sum of two vectors");
    }
}

// separable U V
inline void remove_separable(Checker& checker, Line& line) {
  begin_structural_change(checker);
  CheckedProblem& problem = checker.problem;
  const auto [u, v, table] = read_connected(checker, line);
  drop_removed_values(problem, u);
  drop_removed_values(problem, v);
  Variable &first = problem.variables[u], &second = problem.variables[v];
  if (first.remaining == 0 || second.remaining == 0) return;
  require_separable(problem, table, u, v);
  const Wide corner = entry(problem, table, u, 0, 0);
  for (std::size_t x = 0; x < first.cost.size(); ++x)
    first.cost[x] = sum(first.cost[x], entry(problem, table, u, x, 0));
  for (std::size_t y = 0; y < second.cost.size(); ++y)
    second.cost[y] = sum(second.cost[y], entry(problem, table, u, 0, y) - corner);
  remove_table(problem, table);
}

// --- eliminate -----------------------------------------------------------------------------------

inline void eliminate_isolated(Checker& checker, const Variable& here) {
  const Wide least = *std::min_element(here.cost.begin(), here.cost.end());
  if (is_allowed(least))
    checker.constant += least;
  else
    close_as_infeasible(checker);
}

inline void eliminate_with_one_neighbour(CheckedProblem& problem, VariableId w) {
  const Variable& here = problem.variables[w];
  const TableId e = here.tables[0];
  Variable& neighbour = problem.variables[other_end(problem, e, w)];
  for (std::size_t y = 0; y < neighbour.cost.size(); ++y) {
    Wide least = forbidden;
    for (std::size_t x = 0; x < here.cost.size(); ++x)
      least = std::min(least, sum(here.cost[x], entry(problem, e, w, x, y)));
    neighbour.cost[y] = sum(neighbour.cost[y], least);
  }
  remove_table(problem, e);
}

inline void eliminate_with_two_neighbours(CheckedProblem& problem, VariableId w) {
  const Variable& here = problem.variables[w];
  const TableId first = here.tables[0], second = here.tables[1];
  const VariableId a = other_end(problem, first, w), b = other_end(problem, second, w);
  const std::size_t rows = problem.variables[a].cost.size();
  const std::size_t columns = problem.variables[b].cost.size();
  std::vector<Wide> result(rows * columns, forbidden);
  for (std::size_t x = 0; x < here.cost.size(); ++x)
    for (std::size_t y = 0; y < rows; ++y) {
      const Wide cost = sum(here.cost[x], entry(problem, first, w, x, y));
      if (!is_allowed(cost)) continue;
      for (std::size_t z = 0; z < columns; ++z) {
        Wide& least = result[y * columns + z];
        least = std::min(least, sum(cost, entry(problem, second, w, x, z)));
      }
    }
  remove_table(problem, first);
  remove_table(problem, second);
  add_table(problem, a, b, std::move(result));
}

// eliminate W
inline void eliminate(Checker& checker, Line& line) {
  const VariableId w = read_variable(checker, line);
  begin_structural_change(checker);
  CheckedProblem& problem = checker.problem;
  const Variable& here = problem.variables[w];
  if (here.remaining == 0) return;
  drop_removed_values(problem, w);
  separate_pieces(problem, w);
  for (const UsagePiece& piece : here.pieces)
    require(is_unused(here, piece), "the variable has usage");
  require(here.tables.size() <= 2, "the variable has more than two neighbours");
  switch (here.tables.size()) {
    case 0: eliminate_isolated(checker, here); break;
    case 1: eliminate_with_one_neighbour(problem, w); break;
    default: eliminate_with_two_neighbours(problem, w); break;
  }
  remove_variable(checker, w);
}

}  // namespace tessera::solver::detail::certificate
