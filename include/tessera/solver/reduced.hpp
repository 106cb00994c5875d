// SPDX-License-Identifier: Apache-2.0
//
// A problem as it shrinks: variables, pairwise tables, usage rows, and the stack that undoes it
// all.
//
// Every operation keeps an optimal assignment (and says in its comment why), and pushes what is
// needed to get back from an assignment of what is left to one of what was.  Which operation to
// apply when is presolve.hpp's concern.
//
// Tables live in a pool (pool.hpp): equal ones have one number, and what is made of them, a
// transpose, a selection, a sum, a minimum, is made once.  A pool only grows; what it holds is
// small beside the problem that it came from.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <variant>
#include <vector>

#include "tessera/solver/arithmetic.hpp"
#include "tessera/solver/pool.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/solver/proof.hpp"

namespace tessera::solver {

using Variable = std::uint32_t;
using Value = std::uint32_t;

// What a variable uses, by value, while the rows [begin, end) last.
struct UsageItem {
  std::uint32_t begin = 0, end = 0;
  std::vector<Usage> usage;
};

template<class Int>
class Reduced {
 public:
  using EntriesId = typename Pool<Int>::Id;
  using ListId = Pool<Value>::Id;

  struct Node {
    std::vector<Int> cost;         // by value; a value that is forbidden costs infinity
    std::vector<UsageItem> items;  // a variable that stands for several nodes has several, disjoint
    std::vector<EdgeId> edges;     // alive ones only
    // Where it stands in the problem's own order, which message passing follows: neighbours there
    // are mostly neighbours in the program, and bounds are the better for it.
    Variable place = 0;
    bool alive = true;
    // As a certificate knows it, and each of its values.
    Variable name = 0;
    std::vector<Value> label;

    std::size_t size() const noexcept { return cost.size(); }
  };
  struct Table {
    Variable u = 0, v = 0;
    EntriesId entries = 0;  // row-major: u's value, then v's
    bool alive = true;

    Variable other(Variable w) const noexcept { return w == u ? v : u; }
  };

  std::vector<Node> nodes;
  std::vector<Table> tables;
  std::vector<Usage> capacity;          // of each row: a point of time that can be short of room
  std::vector<std::uint32_t> row_name;  // as a certificate knows them; ascending
  Int constant = 0;                     // cost that is already certain
  bool infeasible = false;
  Proof* proof = nullptr;  // where to write down what is done, if anywhere

  static bool finite(const Int& x) { return Arithmetic<Int>::is_finite(x); }
  static Int infinity() { return Arithmetic<Int>::infinity(); }

  // --- Building ----------------------------------------------------------------------------------

  Variable add_variable(std::vector<Int> cost) {
    const auto id = static_cast<Variable>(nodes.size());
    std::vector<Value> label(cost.size());
    std::iota(label.begin(), label.end(), 0U);
    nodes.push_back({std::move(cost), {}, {}, id, true, id, std::move(label)});
    return id;
  }

  // The number of a table's entries, or of a variable's costs.
  EntriesId pooled(std::vector<Int> entries) { return pool_.add(std::move(entries)); }
  const std::vector<Int>& entries(EntriesId id) const { return pool_[id]; }
  ListId listed(std::vector<Value> list) { return lists_.add(std::move(list)); }
  const std::vector<Value>& list(ListId id) const { return lists_[id]; }
  std::uint32_t pooled_usage(std::span<const Usage> usage) { return usages_.add(usage); }
  const std::vector<Int>& entries_of(const Table& table) const { return pool_[table.entries]; }

  // Adds a table between two different variables, onto the one there is, if any.
  void add_table(Variable u, Variable v, EntriesId entries) {
    if (const EdgeId found = find_table(u, v); found != none)
      add_onto(tables[found], u, entries);
    else
      add_new_table(u, v, entries);
  }
  // @pre there is none between them
  void add_new_table(Variable u, Variable v, EntriesId entries) {
    const auto id = static_cast<EdgeId>(tables.size());
    tables.push_back({u, v, entries, true});
    nodes[u].edges.push_back(id);
    nodes[v].edges.push_back(id);
  }

  // A table seen from one of its ends: rows are w's values.
  EntriesId table_from(Variable w, EdgeId e) {
    const Table& table = tables[e];
    return table.u == w ? table.entries : transposed(table.entries, nodes[table.v].size());
  }

