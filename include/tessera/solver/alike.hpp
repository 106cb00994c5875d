// SPDX-License-Identifier: Apache-2.0
//
// What is alike may choose alike: a component in which like variables take one value together.
//
// A deep network is one layer many times over, and a good assignment mostly treats its layers the
// same way.  Variables are alike here when they have the same costs and usages, and so have their
// neighbours, so many tables away, through the same tables (colour refinement; Weisfeiler and
// Leman, 1968).  What is near something special, such as either end of the network, is alike to
// nothing and keeps its freedom.  One variable for each class, with all that its members cost and
// use, is a component of its own: a fraction of the size, and each of its choices is one of the
// whole, at the same cost.  It says nothing of what else the whole could do.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/component.hpp"
#include "tessera/solver/pool.hpp"

namespace tessera::solver {

// The class of each variable; classes are numbered by their first member.  Only tables that share
// their entries in the component count as the same.  O(depth tables log tables + values)
template<class Int>
std::vector<std::uint32_t> classes_of(const Component<Int>& component, int depth) {
  std::vector<std::uint32_t> of(component.size());
  Pool<Int> costs;
  Pool<Usage> usages;
  const auto renumber = [&](auto&& key_of) {
    Pool<std::uint32_t> keys;  // numbered in the order in which they come
    std::vector<std::uint32_t> next;
    for (std::uint32_t i = 0; i < component.size(); ++i) next.push_back(keys.add(key_of(i)));
    of = std::move(next);
  };
  renumber([&](std::uint32_t i) {
    const std::uint32_t first = component.first[i], count = component.value_count(i);
    std::vector<std::uint32_t> key{costs.add(std::span(component.cost).subspan(first, count))};
    for (std::uint32_t k = component.first_item[i]; k < component.first_item[i + 1]; ++k)
      key.push_back(
          usages.add(std::span(component.usages).subspan(component.items[k].usage, count)));
    return key;
  });
  // Equal tables begin at one place in tables_cost, which 32 bits may not hold.
  std::map<std::size_t, std::uint32_t> entries;
  for (const auto& table : component.tables)
    entries.emplace(table.cost, static_cast<std::uint32_t>(entries.size()));
  for (int step = 0; step < depth; ++step)
    renumber([&](std::uint32_t i) {
      std::vector<std::array<std::uint32_t, 2>> ends;
      for (const std::uint32_t e : component.lower[i])
        ends.push_back({2 * entries[component.tables[e].cost], of[component.tables[e].u]});
      for (const std::uint32_t e : component.higher[i])
        ends.push_back({2 * entries[component.tables[e].cost] + 1, of[component.tables[e].v]});
      std::sort(ends.begin(), ends.end());
      std::vector<std::uint32_t> key{of[i]};
      for (const auto& end : ends) key.insert(key.end(), end.begin(), end.end());
      return key;
    });
  return of;
}

template<class Int>
class Alike {
 public:
  // @pre classes are those of classes_of()
  Alike(const Component<Int>& whole, std::vector<std::uint32_t> classes)
      : whole_(whole), class_of_(std::move(classes)) {
    for (std::uint32_t i = 0; i < whole_.size(); ++i) {
      if (class_of_[i] == members_.size()) members_.emplace_back();
      members_[class_of_[i]].push_back(i);
    }
    add_variables();
    add_tables();
    component_.capacity = whole_.capacity;
    component_.row_name = whole_.row_name;
    detail::index_tables(component_);
  }

  // A variable for each class.
  const Component<Int>& component() const noexcept { return component_; }

  Choice lifted(const Choice& choice) const {
    Choice result(whole_.size());
    for (std::uint32_t i = 0; i < whole_.size(); ++i) result[i] = choice[class_of_[i]];
    return result;
  }

 private:
  static Int times(Int cost, Int count) {
    return Arithmetic<Int>::is_finite(cost) ? Int(cost * count) : cost;
  }

  void add_variables() {
    component_.first.push_back(0);
    component_.first_item.push_back(0);
    for (std::uint32_t c = 0; c < members_.size(); ++c) {
      const std::uint32_t first = members_[c].front();
      component_.origin.push_back(c);
      component_.name.push_back(whole_.name[first]);
      for (std::uint32_t x = whole_.first[first]; x < whole_.first[first + 1]; ++x) {
        component_.label.push_back(whole_.label[x]);
        component_.cost.push_back(times(whole_.cost[x], static_cast<Int>(members_[c].size())));
      }
      component_.first.push_back(static_cast<std::uint32_t>(component_.cost.size()));
      for (const std::uint32_t i : members_[c])
        for (std::uint32_t k = whole_.first_item[i]; k < whole_.first_item[i + 1]; ++k) {
          component_.items.push_back(whole_.items[k]);
          component_.items.back().usage = component_.usages.size();
          const auto usages = whole_.usages.begin() +
                              static_cast<std::ptrdiff_t>(whole_.items[k].usage);
          component_.usages.insert(component_.usages.end(), usages, usages + whole_.value_count(i));
        }
      component_.first_item.push_back(static_cast<std::uint32_t>(component_.items.size()));
    }
  }

  // Between two classes all tables are added up; within one, only what equal values cost matters.
  void add_tables() {
    struct Kind {
      std::size_t cost;
      bool is_flipped;  // its u is of the later class
      auto operator<=>(const Kind&) const = default;
    };
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::map<Kind, Int>> between;
    for (const auto& table : whole_.tables) {
      const std::uint32_t c = class_of_[table.u], d = class_of_[table.v];
      between[std::minmax(c, d)][{table.cost, d < c}] += 1;
    }
    for (const auto& [ends, kinds] : between) {
      const auto [c, d] = ends;
      const std::size_t height = component_.value_count(c), width = component_.value_count(d);
      if (c == d) {
        for (const auto& [kind, count] : kinds)
          for (std::size_t x = 0; x < height; ++x) {
            Int& cost = component_.cost[component_.first[c] + x];
            cost = add(cost, times(whole_.tables_cost[kind.cost + x * height + x], count));
          }
        continue;
      }
      const std::size_t begin = component_.tables_cost.size();
      component_.tables.push_back({c, d, begin});
      component_.tables_cost.resize(begin + height * width, 0);
      for (const auto& [kind, count] : kinds) {
        const Int* from = whole_.tables_cost.data() + kind.cost;
        Int* to = component_.tables_cost.data() + begin;
        for (std::size_t x = 0; x < height; ++x)
          for (std::size_t y = 0; y < width; ++y, ++to)
            *to = add(*to, times(from[kind.is_flipped ? y * height + x : x * width + y], count));
      }
    }
  }

  const Component<Int>& whole_;
  std::vector<std::uint32_t> class_of_;
  std::vector<std::vector<std::uint32_t>> members_;
  Component<Int> component_;
};

}  // namespace tessera::solver
