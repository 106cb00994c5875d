// SPDX-License-Identifier: Apache-2.0
//
// A problem after presolve, in arrays: the form in which bounds and searches run over it.
//
// A component is a set of variables that no table and no row connects to the others, so it is
// solved by itself.  Variables are numbered in the problem's own order and tables point from the
// lower to the higher number.  A search works on restrictions of a component: the same with fewer
// values.  Costs are exact (exact_costs.hpp), and all that only guides reads them as doubles
// (weights.hpp).
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/exact_costs.hpp"
#include "tessera/solver/detail/numbers/pool.hpp"
#include "tessera/solver/detail/presolve/reduced.hpp"

namespace tessera::solver::detail {

// Sums of usages, which may leave 64 bits though no single usage does.
using UsageSum = Wide;

// The values that each variable still may take: one flag per value of the component.
using Domains = std::vector<char>;

struct Component {
  struct Item {
    std::uint32_t begin = 0, end = 0;  // rows
    std::size_t usage = 0;             // where its usages, one per value, begin in `usages`
  };
  struct Table {
    std::uint32_t u = 0, v = 0;  // u < v
    std::size_t cost = 0;        // where its row-major entries begin in the exact costs
  };

  std::vector<Variable> origin;           // the Reduced's variable
  std::vector<Variable> name;             // in a certificate
  std::vector<Value> label;               // by value: in a certificate
  std::vector<std::uint32_t> first;       // where variable i's values begin; one more at the end
  std::vector<std::uint32_t> first_item;  // where variable i's items begin; one more at the end
  std::vector<Item> items;
  std::vector<Usage> usages;
  std::vector<Table> tables;
  // The tables of variable i: those to lower numbers, then those to higher ones.
  std::vector<std::vector<std::uint32_t>> lower, higher;
  std::vector<Usage> capacity;          // by row
  std::vector<std::uint32_t> row_name;  // in a certificate; ascending
  std::shared_ptr<const ExactCosts> costs;

  // Defaulted, and out of line: a component has too many members to copy their code everywhere.
  Component() = default;
  [[gnu::noinline]] Component(const Component&) = default;
  [[gnu::noinline]] Component(Component&&) noexcept = default;
  [[gnu::noinline]] Component& operator=(const Component&) = default;
  [[gnu::noinline]] Component& operator=(Component&&) noexcept = default;
  [[gnu::noinline]] ~Component() = default;

  std::size_t size() const noexcept { return origin.size(); }
  std::uint32_t value_count(std::uint32_t i) const noexcept { return first[i + 1] - first[i]; }
  std::size_t total_values() const noexcept { return first.empty() ? 0 : first.back(); }
  std::size_t entries(const Table& table) const noexcept {
    return std::size_t{value_count(table.u)} * value_count(table.v);
  }
};

// Links the tables of a component to their variables.
inline void index_tables(Component& component) {
  component.lower.assign(component.size(), {});
  component.higher.assign(component.size(), {});
  for (std::uint32_t e = 0; e < component.tables.size(); ++e) {
    component.higher[component.tables[e].u].push_back(e);
    component.lower[component.tables[e].v].push_back(e);
  }
}

// --- From what presolve has left -----------------------------------------------------------------

// Usages and names of these variables, in this order.
[[gnu::cold]] inline void add_variables(Component& component, const Reduced& reduced,
                                        const std::vector<Variable>& variables) {
  component.first.push_back(0);
  component.first_item.push_back(0);
  for (const Variable w : variables) {
    const ReducedNode& node = reduced.nodes[w];
    component.origin.push_back(w);
    component.name.push_back(node.name);
    component.label.insert(component.label.end(), node.label.begin(), node.label.end());
    component.first.push_back(component.first.back() + node.values);
    for (const UsageItem& item : node.items) {
      component.items.push_back({item.begin, item.end, component.usages.size()});
      component.usages.insert(component.usages.end(), item.usage.begin(), item.usage.end());
    }
    component.first_item.push_back(static_cast<std::uint32_t>(component.items.size()));
  }
}

// Tables between its variables, and all costs; tables with the same entries share them.
[[gnu::cold]] inline void add_costs(Component& component, Reduced& reduced) {
  std::vector<std::uint32_t> number(reduced.nodes.size());
  for (std::uint32_t i = 0; i < component.origin.size(); ++i) number[component.origin[i]] = i;
  KeyNumbers numbers;
  std::vector<EntriesId> distinct;
  std::vector<std::size_t> begins;  // of the distinct tables
  std::size_t size = 0;
  for (const Variable w : component.origin)
    for (const EdgeId e : reduced.nodes[w].edges) {
      const std::uint32_t here = number[w], there = number[reduced.tables[e].other(w)];
      if (here > there) continue;
      const EntriesId id = table_from(reduced, w, e);
      const std::uint32_t at = numbers.number_of({id});
      const bool is_new = at == distinct.size();
      if (is_new) begins.push_back(size);
      component.tables.push_back({here, there, begins[at]});
      if (!is_new) continue;
      distinct.push_back(id);
      size += component.entries(component.tables.back());
    }
  component.costs = reduced.costs->extract(component.origin, distinct);
  index_tables(component);
}

// Only rows that its items touch; they touch no other component's.
[[gnu::cold]] inline void add_rows(Component& component, const Reduced& reduced) {
  std::vector<char> touched(reduced.capacity.size(), 0);
  for (const Component::Item& item : component.items)
    std::fill(touched.begin() + item.begin, touched.begin() + item.end, 1);
  std::vector<std::uint32_t> number(reduced.capacity.size() + 1, 0);
  for (std::size_t row = 0; row < touched.size(); ++row) {
    number[row + 1] = number[row] + (touched[row] != 0 ? 1U : 0U);
    if (touched[row] == 0) continue;
    component.capacity.push_back(reduced.capacity[row]);
    component.row_name.push_back(reduced.row_name[row]);
  }
  for (Component::Item& item : component.items) {
    item.begin = number[item.begin];
    item.end = number[item.end];
  }
}

[[gnu::cold]] inline Component make_component(Reduced& reduced, std::vector<Variable> variables) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places;  // each with its variable
  for (const Variable w : variables) places.push_back({reduced.nodes[w].place, w});
  std::sort(places.begin(), places.end());
  for (std::size_t i = 0; i < places.size(); ++i) variables[i] = places[i].second;
  Component result;
  add_variables(result, reduced, variables);
  add_costs(result, reduced);
  add_rows(result, reduced);
  return result;
}

