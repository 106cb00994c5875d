// SPDX-License-Identifier: Apache-2.0
//
// A problem as a mixed 0-1 linear program, in the LP format that CBC and others read.
//
//   x<v>_<s>      binary: node v takes strategy s
//   y<e>_<i>_<j>  at least 0: edge e pays entry (i, j); there are none for infinite entries
//
// What edge e's y sum to along a row or a column is the x of that row or column, so the relaxation
// is that of the local polytope, the strongest that is usual.  A table that is infinite but for
// zeros that pair strategies says which x are equal, and needs no y.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"
#include "usage_rows.hpp"

namespace tessera::benchmarks {

class LinearProgram {
 public:
  explicit LinearProgram(const solver::Problem& problem) : problem_(problem) {}

  // Why it has no such form; empty if it has one.
  std::string obstacle() const {
    for (solver::EdgeId e = 0; e < problem_.edge_count(); ++e) {
      const auto nodes = problem_.edge_nodes(e);
      if (nodes.size() != 2 || nodes[0] == nodes[1]) return "an edge is not between two nodes";
    }
    return {};
  }
  std::size_t column_count() const {
    std::size_t count = 0;
    for (solver::NodeId v = 0; v < problem_.node_count(); ++v) count += problem_.strategy_count(v);
    for (solver::EdgeId e = 0; e < problem_.edge_count(); ++e)
      if (kind(e) == Kind::priced) count += problem_.edge_costs(e).size();
    return count;
  }

  // @pre obstacle() is empty
  std::string text() {
    text_ = "Minimize\n cost:";
    for (solver::NodeId v = 0; v < problem_.node_count(); ++v)
      for (std::uint32_t s = 0; s < problem_.strategy_count(v); ++s)
        if (const Cost cost = problem_.costs(v)[s]; is_finite(cost) && cost != 0)
          add(cost, x(v, s));
    for (solver::EdgeId e = 0; e < problem_.edge_count(); ++e)
      if (kind(e) == Kind::priced) price(e);
    if (terms_ == 0) add(0, x(0, 0));
    text_ += "\nSubject To";
    for (solver::NodeId v = 0; v < problem_.node_count(); ++v) {
      begin_row();
      for (std::uint32_t s = 0; s < problem_.strategy_count(v); ++s) add(1, x(v, s));
      end_row("=", 1);
    }
    for (solver::EdgeId e = 0; e < problem_.edge_count(); ++e) {
      if (kind(e) == Kind::priced) marginals(e);
      if (kind(e) == Kind::pairing) pair(e);
    }
    for (const auto& row : usage_rows(problem_)) {
      begin_row();
      for (const solver::NodeId v : row)
        for (std::uint32_t s = 0; s < problem_.strategy_count(v); ++s)
          if (problem_.usages(v)[s] > 0) add(problem_.usages(v)[s], x(v, s));
      end_row("<=", *problem_.usage_limit);
    }
    text_ += "\nBounds";
    for (solver::NodeId v = 0; v < problem_.node_count(); ++v)
      for (std::uint32_t s = 0; s < problem_.strategy_count(v); ++s)
        if (!is_finite(problem_.costs(v)[s])) text_ += "\n " + x(v, s) + " = 0";
    text_ += "\nBinary";
    for (solver::NodeId v = 0; v < problem_.node_count(); ++v)
      for (std::uint32_t s = 0; s < problem_.strategy_count(v); ++s)
        if (is_finite(problem_.costs(v)[s])) text_ += "\n " + x(v, s);
    text_ += "\nEnd\n";
    return std::move(text_);
  }

  // From CBC's solution file: a line of status, then "index name value reduced-cost" of what is
  // not 0.  Nothing where some node has no strategy.
  std::optional<solver::Assignment> answer(std::string_view solution) const {
    solver::Assignment result(problem_.node_count(), 0);
    std::vector<bool> has(problem_.node_count());
    while (!solution.empty()) {
      const std::string line(solution.substr(0, solution.find('\n')));
      solution.remove_prefix(std::min(solution.size(), line.size() + 1));
      unsigned v = 0, s = 0;
      double value = 0;
      const char* const name = std::strchr(line.c_str(), 'x');
      if (name == nullptr || std::sscanf(name, "x%u_%u %lf", &v, &s, &value) != 3) continue;
      if (value < 0.5 || v >= result.size()) continue;
      result[v] = s;
      has[v] = true;
    }
    if (std::find(has.begin(), has.end(), false) != has.end()) return std::nullopt;
    return result;
  }

