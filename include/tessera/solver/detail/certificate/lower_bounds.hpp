// SPDX-License-Identifier: Apache-2.0
//
// Lagrangian lower bounds, and the values that their reduced costs remove.
//
// The capacity of each row is relaxed with a multiplier, and costs move between a table and its two
// variables (a reparametrization).  Then the sum of every variable's and every table's minimum is a
// lower bound, whatever the multipliers and the moved costs are.
#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/detail/certificate/checker.hpp"

namespace tessera::solver::detail::certificate {

// --- Multipliers ---------------------------------------------------------------------------------

// Lagrange multipliers of rows, as numerators over 2^shift.
struct Multipliers {
  unsigned shift = 0;
  std::vector<std::pair<Row, Wide>> of_rows;  // ascending
};

inline Multipliers read_multipliers(const Checker& checker, Line& line) {
  Multipliers multipliers;
  const Wide shift = line.number();
  require(shift >= 0 && shift <= 100, "the shift of the multipliers is out of range");
  multipliers.shift = static_cast<unsigned>(shift);
  line.expect('|');
  while (!line.at_end() && !line.is_next('|')) {
    const Row t = read_row(checker, line);
    line.expect(':');
    const Wide numerator = line.number();
    require(numerator >= 0, "a multiplier is negative");
    require(multipliers.of_rows.empty() || multipliers.of_rows.back().first < t,
            "the rows are not in ascending order");
    multipliers.of_rows.push_back({t, numerator});
  }
  return multipliers;
}

// By row, the sum of the multipliers before it; empty if there are none.
inline std::vector<Total> prefix_sums(const Multipliers& multipliers, std::size_t rows) {
  std::vector<Total> before;
  if (multipliers.of_rows.empty()) return before;
  before.resize(rows + 1);
  auto next = multipliers.of_rows.begin();
  for (std::size_t t = 0; t < rows; ++t) {
    before[t + 1] = before[t];
    if (next != multipliers.of_rows.end() && next->first == t)
      before[t + 1] += Total((next++)->second);
  }
  return before;
}

// Capacity times multiplier, over all rows, rounded up.
inline Total price_of_capacity(const Multipliers& multipliers, const Rows& rows) {
  Total total = 0;
  for (const auto& [t, numerator] : multipliers.of_rows)
    total += Total(rows.capacity[t]) * Total(numerator);
  const Total unit = Total(1) << multipliers.shift;
  Total quotient = total / unit;
  if (total > 0 && quotient * unit != total) ++quotient;
  return quotient;
}

// By value, usage times multiplier, over all rows; not yet divided by 2^shift.
inline std::vector<Total> price_of_usage(const Variable& here, const std::vector<Total>& before) {
  std::vector<Total> price(here.cost.size(), 0);
  for (const UsagePiece& piece : here.pieces) {
    const Total rate = before[piece.end] - before[piece.begin];
    if (rate == 0) continue;
    for (std::size_t x = 0; x < here.cost.size(); ++x)
      if (here.remains[x] != 0) price[x] += rate * Total(piece.usage[x]);
  }
  return price;
}

// Starts a variable's reduced costs with each value's cost and the price of its usage, rounded
// down.
inline void start_reduced_costs(Checker& checker, VariableId w, const std::vector<Total>& before,
                                unsigned shift) {
  separate_pieces(checker.problem, w);
  Variable& here = checker.problem.variables[w];
  here.reduced_cost.assign(here.cost.size(), std::nullopt);
  for (std::size_t x = 0; x < here.cost.size(); ++x)
    if (here.remains[x] != 0 && is_allowed(here.cost[x]))
      here.reduced_cost[x] = scaled(checker, Total(here.cost[x]));
  if (before.empty()) return;
  const std::vector<Total> price = price_of_usage(here, before);
  for (std::size_t x = 0; x < here.cost.size(); ++x)
    if (here.reduced_cost[x]) *here.reduced_cost[x] += price[x] >> shift;
}

// --- Reparametrization ---------------------------------------------------------------------------

// Costs that move from a table to the values of its ends.  Removed values have none.
struct MovedCosts {
  std::vector<Wide> to_u, to_v;
};
using Reparametrization = std::map<TableId, MovedCosts>;

inline std::vector<Wide> read_moved_costs(Variable& here, Line& line) {
  line.expect(':');
  std::vector<Wide> moved(here.cost.size(), 0);
  for (std::size_t x = 0; x < moved.size(); ++x) {
    if (here.remains[x] == 0) continue;
    moved[x] = line.number();
    if (here.reduced_cost[x]) *here.reduced_cost[x] += Total(moved[x]);
  }
  return moved;
}

// | U V : M ... : M ... | ...
inline Reparametrization read_reparametrization(Checker& checker, Line& line) {
  Reparametrization result;
  while (line.take('|')) {
    const auto [u, v, table] = read_connected(checker, line);
    require(!result.contains(table), "a table is reparametrized twice");
    MovedCosts& moved = result[table];
    moved.to_u = read_moved_costs(checker.problem.variables[u], line);
    moved.to_v = read_moved_costs(checker.problem.variables[v], line);
    if (checker.problem.tables[table].u != u) std::swap(moved.to_u, moved.to_v);
  }
  return result;
}

// --- Minima --------------------------------------------------------------------------------------

// Moves a variable's minimum from its reduced costs to the total.
inline void add_minimum(Checker& checker, Variable& here, Total& total) {
  std::optional<Total> least;
  for (std::size_t x = 0; x < here.cost.size(); ++x)
    if (here.remains[x] != 0 && here.reduced_cost[x] && (!least || *here.reduced_cost[x] < *least))
      least = here.reduced_cost[x];
  if (!least) return close_as_infeasible(checker);
  total += *least;
  for (std::optional<Total>& cost : here.reduced_cost)
    if (cost) *cost -= *least;
}

// Above every entry of a reparametrized table, since all numbers of a certificate have a limit.
inline constexpr Wide no_entry = Wide(1) << 126;

struct TableMinima {
  std::vector<Wide> of_rows, of_columns;
  Wide of_all = no_entry;
};

// Over the remaining values.
inline TableMinima minima_of(const Checker& checker, const Table& table, const MovedCosts* moved) {
  const Variable &u = checker.problem.variables[table.u], &v = checker.problem.variables[table.v];
  const std::size_t columns = v.cost.size();
  TableMinima minima{std::vector<Wide>(u.cost.size(), no_entry),
                     std::vector<Wide>(columns, no_entry)};
  const Wide unit = Wide(1) << checker.scale;
  for (std::size_t x = 0; x < u.cost.size(); ++x) {
    if (u.remains[x] == 0) continue;
    for (std::size_t y = 0; y < columns; ++y) {
      const Wide cost = table.cost[x * columns + y];
      if (v.remains[y] == 0 || !is_allowed(cost)) continue;
      Wide here = cost * unit;
      if (moved != nullptr) here -= moved->to_u[x] + moved->to_v[y];
      minima.of_rows[x] = std::min(minima.of_rows[x], here);
      minima.of_columns[y] = std::min(minima.of_columns[y], here);
    }
    minima.of_all = std::min(minima.of_all, minima.of_rows[x]);
  }
  return minima;
}

// A value costs at least its own minimum in the table above the table's.
inline void add_to_reduced_costs(Variable& end, const std::vector<Wide>& minima, Wide of_all) {
  for (std::size_t x = 0; x < end.cost.size(); ++x) {
    if (minima[x] == no_entry) end.reduced_cost[x].reset();
    if (end.reduced_cost[x]) *end.reduced_cost[x] += Total(minima[x] - of_all);
  }
}

inline void add_minimum(Checker& checker, const Table& table, const MovedCosts* moved,
                        Total& total) {
  const TableMinima minima = minima_of(checker, table, moved);
  if (minima.of_all == no_entry) return close_as_infeasible(checker);
  total += Total(minima.of_all);
  add_to_reduced_costs(checker.problem.variables[table.u], minima.of_rows, minima.of_all);
  add_to_reduced_costs(checker.problem.variables[table.v], minima.of_columns, minima.of_all);
}

inline void add_minima(Checker& checker, const Reparametrization& moved, Total& total) {
  CheckedProblem& problem = checker.problem;
  for_each_variable(checker,
                    [&](VariableId w) { add_minimum(checker, problem.variables[w], total); });
  for (const VariableId w : checker.scope.variables)
    for (const TableId e : problem.variables[w].tables) {
      if (problem.tables[e].u != w) continue;
      const auto found = moved.find(e);
      add_minimum(checker, problem.tables[e], found == moved.end() ? nullptr : &found->second,
                  total);
    }
}

// --- Steps ---------------------------------------------------------------------------------------

// lower_bound B S | T:L ... | U V : M ... : M ... | ...
inline void verify_lower_bound(Checker& checker, Line& line) {
  require(checker.scope.id != 0, "a lower bound needs a component");
  const Wide claimed = line.number();
  const Multipliers multipliers = read_multipliers(checker, line);
  const Rows& rows = checker.problem.rows;
  const std::vector<Total> before = prefix_sums(multipliers, rows.capacity.size());
  for_each_variable(
      checker, [&](VariableId w) { start_reduced_costs(checker, w, before, multipliers.shift); });
  const Reparametrization moved = read_reparametrization(checker, line);
  Total total = -price_of_capacity(multipliers, rows);
  add_minima(checker, moved, total);
  if (!checker.scope.is_closed) require(total >= Total(claimed), "the component can cost less");
  checker.scope.last_bound = total;
  raise_bound(checker, total + scope_constant(checker));
}

// reduced_cost_fixing C W:X ...
inline void remove_by_reduced_cost(Checker& checker, Line& line) {
  const std::optional<Total>& bound = checker.scope.last_bound;
  require(bound.has_value(), "no lower bound holds at this point");
  const Total threshold(line.number());
  while (!line.at_end()) {
    const VariableId w = read_variable(checker, line);
    line.expect(':');
    const std::size_t x = read_value(checker, line, w);
    const std::optional<Total>& increase = checker.problem.variables[w].reduced_cost[x];
    require(!increase || *bound + *increase >= threshold, "a value can cost less");
    remove_value(checker, w, x);
  }
  close_with(checker.scope, {threshold + scope_constant(checker), checker.line});
}

}  // namespace tessera::solver::detail::certificate
