// SPDX-License-Identifier: Apache-2.0
//
// The problem as the steps of a certificate have left it, for the checker alone.
//
// Variables, pairwise tables and usage on rows, numbered as README.md says.  A removed value stays
// in its lists, marked, until drop_removed_values().  The checker shares nothing with the solver
// except Problem: this is its own representation, plainer and slower than the solver's.
#pragma once
#include <boost/multiprecision/cpp_int.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver::detail::certificate {

using VariableId = std::uint32_t;
using TableId = std::uint32_t;
using Row = std::uint32_t;
using Total = boost::multiprecision::cpp_int;  // a sum of costs, which has no limit

// The usage of a variable on the rows [begin, end), by value.
struct UsagePiece {
  Row begin = 0, end = 0;
  std::vector<Wide> usage;
  Wide recorded_minimum = 0;  // as of the last profile
};

struct Variable {
  bool exists = true;
  std::vector<std::uint32_t> label;  // each value's number in the original problem; ascending
  std::vector<char> remains;         // by value: whether it has not been removed
  std::size_t remaining = 0;
  std::vector<Wide> cost;
  std::vector<UsagePiece> pieces;
  bool pieces_overlap = false;  // whether they may
  std::vector<TableId> tables;
  std::uint32_t component = 0;  // 0: none yet
  // By value: a lower bound of the increase over the last bound if the value is chosen; none if it
  // is forbidden.
  std::vector<std::optional<Total>> reduced_cost;
};

struct Table {
  VariableId u = 0, v = 0;
  bool exists = true;
  std::vector<Wide> cost;  // row-major
};

struct Rows {
  std::vector<Wide> capacity;
  std::vector<char> is_kept;     // whether the row still constrains anything
  std::vector<Row> kept_before;  // the number of kept rows before each
};

struct CheckedProblem {
  bool is_infeasible = false;
  std::vector<Variable> variables;
  std::vector<Table> tables;
  Rows rows;
};

// --- Costs ---------------------------------------------------------------------------------------

// Far above any cost that is allowed.
inline constexpr Wide forbidden = Wide(1) << 124;
inline bool is_allowed(Wide cost) { return cost < forbidden / 2; }
inline Wide sum(Wide a, Wide b) { return is_allowed(a) && is_allowed(b) ? a + b : forbidden; }

inline std::vector<Wide> widened(std::span<const Cost> costs) {
  std::vector<Wide> result;
  for (const Cost c : costs) result.push_back(is_finite(c) ? Wide(c) : forbidden);
  return result;
}

// --- Rows ----------------------------------------------------------------------------------------

inline void count_rows(Rows& rows) {
  rows.kept_before.assign(rows.capacity.size() + 1, 0);
  for (std::size_t t = 0; t < rows.capacity.size(); ++t)
    rows.kept_before[t + 1] = rows.kept_before[t] + (rows.is_kept[t] != 0 ? 1 : 0);
}

inline bool covers_kept_row(const Rows& rows, const UsagePiece& piece) {
  return rows.kept_before[piece.begin] != rows.kept_before[piece.end];
}

// --- Tables --------------------------------------------------------------------------------------

inline std::optional<TableId> find_table(const CheckedProblem& problem, VariableId u,
                                         VariableId v) {
  const Variable &first = problem.variables[u], &second = problem.variables[v];
  for (const TableId e :
       first.tables.size() < second.tables.size() ? first.tables : second.tables) {
    const Table& table = problem.tables[e];
    if ((table.u == u && table.v == v) || (table.u == v && table.v == u)) return e;
  }
  return std::nullopt;
}

inline VariableId other_end(const CheckedProblem& problem, TableId e, VariableId w) {
  return problem.tables[e].u == w ? problem.tables[e].v : problem.tables[e].u;
}

// The cost of w's value x with the other end's value y.
inline Wide entry(const CheckedProblem& problem, TableId e, VariableId w, std::size_t x,
                  std::size_t y) {
  const Table& table = problem.tables[e];
  const std::size_t columns = problem.variables[table.v].cost.size();
  return table.cost[table.u == w ? x * columns + y : y * columns + x];
}