  // What kind of question comes first in what the memory is asked.
  enum Asked : std::uint32_t {
    a_transpose,
    picked_rows_of,
    picked_columns_of,
    a_sum,
    an_elimination,
    possible_rows,
    an_image,
    whether_separable,
    what_dominates
  };
  // What `work_out` says, asked once for each question: a list that begins with its kind, and names
  // entries and lists of this problem.  It may depend on nothing else.
  template<class WorkOut>
  std::uint32_t remembered(std::span<const std::uint32_t> question, WorkOut&& work_out) {
    return memory_.answer(question, std::forward<WorkOut>(work_out));
  }
  template<class WorkOut>
  std::uint32_t remembered(std::initializer_list<std::uint32_t> question, WorkOut&& work_out) {
    return memory_.answer(question, std::forward<WorkOut>(work_out));
  }

  // --- Operations that keep an optimum -----------------------------------------------------------

  // Keeps only these values.  Exact when every other one is forbidden or dominated; `instead` says
  // by which, in that case, for every value.
  void restrict(Variable w, const std::vector<Value>& kept, std::vector<Value> instead = {}) {
    Node& node = nodes[w];
    if (kept.empty()) infeasible = true;
    const ListId list = lists_.add(std::span(kept));
    for (const EdgeId e : node.edges) restrict_table(tables[e], w, list);
    pick(node.cost, kept);
    pick(node.label, kept);
    for (UsageItem& item : node.items) pick(item.usage, kept);
    undo_.push_back(Restricted{w, kept, std::move(instead)});
  }

  // Removes a variable of one value: its costs and usages are certain.
  void fix(Variable w) {
    Node& node = nodes[w];
    if (proof != nullptr) (proof->step("fix") << node.name).end();
    infeasible = infeasible || !finite(node.cost[0]);
    constant = add(constant, node.cost[0]);
    for (const UsageItem& item : node.items)
      for (std::uint32_t row = item.begin; row < item.end; ++row) {
        capacity[row] -= item.usage[0];
        infeasible = infeasible || capacity[row] < 0;
      }
    for (const EdgeId e : std::vector<EdgeId>(node.edges)) {
      const Variable other = tables[e].other(w);
      add_to_costs(other, entries(table_from(w, e)));
      drop_table(e);
    }
    node.items.clear();
    node.alive = false;
    undo_.push_back(Fixed{w});
  }

  // Folds a table a(x) + b(y) into the two variables' own costs.
  void split_table(EdgeId e, const std::vector<Int>& a, const std::vector<Int>& b) {
    if (proof != nullptr)
      (proof->step("separable") << nodes[tables[e].u].name << nodes[tables[e].v].name).end();
    add_to_costs(tables[e].u, a);
    add_to_costs(tables[e].v, b);
    drop_table(e);
  }

  // Minimises over a variable that uses nothing and has at most two neighbours: what is left of it
  // is a table between them.  Exact, since its best answer depends on nothing else.
  void eliminate(Variable w) {
    Node& node = nodes[w];
    if (proof != nullptr) (proof->step("eliminate") << node.name).end();
    Eliminated record{w, pool_.add(std::span<const Int>(node.cost)), {}, {}};
    for (const EdgeId e : node.edges) {
      record.neighbours.push_back(tables[e].other(w));
      record.tables.push_back(table_from(w, e));
    }
    for (const EdgeId e : std::vector<EdgeId>(node.edges)) drop_table(e);
    node.alive = false;
    if (record.neighbours.empty()) {
      const Int least = *std::min_element(node.cost.begin(), node.cost.end());
      infeasible = infeasible || !finite(least);
      constant = add(constant, least);
    } else if (record.neighbours.size() == 1) {
      const Variable other = record.neighbours[0];
      add_to_costs(other, min_plus(node.cost, entries(record.tables[0]), nodes[other].size()));
    } else {
      const Variable u = record.neighbours[0], v = record.neighbours[1];
      add_table(u, v, eliminated(record));
    }
    undo_.push_back(std::move(record));
  }

