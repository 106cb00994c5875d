// SPDX-License-Identifier: Apache-2.0
//
// What presolve leaves, in arrays: the form in which bounds and searches run over it.
//
// A component is a set of variables that no table and no row connects to the others, so it is
// solved by itself.  Variables are numbered in the problem's own order and tables point from the
// lower to the higher number.  A search works on restrictions of a component: the same with fewer
// values.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <span>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/solver/reduced.hpp"

namespace tessera::solver {

// Sums of usages, which may leave 64 bits though no single usage does.
using UsageSum = Wide;

// The values that each variable still may take: one flag per value of the component.
using Domains = std::vector<char>;
// The value of each variable, counted from its first.
using Choice = std::vector<std::uint32_t>;

template<class Int>
struct Component {
  struct Item {
    std::uint32_t begin = 0, end = 0;  // rows
    std::size_t usage = 0;             // where its usages, one per value, begin in `usages`
  };
  struct Table {
    std::uint32_t u = 0, v = 0;  // u < v
    std::size_t cost = 0;        // where its row-major entries begin in `tables_cost`
  };

  std::vector<Variable> origin;           // the Reduced's variable
  std::vector<Variable> name;             // as a certificate knows them
  std::vector<Value> label;               // by value: as a certificate knows it
  std::vector<std::uint32_t> first;       // where variable i's values begin; one more at the end
  std::vector<Int> cost;                  // by value
  std::vector<std::uint32_t> first_item;  // where variable i's items begin; one more at the end
  std::vector<Item> items;
  std::vector<Usage> usages;
  std::vector<Table> tables;
  std::vector<Int> tables_cost;  // tables with equal entries share them
  // The tables of variable i: those to lower numbers, then those to higher ones.
  std::vector<std::vector<std::uint32_t>> lower, higher;
  std::vector<Usage> capacity;          // by row
  std::vector<std::uint32_t> row_name;  // as a certificate knows them; ascending

  std::size_t size() const noexcept { return origin.size(); }
  std::uint32_t value_count(std::uint32_t i) const noexcept { return first[i + 1] - first[i]; }
  const Int* cost_of(const Table& table) const noexcept { return tables_cost.data() + table.cost; }

