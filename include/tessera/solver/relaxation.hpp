// SPDX-License-Identifier: Apache-2.0
//
// Finds good messages and multipliers, in floating point: a guide, never a proof (bound.hpp
// proves).
//
// Messages by TRW-S sweeps in the component's order (Kolmogorov, PAMI 2006).  Multipliers by a
// subgradient step after every sweep, with the messages kept warm.  What matters most is the
// gradient: the usage of a soft minimum of the beliefs, smoothed over many steps, moves the bound
// far better than the usage of a rounded solution does.  Steps follow the gap to the incumbent
// (Polyak) and shrink when they stop helping, each time from the best multipliers seen: without
// that return the ascent diverges.  In a tree, of values that seem as good, the thrifty count more.
//
// Where no multiplier has to move, messages approach their limit a little less with every sweep,
// and in the same direction.  Momentum (Nesterov, 1983), dropped whenever the bound falls
// (O'Donoghue and Candes, 2015), needs a quarter of the sweeps.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tessera/solver/component.hpp"
#include "tessera/solver/kernels.hpp"
#include "tessera/solver/weights.hpp"

namespace tessera::solver {

// Messages by table, multipliers by row; indexed by the values of some component.
struct Guide {
  std::vector<double> forward;   // from u to v, by v's values, table after table
  std::vector<double> backward;  // from v to u, by u's values
  std::vector<double> lambda;    // scaled cost per unit of usage
};

// How the multipliers' ascent walks.
struct Pace {
  double step = 0.1;         // of the gap, at first
  double momentum = 0.97;    // of the direction
  double shrink = 0.8;       // of the step, when patience is at its end
  int patience = 40;         // sweeps without notable progress
  double least_step = 2e-5;  // below it the ascent has converged
  // How much less of what uses most, of values that seem as good, counts as used: e to this power.
  // Where usage has no price yet, ties are many, and taken by halves they make rows seem short that
  // nothing is short of.
  double thrift = 0;
};

template<class Int>
class Relaxation {
 public:
  // @pre the weights outlive it
  explicit Relaxation(const Weights<Int>& weights, const Pace& pace = {})
      : component_(weights.component()), weights_(weights), pace_(pace), step_(pace.step) {
    std::size_t forward = 0, backward = 0;
    for (const auto& table : component_.tables) {
      forward_at_.push_back(forward);
      backward_at_.push_back(backward);
      forward += stride(table.v);
      backward += stride(table.u);
    }
    forward_.assign(forward, 0);
    backward_.assign(backward, 0);
    lambda_.assign(component_.capacity.size(), 0);
    moves_only_messages_ = lambda_.empty();
    direction_ = best_lambda_ = lambda_;
    unary_ = weights.costs();
  }

  const std::vector<double>& lambda() const noexcept { return lambda_; }
  double best() const noexcept { return best_; }
  const std::vector<double>& best_lambda() const noexcept { return best_lambda_; }
  double step() const noexcept { return step_; }
  bool is_converged() const noexcept { return is_converged_; }

  // Prices usage anew.  Messages stay.
  void set_lambda(std::vector<double> lambda) {
    best_lambda_ = lambda_ = std::move(lambda);
    price_usage();
  }

  // As set_lambda, with the ascent beginning anew there, at this step.
  void start_from(std::vector<double> lambda, double step) {
    set_lambda(std::move(lambda));
    step_ = step;
    best_ = reference_ = unset;
    is_converged_ = false;
  }

  // Sweeps with the multipliers as they are, until `stop()` says so: messages that suit them.
  template<class Stop>
  void approach(int sweeps, Stop&& stop) {
    begin_momentum();
    for (int i = 0; i < sweeps && !stop(); ++i) {
      push_messages();
      count_rising(sweep() - refund());
    }
  }