  // Makes one end of a table a function of the other: every value of `into` allows exactly one of
  // `from`, its image.  What `from` had, `into` takes over; its usage items may overlap until
  // merge_items() is called.
  // @pre the table's finite entries are exactly (x, image[x])
  void fold(EdgeId e, Variable into, std::vector<Value> image) {
    const Variable from = tables[e].other(into);
    if (proof != nullptr) (proof->step("merge") << nodes[into].name << nodes[from].name).end();
    const bool into_is_u = tables[e].u == into;
    const std::size_t columns = nodes[tables[e].v].size();
    Node& node = nodes[into];
    for (Value x = 0; x < image.size(); ++x) {
      const std::size_t at = into_is_u ? x * columns + image[x] : image[x] * columns + x;
      node.cost[x] = add(node.cost[x], add(nodes[from].cost[image[x]], entries_of(tables[e])[at]));
    }
    drop_table(e);
    node.place = std::min(node.place, nodes[from].place);
    move_onto(into, from, image);
    undo_.push_back(Folded{into, from, std::move(image)});
  }

  // Cuts a variable's items where one begins or ends, and adds up those that overlap: afterwards at
  // most one of them is live on any row.
  void merge_items(Variable w) {
    std::vector<UsageItem>& items = nodes[w].items;
    if (items.size() > 1) items = disjoint(items, nodes[w].size());
  }

  // --- Undoing -----------------------------------------------------------------------------------

  // From values of the variables that are still alive to values of all that ever were.
  // @pre values.size() == nodes.size(), and the alive ones are set
  void undo(std::vector<Value>& values) const {
    for (auto step = undo_.rbegin(); step != undo_.rend(); ++step)
      std::visit([&](const auto& record) { record.apply(*this, values); }, *step);
  }

  // The other way: from values of all that ever were to those that are alive, changed only where a
  // better value dominates.  False where the values are not feasible.
  bool project(std::vector<Value>& values) const {
    for (const auto& step : undo_)
      if (!std::visit([&](const auto& record) { return record.project(values); }, step))
        return false;
    return true;
  }

  static constexpr EdgeId none = 0xffffffff;

  // The alive table between two variables.  O(the smaller degree)
  EdgeId find_table(Variable u, Variable v) const {
    const Variable from = nodes[u].edges.size() <= nodes[v].edges.size() ? u : v;
    const Variable to = from == u ? v : u;
    for (const EdgeId e : nodes[from].edges)
      if (tables[e].other(from) == to) return e;
    return none;
  }

 private:
  struct Restricted {
    Variable w;
    std::vector<Value> kept, instead;
    void apply(const Reduced&, std::vector<Value>& values) const { values[w] = kept[values[w]]; }
    bool project(std::vector<Value>& values) const {
      Value& value = values[w];
      if (!instead.empty()) value = instead[value];
      const auto at = std::lower_bound(kept.begin(), kept.end(), value);
      if (at == kept.end() || *at != value) return false;
      value = static_cast<Value>(at - kept.begin());
      return true;
    }
  };
  struct Fixed {
    Variable w;
    void apply(const Reduced&, std::vector<Value>& values) const { values[w] = 0; }
    bool project(const std::vector<Value>& values) const { return values[w] == 0; }
  };
  struct Eliminated {
    Variable w;
    EntriesId costs;
    std::vector<Variable> neighbours;
    std::vector<EntriesId> tables;  // rows are w's values
    bool project(const std::vector<Value>&) const { return true; }
    void apply(const Reduced& reduced, std::vector<Value>& values) const {
      const std::vector<Int>& cost = reduced.entries(costs);
      Int best = infinity();
      for (Value x = 0; x < cost.size(); ++x) {
        Int total = cost[x];
        for (std::size_t i = 0; i < neighbours.size(); ++i) {
          const std::vector<Int>& table = reduced.entries(tables[i]);
          const std::size_t width = table.size() / cost.size();
          total = add(total, table[x * width + values[neighbours[i]]]);
        }
        if (x == 0 || total < best) {
          best = total;
          values[w] = x;
        }
      }
    }
  };
  struct Folded {
    Variable into, from;
    std::vector<Value> image;  // by into's value
    void apply(const Reduced&, std::vector<Value>& values) const {
      values[from] = image[values[into]];
    }
    bool project(const std::vector<Value>& values) const {
      return values[from] == image[values[into]];
    }
  };

  template<class T>
  static void pick(std::vector<T>& list, const std::vector<Value>& kept) {
    for (std::size_t i = 0; i < kept.size(); ++i)
      if (kept[i] != i) list[i] = std::move(list[kept[i]]);
    list.resize(kept.size());
  }

  // --- What is made of tables, once --------------------------------------------------------------

