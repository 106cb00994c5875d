// SPDX-License-Identifier: Apache-2.0
//
// The order in which bucket elimination minimises variables out, and the variables that it keeps
// out of it.
//
// Min-weight order: next comes the variable whose function of its neighbours is smallest.  Where
// that function would grow past a limit, one variable keeps its current value instead (cutset
// conditioning), and the rest falls apart: on programs, whose graphs are long and narrow, one to
// three in a hundred are enough.  The choice is random in part, since with different ones each time
// a few passes reach what no change of small parts can.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iterator>
#include <queue>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/random.hpp"
#include "tessera/solver/detail/bound/component.hpp"

namespace tessera::solver::detail {

class EliminationOrder {
 public:
  struct Step {
    std::uint32_t variable = 0;
    std::vector<std::uint32_t> scope;  // its neighbours then; the next to be eliminated first
  };

  // @pre the component outlives it
  explicit EliminationOrder(const Component& component)
      : component_(component),
        links_(component_.size()),
        state_(component_.size(), State::outside),
        position_(component_.size(), 0),
        bits_(component_.size()) {
    for (std::uint32_t v = 0; v < component_.size(); ++v)
      bits_[v] = std::log2(static_cast<double>(component_.value_count(v)));
  }

  // Orders the free variables so that no function has more than 2^limit entries.
  // O(n d^2 log n) for n free variables of d neighbours each.
  std::vector<Step> plan(std::span<const std::uint32_t> free, double limit, RandomSource& random) {
    for (const std::uint32_t v : planned_) state_[v] = State::outside;
    planned_.assign(free.begin(), free.end());
    steps_.clear();
    link();
    choose_order(limit, random);
    for (Step& step : steps_) {
      std::erase_if(step.scope, [&](std::uint32_t w) { return state_[w] == State::conditioned; });
      for (std::uint32_t& w : step.scope) w = position_[w];
      std::sort(step.scope.begin(), step.scope.end());
      for (std::uint32_t& w : step.scope) w = steps_[w].variable;
    }
    return std::move(steps_);
  }

  // Whether the last plan eliminates a variable, and at which position.
  bool is_eliminated(std::uint32_t v) const { return state_[v] == State::eliminated; }
  std::uint32_t position(std::uint32_t v) const { return position_[v]; }

 private:
  enum class State : std::uint8_t { outside, free, conditioned, eliminated };

  // The free variables' graph.
  void link() {
    for (const std::uint32_t v : planned_) state_[v] = State::free;
    for (const std::uint32_t v : planned_) {
      links_[v].clear();
      for (const std::uint32_t e : component_.lower[v]) consider(v, component_.tables[e].u);
      for (const std::uint32_t e : component_.higher[v]) consider(v, component_.tables[e].v);
      std::sort(links_[v].begin(), links_[v].end());
    }
  }
  void consider(std::uint32_t v, std::uint32_t w) {
    if (state_[w] == State::free) links_[v].push_back(w);
  }

  double bits_of(std::uint32_t v) const {
    double bits = bits_[v];
    for (const std::uint32_t w : links_[v]) bits += bits_[w];
    return bits;
  }

  void choose_order(double limit, RandomSource& random) {
    using Entry = std::pair<double, std::uint32_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
    std::vector<double> key(component_.size(), 0);
    std::vector<double> noise(component_.size(), 0);
    const auto push = [&](std::uint32_t v) {
      key[v] = bits_of(v) + noise[v];
      queue.push({key[v], v});
    };
    for (const std::uint32_t v : planned_) {
      noise[v] = 0.5 * random.uniform();
      push(v);
    }
    // Conditioned on where many meet, and not the same ones every time.
    std::vector<double> taste(component_.size(), 0);
    for (const std::uint32_t v : planned_) taste[v] = std::exp(0.7 * random.normal());
    while (!queue.empty()) {
      const auto [bits, v] = queue.top();
      queue.pop();
      if (state_[v] != State::free || bits != key[v]) continue;
      if (bits_of(v) > limit && !links_[v].empty()) {
        const std::uint32_t w = most_connected(taste);
        condition_on(w);
        for (const std::uint32_t x : links_[w]) push(x);
        if (w != v) push(v);
        continue;
      }
      eliminate(v);
      for (const std::uint32_t w : links_[v]) push(w);
    }
  }

  std::uint32_t most_connected(const std::vector<double>& taste) const {
    std::uint32_t chosen = planned_[0];
    double most = -1;
    for (const std::uint32_t v : planned_) {
      if (state_[v] != State::free) continue;
      const double score = static_cast<double>(links_[v].size()) * taste[v];
      if (score > most) {
        most = score;
        chosen = v;
      }
    }
    return chosen;
  }

  void unlink(std::uint32_t from, std::uint32_t v) {
    auto& list = links_[from];
    list.erase(std::lower_bound(list.begin(), list.end(), v));
  }
  void condition_on(std::uint32_t v) {
    state_[v] = State::conditioned;
    for (const std::uint32_t w : links_[v]) unlink(w, v);
  }
  void eliminate(std::uint32_t v) {
    state_[v] = State::eliminated;
    position_[v] = static_cast<std::uint32_t>(steps_.size());
    steps_.push_back({v, links_[v]});
    for (const std::uint32_t w : links_[v]) {
      unlink(w, v);
      merged_.clear();
      std::set_union(links_[w].begin(), links_[w].end(), links_[v].begin(), links_[v].end(),
                     std::back_inserter(merged_));
      merged_.erase(std::lower_bound(merged_.begin(), merged_.end(), w));
      links_[w] = merged_;
    }
  }

  const Component& component_;
  std::vector<std::uint32_t> planned_;
  std::vector<std::vector<std::uint32_t>> links_;
  std::vector<State> state_;
  std::vector<std::uint32_t> position_;  // in the order of elimination
  std::vector<double> bits_;             // log2 of the number of values
  std::vector<Step> steps_;
  std::vector<std::uint32_t> merged_;
};

}  // namespace tessera::solver::detail