  // One sweep and one step of the multipliers.  `target` is an incumbent's cost, or infinity.
  // O(entries of all tables + usages).  Returns the bound that the sweep found.
  double ascend(double target) {
    const bool has_rows = !component_.capacity.empty();
    if (moves_only_messages_) push_messages();
    const double bound = sweep(true) - refund();
    count_rising(bound);
    const double goal = goal_for(target, bound);
    if (bound > best_) {
      best_ = bound;
      best_lambda_ = lambda_;
    }
    const double notable = has_rows ? 0.02 * std::max(0.01, step_) * (goal - reference_)
                                    : 1e-9 * std::max(1.0, std::abs(bound));
    if (reference_ == unset || best_ > reference_ + notable) {
      reference_ = best_;
      since_progress_ = 0;
    } else {
      ++since_progress_;
    }
    if (!has_rows) {
      constexpr int patience = 8;
      is_converged_ = since_progress_ >= patience;
      return bound;
    }
    if (since_progress_ >= pace_.patience) {
      step_ *= pace_.shrink;
      since_progress_ = 0;
      is_converged_ = step_ < pace_.least_step;
      return_to_best();
      return bound;
    }
    move(goal);
    return bound;
  }

  // Ascends for at most `steps` sweeps; stops when the bound reaches `target`, when it has
  // converged, or when `stop()` says so.  @post the multipliers are the best seen
  template<class Stop>
  double optimise(int steps, double target, Stop&& stop) {
    for (int step = 0; step < steps && !is_converged_ && !stop(); ++step) {
      ascend(target);
      if (best_ >= target) break;
    }
    settle();
    return best_;
  }

  // Back to the best multipliers, with messages that suit them.  Forward ones last: those are what
  // the exact bound takes.
  void settle() {
    return_to_best();
    constexpr int sweeps = 4;
    for (int i = 0; i < (component_.capacity.empty() ? 1 : sweeps); ++i) sweep(false);
    sweep_forward();
  }

  // A forward and a backward pass.  Returns the bound, without the multipliers' refund.
  double sweep(bool measure_usage = false) {
    sweep_forward();
    if (measure_usage) usage_.assign(component_.capacity.size() + 1, 0);
    double bound = 0;
    for (auto v = static_cast<std::uint32_t>(component_.size()); v-- > 0;) {
      const double least = load_beliefs(v);
      const double weight = weight_of(v);
      bound += (1 - weight * static_cast<double>(component_.lower[v].size())) * least;
      for (const std::uint32_t e : component_.lower[v]) {
        bound += send(v, weight, forward_.data() + forward_at_[e], weights_.column(e, 0),
                      component_.tables[e].u, backward_.data() + backward_at_[e]);
      }
      if (measure_usage) add_expected_usage(v, least);
    }
    return bound;
  }

  // sum of lambda_t * capacity_t
  double refund() const {
    double total = 0;
    for (std::size_t t = 0; t < lambda_.size(); ++t)
      total += lambda_[t] * static_cast<double>(component_.capacity[t]);
    return total;
  }

  // The forward messages as integers that the bound's arithmetic can hold.
  std::vector<Int> rounded_forward() const {
    const double most = std::ldexp(1.0, Arithmetic<Int>::headroom_bits - 1);
    std::vector<Int> result;
    for (std::size_t e = 0; e < component_.tables.size(); ++e)
      for (std::uint32_t y = 0; y < component_.value_count(component_.tables[e].v); ++y)
        result.push_back(
            static_cast<Int>(std::clamp(std::floor(forward_[forward_at_[e] + y]), -most, most)));
    return result;
  }

