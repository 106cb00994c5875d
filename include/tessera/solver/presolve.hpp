// SPDX-License-Identifier: Apache-2.0
//
// Makes a problem smaller without losing an optimum: which operation of reduced.hpp applies where.
//
//   propagate   values that no partner allows, over and over
//   rows        points of time that can not be short of room, values that can not fit
//   fold        a variable that another one determines becomes part of it (the largest single gain
//               on the contest's instances: 35,000 nodes become 300)
//   eliminate   variables without usage and with at most two neighbours
//   dominate    values that another one of the same variable can always replace
//   separate    tables that are a sum of two vectors
//
// Rounds of these run until nothing changes.  Each stops early when time is up: what has been done
// by then is still exact.  What depends on a table's entries alone is asked once for all tables
// that have the same (reduced.hpp).
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "tessera/solver/dominance.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/range_minimum.hpp"
#include "tessera/solver/reduced.hpp"

namespace tessera::solver {

template<class Int>
class Presolve {
 public:
  Presolve(Reduced<Int>& reduced, const Deadline& deadline)
      : problem_(reduced), deadline_(deadline) {}

  void run() {
    constexpr int max_rounds = 20;
    for (int round = 0; round < max_rounds && !stopped(); ++round) {
      changes_ = 0;
      propagate();
      if (stopped()) return;
      update_rows();
      fold_all();
      separate_all();
      eliminate_all();
      dominate_all();
      if (changes_ == 0) return;
    }
    if (!stopped()) update_rows();
  }

 private:
  using Problem = Reduced<Int>;
  using Node = typename Problem::Node;
  using Table = typename Problem::Table;
  using EntriesId = typename Problem::EntriesId;
  using ListId = typename Problem::ListId;

  // Dominance compares all pairs of values; past this many it costs more than it gives.
  static constexpr std::size_t max_dominance_values = 8192;
  // The largest table that elimination may make, where it is larger than those that it removes.
  static constexpr std::size_t max_table = 4096;

  // The clock is read now and then only: most steps take less time than reading it.
  bool stopped() {
    constexpr int steps = 64;
    if (++steps_since_look_ >= steps) {
      steps_since_look_ = 0;
      is_late_ = is_late_ || deadline_.is_over();
    }
    return problem_.infeasible || is_late_;
  }
  Node& node(Variable w) { return problem_.nodes[w]; }

  template<class Visit>
  void for_each_alive(Visit&& visit) {
    for (Variable w = 0; w < problem_.nodes.size() && !stopped(); ++w)
      if (node(w).alive) visit(w);
  }

  void keep(Variable w, const std::vector<Value>& kept, std::vector<Value> instead = {}) {
    if (kept.size() == node(w).size()) return;
    problem_.restrict(w, kept, std::move(instead));
    ++changes_;
    if (kept.size() == 1) problem_.fix(w);
  }

  // --- propagate: a value is possible when its own cost is finite and every neighbour has a
  // partner

  void propagate() {
    std::vector<Variable> waiting;
    std::vector<bool> is_waiting(problem_.nodes.size(), true);
    for_each_alive([&](Variable w) { waiting.push_back(w); });
    while (!waiting.empty() && !stopped()) {
      const Variable w = waiting.back();
      waiting.pop_back();
      is_waiting[w] = false;
      if (!node(w).alive) continue;
      const std::vector<Value> kept = possible_values(w);
      if (kept.size() == node(w).size()) {
        if (kept.size() == 1) problem_.fix(w);
        continue;
      }
      if (problem_.proof != nullptr) explain_lonely(w, kept);
      for (const EdgeId e : node(w).edges) {
        const Variable other = problem_.tables[e].other(w);
        if (!is_waiting[other]) waiting.push_back(other);
        is_waiting[other] = true;
      }
      keep(w, kept);
    }
  }

