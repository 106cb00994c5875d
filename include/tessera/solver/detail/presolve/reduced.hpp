// SPDX-License-Identifier: Apache-2.0
//
// A problem as it shrinks: variables, pairwise tables, usage rows, and the stack that undoes it
// all.
//
// Every operation below keeps an optimal assignment (its comment says why), and pushes what is
// needed to get back from an assignment of the smaller problem to one of the larger.  presolve.hpp
// decides which operation applies when.
//
// Tables are numbers in a pool (cost_tables.hpp), and so are lists of values.  A table that is made
// of others, such as a transpose, a selection, a sum or a minimum, is computed once.  A pool only
// grows; it is small beside the problem that it came from.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/detail/certificate/proof.hpp"
#include "tessera/solver/detail/numbers/pool.hpp"
#include "tessera/solver/detail/presolve/cost_tables.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver::detail {

using ListId = Pool<Value>::Id;

// The usage of a variable, by value, during the rows [begin, end).
struct UsageItem {
  std::uint32_t begin = 0, end = 0;
  std::vector<Usage> usage;
};

struct ReducedNode {
  std::uint32_t values = 0;
  std::vector<UsageItem> items;  // a variable that stands for several nodes has several, disjoint
  std::vector<EdgeId> edges;     // alive ones only
  // Its position in the problem's own order, which message passing follows: neighbours there are
  // mostly neighbours in the program, and bounds are the better for it.
  Variable place = 0;
  bool alive = true;
  // Its name in a certificate, and the names of its values.
  Variable name = 0;
  std::vector<Value> label;

  std::size_t size() const noexcept { return values; }
};

struct ReducedTable {
  Variable u = 0, v = 0;
  EntriesId entries = 0;  // row-major: u's value, then v's
  bool alive = true;

  Variable other(Variable w) const noexcept { return w == u ? v : u; }
};

// One operation, as undo() needs it.
struct UndoStep {
  enum class Kind : std::uint8_t { restricted, fixed, eliminated, merged };
  Kind kind = Kind::fixed;
  Variable w = 0;
  Variable from = 0;                // merged: became a part of w
  std::vector<Value> kept = {};     // restricted: the values; merged: from's value, by w's
  std::vector<Value> instead = {};  // restricted: by value, one that dominates it; empty: none
  EntriesId costs = 0;              // eliminated
  std::vector<Variable> neighbours = {};
  std::vector<EntriesId> tables = {};  // with the neighbours; rows are w's values
};

struct Reduced {
  std::unique_ptr<CostTables> costs;
  std::vector<ReducedNode> nodes;
  std::vector<ReducedTable> tables;
  std::vector<Usage> capacity;          // of each row: a point of time that can be over capacity
  std::vector<std::uint32_t> row_name;  // in a certificate; ascending
  Wide constant = 0;                    // cost that is already certain
  bool infeasible = false;
  Proof* proof = nullptr;  // receives every operation, unless null
  std::vector<UndoStep> steps;

  Pool<Value> lists;
  Pool<Usage> usages;
  AnswerCache answers;

  // Defaulted, and out of line: there are too many members to copy their code everywhere.
  Reduced() = default;
  [[gnu::noinline]] Reduced(Reduced&&) noexcept = default;
  [[gnu::noinline]] Reduced& operator=(Reduced&&) noexcept = default;
  [[gnu::noinline]] ~Reduced() = default;
};

// The kind of question is the first number of what the cache is asked.
enum class Question : std::uint32_t {
  transpose,
  picked_rows,
  picked_columns,
  sum,
  min_plus,
  supported_rows,
  only_columns,
  is_separable,
  replacements
};
// The number that `work_out` returns, asked once for each question: a list that names entries and
// lists of this problem.  It may depend on nothing else.
template<class WorkOut>
std::uint32_t cached(Reduced& reduced, Question kind, std::initializer_list<std::uint32_t> question,
                     WorkOut&& work_out) {
  std::uint32_t whole[5] = {static_cast<std::uint32_t>(kind)};
  std::copy(question.begin(), question.end(), whole + 1);
  return reduced.answers.answer({whole, question.size() + 1}, std::forward<WorkOut>(work_out));
}

// --- Building ------------------------------------------------------------------------------------

// Adds the variable that was last added to the costs.
inline Variable add_variable(Reduced& reduced, std::size_t values) {
  const auto id = static_cast<Variable>(reduced.nodes.size());
  std::vector<Value> label(values);
  std::iota(label.begin(), label.end(), 0U);
  reduced.nodes.push_back(
      {static_cast<std::uint32_t>(values), {}, {}, id, true, id, std::move(label)});
  return id;
}