  Guide guide() const {
    Guide guide{{}, {}, lambda_};
    for (std::size_t e = 0; e < component_.tables.size(); ++e) {
      const auto& table = component_.tables[e];
      const double* forward = forward_.data() + forward_at_[e];
      const double* backward = backward_.data() + backward_at_[e];
      guide.forward.insert(guide.forward.end(), forward, forward + component_.value_count(table.v));
      guide.backward.insert(guide.backward.end(), backward,
                            backward + component_.value_count(table.u));
    }
    return guide;
  }
  void set_guide(const Guide& guide) {
    const double *forward = guide.forward.data(), *backward = guide.backward.data();
    for (std::size_t e = 0; e < component_.tables.size(); ++e) {
      const auto& table = component_.tables[e];
      forward =
          copy_message(forward, component_.value_count(table.v), forward_.data() + forward_at_[e]);
      backward = copy_message(backward, component_.value_count(table.u),
                              backward_.data() + backward_at_[e]);
    }
    set_lambda(guide.lambda);
  }

  // What value y of variable v seems to cost: its own price and all messages.
  double belief(std::uint32_t v, std::uint32_t y) const {
    double total = belief_from_above(v, y);
    for (const std::uint32_t e : component_.lower[v]) total += forward_[forward_at_[e] + y];
    return total;
  }
  // As belief, from own cost and the tables to higher numbers only: what a decoder that has chosen
  // all lower numbers adds the tables to those to.
  double belief_from_above(std::uint32_t v, std::uint32_t y) const {
    double total = unary_[weights_.value_at(v) + y];
    for (const std::uint32_t e : component_.higher[v]) total += backward_[backward_at_[e] + y];
    return total;
  }
  // What a value's usage costs.
  double usage_price(std::uint32_t v, std::uint32_t y) const {
    const std::size_t at = weights_.value_at(v) + y;
    return unary_[at] - weights_.costs()[at];
  }