  EntriesId transposed(EntriesId id, std::size_t columns) {
    return memory_.answer({a_transpose, id, narrow(columns)}, [&] {
      const std::vector<Int>& from = pool_[id];
      const std::size_t rows = columns == 0 ? 0 : from.size() / columns;
      std::vector<Int> result(from.size());
      for (std::size_t x = 0; x < rows; ++x)
        for (std::size_t y = 0; y < columns; ++y) result[y * rows + x] = from[x * columns + y];
      return pool_.add(std::move(result));
    });
  }

  // Of a table with so many columns the rows that the list names, in its order.
  EntriesId picked_rows(EntriesId id, std::size_t columns, ListId list) {
    return memory_.answer({picked_rows_of, id, narrow(columns), list}, [&] {
      std::vector<Int> result;
      result.reserve(lists_[list].size() * columns);
      for (const Value x : lists_[list]) {
        const auto row = pool_[id].begin() + static_cast<std::ptrdiff_t>(x * columns);
        result.insert(result.end(), row, row + static_cast<std::ptrdiff_t>(columns));
      }
      return pool_.add(std::move(result));
    });
  }
  EntriesId picked_columns(EntriesId id, std::size_t columns, ListId list) {
    return memory_.answer({picked_columns_of, id, narrow(columns), list}, [&] {
      std::vector<Int> result;
      const std::size_t rows = columns == 0 ? 0 : pool_[id].size() / columns;
      result.reserve(rows * lists_[list].size());
      for (std::size_t x = 0; x < rows; ++x)
        for (const Value y : lists_[list]) result.push_back(pool_[id][x * columns + y]);
      return pool_.add(std::move(result));
    });
  }
  void restrict_table(Table& table, Variable w, ListId kept) {
    const std::size_t columns = nodes[table.v].size();
    table.entries = table.u == w ? picked_rows(table.entries, columns, kept)
                                 : picked_columns(table.entries, columns, kept);
  }

  void add_onto(Table& table, Variable first, EntriesId more) {
    if (first != table.u) more = transposed(more, nodes[table.u].size());
    table.entries = memory_.answer({a_sum, table.entries, more}, [&] {
      std::vector<Int> result = pool_[table.entries];
      for (std::size_t i = 0; i < result.size(); ++i) result[i] = add(result[i], pool_[more][i]);
      return pool_.add(std::move(result));
    });
  }

  EntriesId eliminated(const Eliminated& record) {
    return memory_.answer({an_elimination, record.costs, record.tables[0], record.tables[1]}, [&] {
      const auto &cost = pool_[record.costs], &a = pool_[record.tables[0]],
                 &b = pool_[record.tables[1]];
      return pool_.add(min_plus(cost, a, a.size() / cost.size(), b, b.size() / cost.size()));
    });
  }

  static std::uint32_t narrow(std::size_t size) { return static_cast<std::uint32_t>(size); }

  void add_to_costs(Variable w, const std::vector<Int>& more) {
    std::vector<Int>& cost = nodes[w].cost;
    for (std::size_t x = 0; x < cost.size(); ++x) cost[x] = add(cost[x], more[x]);
  }

  void drop_table(EdgeId e) {
    Table& table = tables[e];
    for (const Variable w : {table.u, table.v}) std::erase(nodes[w].edges, e);
    table.alive = false;
  }

  // result[y] = min over x of cost[x] + table[x][y]
  static std::vector<Int> min_plus(const std::vector<Int>& cost, const std::vector<Int>& table,
                                   std::size_t width) {
    std::vector<Int> result(width, infinity());
    for (std::size_t x = 0; x < cost.size(); ++x)
      for (std::size_t y = 0; y < width; ++y)
        result[y] = std::min(result[y], add(cost[x], table[x * width + y]));
    return result;
  }

  // result[y][z] = min over x of cost[x] + a[x][y] + b[x][z]
  static std::vector<Int> min_plus(const std::vector<Int>& cost, const std::vector<Int>& a,
                                   std::size_t a_width, const std::vector<Int>& b,
                                   std::size_t b_width) {
    constexpr std::size_t large = 1U << 16U;  // enough to be worth a look at all columns
    if (cost.size() * a_width * b_width < large) return product(cost, a, a_width, b, b_width);
    // Values by the thousand have columns by the hundred: what is equal is multiplied once.
    const DistinctColumns of_a(a, a_width), of_b(b, b_width);
    const std::vector<Int> least =
        product(cost, of_a.entries, of_a.width, of_b.entries, of_b.width);
    std::vector<Int> result;
    result.reserve(a_width * b_width);
    for (const std::uint32_t y : of_a.number)
      for (const std::uint32_t z : of_b.number) result.push_back(least[y * of_b.width + z]);
    return result;
  }