// A table seen from one of its ends: rows are w's values.
[[gnu::noinline]] inline EntriesId table_from(Reduced& reduced, Variable w, EdgeId e) {
  const ReducedTable& table = reduced.tables[e];
  if (table.u == w) return table.entries;
  const std::uint32_t columns = reduced.nodes[table.v].values;
  return cached(reduced, Question::transpose, {table.entries, columns},
                [&] { return reduced.costs->transposed(table.entries, columns); });
}

inline constexpr EdgeId no_table = 0xffffffff;

// The alive table between two variables.  O(the smaller degree)
inline EdgeId find_table(const Reduced& reduced, Variable u, Variable v) {
  const bool u_first = reduced.nodes[u].edges.size() <= reduced.nodes[v].edges.size();
  const Variable from = u_first ? u : v, to = u_first ? v : u;
  for (const EdgeId e : reduced.nodes[from].edges)
    if (reduced.tables[e].other(from) == to) return e;
  return no_table;
}

// @pre there is none between them
inline void add_new_table(Reduced& reduced, Variable u, Variable v, EntriesId entries) {
  const auto id = static_cast<EdgeId>(reduced.tables.size());
  reduced.tables.push_back({u, v, entries, true});
  reduced.nodes[u].edges.push_back(id);
  reduced.nodes[v].edges.push_back(id);
}

// Adds a table between two different variables, onto the one there is, if any.
[[gnu::noinline]] inline void add_table(Reduced& reduced, Variable u, Variable v,
                                        EntriesId entries) {
  const EdgeId found = find_table(reduced, u, v);
  if (found == no_table) {
    add_new_table(reduced, u, v, entries);
    return;
  }
  ReducedTable& table = reduced.tables[found];
  if (u != table.u) {
    const std::uint32_t columns = reduced.nodes[table.u].values;
    entries = cached(reduced, Question::transpose, {entries, columns},
                     [&] { return reduced.costs->transposed(entries, columns); });
  }
  table.entries = cached(reduced, Question::sum, {table.entries, entries},
                         [&] { return reduced.costs->sum(table.entries, entries); });
}

[[gnu::noinline]] inline void drop_table(Reduced& reduced, EdgeId e) {
  ReducedTable& table = reduced.tables[e];
  for (const Variable w : {table.u, table.v}) std::erase(reduced.nodes[w].edges, e);
  table.alive = false;
}

// --- Operations that keep an optimum -------------------------------------------------------------

inline EntriesId picked_rows(Reduced& reduced, EntriesId table, std::uint32_t columns,
                             ListId rows) {
  return cached(reduced, Question::picked_rows, {table, columns, rows},
                [&] { return reduced.costs->picked_rows(table, columns, reduced.lists[rows]); });
}

[[gnu::noinline]] inline void restrict_table(Reduced& reduced, ReducedTable& table, Variable w,
                                             ListId kept) {
  const std::uint32_t columns = reduced.nodes[table.v].values;
  if (table.u == w)
    table.entries = picked_rows(reduced, table.entries, columns, kept);
  else
    table.entries = cached(reduced, Question::picked_columns, {table.entries, columns, kept}, [&] {
      return reduced.costs->picked_columns(table.entries, columns, reduced.lists[kept]);
    });
}

// list[i] = list[kept[i]].  @pre kept ascends
template<class T>
void pick(std::vector<T>& list, const std::vector<Value>& kept) {
  for (std::size_t i = 0; i < kept.size(); ++i) list[i] = list[kept[i]];
  list.resize(kept.size());
}

// Keeps only these values.  Exact when every other one is forbidden or dominated; `instead` says
// by which, in that case, for every value.
inline void restrict_values(Reduced& reduced, Variable w, const std::vector<Value>& kept,
                            std::vector<Value> instead = {}) {
  ReducedNode& node = reduced.nodes[w];
  if (kept.empty()) reduced.infeasible = true;
  const ListId list = reduced.lists.add(std::span(kept));
  for (const EdgeId e : node.edges) restrict_table(reduced, reduced.tables[e], w, list);
  reduced.costs->pick_values(w, kept);
  node.values = static_cast<std::uint32_t>(kept.size());
  pick(node.label, kept);
  for (UsageItem& item : node.items) pick(item.usage, kept);
  reduced.steps.push_back(
      {.kind = UndoStep::Kind::restricted, .w = w, .kept = kept, .instead = std::move(instead)});
}

