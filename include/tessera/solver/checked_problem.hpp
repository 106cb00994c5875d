// SPDX-License-Identifier: Apache-2.0
//
// A problem as the steps of a certificate have left it, for the checker alone (check.hpp).
//
// Variables, pairwise tables and usage on rows, numbered as proof.hpp says.  Values that have gone
// stay in their lists, marked, until they are in the way.  Nothing here is shared with the solver
// but Problem: reduced.hpp holds the same for it, and faster.
#pragma once
#include <boost/multiprecision/cpp_int.hpp>

#include <algorithm>
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

namespace tessera::solver::detail {

class CheckedProblem {
 public:
  explicit CheckedProblem(const Problem& problem) : problem_(problem) {}

 protected:
  using Total = boost::multiprecision::cpp_int;

  // What a variable uses on the rows [begin, end), by value.
  struct Piece {
    std::uint32_t begin = 0, end = 0;
    std::vector<Wide> usage;
    Wide noted = 0;
  };
  struct Variable {
    bool exists = true;
    std::vector<std::uint32_t> label;  // of each value; ascending
    std::vector<char> is_left;         // values that have gone stay until they are in the way
    std::size_t left = 0;
    std::vector<Wide> cost;
    std::vector<Piece> pieces;
    bool overlap = false;  // whether pieces may
    std::vector<std::uint32_t> tables;
    std::uint32_t component = 0;  // 0: none yet
    // By value: how far above the last bound a choice of it is at least; nothing where it is
    // forbidden.
    std::vector<std::optional<Total>> reduced_cost;
  };
  struct Table {
    std::uint32_t u = 0, v = 0;
    bool exists = true;
    std::vector<Wide> cost;  // row-major
  };

  // --- Costs -------------------------------------------------------------------------------------

  // Far above any cost that is allowed.
  static constexpr Wide forbidden = Wide(1) << 124;
  static bool is_allowed(Wide cost) { return cost < forbidden / 2; }
  static Wide sum(Wide a, Wide b) { return is_allowed(a) && is_allowed(b) ? a + b : forbidden; }

  // --- The problem -------------------------------------------------------------------------------

  // All of it, as the first line of a certificate finds it.
  void build() {
    for (NodeId v = 0; v < problem_.node_count(); ++v) {
      std::vector<Wide> cost;
      for (const Cost c : problem_.costs(v)) cost.push_back(is_finite(c) ? Wide(c) : forbidden);
      add_variable(std::move(cost));
    }
    for (EdgeId e = 0; e < problem_.edge_count(); ++e) add_edge(e);
    add_rows();
  }

  std::uint32_t add_variable(std::vector<Wide> cost) {
    Variable variable;
    for (std::uint32_t x = 0; x < cost.size(); ++x) variable.label.push_back(x);
    variable.is_left.assign(cost.size(), 1);
    variable.left = cost.size();
    variable.cost = std::move(cost);
    variables_.push_back(std::move(variable));
    return static_cast<std::uint32_t>(variables_.size() - 1);
  }

  void add_edge(EdgeId e) {
    const auto nodes = problem_.edge_nodes(e);
    std::vector<Wide> cost;
    for (const Cost c : problem_.edge_costs(e)) cost.push_back(is_finite(c) ? Wide(c) : forbidden);
    if (nodes.size() == 1 || (nodes.size() == 2 && nodes[0] == nodes[1])) {
      std::vector<Wide>& own = variables_[nodes[0]].cost;
      const std::size_t stride = nodes.size() == 1 ? 1 : own.size() + 1;
      for (std::size_t x = 0; x < own.size(); ++x) own[x] = sum(own[x], cost[x * stride]);
    } else if (nodes.size() == 2) {
      add_table(nodes[0], nodes[1], std::move(cost));
    } else {
      add_combinations(nodes, cost);
    }
  }

  // A variable whose values are the combinations that an edge over many nodes allows.
  void add_combinations(std::span<const NodeId> nodes, const std::vector<Wide>& cost) {
    std::vector<Wide> allowed;
    std::vector<std::size_t> index;
    for (std::size_t i = 0; i < cost.size(); ++i)
      if (is_allowed(cost[i])) {
        allowed.push_back(cost[i]);
        index.push_back(i);
      }
    if (allowed.empty()) {
      is_infeasible_ = true;
      return;
    }
    const std::uint32_t all = add_variable(std::move(allowed));
    std::size_t stride = cost.size();
    for (const NodeId v : nodes) {
      const std::size_t size = variables_[v].cost.size();
      stride /= size;
      std::vector<Wide> table(index.size() * size, forbidden);
      for (std::size_t i = 0; i < index.size(); ++i) table[i * size + index[i] / stride % size] = 0;
      add_table(all, v, std::move(table));
    }
  }

  void add_rows() {
    if (!problem_.usage_limit) return;
    std::vector<std::int64_t> times;
    for (NodeId v = 0; v < problem_.node_count(); ++v)
      if (!problem_.interval(v).empty()) times.push_back(problem_.interval(v).begin);
    std::sort(times.begin(), times.end());
    times.erase(std::unique(times.begin(), times.end()), times.end());
    capacity_.assign(times.size(), *problem_.usage_limit);
    row_counts_.assign(times.size(), 1);
    count_rows();
    if (*problem_.usage_limit < 0 && !times.empty()) is_infeasible_ = true;
    const auto row_of = [&](std::int64_t time) {
      return static_cast<std::uint32_t>(std::lower_bound(times.begin(), times.end(), time) -
                                        times.begin());
    };
    for (NodeId v = 0; v < problem_.node_count(); ++v) {
      const Interval interval = problem_.interval(v);
      if (interval.empty()) continue;
      const auto usages = problem_.usages(v);
      if (std::any_of(usages.begin(), usages.end(), [](Usage usage) { return usage != 0; }))
        variables_[v].pieces.push_back(
            {row_of(interval.begin), row_of(interval.end), {usages.begin(), usages.end()}, 0});
    }
  }