// All that is left as one component.
[[gnu::cold]] inline Component remainder_of(Reduced& reduced) {
  std::vector<Variable> variables;
  for (Variable w = 0; w < reduced.nodes.size(); ++w)
    if (reduced.nodes[w].alive) variables.push_back(w);
  return make_component(reduced, std::move(variables));
}

class UnionFind {
 public:
  explicit UnionFind(std::size_t size) : parent_(size) {
    std::iota(parent_.begin(), parent_.end(), 0U);
  }
  std::uint32_t find(std::uint32_t x) {
    while (parent_[x] != x) x = parent_[x] = parent_[parent_[x]];
    return x;
  }
  void unite(std::uint32_t x, std::uint32_t y) { parent_[find(x)] = find(y); }

 private:
  std::vector<std::uint32_t> parent_;
};

// Splits what is left into components, smallest first.
[[gnu::cold]] inline std::vector<Component> components_of(Reduced& reduced) {
  const auto variable_count = static_cast<std::uint32_t>(reduced.nodes.size());
  UnionFind sets(variable_count + reduced.capacity.size());
  for (const ReducedTable& table : reduced.tables)
    if (table.alive) sets.unite(table.u, table.v);
  for (Variable w = 0; w < variable_count; ++w)
    for (const UsageItem& item : reduced.nodes[w].items)
      for (std::uint32_t row = item.begin; row < item.end; ++row)
        sets.unite(w, variable_count + row);
  std::vector<std::vector<Variable>> groups(variable_count + reduced.capacity.size());
  for (Variable w = 0; w < variable_count; ++w)
    if (reduced.nodes[w].alive) groups[sets.find(w)].push_back(w);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> sizes;  // each with its group
  for (std::uint32_t g = 0; g < groups.size(); ++g)
    if (!groups[g].empty()) sizes.push_back({static_cast<std::uint32_t>(groups[g].size()), g});
  std::sort(sizes.begin(), sizes.end());
  std::vector<Component> components;
  for (const auto& [size, g] : sizes)
    components.push_back(make_component(reduced, std::move(groups[g])));
  return components;
}

// --- And back ------------------------------------------------------------------------------------

// A component as something to presolve again, with only the values that `domains` allows: variable
// i is the component's, row t too, and what is done to it goes to `proof`.
// @pre every variable has a value
[[gnu::cold]] inline Reduced make_reduced(const Component& component, const Domains& domains,
                                          Proof* proof = nullptr) {
  Reduced reduced;
  reduced.costs = component.costs->tables_of(component);
  reduced.capacity = component.capacity;
  reduced.row_name = component.row_name;
  reduced.proof = proof;
  for (std::uint32_t i = 0; i < component.size(); ++i) {
    add_variable(reduced, component.value_count(i));
    ReducedNode& node = reduced.nodes[i];
    node.name = component.name[i];
    node.label.assign(component.label.begin() + component.first[i],
                      component.label.begin() + component.first[i + 1]);
    for (std::uint32_t k = component.first_item[i]; k < component.first_item[i + 1]; ++k) {
      const Component::Item& item = component.items[k];
      const Usage* usage = component.usages.data() + item.usage;
      node.items.push_back({item.begin, item.end, {usage, usage + component.value_count(i)}});
    }
  }
  for (const Component::Table& table : component.tables)
    add_new_table(reduced, table.u, table.v,
                  component.costs->pooled(*reduced.costs, table.cost, component.entries(table)));
  for (std::uint32_t i = 0; i < component.size(); ++i) {
    std::vector<Value> kept;
    for (std::uint32_t y = 0; y < component.value_count(i); ++y)
      if (domains[component.first[i] + y] != 0) kept.push_back(y);
    if (kept.size() < component.value_count(i)) restrict_values(reduced, i, kept);
  }
  return reduced;
}