// Adds costs, row-major with u's values first, to the table of two variables that already have one.
inline void add_to_table(const CheckedProblem& problem, Table& table, VariableId u, VariableId v,
                         const std::vector<Wide>& cost) {
  const std::size_t rows = problem.variables[u].cost.size();
  const std::size_t columns = problem.variables[v].cost.size();
  for (std::size_t x = 0; x < rows; ++x)
    for (std::size_t y = 0; y < columns; ++y) {
      Wide& here = table.u == u ? table.cost[x * columns + y] : table.cost[y * rows + x];
      here = sum(here, cost[x * columns + y]);
    }
}

inline void add_table(CheckedProblem& problem, VariableId u, VariableId v, std::vector<Wide> cost) {
  if (const auto e = find_table(problem, u, v))
    return add_to_table(problem, problem.tables[*e], u, v, cost);
  const auto e = static_cast<TableId>(problem.tables.size());
  problem.variables[u].tables.push_back(e);
  problem.variables[v].tables.push_back(e);
  problem.tables.push_back({u, v, true, std::move(cost)});
}

inline void remove_table(CheckedProblem& problem, TableId e) {
  Table& table = problem.tables[e];
  for (const VariableId w : {table.u, table.v}) std::erase(problem.variables[w].tables, e);
  table.exists = false;
  table.cost = {};
}

// --- From the original problem -------------------------------------------------------------------

inline VariableId add_variable(CheckedProblem& problem, std::vector<Wide> cost) {
  Variable variable;
  for (std::uint32_t x = 0; x < cost.size(); ++x) variable.label.push_back(x);
  variable.remains.assign(cost.size(), 1);
  variable.remaining = cost.size();
  variable.cost = std::move(cost);
  problem.variables.push_back(std::move(variable));
  return static_cast<VariableId>(problem.variables.size() - 1);
}

// Ties the variable `all`, whose values are combinations, to the nodes of their edge.  index[i] is
// the index of value i in the edge's costs, `stride` their number.
inline void tie_combinations(CheckedProblem& problem, VariableId all, std::span<const NodeId> nodes,
                             const std::vector<std::size_t>& index, std::size_t stride) {
  for (const NodeId v : nodes) {
    const std::size_t size = problem.variables[v].cost.size();
    stride /= size;
    std::vector<Wide> table(index.size() * size, forbidden);
    for (std::size_t i = 0; i < index.size(); ++i) table[i * size + index[i] / stride % size] = 0;
    add_table(problem, all, v, std::move(table));
  }
}

// Adds a variable whose values are the combinations that an edge over many nodes allows.
inline void add_combinations(CheckedProblem& problem, std::span<const NodeId> nodes,
                             const std::vector<Wide>& cost) {
  std::vector<Wide> allowed;
  std::vector<std::size_t> index;
  for (std::size_t i = 0; i < cost.size(); ++i)
    if (is_allowed(cost[i])) {
      allowed.push_back(cost[i]);
      index.push_back(i);
    }
  if (allowed.empty()) {
    problem.is_infeasible = true;
    return;
  }
  const VariableId all = add_variable(problem, std::move(allowed));
  tie_combinations(problem, all, nodes, index, cost.size());
}

inline void add_edge(CheckedProblem& problem, std::span<const NodeId> nodes,
                     std::vector<Wide> cost) {
  if (nodes.size() == 1 || (nodes.size() == 2 && nodes[0] == nodes[1])) {
    std::vector<Wide>& own = problem.variables[nodes[0]].cost;
    const std::size_t stride = nodes.size() == 1 ? 1 : own.size() + 1;
    for (std::size_t x = 0; x < own.size(); ++x) own[x] = sum(own[x], cost[x * stride]);
  } else if (nodes.size() == 2) {
    add_table(problem, nodes[0], nodes[1], std::move(cost));
  } else {
    add_combinations(problem, nodes, cost);
  }
}