// Adds the least cost of a variable to the cost that is certain.
inline void settle_cost(Reduced& reduced, Variable w) {
  if (const std::optional<Wide> least = reduced.costs->least_cost(w))
    reduced.constant += *least;
  else
    reduced.infeasible = true;
}

// Removes a variable of one value: its costs and usages are certain.
[[gnu::noinline]] inline void fix(Reduced& reduced, Variable w) {
  ReducedNode& node = reduced.nodes[w];
  if (reduced.proof != nullptr) (reduced.proof->step("fix") << node.name).end();
  settle_cost(reduced, w);
  for (const UsageItem& item : node.items)
    for (std::uint32_t row = item.begin; row < item.end; ++row) {
      reduced.capacity[row] -= item.usage[0];
      reduced.infeasible = reduced.infeasible || reduced.capacity[row] < 0;
    }
  for (const EdgeId e : std::vector<EdgeId>(node.edges)) {
    reduced.costs->add_costs(reduced.tables[e].other(w), table_from(reduced, w, e), 1);
    drop_table(reduced, e);
  }
  node.items.clear();
  node.alive = false;
  reduced.steps.push_back({.kind = UndoStep::Kind::fixed, .w = w});
}

// Replaces a table a(x) + b(y) by costs of its two variables.
inline void separate_table(Reduced& reduced, EdgeId e) {
  const ReducedTable& table = reduced.tables[e];
  if (reduced.proof != nullptr)
    (reduced.proof->step("separable") << reduced.nodes[table.u].name << reduced.nodes[table.v].name)
        .end();
  reduced.costs->add_separable(table.entries, table.u, table.v);
  drop_table(reduced, e);
}

// Minimises over a variable that uses nothing and has at most two neighbours: what is left of it is
// a table between them.  Exact, since its best value depends on nothing else.
inline void eliminate(Reduced& reduced, Variable w) {
  ReducedNode& node = reduced.nodes[w];
  if (reduced.proof != nullptr) (reduced.proof->step("eliminate") << node.name).end();
  UndoStep step{.kind = UndoStep::Kind::eliminated, .w = w};
  step.costs = reduced.costs->pooled_costs(w);
  for (const EdgeId e : node.edges) {
    step.neighbours.push_back(reduced.tables[e].other(w));
    step.tables.push_back(table_from(reduced, w, e));
  }
  for (const EdgeId e : std::vector<EdgeId>(node.edges)) drop_table(reduced, e);
  node.alive = false;
  if (step.tables.empty()) {
    settle_cost(reduced, w);
  } else if (step.tables.size() == 1) {
    reduced.costs->add_minima(step.neighbours[0], w, step.tables[0]);
  } else {
    const EntriesId a = step.tables[0], b = step.tables[1];
    const EntriesId least = cached(reduced, Question::min_plus, {step.costs, a, b},
                                   [&] { return reduced.costs->min_plus(step.costs, a, b); });
    add_table(reduced, step.neighbours[0], step.neighbours[1], least);
  }
  reduced.steps.push_back(std::move(step));
}

// Moves all that `from` has to `into`, each of whose values has an image among from's.
[[gnu::cold]] inline void move_tables_and_items(Reduced& reduced, Variable into, Variable from,
                                                const std::vector<Value>& image) {
  const ListId list = reduced.lists.add(std::span(image));
  ReducedNode& old = reduced.nodes[from];
  for (const EdgeId e : std::vector<EdgeId>(old.edges)) {
    const Variable other = reduced.tables[e].other(from);
    const EntriesId moved =
        picked_rows(reduced, table_from(reduced, from, e), reduced.nodes[other].values, list);
    drop_table(reduced, e);
    add_table(reduced, into, other, moved);
  }
  for (UsageItem& item : old.items) {
    UsageItem moved{item.begin, item.end, {}};
    moved.usage.reserve(image.size());
    for (const Value x : image) moved.usage.push_back(item.usage[x]);
    reduced.nodes[into].items.push_back(std::move(moved));
  }
  old.items = {};
  old.alive = false;
}

// Makes one end of a table a function of the other: every value of `into` allows exactly one of
// `from`, its image.  `into` takes over all that `from` had; its usage items may overlap until
// merge_items() is called.
// @pre the table's finite entries are exactly (x, image[x])
inline void merge_into(Reduced& reduced, EdgeId e, Variable into, std::vector<Value> image) {
  const Variable from = reduced.tables[e].other(into);
  ReducedNode& node = reduced.nodes[into];
  if (reduced.proof != nullptr)
    (reduced.proof->step("merge") << node.name << reduced.nodes[from].name).end();
  reduced.costs->add_image(into, from, table_from(reduced, into, e), image);
  drop_table(reduced, e);
  node.place = std::min(node.place, reduced.nodes[from].place);
  move_tables_and_items(reduced, into, from, image);
  reduced.steps.push_back(
      {.kind = UndoStep::Kind::merged, .w = into, .from = from, .kept = std::move(image)});
}