  std::size_t total_values() const noexcept { return cost.size(); }
};

namespace detail {

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

// Links the tables of a component to their variables.
template<class Int>
void index_tables(Component<Int>& component) {
  component.lower.assign(component.size(), {});
  component.higher.assign(component.size(), {});
  for (std::uint32_t e = 0; e < component.tables.size(); ++e) {
    component.higher[component.tables[e].u].push_back(e);
    component.lower[component.tables[e].v].push_back(e);
  }
}

// Costs, usages and names of these variables, in this order.
template<class Int>
void add_variables(Component<Int>& component, const Reduced<Int>& reduced,
                   const std::vector<Variable>& variables) {
  component.first.push_back(0);
  component.first_item.push_back(0);
  for (const Variable w : variables) {
    const auto& node = reduced.nodes[w];
    component.origin.push_back(w);
    component.name.push_back(node.name);
    component.label.insert(component.label.end(), node.label.begin(), node.label.end());
    component.cost.insert(component.cost.end(), node.cost.begin(), node.cost.end());
    component.first.push_back(static_cast<std::uint32_t>(component.cost.size()));
    for (const UsageItem& item : node.items) {
      component.items.push_back({item.begin, item.end, component.usages.size()});
      component.usages.insert(component.usages.end(), item.usage.begin(), item.usage.end());
    }
    component.first_item.push_back(static_cast<std::uint32_t>(component.items.size()));
  }
}

// Tables between its variables; those with the same entries share them.
template<class Int>
void add_tables(Component<Int>& component, Reduced<Int>& reduced) {
  std::vector<std::uint32_t> number(reduced.nodes.size());
  for (std::uint32_t i = 0; i < component.origin.size(); ++i) number[component.origin[i]] = i;
  std::unordered_map<typename Reduced<Int>::EntriesId, std::size_t> cost_at;
  for (const Variable w : component.origin)
    for (const EdgeId e : reduced.nodes[w].edges) {
      const auto& table = reduced.tables[e];
      const std::uint32_t here = number[w], there = number[table.other(w)];
      if (here > there) continue;
      const auto id = reduced.table_from(w, e);
      const auto [at, is_new] = cost_at.emplace(id, component.tables_cost.size());
      component.tables.push_back({here, there, at->second});
      const std::vector<Int>& cost = reduced.entries(id);
      if (is_new)
        component.tables_cost.insert(component.tables_cost.end(), cost.begin(), cost.end());
    }
  index_tables(component);
}

// Only rows that its items touch; they touch no other component's.
template<class Int>
void add_rows(Component<Int>& component, const Reduced<Int>& reduced) {
  std::vector<char> touched(reduced.capacity.size(), 0);
  for (const auto& item : component.items)
    std::fill(touched.begin() + item.begin, touched.begin() + item.end, 1);
  std::vector<std::uint32_t> number(reduced.capacity.size() + 1, 0);
  for (std::size_t row = 0; row < touched.size(); ++row) {
    number[row + 1] = number[row] + (touched[row] != 0 ? 1U : 0U);
    if (touched[row] == 0) continue;
    component.capacity.push_back(reduced.capacity[row]);
    component.row_name.push_back(reduced.row_name[row]);
  }
  for (auto& item : component.items) {
    item.begin = number[item.begin];
    item.end = number[item.end];
  }
}

template<class Int>
Component<Int> make_component(Reduced<Int>& reduced, std::vector<Variable> variables) {
  std::sort(variables.begin(), variables.end(), [&](Variable a, Variable b) {
    return std::pair(reduced.nodes[a].place, a) < std::pair(reduced.nodes[b].place, b);
  });
  Component<Int> result;
  add_variables(result, reduced, variables);
  add_tables(result, reduced);
  add_rows(result, reduced);
  return result;
}

}  // namespace detail

// All that is left as one component.
template<class Int>
Component<Int> remainder_of(Reduced<Int>& reduced) {
  std::vector<Variable> variables;
  for (Variable w = 0; w < reduced.nodes.size(); ++w)
    if (reduced.nodes[w].alive) variables.push_back(w);
  return detail::make_component(reduced, std::move(variables));
}

// Splits what is left into components, smallest first.
template<class Int>
std::vector<Component<Int>> components_of(Reduced<Int>& reduced) {
  const auto variable_count = static_cast<std::uint32_t>(reduced.nodes.size());
  detail::UnionFind sets(variable_count + reduced.capacity.size());
  for (const auto& table : reduced.tables)
    if (table.alive) sets.unite(table.u, table.v);
  for (Variable w = 0; w < variable_count; ++w)
    for (const UsageItem& item : reduced.nodes[w].items)
      for (std::uint32_t row = item.begin; row < item.end; ++row)
        sets.unite(w, variable_count + row);
  std::vector<std::vector<Variable>> groups(variable_count + reduced.capacity.size());
  for (Variable w = 0; w < variable_count; ++w)
    if (reduced.nodes[w].alive) groups[sets.find(w)].push_back(w);
  std::erase_if(groups, [](const auto& group) { return group.empty(); });
  std::stable_sort(groups.begin(), groups.end(),
                   [](const auto& a, const auto& b) { return a.size() < b.size(); });
  std::vector<Component<Int>> components;
  for (auto& group : groups)
    components.push_back(detail::make_component(reduced, std::move(group)));
  return components;
}

// Entries of all tables: what one pass over them costs.
template<class Int>
std::size_t entries_of(const Component<Int>& component) {
  std::size_t entries = 0;
  for (const auto& table : component.tables)
    entries += std::size_t{component.value_count(table.u)} * component.value_count(table.v);
  return entries;
}
// What a sweep of messages over so many takes, about, in operations of a kernel: the unit in which
// searches count their work.
constexpr double sweep_work(std::size_t entries) { return 2.5 * static_cast<double>(entries); }

// One of the costs of every variable and of every table, added up.
template<class Int, class Extreme>
Wide sum_of_extremes(const Component<Int>& component, Extreme&& extreme) {
  Wide total = 0;
  for (std::uint32_t i = 0; i < component.size(); ++i)
    total += extreme(component.cost.data() + component.first[i], component.value_count(i));
  std::map<std::pair<std::size_t, std::size_t>, Wide> known;  // equal tables are one
  for (const auto& table : component.tables) {
    const std::size_t size = std::size_t{component.value_count(table.u)} *
                             component.value_count(table.v);
    const auto [at, is_new] = known.try_emplace({table.cost, size});
    if (is_new) at->second = extreme(component.cost_of(table), size);
    total += at->second;
  }
  return total;
}

// Below every choice's cost, without any effort: the sum of all minima.
template<class Int>
Wide easy_bound(const Component<Int>& component) {
  return sum_of_extremes(component, [](const Int* cost, std::size_t size) -> Wide {
    return *std::min_element(cost, cost + size);
  });
}

// The sum of all that is dearest: no choice that is allowed costs more.
template<class Int>
Wide easy_ceiling(const Component<Int>& component) {
  return sum_of_extremes(component, [](const Int* cost, std::size_t size) -> Wide {
    Wide most = 0;
    bool is_first = true;
    for (std::size_t i = 0; i < size; ++i) {
      if (!Arithmetic<Int>::is_finite(cost[i])) continue;
      most = is_first ? Wide(cost[i]) : std::max<Wide>(most, cost[i]);
      is_first = false;
    }
    return most;
  });
}

// Whether doubles hold every sum of its costs as it is, given that `unit` divides them all.
template<class Int>
bool is_exact_in_double(const Component<Int>& component, Wide unit) {
  const auto largest = [](const Int* cost, std::size_t size) {
    Wide most = 0;
    for (std::size_t i = 0; i < size; ++i)
      if (Arithmetic<Int>::is_finite(cost[i])) most = std::max<Wide>({most, cost[i], -cost[i]});
    return most;
  };
  Wide total = 0;
  for (std::uint32_t i = 0; i < component.size(); ++i)
    total += largest(component.cost.data() + component.first[i], component.value_count(i));
  for (const auto& table : component.tables)
    total += largest(component.cost_of(table),
                     std::size_t{component.value_count(table.u)} * component.value_count(table.v));
  return total / unit < Wide(1) << 52;
}

namespace detail {

// The tables of `whole` between the values that are kept, which `result` has already.  What a table
// becomes depends on its entries and on which values its ends keep.
template<class Int>
void restrict_tables(const Component<Int>& whole, const Domains& domains,
                     const std::vector<std::uint32_t>& kept, Component<Int>& result) {
  Pool<char> masks;
  std::vector<Pool<char>::Id> mask;
  for (std::uint32_t i = 0; i < whole.size(); ++i)
    mask.push_back(masks.add(std::span(domains).subspan(whole.first[i], whole.value_count(i))));
  std::map<std::tuple<std::size_t, Pool<char>::Id, Pool<char>::Id>, std::size_t> cost_at;
  for (const auto& table : whole.tables) {
    const auto [at, is_new] = cost_at.emplace(std::tuple(table.cost, mask[table.u], mask[table.v]),
                                              result.tables_cost.size());
    result.tables.push_back({table.u, table.v, at->second});
    if (!is_new) continue;
    const std::uint32_t width = whole.value_count(table.v);
    for (std::uint32_t x = result.first[table.u]; x < result.first[table.u + 1]; ++x) {
      const Int* row = whole.cost_of(table) + std::size_t{kept[x] - whole.first[table.u]} * width;
      for (std::uint32_t y = result.first[table.v]; y < result.first[table.v + 1]; ++y)
        result.tables_cost.push_back(row[kept[y] - whole.first[table.v]]);
    }
  }
  result.lower = whole.lower;
  result.higher = whole.higher;
}

}  // namespace detail

// The component with only the values that `domains` allows.  `kept` receives, for each value of the
// result, the component's.  @pre every variable has a value
template<class Int>
Component<Int> restrict_to(const Component<Int>& whole, const Domains& domains,
                           std::vector<std::uint32_t>& kept) {
  Component<Int> result;
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
        result.cost.push_back(whole.cost[x]);
      }
    result.first.push_back(static_cast<std::uint32_t>(kept.size()));
  }
  result.first_item = whole.first_item;
  for (std::uint32_t i = 0; i < whole.size(); ++i)
    for (std::uint32_t k = whole.first_item[i]; k < whole.first_item[i + 1]; ++k) {
      const auto& item = whole.items[k];
      result.items.push_back({item.begin, item.end, result.usages.size()});
      for (std::uint32_t x = result.first[i]; x < result.first[i + 1]; ++x)
        result.usages.push_back(whole.usages[item.usage + kept[x] - whole.first[i]]);
    }
  detail::restrict_tables(whole, domains, kept, result);
  return result;
}

}  // namespace tessera::solver