// The points of time at which some interval begins: one row each.
inline std::vector<std::int64_t> times_of_rows(const Problem& original) {
  std::vector<std::int64_t> times;
  for (NodeId v = 0; v < original.node_count(); ++v)
    if (!original.interval(v).empty()) times.push_back(original.interval(v).begin);
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

inline void add_rows(CheckedProblem& problem, const Problem& original) {
  if (!original.usage_limit) return;
  const std::vector<std::int64_t> times = times_of_rows(original);
  problem.rows.capacity.assign(times.size(), *original.usage_limit);
  problem.rows.is_kept.assign(times.size(), 1);
  count_rows(problem.rows);
  if (*original.usage_limit < 0 && !times.empty()) problem.is_infeasible = true;
  const auto row_of = [&](std::int64_t time) {
    return static_cast<Row>(std::lower_bound(times.begin(), times.end(), time) - times.begin());
  };
  for (NodeId v = 0; v < original.node_count(); ++v) {
    const Interval interval = original.interval(v);
    const auto usages = original.usages(v);
    if (interval.empty() ||
        std::all_of(usages.begin(), usages.end(), [](Usage usage) { return usage == 0; }))
      continue;
    problem.variables[v].pieces.push_back(
        {row_of(interval.begin), row_of(interval.end), {usages.begin(), usages.end()}, 0});
  }
}

// All of it, as the first step of a certificate finds it.
inline CheckedProblem make_checked_problem(const Problem& original) {
  CheckedProblem problem;
  for (NodeId v = 0; v < original.node_count(); ++v)
    add_variable(problem, widened(original.costs(v)));
  for (EdgeId e = 0; e < original.edge_count(); ++e)
    add_edge(problem, original.edge_nodes(e), widened(original.edge_costs(e)));
  add_rows(problem, original);
  return problem;
}

// --- Removed values and overlapping pieces -------------------------------------------------------

// Keeps the elements of a list, by value, whose values remain.
template<class T>
void keep_remaining(std::vector<T>& list, const std::vector<char>& remains) {
  std::size_t to = 0;
  for (std::size_t x = 0; x < remains.size(); ++x)
    if (remains[x] != 0) list[to++] = list[x];
  list.resize(to);
}

// Drops the removed values of w from all lists and tables.
inline void drop_removed_values(CheckedProblem& problem, VariableId w) {
  Variable& here = problem.variables[w];
  if (here.remaining == here.label.size()) return;
  const std::vector<char> remains = here.remains;
  for (const TableId e : here.tables) {
    Table& table = problem.tables[e];
    const std::size_t columns = problem.variables[table.v].cost.size();
    std::vector<Wide> cost;
    for (std::size_t i = 0; i < table.cost.size(); ++i)
      if (remains[table.u == w ? i / columns : i % columns] != 0) cost.push_back(table.cost[i]);
    table.cost = std::move(cost);
  }
  keep_remaining(here.label, remains);
  keep_remaining(here.cost, remains);
  for (UsagePiece& piece : here.pieces) keep_remaining(piece.usage, remains);
  here.remains.assign(here.remaining, 1);
}

// The change of a variable's usage at each row where it changes, by value.
inline std::map<Row, std::vector<Wide>> usage_changes(const Variable& here) {
  std::map<Row, std::vector<Wide>> changes;
  for (const UsagePiece& piece : here.pieces) {
    auto& begin = changes.try_emplace(piece.begin, here.label.size(), Wide(0)).first->second;
    for (std::size_t x = 0; x < piece.usage.size(); ++x) begin[x] += piece.usage[x];
    auto& end = changes.try_emplace(piece.end, here.label.size(), Wide(0)).first->second;
    for (std::size_t x = 0; x < piece.usage.size(); ++x) end[x] -= piece.usage[x];
  }
  return changes;
}

// Replaces overlapping pieces by disjoint ones with the same sums.
inline void separate_pieces(CheckedProblem& problem, VariableId w) {
  Variable& here = problem.variables[w];
  if (!std::exchange(here.pieces_overlap, false)) return;
  const std::map<Row, std::vector<Wide>> changes = usage_changes(here);
  here.pieces.clear();
  std::vector<Wide> usage(here.label.size(), 0);
  for (auto at = changes.begin(); at != changes.end(); ++at) {
    for (std::size_t x = 0; x < usage.size(); ++x) usage[x] += at->second[x];
    const auto next = std::next(at);
    if (next == changes.end()) break;
    UsagePiece piece{at->first, next->first, usage, 0};
    if (covers_kept_row(problem.rows, piece) &&
        std::any_of(usage.begin(), usage.end(), [](Wide used) { return used != 0; }))
      here.pieces.push_back(std::move(piece));
  }
}

}  // namespace tessera::solver::detail::certificate
