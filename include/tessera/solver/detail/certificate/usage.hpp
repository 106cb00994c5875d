// SPDX-License-Identifier: Apache-2.0
//
// Steps about usage: the profile of minimum usage, values that exceed a row's capacity, and changes
// of the rows.
#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "tessera/solver/detail/certificate/checker.hpp"

namespace tessera::solver::detail::certificate {

// Over the remaining values.
inline Wide minimum_usage(const Variable& here, const UsagePiece& piece) {
  std::optional<Wide> least;
  for (std::size_t x = 0; x < piece.usage.size(); ++x)
    if (here.remains[x] != 0 && (!least || piece.usage[x] < *least)) least = piece.usage[x];
  return least.value_or(0);
}

inline bool is_unused(const Variable& here, const UsagePiece& piece) {
  for (std::size_t x = 0; x < piece.usage.size(); ++x)
    if (here.remains[x] != 0 && piece.usage[x] != 0) return false;
  return true;
}

// The changes of a sum of usages from each row to the next; usages_by_row() adds them up.
struct UsageChanges {
  std::vector<Wide> at_row;

  explicit UsageChanges(std::size_t rows) : at_row(rows + 1, 0) {}
  void add(const UsagePiece& piece, Wide usage) {
    at_row[piece.begin] += usage;
    at_row[piece.end] -= usage;
  }
};
inline std::vector<Wide> usages_by_row(const UsageChanges& changes) {
  std::vector<Wide> result(changes.at_row.size() - 1, 0);
  Wide usage = 0;
  for (std::size_t t = 0; t < result.size(); ++t) result[t] = usage += changes.at_row[t];
  return result;
}

// profile
inline void record_profile(Checker& checker, Line&) {
  CheckedProblem& problem = checker.problem;
  UsageChanges changes(problem.rows.capacity.size());
  for_each_variable(checker, [&](VariableId w) {
    separate_pieces(problem, w);
    for (UsagePiece& piece : problem.variables[w].pieces) {
      piece.recorded_minimum = minimum_usage(problem.variables[w], piece);
      changes.add(piece, piece.recorded_minimum);
    }
  });
  checker.profile = usages_by_row(changes);
}

// over_capacity W X T
inline void remove_over_capacity(Checker& checker, Line& line) {
  const VariableId w = read_variable(checker, line);
  const std::size_t x = read_value(checker, line, w);
  const Row t = read_row(checker, line);
  require(!checker.profile.empty(), "no profile has been recorded");
  Wide usage = checker.profile[t];
  for (const UsagePiece& piece : checker.problem.variables[w].pieces)
    if (piece.begin <= t && t < piece.end) usage += piece.usage[x] - piece.recorded_minimum;
  require(usage > checker.problem.rows.capacity[t], "the value is within the capacity");
  remove_value(checker, w, x);
}

// oversubscribed T
inline void close_oversubscribed(Checker& checker, Line& line) {
  const Row t = read_row(checker, line);
  require(!checker.profile.empty() && checker.profile[t] > checker.problem.rows.capacity[t],
          "the minimum usage is within the capacity");
  close_as_infeasible(checker);
}

// Subtracts a variable's minimum usage from its values, and adds it to the changes.
inline void subtract_minimum(CheckedProblem& problem, VariableId w, UsageChanges& changes) {
  separate_pieces(problem, w);
  Variable& here = problem.variables[w];
  for (UsagePiece& piece : here.pieces) {
    const Wide least = minimum_usage(here, piece);
    for (Wide& usage : piece.usage) usage -= least;
    changes.add(piece, least);
  }
  std::erase_if(here.pieces, [&](const UsagePiece& piece) { return is_unused(here, piece); });
}

// subtract_minimum_usage
inline void subtract_minimum_usage(Checker& checker, Line&) {
  begin_structural_change(checker);
  checker.profile.clear();
  Rows& rows = checker.problem.rows;
  UsageChanges changes(rows.capacity.size());
  for_each_variable(checker, [&](VariableId w) { subtract_minimum(checker.problem, w, changes); });
  const std::vector<Wide> subtracted = usages_by_row(changes);
  for (std::size_t t = 0; t < subtracted.size(); ++t) {
    rows.capacity[t] -= subtracted[t];
    if (subtracted[t] != 0 && rows.is_kept[t] != 0 && rows.capacity[t] < 0)
      close_as_infeasible(checker);
  }
}

// A-B C-D ...: by row, whether it is in one of these ranges.
inline std::vector<char> read_ranges(Line& line, std::size_t rows) {
  std::vector<char> listed(rows, 0);
  while (!line.at_end()) {
    const Row first = line.index();
    line.expect('-');
    const Row last = line.index();
    require(first <= last && last < rows, "these rows do not exist");
    std::fill(listed.begin() + first, listed.begin() + last + 1, 1);
  }
  return listed;
}

// keep_rows A-B C-D ...: any row may be dropped, since a lower bound without it is one with it.
inline void keep_rows(Checker& checker, Line& line) {
  begin_structural_change(checker);
  Rows& rows = checker.problem.rows;
  const std::vector<char> kept = read_ranges(line, rows.capacity.size());
  for (std::size_t t = 0; t < kept.size(); ++t)
    rows.is_kept[t] = rows.is_kept[t] != 0 && kept[t] != 0;
  count_rows(rows);
  for_each_variable(checker, [&](VariableId w) {
    std::erase_if(checker.problem.variables[w].pieces,
                  [&](const UsagePiece& piece) { return !covers_kept_row(rows, piece); });
  });
  checker.profile.clear();
}

}  // namespace tessera::solver::detail::certificate