// --- Sizes and trivial bounds --------------------------------------------------------------------

// Entries of all tables: what one pass over them costs.
inline std::size_t entries_of(const Component& component) {
  std::size_t entries = 0;
  for (const Component::Table& table : component.tables) entries += component.entries(table);
  return entries;
}
// The work of a sweep of messages over so many entries, in operations of a kernel: the unit in
// which searches count their work.
constexpr double sweep_work(std::size_t entries) { return 2.5 * static_cast<double>(entries); }

// One number of the cost ranges of every variable and of every table, added up.
[[gnu::cold]] inline Wide sum_of_ranges(const Component& component, Wide CostRange::*number) {
  Wide total = 0;
  for (std::uint32_t i = 0; i < component.size(); ++i)
    total += component.costs->range_of_values(component.first[i], component.value_count(i)).*number;
  KeyNumbers numbers;  // equal tables are one
  std::vector<Wide> known;
  for (const Component::Table& table : component.tables) {
    const std::size_t size = component.entries(table);
    const std::uint32_t at = numbers.number_of({table.cost, size});
    if (at == known.size())
      known.push_back(component.costs->range_of_entries(table.cost, size).*number);
    total += known[at];
  }
  return total;
}

// Below every choice's cost, without any effort: the sum of all minima.
inline Wide trivial_bound(const Component& component) {
  return sum_of_ranges(component, &CostRange::least);
}
// The sum of all largest costs: no choice that is allowed costs more.
inline Wide trivial_ceiling(const Component& component) {
  return sum_of_ranges(component, &CostRange::largest);
}
// Whether doubles hold every sum of its costs as it is, given that `unit` divides them all.
inline bool is_exact_in_double(const Component& component, Wide unit) {
  return sum_of_ranges(component, &CostRange::magnitude) / unit < Wide(1) << 52;
}

// --- Restrictions --------------------------------------------------------------------------------

// The tables of `whole` between the values that are kept, which `result` has already.  The new
// table depends on the old entries and on which values its ends keep.
[[gnu::cold]] inline void restrict_tables(const Component& whole, const Domains& domains,
                                          const std::vector<std::uint32_t>& kept,
                                          Component& result) {
  Pool<char> masks;
  std::vector<Pool<char>::Id> mask;
  for (std::uint32_t i = 0; i < whole.size(); ++i)
    mask.push_back(masks.add(std::span(domains).subspan(whole.first[i], whole.value_count(i))));
  std::vector<std::uint32_t> values(kept.size());  // as kept, counted from the variable's first
  for (std::uint32_t i = 0; i < whole.size(); ++i)
    for (std::uint32_t x = result.first[i]; x < result.first[i + 1]; ++x)
      values[x] = kept[x] - whole.first[i];
  const auto values_of = [&](std::uint32_t i) {
    return std::span<const std::uint32_t>(values).subspan(result.first[i], result.value_count(i));
  };
  const std::shared_ptr<ExactCosts> costs = whole.costs->make_empty();
  costs->append_values(*whole.costs, kept);
  KeyNumbers numbers;
  std::vector<std::size_t> begins;  // of the distinct tables
  for (const Component::Table& table : whole.tables) {
    const std::uint32_t at = numbers.number_of({table.cost, mask[table.u], mask[table.v]});
    if (at == begins.size())
      begins.push_back(costs->append_table(*whole.costs, table.cost, whole.value_count(table.v),
                                           values_of(table.u), values_of(table.v)));
    result.tables.push_back({table.u, table.v, begins[at]});
  }
  result.costs = costs;
  result.lower = whole.lower;
  result.higher = whole.higher;
}

// The component with only the values that `domains` allows.  `kept` receives, for each value of the
// result, the component's.  @pre every variable has a value
[[gnu::cold]] inline Component restrict_to(const Component& whole, const Domains& domains,
                                           std::vector<std::uint32_t>& kept) {
  Component result;
  result.origin = whole.origin;
  result.name = whole.name;
  result.capacity = whole.capacity;
  result.row_name = whole.row_name;
  result.first.reserve(whole.first.size());
  result.first.push_back(0);
  kept.clear();
  for (std::uint32_t i = 0; i < whole.size(); ++i) {
    for (std::uint32_t x = whole.first[i]; x < whole.first[i + 1]; ++x)
      if (domains[x] != 0) {
        kept.push_back(x);
        result.label.push_back(whole.label[x]);
      }
    result.first.push_back(static_cast<std::uint32_t>(kept.size()));
  }
  result.first_item = whole.first_item;
  for (std::uint32_t i = 0; i < whole.size(); ++i)
    for (std::uint32_t k = whole.first_item[i]; k < whole.first_item[i + 1]; ++k) {
      const Component::Item& item = whole.items[k];
      result.items.push_back({item.begin, item.end, result.usages.size()});
      for (std::uint32_t x = result.first[i]; x < result.first[i + 1]; ++x)
        result.usages.push_back(whole.usages[item.usage + kept[x] - whole.first[i]]);
    }
  restrict_tables(whole, domains, kept, result);
  return result;
}

}  // namespace tessera::solver::detail