  // --- Tables ------------------------------------------------------------------------------------

  std::optional<std::uint32_t> find_table(std::uint32_t u, std::uint32_t v) const {
    const auto& few = variables_[u].tables.size() < variables_[v].tables.size() ? variables_[u]
                                                                                : variables_[v];
    for (const std::uint32_t e : few.tables)
      if ((tables_[e].u == u && tables_[e].v == v) || (tables_[e].u == v && tables_[e].v == u))
        return e;
    return std::nullopt;
  }
  void add_table(std::uint32_t u, std::uint32_t v, std::vector<Wide> cost) {
    if (const auto e = find_table(u, v)) {
      Table& table = tables_[*e];
      const std::size_t rows = variables_[u].cost.size(), columns = variables_[v].cost.size();
      for (std::size_t x = 0; x < rows; ++x)
        for (std::size_t y = 0; y < columns; ++y) {
          Wide& here = table.u == u ? table.cost[x * columns + y] : table.cost[y * rows + x];
          here = sum(here, cost[x * columns + y]);
        }
      return;
    }
    variables_[u].tables.push_back(static_cast<std::uint32_t>(tables_.size()));
    variables_[v].tables.push_back(static_cast<std::uint32_t>(tables_.size()));
    tables_.push_back({u, v, true, std::move(cost)});
  }
  void drop_table(std::uint32_t e) {
    for (const std::uint32_t w : {tables_[e].u, tables_[e].v}) std::erase(variables_[w].tables, e);
    tables_[e].exists = false;
    tables_[e].cost = {};
  }
  std::uint32_t other(std::uint32_t e, std::uint32_t w) const {
    return tables_[e].u == w ? tables_[e].v : tables_[e].u;
  }
  Wide entry(std::uint32_t e, std::uint32_t w, std::size_t x, std::size_t y) const {
    const Table& table = tables_[e];
    const std::size_t columns = variables_[table.v].cost.size();
    return table.cost[table.u == w ? x * columns + y : y * columns + x];
  }

  // Removes the values that have gone from all that is about w.
  void tidy_values(std::uint32_t w) {
    Variable& here = variables_[w];
    if (here.left == here.label.size()) return;
    const std::vector<char> kept = here.is_left;
    for (const std::uint32_t e : here.tables) {
      Table& table = tables_[e];
      const std::size_t columns = variables_[table.v].cost.size();
      std::vector<Wide> cost;
      for (std::size_t i = 0; i < table.cost.size(); ++i)
        if (kept[table.u == w ? i / columns : i % columns] != 0) cost.push_back(table.cost[i]);
      table.cost = std::move(cost);
    }
    const auto keep = [&](auto& list) {
      std::size_t to = 0;
      for (std::size_t x = 0; x < kept.size(); ++x)
        if (kept[x] != 0) list[to++] = list[x];
      list.resize(to);
    };
    keep(here.label);
    keep(here.cost);
    for (Piece& piece : here.pieces) keep(piece.usage);
    here.is_left.assign(here.left, 1);
  }

  // Cuts overlapping pieces up, and adds up what covers the same rows.
  void tidy_pieces(std::uint32_t w) {
    Variable& here = variables_[w];
    if (!std::exchange(here.overlap, false)) return;
    std::map<std::uint32_t, std::vector<Wide>> change;  // of usage, at each row where it changes
    for (const Piece& piece : here.pieces) {
      auto& begin = change.try_emplace(piece.begin, here.label.size(), Wide(0)).first->second;
      for (std::size_t x = 0; x < piece.usage.size(); ++x) begin[x] += piece.usage[x];
      auto& end = change.try_emplace(piece.end, here.label.size(), Wide(0)).first->second;
      for (std::size_t x = 0; x < piece.usage.size(); ++x) end[x] -= piece.usage[x];
    }
    here.pieces.clear();
    std::vector<Wide> usage(here.label.size(), 0);
    for (auto at = change.begin(); at != change.end(); ++at) {
      for (std::size_t x = 0; x < usage.size(); ++x) usage[x] += at->second[x];
      const auto next = std::next(at);
      if (next == change.end()) break;
      if (std::any_of(usage.begin(), usage.end(), [](Wide used) { return used != 0; }))
        here.pieces.push_back({at->first, next->first, usage, 0});
      if (!here.pieces.empty() && !matters(here.pieces.back())) here.pieces.pop_back();
    }
  }

  // --- Rows --------------------------------------------------------------------------------------

  void count_rows() {
    rows_before_.assign(capacity_.size() + 1, 0);
    for (std::size_t t = 0; t < capacity_.size(); ++t)
      rows_before_[t + 1] = rows_before_[t] + (row_counts_[t] != 0 ? 1 : 0);
  }
  // Whether any row counts that it uses.
  bool matters(const Piece& piece) const {
    return rows_before_[piece.begin] != rows_before_[piece.end];
  }

  const Problem& problem_;
  bool is_infeasible_ = false;
  std::vector<Variable> variables_;
  std::vector<Table> tables_;
  std::vector<Wide> capacity_;
  std::vector<char> row_counts_;            // whether the row still does; in a component, for it
  std::vector<std::uint32_t> rows_before_;  // how many that count come before each
};

}  // namespace tessera::solver::detail