  std::vector<Value> possible_values(Variable w) {
    std::vector<Value> kept = finite_values(node(w));
    for (const EdgeId e : node(w).edges) {
      const ListId own = partnered_rows(w, e);
      if (problem_.list(own).size() == node(w).size()) continue;
      std::vector<Value> both;
      std::set_intersection(kept.begin(), kept.end(), problem_.list(own).begin(),
                            problem_.list(own).end(), std::back_inserter(both));
      kept = std::move(both);
    }
    return kept;
  }
  std::vector<Value> finite_values(const Node& node) const {
    std::vector<Value> values;
    for (Value x = 0; x < node.size(); ++x)
      if (problem_.finite(node.cost[x])) values.push_back(x);
    return values;
  }
  // The same as a list's number; almost always it is all of them.
  ListId finite_list(const Node& node) {
    const auto is_finite = [](const Int& cost) { return Problem::finite(cost); };
    if (!std::all_of(node.cost.begin(), node.cost.end(), is_finite))
      return problem_.listed(finite_values(node));
    if (node.size() >= all_of_.size()) all_of_.resize(node.size() + 1);
    std::optional<ListId>& all = all_of_[node.size()];
    if (!all) all = problem_.listed(finite_values(node));
    return *all;
  }
  // The values of w for which the table allows some value of its other end.
  ListId partnered_rows(Variable w, EdgeId e) {
    const Node& other = node(problem_.tables[e].other(w));
    const EntriesId entries = problem_.table_from(w, e);
    const ListId columns = finite_list(other);
    const auto width = static_cast<std::uint32_t>(other.size());
    return problem_.remembered({Problem::possible_rows, entries, width, columns}, [&] {
      std::vector<Value> rows;
      const std::vector<Int>& table = problem_.entries(entries);
      for (Value x = 0; x * width < table.size(); ++x) {
        const Int* row = table.data() + std::size_t{x} * width;
        const auto is_partner = [&](Value y) { return problem_.finite(row[y]); };
        const auto& partners = problem_.list(columns);
        if (std::any_of(partners.begin(), partners.end(), is_partner)) rows.push_back(x);
      }
      return problem_.listed(std::move(rows));
    });
  }

  // For every value that goes, a neighbour without a partner for it.
  void explain_lonely(Variable w, const std::vector<Value>& kept) {
    const Node& here = node(w);
    for_each_other(here.size(), kept, [&](Value x) {
      Variable witness = w;
      if (problem_.finite(here.cost[x]))
        for (const EdgeId e : here.edges)
          if (!has_partner(w, x, problem_.tables[e])) witness = problem_.tables[e].other(w);
      (problem_.proof->step("unsupported") << here.name << here.label[x] << node(witness).name)
          .end();
    });
  }
  bool has_partner(Variable w, Value x, const Table& table) const {
    const std::vector<Int>& other_cost = problem_.nodes[table.other(w)].cost;
    const std::size_t columns = problem_.nodes[table.v].size();
    for (std::size_t y = 0; y < other_cost.size(); ++y)
      if (problem_.finite(other_cost[y]) &&
          problem_.finite(
              problem_.entries_of(table)[table.u == w ? x * columns + y : y * columns + x]))
        return true;
    return false;
  }
  // @pre `kept` is in order
  template<class Visit>
  static void for_each_other(std::size_t size, const std::vector<Value>& kept, Visit&& visit) {
    std::size_t next = 0;
    for (Value x = 0; x < size; ++x) {
      if (next < kept.size() && kept[next] == x)
        ++next;
      else
        visit(x);
    }
  }

  // --- rows --------------------------------------------------------------------------------------

  void update_rows() {
    if (problem_.capacity.empty()) return;
    shift_minima();
    if (problem_.infeasible) return;
    drop_values_that_never_fit();
    if (problem_.infeasible) return;
    drop_rows();
  }

  // What a variable uses whatever its value is certain: it comes off the capacity.
  void shift_minima() {
    if (problem_.proof != nullptr) problem_.proof->step("subtract_minimum_usage").end();
    for_each_alive([&](Variable w) {
      for (UsageItem& item : node(w).items) {
        const Usage least = *std::min_element(item.usage.begin(), item.usage.end());
        if (least == 0) continue;
        for (Usage& usage : item.usage) usage -= least;
        for (std::uint32_t row = item.begin; row < item.end; ++row) {
          Usage& room = problem_.capacity[row];
          problem_.infeasible = problem_.infeasible || room < least;
          if (problem_.infeasible) return;
          room -= least;
        }
      }
      drop_idle_items(w);
    });
  }