  // A table whose columns differ from one another.
  struct DistinctColumns {
    DistinctColumns(const std::vector<Int>& table, std::size_t columns) {
      const std::size_t rows = table.size() / columns;
      Pool<Int> seen;
      std::vector<Int> column(rows);
      for (std::size_t y = 0; y < columns; ++y) {
        for (std::size_t x = 0; x < rows; ++x) column[x] = table[x * columns + y];
        number.push_back(seen.add(std::span<const Int>(column)));
      }
      width = seen.size();
      entries.resize(rows * width);
      for (std::uint32_t y = 0; y < width; ++y)
        for (std::size_t x = 0; x < rows; ++x) entries[x * width + y] = seen[y][x];
    }

    std::vector<std::uint32_t> number;  // by column of the table: which one it is
    std::size_t width = 0;
    std::vector<Int> entries;
  };

  static std::vector<Int> product(const std::vector<Int>& cost, const std::vector<Int>& a,
                                  std::size_t a_width, const std::vector<Int>& b,
                                  std::size_t b_width) {
    std::vector<Int> result(a_width * b_width, infinity());
    for (std::size_t x = 0; x < cost.size(); ++x)
      for (std::size_t y = 0; y < a_width; ++y) {
        const Int here = add(cost[x], a[x * a_width + y]);
        if (!finite(here)) continue;
        // Infinite entries of b push the sum past every finite one, so a plain minimum will do.
        Int* out = result.data() + y * b_width;
        const Int* in = b.data() + x * b_width;
        for (std::size_t z = 0; z < b_width; ++z) out[z] = std::min<Int>(out[z], here + in[z]);
      }
    for (Int& entry : result)
      if (!finite(entry)) entry = infinity();
    return result;
  }

  // Hands everything that `from` has to `into`, whose values map to from's.
  void move_onto(Variable into, Variable from, const std::vector<Value>& image) {
    const ListId list = lists_.add(std::span(image));
    for (const EdgeId e : std::vector<EdgeId>(nodes[from].edges)) {
      const Variable other = tables[e].other(from);
      const EntriesId moved = picked_rows(table_from(from, e), nodes[other].size(), list);
      drop_table(e);
      add_table(into, other, moved);
    }
    for (UsageItem& item : nodes[from].items) {
      UsageItem moved{item.begin, item.end, {}};
      moved.usage.reserve(image.size());
      for (const Value x : image) moved.usage.push_back(item.usage[x]);
      nodes[into].items.push_back(std::move(moved));
    }
    nodes[from].items = {};
    nodes[from].alive = false;
  }

  // A sum past 64 bits is past every capacity too: at the largest value it will be refused.
  static Usage saturating_sum(Usage a, Usage b) {
    Usage sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<Usage>::max() : sum;
  }

  // O(size * (items log items + items * those live at once))
  static std::vector<UsageItem> disjoint(std::vector<UsageItem>& items, std::size_t size) {
    std::sort(items.begin(), items.end(),
              [](const UsageItem& a, const UsageItem& b) { return a.begin < b.begin; });
    std::vector<std::uint32_t> cuts;
    for (const UsageItem& item : items) {
      cuts.push_back(item.begin);
      cuts.push_back(item.end);
    }
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::vector<UsageItem> result;
    std::vector<const UsageItem*> live;
    std::size_t next = 0;
    for (std::size_t c = 0; c + 1 < cuts.size(); ++c) {
      std::erase_if(live, [&](const UsageItem* item) { return item->end <= cuts[c]; });
      while (next < items.size() && items[next].begin == cuts[c]) live.push_back(&items[next++]);
      if (live.empty()) continue;
      UsageItem piece{cuts[c], cuts[c + 1], live[0]->usage};
      for (std::size_t i = 1; i < live.size(); ++i)
        for (std::size_t x = 0; x < size; ++x)
          piece.usage[x] = saturating_sum(piece.usage[x], live[i]->usage[x]);
      const bool continues = !result.empty() && result.back().end == piece.begin &&
                             result.back().usage == piece.usage;
      if (continues)
        result.back().end = piece.end;
      else
        result.push_back(std::move(piece));
    }
    return result;
  }

  Pool<Int> pool_;
  Pool<Value> lists_;
  Pool<Usage> usages_;
  Memory memory_;
  std::vector<std::variant<Restricted, Fixed, Eliminated, Folded>> undo_;
};

}  // namespace tessera::solver
