// SPDX-License-Identifier: Apache-2.0
//
// TRW-S message passing over a component (Kolmogorov, PAMI 2006), in floating point.
//
// Sweeps go through the variables in the component's order and back.  They approach their limit a
// little less with every sweep, and in the same direction.  Momentum (Nesterov, 1983), dropped
// whenever the bound falls (O'Donoghue and Candes, 2015), needs a quarter of the sweeps.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/bound/weights.hpp"
#include "tessera/solver/detail/numbers/kernels.hpp"

namespace tessera::solver::detail {

// A point of the dual problem: messages by table, multipliers by row; indexed by the values of some
// component.
struct DualPoint {
  std::vector<double> forward;   // from u to v, by v's values, table after table
  std::vector<double> backward;  // from v to u, by u's values
  std::vector<double> lambda;    // scaled cost per unit of usage
};

class MessagePassing {
 public:
  // @pre the weights outlive it
  [[gnu::cold]] explicit MessagePassing(const Weights& weights)
      : component_(weights.component()), weights_(weights) {
    std::size_t forward = 0, backward = 0;
    for (const Component::Table& table : component_.tables) {
      forward_at_.push_back(forward);
      backward_at_.push_back(backward);
      forward += stride(table.v);
      backward += stride(table.u);
    }
    forward_.assign(forward, 0);
    backward_.assign(backward, 0);
    unary_ = weights.costs();
  }

  MessagePassing(const MessagePassing&) = delete;
  MessagePassing& operator=(const MessagePassing&) = delete;
  [[gnu::noinline]] ~MessagePassing() = default;

  // Adds the price of usage to the costs of all values.  Messages stay.
  [[gnu::noinline]] void set_prices(const std::vector<double>& lambda) {
    if (lambda.empty()) return;
    prefix_sums(lambda, before_);
    unary_ = weights_.costs();
    for (std::uint32_t v = 0; v < component_.size(); ++v)
      weights_.add_usage_price(v, before_, unary_.data() + weights_.value_at(v));
  }

  // --- Sweeps ------------------------------------------------------------------------------------

  // A forward and a backward pass.  Calls visit(v, beliefs, least) for every variable in the
  // backward pass; it may change the beliefs.  Returns the bound, with the price of usage and
  // without its refund.  O(entries of all tables)
  template<class Visit>
  double sweep(Visit&& visit) {
    sweep_forward();
    double bound = 0;
    for (auto v = static_cast<std::uint32_t>(component_.size()); v-- > 0;) {
      const double least = load_beliefs(v);
      const double weight = weight_of(v);
      bound += (1 - weight * static_cast<double>(component_.lower[v].size())) * least;
      for (const std::uint32_t e : component_.lower[v]) {
        bound += send(v, weight, forward_.data() + forward_at_[e], weights_.column(e, 0),
                      component_.tables[e].u, backward_.data() + backward_at_[e]);
      }
      visit(v, belief_.data(), least);
    }
    return bound;
  }
  double sweep() {
    return sweep([](std::uint32_t, double*, double) {});
  }

  [[gnu::noinline]] void sweep_forward() {
    for (std::uint32_t v = 0; v < component_.size(); ++v) {
      if (component_.higher[v].empty()) continue;
      load_beliefs(v);
      const double weight = weight_of(v);
      for (const std::uint32_t e : component_.higher[v]) {
        send(v, weight, backward_.data() + backward_at_[e], weights_.row(e, 0),
             component_.tables[e].v, forward_.data() + forward_at_[e]);
      }
    }
  }

  // Moves the messages on in the direction of their last change, the farther the longer that has
  // gone well.
  void extrapolate() {
    if (forward_last_.empty()) {
      begin_momentum();
      return;
    }
    constexpr double most = 0.9, slowness = 10;
    const double factor = std::min(most, rising_ / (rising_ + slowness));
    kernels::carry_on(factor, forward_.data(), forward_last_.data(), forward_.size());
    kernels::carry_on(factor, backward_.data(), backward_last_.data(), backward_.size());
  }
  void begin_momentum() {
    forward_last_ = forward_;
    backward_last_ = backward_;
    rising_ = 0;
  }
  void count_rising(double bound) {
    rising_ = bound < last_bound_ ? 0 : rising_ + 1;
    last_bound_ = bound;
  }

  // --- Messages in and out -----------------------------------------------------------------------