  void drop_idle_items(Variable w) {
    std::erase_if(node(w).items, [](const UsageItem& item) {
      return item.begin == item.end || std::all_of(item.usage.begin(), item.usage.end(),
                                                   [](Usage usage) { return usage == 0; });
    });
  }

  // What a value adds on top of every other variable's least must fit, on each row.
  void drop_values_that_never_fit() {
    if (problem_.proof != nullptr) problem_.proof->step("profile").end();
    // What variables fixed on the way take is seen in the next round.
    const RangeMinimum<Usage> room_in(problem_.capacity);
    for_each_alive([&](Variable w) {
      if (node(w).items.empty()) return;
      std::vector<char> fits(node(w).size(), 1);
      for (const UsageItem& item : node(w).items) {
        if (item.begin == item.end) continue;
        const Usage room = room_in(item.begin, item.end);
        for (std::size_t x = 0; x < fits.size(); ++x) fits[x] &= item.usage[x] <= room;
      }
      std::vector<Value> kept;
      for (Value x = 0; x < fits.size(); ++x)
        if (fits[x] != 0) kept.push_back(x);
      if (problem_.proof != nullptr) explain_crowded(w, kept);
      keep(w, kept);
    });
  }
  // For every value that goes, a row on which it does not fit.
  void explain_crowded(Variable w, const std::vector<Value>& kept) {
    const Node& here = node(w);
    for_each_other(here.size(), kept, [&](Value x) {
      for (const UsageItem& item : here.items) {
        const auto begin = problem_.capacity.begin();
        const auto tightest = std::min_element(begin + item.begin, begin + item.end);
        if (item.usage[x] <= *tightest) continue;
        const auto row = problem_.row_name[static_cast<std::size_t>(tightest - begin)];
        (problem_.proof->step("over_capacity") << here.name << here.label[x] << row).end();
        return;
      }
    });
  }

  // A row is needed only if the largest usages together could exceed it, and no neighbouring row
  // with the same variables alive, or more of them, has as little room.
  void drop_rows() {
    const std::size_t rows = problem_.capacity.size();
    std::vector<Wide> change(rows + 1, Wide(0));
    for_each_alive([&](Variable w) {
      for (const UsageItem& item : node(w).items) {
        const Usage most = *std::max_element(item.usage.begin(), item.usage.end());
        change[item.begin] += most;
        change[item.end] -= most;
      }
    });
    std::vector<std::uint32_t> candidates;
    Wide most = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      most += change[row];
      if (most > problem_.capacity[row]) candidates.push_back(static_cast<std::uint32_t>(row));
    }
    keep_rows(undominated(candidates));
  }

  // Of each run of rows in which one's live items contain the other's, the tighter and larger.
  std::vector<std::uint32_t> undominated(const std::vector<std::uint32_t>& candidates) {
    const std::size_t rows = problem_.capacity.size();
    // For each row, of the items live there, the earliest end and the latest begin.
    std::vector<std::uint32_t> earliest_end(rows, std::numeric_limits<std::uint32_t>::max());
    std::vector<std::uint32_t> latest_begin(rows, 0);
    std::vector<std::vector<std::uint32_t>> ends_of(rows), begins_of(rows + 1);
    for_each_alive([&](Variable w) {
      for (const UsageItem& item : node(w).items) {
        ends_of[item.begin].push_back(item.end);
        begins_of[item.end].push_back(item.begin);
      }
    });
    std::multiset<std::uint32_t> ends, begins;
    for (std::size_t row = 0; row < rows; ++row) {
      for (const std::uint32_t end : ends_of[row]) {
        ends.insert(end);
        begins.insert(static_cast<std::uint32_t>(row));
      }
      for (const std::uint32_t begin : begins_of[row]) {
        ends.erase(ends.find(static_cast<std::uint32_t>(row)));
        begins.erase(begins.find(begin));
      }
      if (ends.empty()) continue;
      earliest_end[row] = *ends.begin();
      latest_begin[row] = *begins.rbegin();
    }
    std::vector<std::uint32_t> kept;
    for (const std::uint32_t row : candidates) {
      const auto& capacity = problem_.capacity;
      while (!kept.empty() && earliest_end[kept.back()] > row &&
             capacity[kept.back()] >= capacity[row])
        kept.pop_back();
      const bool is_covered = !kept.empty() && latest_begin[row] <= kept.back() &&
                              capacity[row] >= capacity[kept.back()];
      if (!is_covered) kept.push_back(row);
    }
    return kept;
  }