  // Variable by variable from the first, the value that looks cheapest given those chosen before.
  std::vector<std::uint32_t> decode() {
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
  static constexpr double unset = -1e300;

  std::size_t stride(std::uint32_t v) const { return weights_.stride(v); }

  static const double* copy_message(const double* from, std::uint32_t count, double* to) {
    std::copy(from, from + count, to);
    return from + count;
  }

  const double* unary(std::uint32_t v) const { return unary_.data() + weights_.value_at(v); }

  // v's price and all rows that were collected, added up.  Returns the least.
  double add_up(std::uint32_t v) {
    belief_.resize(stride(v));
    return kernels::sum(unary(v), rows_.data(), rows_.size(), stride(v), belief_.data());
  }
  double load_beliefs(std::uint32_t v) {
    rows_.clear();
    for (const std::uint32_t e : component_.lower[v])
      rows_.push_back(forward_.data() + forward_at_[e]);
    for (const std::uint32_t e : component_.higher[v])
      rows_.push_back(backward_.data() + backward_at_[e]);
    return add_up(v);
  }
  // The message from v to `to` by a table that told v what it `received`, less its least entry,
  // which is returned.  @pre v's beliefs are loaded
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

  void sweep_forward() {
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

  // Carries the messages on in the direction of their last change, the farther the longer that has
  // gone well.
  void push_messages() {
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

  // What v uses when it takes a soft minimum of its beliefs.
  void add_expected_usage(std::uint32_t v, double least) {
    if (component_.first_item[v] == component_.first_item[v + 1]) return;
    const std::uint32_t count = component_.value_count(v);
    const double scale = 1 / temperature_;
    double total = 0;
    for (std::uint32_t y = 0; y < count; ++y) {
      const double exponent = (least - belief_[y]) * scale;
      total += belief_[y] = exponent < -40 ? 0 : std::exp(exponent);
    }
    for (std::uint32_t k = component_.first_item[v]; k < component_.first_item[v + 1]; ++k) {
      const auto& item = component_.items[k];
      const double expected = pace_.thrift > 0 ? thrifty_usage(weights_.usage(k), count)
                                               : expected_usage(weights_.usage(k), count) / total;
      usage_[item.begin] += expected;
      usage_[item.end] -= expected;
    }
  }
  // By the weights in belief_, which do not add up to one.
  double expected_usage(const double* usage, std::uint32_t count) const {
    double expected = 0;
    for (std::uint32_t y = 0; y < count; ++y) expected += belief_[y] * usage[y];
    return expected;
  }
  // The mean, with what uses more counted for less.
  double thrifty_usage(const double* usage, std::uint32_t count) const {
    const double most = *std::max_element(usage, usage + count);
    if (most <= 0) return 0;
    double expected = 0, total = 0;
    for (std::uint32_t y = 0; y < count; ++y) {
      const double weight = belief_[y] * std::exp(-pace_.thrift * usage[y] / most);
      expected += weight * usage[y];
      total += weight;
    }
    return expected / total;
  }

  // What the ascent steps towards: the incumbent, or a guess where there is none.
  double goal_for(double target, double bound) const {
    const double best = std::max(best_, bound);
    const double least_gap = 1e-9 * std::max(1.0, std::abs(best));
    if (target < 1e299) return std::max(target, best + least_gap);
    return best + 0.3 * std::abs(best) + 1;
  }

  void move(double goal) {
    const double gap = goal - best_;
    // The softness of the minima follows the step: the nearer the optimum, the harder they are.
    temperature_ = std::max(
        0.3 * step_ * std::max(goal, gap) / static_cast<double>(component_.size() + 1), 1e-9);
    // A young average has seen little: undone, its first steps would be thirty times too long.
    decay_ *= pace_.momentum;
    const double correction = 1 / (1 - decay_);
    double norm = 0, usage = 0;
    for (std::size_t t = 0; t < lambda_.size(); ++t) {
      usage += usage_[t];
      double excess = usage - static_cast<double>(component_.capacity[t]);
      if (lambda_[t] == 0 && excess < 0) excess = 0;
      direction_[t] = pace_.momentum * direction_[t] + (1 - pace_.momentum) * excess;
      if (lambda_[t] == 0 && direction_[t] < 0) direction_[t] = 0;
      norm += direction_[t] * direction_[t];
    }
    // Nothing is short of room and nothing is overpaid: only messages are left to improve.
    if (norm == 0 && !moves_only_messages_) begin_momentum();
    moves_only_messages_ = norm == 0;
    if (moves_only_messages_) {
      is_converged_ = since_progress_ >= 8;
      return;
    }
    const double length = step_ * gap / (norm * correction);
    for (std::size_t t = 0; t < lambda_.size(); ++t)
      lambda_[t] = std::max(0.0, lambda_[t] + length * direction_[t]);
    price_usage();
  }

  void return_to_best() {
    if (component_.capacity.empty()) return;
    lambda_ = best_lambda_;
    std::fill(direction_.begin(), direction_.end(), 0);
    decay_ = 1;
    price_usage();
  }

  void price_usage() {
    if (lambda_.empty()) return;
    prefix_sums(lambda_, before_);
    unary_ = weights_.costs();
    for (std::uint32_t v = 0; v < component_.size(); ++v)
      weights_.add_usage_price(v, before_, unary_.data() + weights_.value_at(v));
  }

  const Component<Int>& component_;
  const Weights<Int>& weights_;
  const Pace pace_;
  std::vector<std::size_t> forward_at_, backward_at_;  // where a table's messages begin
  std::vector<double> unary_, forward_, backward_, lambda_;
  std::vector<double> belief_, outgoing_, usage_, before_;
  std::vector<const double*> rows_;

  // The ascent.
  double best_ = unset, reference_ = unset, step_, temperature_ = 1e-9, decay_ = 1;
  std::vector<double> best_lambda_, direction_;
  int since_progress_ = 0;
  bool is_converged_ = false;

  // Momentum: messages and bound of the last sweep, and how many sweeps the bound has been rising.
  std::vector<double> forward_last_, backward_last_;
  double last_bound_ = unset, rising_ = 0;
  bool moves_only_messages_;
};

}  // namespace tessera::solver