  // The messages from u to v, table after table, by v's values.
  [[gnu::noinline]] std::vector<double> forward() const {
    std::vector<double> messages;
    for (std::size_t e = 0; e < component_.tables.size(); ++e)
      append(messages, forward_.data() + forward_at_[e],
             component_.value_count(component_.tables[e].v));
    return messages;
  }
  [[gnu::noinline]] std::vector<double> backward() const {
    std::vector<double> messages;
    for (std::size_t e = 0; e < component_.tables.size(); ++e)
      append(messages, backward_.data() + backward_at_[e],
             component_.value_count(component_.tables[e].u));
    return messages;
  }
  void set_messages(const DualPoint& point) {
    const double *forward = point.forward.data(), *backward = point.backward.data();
    for (std::size_t e = 0; e < component_.tables.size(); ++e) {
      const Component::Table& table = component_.tables[e];
      const std::uint32_t to_v = component_.value_count(table.v);
      const std::uint32_t to_u = component_.value_count(table.u);
      std::copy_n(forward, to_v, forward_.data() + forward_at_[e]);
      std::copy_n(backward, to_u, backward_.data() + backward_at_[e]);
      forward += to_v;
      backward += to_u;
    }
  }

  // --- Readings ----------------------------------------------------------------------------------

  // The apparent cost of value y of variable v: its own price and all messages.
  double belief(std::uint32_t v, std::uint32_t y) const {
    double total = belief_from_above(v, y);
    for (const std::uint32_t e : component_.lower[v]) total += forward_[forward_at_[e] + y];
    return total;
  }
  // As belief, from own cost and the tables to higher numbers only: a decoder that has chosen all
  // lower numbers adds the tables to those.
  double belief_from_above(std::uint32_t v, std::uint32_t y) const {
    double total = unary_[weights_.value_at(v) + y];
    for (const std::uint32_t e : component_.higher[v]) total += backward_[backward_at_[e] + y];
    return total;
  }
  // The price of a value's usage.
  double usage_price(std::uint32_t v, std::uint32_t y) const {
    const std::size_t at = weights_.value_at(v) + y;
    return unary_[at] - weights_.costs()[at];
  }

  // Variable by variable from the first, the value that looks cheapest given those chosen before.
  [[gnu::noinline]] std::vector<std::uint32_t> decode() {
    std::vector<std::uint32_t> choice(component_.size(), 0);
    for (std::uint32_t v = 0; v < component_.size(); ++v) {
      rows_.clear();
      for (const std::uint32_t e : component_.higher[v])
        rows_.push_back(backward_.data() + backward_at_[e]);
      for (const std::uint32_t e : component_.lower[v])
        rows_.push_back(weights_.row(e, choice[component_.tables[e].u]));
      add_up(v);
      choice[v] = static_cast<std::uint32_t>(
          std::min_element(belief_.begin(), belief_.begin() + component_.value_count(v)) -
          belief_.begin());
    }
    return choice;
  }

 private:
  std::size_t stride(std::uint32_t v) const { return weights_.stride(v); }

  static void append(std::vector<double>& list, const double* from, std::uint32_t count) {
    list.insert(list.end(), from, from + count);
  }

  // v's price and all rows that were collected, added up.  Returns the least.
  double add_up(std::uint32_t v) {
    belief_.resize(stride(v));
    return kernels::sum(unary_.data() + weights_.value_at(v), rows_.data(), rows_.size(), stride(v),
                        belief_.data());
  }
  [[gnu::noinline]] double load_beliefs(std::uint32_t v) {
    rows_.clear();
    for (const std::uint32_t e : component_.lower[v])
      rows_.push_back(forward_.data() + forward_at_[e]);
    for (const std::uint32_t e : component_.higher[v])
      rows_.push_back(backward_.data() + backward_at_[e]);
    return add_up(v);
  }
  // The message from v to `to` by a table from which v `received` one, less its least entry, which
  // is returned.  @pre v's beliefs are loaded
  double send(std::uint32_t v, double weight, const double* received, const double* table,
              std::uint32_t to, double* message) {
    outgoing_.resize(stride(v));
    return kernels::send(
        {belief_.data(), weight, received, component_.value_count(v), outgoing_.data()}, table,
        stride(to), message);
  }

  double weight_of(std::uint32_t v) const {
    const std::size_t most =
        std::max({component_.lower[v].size(), component_.higher[v].size(), std::size_t{1}});
    return 1.0 / static_cast<double>(most);
  }

  const Component& component_;
  const Weights& weights_;
  std::vector<std::size_t> forward_at_, backward_at_;  // where a table's messages begin
  std::vector<double> unary_, forward_, backward_;
  std::vector<double> belief_, outgoing_, before_;
  std::vector<const double*> rows_;

  // Momentum: messages and bound of the last sweep, and for how many sweeps the bound has risen.
  std::vector<double> forward_last_, backward_last_;
  double last_bound_ = -1e300, rising_ = 0;
};

}  // namespace tessera::solver::detail
