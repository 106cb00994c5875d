// SPDX-License-Identifier: Apache-2.0
//
// Interchangeable variables: a component in which they take one value together.
//
// A deep network is one layer many times over, and a good assignment mostly treats its layers the
// same way.  Variables are interchangeable here when they have the same costs and usages, and so
// have their neighbours, so many tables away, through the same tables (color refinement; Weisfeiler
// and Leman, 1968).  A variable near something special, such as either end of the network, is in a
// class of its own and keeps its freedom.  One variable for each class, with the total cost and
// usage of its members, makes a component of its own: a fraction of the size, and each of its
// choices is one of the whole, at the same cost.  It does not bound what else the whole could do.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/numbers/pool.hpp"

namespace tessera::solver::detail {

// Numbers of equal keys, in the order in which they come.
template<class KeyOf>
std::vector<std::uint32_t> numbers_of_keys(std::size_t count, KeyOf&& key_of) {
  Pool<std::uint32_t> keys;
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < count; ++i) numbers.push_back(keys.add(key_of(i)));
  return numbers;
}

// The class of each variable; classes are numbered by their first member.  Only tables that share
// their entries in the component count as the same.  O(depth tables log tables + values)
[[gnu::cold]] inline std::vector<std::uint32_t> interchangeable_classes(const Component& component,
                                                                        int depth) {
  const std::vector<std::uint32_t> costs = component.costs->classes_of_variables(component);
  Pool<Usage> usages;
  std::vector<std::uint32_t> of = numbers_of_keys(component.size(), [&](std::uint32_t i) {
    std::vector<std::uint32_t> key{costs[i]};
    for (std::uint32_t k = component.first_item[i]; k < component.first_item[i + 1]; ++k)
      key.push_back(usages.add(
          std::span(component.usages).subspan(component.items[k].usage, component.value_count(i))));
    return key;
  });
  // Equal tables begin at one place in the costs, which 32 bits may not hold.
  KeyNumbers places;
  std::vector<std::uint32_t> entries;  // by table
  for (const Component::Table& table : component.tables)
    entries.push_back(places.number_of({table.cost}));
  for (int step = 0; step < depth; ++step)
    of = numbers_of_keys(component.size(), [&](std::uint32_t i) {
      std::vector<std::pair<std::uint32_t, std::uint32_t>> ends;
      for (const std::uint32_t e : component.lower[i])
        ends.push_back({2 * entries[e], of[component.tables[e].u]});
      for (const std::uint32_t e : component.higher[i])
        ends.push_back({2 * entries[e] + 1, of[component.tables[e].v]});
      std::sort(ends.begin(), ends.end());
      std::vector<std::uint32_t> key{of[i]};
      for (const auto& [table, other] : ends) key.insert(key.end(), {table, other});
      return key;
    });
  return of;
}

class MergedComponent {
 public:
  // @pre classes are those of interchangeable_classes()
  MergedComponent(const Component& whole, std::vector<std::uint32_t> classes)
      : whole_(whole), class_of_(std::move(classes)) {
    for (std::uint32_t i = 0; i < whole_.size(); ++i) {
      if (class_of_[i] == members_.size()) members_.emplace_back();
      members_[class_of_[i]].push_back(i);
    }
    const std::shared_ptr<ExactCosts> costs = whole.costs->make_empty();
    add_variables(*costs);
    add_tables(*costs);
    component_.costs = costs;
    component_.capacity = whole_.capacity;
    component_.row_name = whole_.row_name;
    index_tables(component_);
  }

  // A variable for each class.
  const Component& component() const noexcept { return component_; }

  [[gnu::cold]] Choice lifted(const Choice& choice) const {
    Choice result(whole_.size());
    for (std::uint32_t i = 0; i < whole_.size(); ++i) result[i] = choice[class_of_[i]];
    return result;
  }

 private:
  [[gnu::cold]] void add_variables(ExactCosts& costs) {
    component_.first.push_back(0);
    component_.first_item.push_back(0);
    for (std::uint32_t c = 0; c < members_.size(); ++c) {
      const std::uint32_t first = members_[c].front();
      component_.origin.push_back(c);
      component_.name.push_back(whole_.name[first]);
      std::vector<std::uint32_t> values;
      for (std::uint32_t x = whole_.first[first]; x < whole_.first[first + 1]; ++x) {
        component_.label.push_back(whole_.label[x]);
        values.push_back(x);
      }
      costs.append_values(*whole_.costs, values, static_cast<std::int64_t>(members_[c].size()));
      component_.first.push_back(static_cast<std::uint32_t>(component_.label.size()));
      for (const std::uint32_t i : members_[c]) add_items(i);
      component_.first_item.push_back(static_cast<std::uint32_t>(component_.items.size()));
    }
  }
  [[gnu::cold]] void add_items(std::uint32_t i) {
    for (std::uint32_t k = whole_.first_item[i]; k < whole_.first_item[i + 1]; ++k) {
      component_.items.push_back(whole_.items[k]);
      component_.items.back().usage = component_.usages.size();
      const Usage* usages = whole_.usages.data() + whole_.items[k].usage;
      component_.usages.insert(component_.usages.end(), usages, usages + whole_.value_count(i));
    }
  }

  // Between two classes all tables are added up; within one, only entries of equal values matter.
  [[gnu::cold]] void add_tables(ExactCosts& costs) {
    struct Kind {
      std::size_t cost;
      bool is_flipped;  // its u is of the later class
      auto operator<=>(const Kind&) const = default;
    };
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::map<Kind, std::int64_t>> between;
    for (const Component::Table& table : whole_.tables) {
      const std::uint32_t c = class_of_[table.u], d = class_of_[table.v];
      between[std::minmax(c, d)][{table.cost, d < c}] += 1;
    }
    for (const auto& [ends, kinds] : between) {
      const auto [c, d] = ends;
      const std::size_t height = component_.value_count(c), width = component_.value_count(d);
      if (c == d) {
        std::vector<std::uint32_t> values(height);
        std::iota(values.begin(), values.end(), 0U);
        for (const auto& [kind, count] : kinds)
          costs.add_to_values(component_.first[c], values, *whole_.costs, kind.cost, height + 1,
                              count);
        continue;
      }
      const std::size_t begin = costs.append_zeros(height * width);
      component_.tables.push_back({c, d, begin});
      for (const auto& [kind, count] : kinds)
        costs.add_to_table(begin, height, width, *whole_.costs, kind.cost,
                           kind.is_flipped ? 1 : width, kind.is_flipped ? height : 1, count);
    }
  }

  const Component& whole_;
  std::vector<std::uint32_t> class_of_;
  std::vector<std::vector<std::uint32_t>> members_;
  Component component_;
};

}  // namespace tessera::solver::detail