  void keep_rows(const std::vector<std::uint32_t>& kept) {
    if (kept.size() == problem_.capacity.size()) return;
    if (problem_.proof != nullptr) {
      std::vector<std::uint32_t> rows;
      for (const std::uint32_t row : kept) rows.push_back(problem_.row_name[row]);
      problem_.proof->step("keep_rows").ranges(rows).end();
    }
    const auto row_of = [&](std::uint32_t old) {
      return static_cast<std::uint32_t>(std::lower_bound(kept.begin(), kept.end(), old) -
                                        kept.begin());
    };
    for (Variable w = 0; w < problem_.nodes.size(); ++w) {
      for (UsageItem& item : node(w).items) {
        item.begin = row_of(item.begin);
        item.end = row_of(item.end);
      }
      drop_idle_items(w);
    }
    for (std::size_t i = 0; i < kept.size(); ++i) {
      problem_.capacity[i] = problem_.capacity[kept[i]];
      problem_.row_name[i] = problem_.row_name[kept[i]];
    }
    problem_.capacity.resize(kept.size());
    problem_.row_name.resize(kept.size());
    ++changes_;
  }

  // --- fold: a table in which each value of one end allows a single value of the other
  // ------------

  void fold_all() {
    std::vector<char> has_more_items(problem_.nodes.size(), 0);
    for (EdgeId e = 0; e < problem_.tables.size() && !stopped(); ++e) {
      if (!problem_.tables[e].alive) continue;
      const Variable u = problem_.tables[e].u, v = problem_.tables[e].v;
      // Where both ends determine each other, the one with fewer tables moves.
      const bool v_first = node(u).edges.size() < node(v).edges.size();
      for (const Variable into : v_first ? std::array{v, u} : std::array{u, v}) {
        const std::vector<Value>& image = problem_.list(image_of(e, into));
        if (image.empty()) continue;
        problem_.fold(e, into, image);
        has_more_items[into] = 1;
        ++changes_;
        break;
      }
    }
    for (Variable w = 0; w < has_more_items.size(); ++w)
      if (has_more_items[w] != 0 && node(w).alive) problem_.merge_items(w);
  }

  // For each value of w the only one that the other end may have; empty where there are more.
  ListId image_of(EdgeId e, Variable w) {
    const EntriesId entries = problem_.table_from(w, e);
    const auto size = static_cast<std::uint32_t>(node(w).size());
    return problem_.remembered({Problem::an_image, entries, size}, [&] {
      return problem_.listed(image_in(problem_.entries(entries), size));
    });
  }
  std::vector<Value> image_in(const std::vector<Int>& table, std::size_t rows) const {
    const std::size_t columns = table.size() / rows;
    std::vector<Value> image(rows);
    for (std::size_t x = 0; x < rows; ++x) {
      std::size_t partners = 0;
      for (std::size_t y = 0; y < columns; ++y)
        if (problem_.finite(table[x * columns + y])) {
          image[x] = static_cast<Value>(y);
          if (++partners > 1) return {};
        }
      if (partners == 0) return {};  // propagation has more to do
    }
    return image;
  }

  // --- separate: cost[x][y] = a[x] + b[y] --------------------------------------------------------