 private:
  enum class Kind : std::uint8_t { nothing, pairing, priced };

  Kind kind(solver::EdgeId e) const {
    const auto costs = problem_.edge_costs(e);
    const std::size_t columns = problem_.strategy_count(problem_.edge_nodes(e)[1]);
    bool is_zero = true, pairs = true;
    std::vector<bool> in_row(costs.size() / columns), in_column(columns);
    for (std::size_t k = 0; k < costs.size(); ++k) {
      is_zero = is_zero && costs[k] == 0;
      if (!is_finite(costs[k])) continue;
      if (costs[k] != 0 || in_row[k / columns] || in_column[k % columns]) pairs = false;
      in_row[k / columns] = in_column[k % columns] = true;
    }
    return is_zero ? Kind::nothing : pairs ? Kind::pairing : Kind::priced;
  }
  static std::string x(solver::NodeId v, std::size_t s) {
    return "x" + std::to_string(v) + "_" + std::to_string(s);
  }
  static std::string y(solver::EdgeId e, std::size_t i, std::size_t j) {
    return "y" + std::to_string(e) + "_" + std::to_string(i) + "_" + std::to_string(j);
  }

  void add(std::int64_t factor, const std::string& variable) {
    constexpr std::size_t per_line = 8;  // CBC's reader dislikes long lines
    if (terms_++ % per_line == per_line - 1) text_ += "\n ";
    text_ += (factor < 0 ? " - " : " + ") +
             tessera::to_string(factor < 0 ? -Wide(factor) : factor) + " " + variable;
  }
  void begin_row() {
    text_ += "\n r" + std::to_string(rows_++) + ":";
    terms_ = 0;
  }
  void end_row(const char* relation, std::int64_t right) {
    text_ += std::string(" ") + relation + " " + std::to_string(right);
  }

  template<class Do>
  void for_each_finite(solver::EdgeId e, Do&& act) const {
    const auto costs = problem_.edge_costs(e);
    const std::size_t columns = problem_.strategy_count(problem_.edge_nodes(e)[1]);
    for (std::size_t k = 0; k < costs.size(); ++k)
      if (is_finite(costs[k])) act(k / columns, k % columns, costs[k]);
  }
  void price(solver::EdgeId e) {
    for_each_finite(e, [&](std::size_t i, std::size_t j, Cost cost) {
      if (cost != 0) add(cost, y(e, i, j));
    });
  }
  void marginals(solver::EdgeId e) {
    const auto nodes = problem_.edge_nodes(e);
    const auto costs = problem_.edge_costs(e);
    const std::size_t rows = problem_.strategy_count(nodes[0]);
    const std::size_t columns = problem_.strategy_count(nodes[1]);
    for (std::size_t i = 0; i < rows; ++i) {
      begin_row();
      for (std::size_t j = 0; j < columns; ++j)
        if (is_finite(costs[i * columns + j])) add(1, y(e, i, j));
      add(-1, x(nodes[0], i));
      end_row("=", 0);
    }
    for (std::size_t j = 0; j < columns; ++j) {
      begin_row();
      for (std::size_t i = 0; i < rows; ++i)
        if (is_finite(costs[i * columns + j])) add(1, y(e, i, j));
      add(-1, x(nodes[1], j));
      end_row("=", 0);
    }
  }
  void pair(solver::EdgeId e) {
    const auto nodes = problem_.edge_nodes(e);
    std::vector<bool> row(problem_.strategy_count(nodes[0])),
        column(problem_.strategy_count(nodes[1]));
    for_each_finite(e, [&](std::size_t i, std::size_t j, Cost) {
      row[i] = column[j] = true;
      begin_row();
      add(1, x(nodes[0], i));
      add(-1, x(nodes[1], j));
      end_row("=", 0);
    });
    const auto forbid = [&](solver::NodeId v, const std::vector<bool>& has_partner) {
      for (std::size_t s = 0; s < has_partner.size(); ++s) {
        if (has_partner[s]) continue;
        begin_row();
        add(1, x(v, s));
        end_row("=", 0);
      }
    };
    forbid(nodes[0], row);
    forbid(nodes[1], column);
  }

  const solver::Problem& problem_;
  std::string text_;
  std::size_t terms_ = 0, rows_ = 0;
};

}  // namespace tessera::benchmarks