// A sum past 64 bits is past every capacity too: the largest value will be refused.
inline Usage saturating_sum(Usage a, Usage b) {
  Usage sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<Usage>::max() : sum;
}

// The usage of all live items together, between two cuts.
[[gnu::noinline]] inline UsageItem sum_of_items(std::uint32_t begin, std::uint32_t end,
                                                const std::vector<const UsageItem*>& live) {
  UsageItem piece{begin, end, live[0]->usage};
  for (std::size_t i = 1; i < live.size(); ++i)
    for (std::size_t x = 0; x < piece.usage.size(); ++x)
      piece.usage[x] = saturating_sum(piece.usage[x], live[i]->usage[x]);
  return piece;
}

// Cuts items where one begins or ends, and adds up those that overlap: afterwards at most one of
// them is live on any row.  O(size * (items log items + items * those live at once))
[[gnu::cold]] inline std::vector<UsageItem> disjoint(const std::vector<UsageItem>& items) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> begins;  // each with its item
  std::vector<std::uint32_t> cuts;
  for (std::uint32_t i = 0; i < items.size(); ++i) {
    begins.push_back({items[i].begin, i});
    cuts.push_back(items[i].begin);
    cuts.push_back(items[i].end);
  }
  std::sort(begins.begin(), begins.end());
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::vector<UsageItem> result;
  std::vector<const UsageItem*> live;
  std::size_t next = 0;
  for (std::size_t c = 0; c + 1 < cuts.size(); ++c) {
    std::erase_if(live, [&](const UsageItem* item) { return item->end <= cuts[c]; });
    while (next < begins.size() && begins[next].first == cuts[c])
      live.push_back(&items[begins[next++].second]);
    if (live.empty()) continue;
    UsageItem piece = sum_of_items(cuts[c], cuts[c + 1], live);
    const bool continues = !result.empty() && result.back().end == piece.begin &&
                           result.back().usage == piece.usage;
    if (continues)
      result.back().end = piece.end;
    else
      result.push_back(std::move(piece));
  }
  return result;
}

inline void merge_items(Reduced& reduced, Variable w) {
  std::vector<UsageItem>& items = reduced.nodes[w].items;
  if (items.size() > 1) items = disjoint(items);
}

// --- Undoing -------------------------------------------------------------------------------------

// From values of the variables that are still alive to values of all that ever were.
// @pre values.size() == nodes.size(), and the alive ones are set
inline void undo(const Reduced& reduced, std::vector<Value>& values) {
  for (auto step = reduced.steps.rbegin(); step != reduced.steps.rend(); ++step) {
    std::vector<Value> columns;
    switch (step->kind) {
      case UndoStep::Kind::restricted: values[step->w] = step->kept[values[step->w]]; break;
      case UndoStep::Kind::fixed: values[step->w] = 0; break;
      case UndoStep::Kind::merged: values[step->from] = step->kept[values[step->w]]; break;
      case UndoStep::Kind::eliminated:
        for (const Variable neighbour : step->neighbours) columns.push_back(values[neighbour]);
        values[step->w] = reduced.costs->best_value(step->costs, step->tables, columns);
        break;
    }
  }
}

// Restricts one value as the step did.  False where it is not feasible.
inline bool project_restricted(const UndoStep& step, Value& value) {
  if (!step.instead.empty()) value = step.instead[value];
  const auto at = std::lower_bound(step.kept.begin(), step.kept.end(), value);
  if (at == step.kept.end() || *at != value) return false;
  value = static_cast<Value>(at - step.kept.begin());
  return true;
}

// The other way: from values of all that ever were to those that are alive, changed only where a
// better value dominates.  False where the values are not feasible.
inline bool project(const Reduced& reduced, std::vector<Value>& values) {
  for (const UndoStep& step : reduced.steps) {
    bool is_feasible = true;
    if (step.kind == UndoStep::Kind::restricted)
      is_feasible = project_restricted(step, values[step.w]);
    else if (step.kind == UndoStep::Kind::fixed)
      is_feasible = values[step.w] == 0;
    else if (step.kind == UndoStep::Kind::merged)
      is_feasible = values[step.from] == step.kept[values[step.w]];
    if (!is_feasible) return false;
  }
  return true;
}

}  // namespace tessera::solver::detail