  void separate_all() {
    for (EdgeId e = 0; e < problem_.tables.size() && !stopped(); ++e) {
      const Table& table = problem_.tables[e];
      if (!table.alive || !is_separable(table)) continue;
      const std::size_t rows = node(table.u).size(), columns = node(table.v).size();
      const std::vector<Int>& cost = problem_.entries_of(table);
      std::vector<Int> a, b;
      for (std::size_t x = 0; x < rows; ++x) a.push_back(cost[x * columns]);
      for (std::size_t y = 0; y < columns; ++y) b.push_back(cost[y] - cost[0]);
      problem_.split_table(e, a, b);
      ++changes_;
    }
  }
  bool is_separable(const Table& table) {
    const auto columns = static_cast<std::uint32_t>(node(table.v).size());
    const auto answer =
        problem_.remembered({Problem::whether_separable, table.entries, columns}, [&] {
          const std::vector<Int>& cost = problem_.entries_of(table);
          for (std::size_t i = 0; i < cost.size(); ++i)
            if (!problem_.finite(cost[i]) ||
                cost[i] - cost[i - i % columns] != cost[i % columns] - cost[0])
              return 0U;
          return 1U;
        });
    return answer != 0;
  }

  // --- eliminate ---------------------------------------------------------------------------------

  void eliminate_all() {
    std::vector<Variable> waiting;
    for_each_alive([&](Variable w) { waiting.push_back(w); });
    while (!waiting.empty() && !stopped()) {
      const Variable w = waiting.back();
      waiting.pop_back();
      if (!node(w).alive || !can_eliminate(w)) continue;
      for (const EdgeId e : node(w).edges) waiting.push_back(problem_.tables[e].other(w));
      problem_.eliminate(w);
      ++changes_;
    }
  }

  bool can_eliminate(Variable w) {
    const Node& here = node(w);
    if (!here.items.empty() || here.edges.size() > 2) return false;
    if (here.edges.size() < 2) return true;
    const std::size_t u = node(problem_.tables[here.edges[0]].other(w)).size();
    const std::size_t v = node(problem_.tables[here.edges[1]].other(w)).size();
    return u * v <= std::max(max_table, here.size() * (u + v));
  }

  // --- dominate: value x goes when some y uses no more and is never dearer -----------------------

  void dominate_all() {
    for_each_alive([&](Variable w) {
      const std::size_t size = node(w).size();
      if (size < 2 || size > max_dominance_values) return;
      std::vector<Value> instead = problem_.list(dominating_values(w)), kept;
      if (problem_.proof != nullptr) explain_dominated(w, instead);
      // One that took another's place may have been replaced itself.
      for (Value& value : instead)
        while (instead[value] != value) value = instead[value];
      for (Value x = 0; x < size; ++x)
        if (instead[x] == x) kept.push_back(x);
      keep(w, kept, std::move(instead));
    });
  }

  // What dominance.hpp says of the variable's values: it depends on the costs, the usages and the
  // tables, whoever's they are.
  ListId dominating_values(Variable w) {
    const Node& here = node(w);
    std::vector<EntriesId> tables;
    for (const EdgeId e : here.edges) tables.push_back(problem_.table_from(w, e));
    std::sort(tables.begin(), tables.end());
    std::vector<std::uint32_t> question{Problem::what_dominates, problem_.pooled(here.cost)};
    question.push_back(static_cast<std::uint32_t>(tables.size()));
    question.insert(question.end(), tables.begin(), tables.end());
    for (const UsageItem& item : here.items) question.push_back(problem_.pooled_usage(item.usage));
    return problem_.remembered(question, [&] {
      std::vector<std::span<const Int>> rows;
      for (const EntriesId id : tables) rows.push_back(problem_.entries(id));
      std::vector<std::span<const Usage>> usages;
      for (const UsageItem& item : here.items) usages.push_back(item.usage);
      return problem_.listed(Dominance<Int>(here.cost, rows, std::move(usages)).replacements());
    });
  }
  void explain_dominated(Variable w, const std::vector<Value>& instead) {
    const Node& here = node(w);
    for (Value x = 0; x < here.size(); ++x)
      if (instead[x] != x)
        (problem_.proof->step("dominated") << here.name << here.label[x] << here.label[instead[x]])
            .end();
  }

  Reduced<Int>& problem_;
  const Deadline& deadline_;
  std::uint64_t changes_ = 0;
  int steps_since_look_ = 64;
  bool is_late_ = false;
  std::vector<std::optional<ListId>> all_of_;  // by size: the list of all values
};

}  // namespace tessera::solver
