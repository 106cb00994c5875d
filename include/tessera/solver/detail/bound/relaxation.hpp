// SPDX-License-Identifier: Apache-2.0
//
// Finds good messages and multipliers, in floating point: a guide, never a proof (exact_bound.hpp
// proves).
//
// The multipliers take a subgradient step after every sweep of messages (message_passing.hpp),
// which stay warm.  The choice of the gradient matters most: the usage of a soft minimum of the
// beliefs, smoothed over many steps, moves the bound far better than the usage of a rounded
// solution does.  Steps follow the gap to the incumbent (Polyak) and shrink when they stop helping,
// each time from the best multipliers seen: without that return the ascent diverges.  In a tree, of
// values that seem as good, those of low usage count more.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/message_passing.hpp"

namespace tessera::solver::detail {

// How the multipliers ascend.
struct AscentOptions {
  double step = 0.1;         // of the gap, at first
  double momentum = 0.97;    // of the direction
  double shrink = 0.8;       // of the step, when patience is at its end
  int patience = 40;         // sweeps without notable progress
  double least_step = 2e-5;  // below it the ascent has converged
  // By how much less the values of high usage count, of values that seem as good: e to this power.
  // Where usage has no price yet there are many ties; taken by halves, they make rows seem over
  // capacity that are not.
  double low_usage_bias = 0;
};

class Relaxation {
 public:
  // @pre the weights outlive it
  [[gnu::cold]] explicit Relaxation(const Weights& weights, const AscentOptions& options = {})
      : component_(weights.component()),
        weights_(weights),
        options_(options),
        messages_(weights),
        step_(options.step) {
    lambda_.assign(component_.capacity.size(), 0);
    moves_only_messages_ = lambda_.empty();
    direction_ = best_lambda_ = lambda_;
  }

  Relaxation(const Relaxation&) = delete;
  Relaxation& operator=(const Relaxation&) = delete;
  [[gnu::noinline]] ~Relaxation() = default;

  MessagePassing& messages() noexcept { return messages_; }
  const MessagePassing& messages() const noexcept { return messages_; }
  const std::vector<double>& lambda() const noexcept { return lambda_; }
  double best() const noexcept { return best_; }
  const std::vector<double>& best_lambda() const noexcept { return best_lambda_; }
  double step() const noexcept { return step_; }
  bool is_converged() const noexcept { return is_converged_; }
  DualPoint point() const { return {messages_.forward(), messages_.backward(), lambda_}; }

  // Prices usage anew.  Messages stay.
  [[gnu::noinline]] void set_lambda(std::vector<double> lambda) {
    best_lambda_ = lambda_ = std::move(lambda);
    messages_.set_prices(lambda_);
  }
  void set_point(const DualPoint& point) {
    messages_.set_messages(point);
    set_lambda(point.lambda);
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
  [[gnu::cold]] void approach(int sweeps, Stop&& stop) {
    messages_.begin_momentum();
    for (int i = 0; i < sweeps && !stop(); ++i) {
      messages_.extrapolate();
      messages_.count_rising(messages_.sweep() - refund());
    }
  }

  // One sweep and one step of the multipliers.  `target` is an incumbent's cost, or infinity.
  // O(entries of all tables + usages)
  [[gnu::noinline]] void ascend(double target) {
    if (moves_only_messages_) messages_.extrapolate();
    const double bound = sweep_and_measure_usage() - refund();
    messages_.count_rising(bound);
    const double goal = goal_for(target, bound);
    note_progress(bound, goal);
    if (component_.capacity.empty()) {
      constexpr int patience = 8;
      is_converged_ = since_progress_ >= patience;
      return;
    }
    if (since_progress_ < options_.patience) {
      move(goal);
      return;
    }
    step_ *= options_.shrink;
    since_progress_ = 0;
    is_converged_ = step_ < options_.least_step;
    return_to_best();
  }

  // Ascends for at most `steps` sweeps; stops when the bound reaches `target`, when it has
  // converged, or when `stop()` says so.  @post the multipliers are the best seen
  template<class Stop>
  void optimise(int steps, double target, Stop&& stop) {
    for (int step = 0; step < steps && !is_converged_ && !stop(); ++step) {
      ascend(target);
      if (best_ >= target) break;
    }
    settle();
  }

  // Back to the best multipliers, with messages that suit them.  The exact bound takes the forward
  // ones, so those come last.
  [[gnu::noinline]] void settle() {
    return_to_best();
    constexpr int sweeps = 4;
    for (int i = 0; i < (component_.capacity.empty() ? 1 : sweeps); ++i) messages_.sweep();
    messages_.sweep_forward();
  }

  // sum of lambda_t * capacity_t
  double refund() const {
    double total = 0;
    for (std::size_t t = 0; t < lambda_.size(); ++t)
      total += lambda_[t] * static_cast<double>(component_.capacity[t]);
    return total;
  }

 private:
  static constexpr double unset = -1e300;

  double sweep_and_measure_usage() {
    usage_.assign(component_.capacity.size() + 1, 0);
    return messages_.sweep([this](std::uint32_t v, double* beliefs, double least) {
      add_expected_usage(v, beliefs, least);
    });
  }

  // The usage of v when it takes a soft minimum of its beliefs, which become weights.
  void add_expected_usage(std::uint32_t v, double* beliefs, double least) {
    if (component_.first_item[v] == component_.first_item[v + 1]) return;
    const std::uint32_t count = component_.value_count(v);
    const double scale = 1 / temperature_;
    double total = 0;
    for (std::uint32_t y = 0; y < count; ++y) {
      const double exponent = (least - beliefs[y]) * scale;
      total += beliefs[y] = exponent < -40 ? 0 : std::exp(exponent);
    }
    for (std::uint32_t k = component_.first_item[v]; k < component_.first_item[v + 1]; ++k) {
      const Component::Item& item = component_.items[k];
      const double* usage = weights_.usage(k);
      const double expected = options_.low_usage_bias > 0
                                  ? biased_usage(beliefs, usage, count)
                                  : weighted_sum(beliefs, usage, count) / total;
      usage_[item.begin] += expected;
      usage_[item.end] -= expected;
    }
  }
  static double weighted_sum(const double* weights, const double* usage, std::uint32_t count) {
    double sum = 0;
    for (std::uint32_t y = 0; y < count; ++y) sum += weights[y] * usage[y];
    return sum;
  }
  // The mean, with values of higher usage counted for less.
  double biased_usage(const double* weights, const double* usage, std::uint32_t count) const {
    const double most = *std::max_element(usage, usage + count);
    if (most <= 0) return 0;
    double expected = 0, total = 0;
    for (std::uint32_t y = 0; y < count; ++y) {
      const double weight = weights[y] * std::exp(-options_.low_usage_bias * usage[y] / most);
      expected += weight * usage[y];
      total += weight;
    }
    return expected / total;
  }

  // The value that the ascent steps towards: the incumbent, or a guess where there is none.
  double goal_for(double target, double bound) const {
    const double best = std::max(best_, bound);
    const double least_gap = 1e-9 * std::max(1.0, std::abs(best));
    if (target < 1e299) return std::max(target, best + least_gap);
    return best + 0.3 * std::abs(best) + 1;
  }

  void note_progress(double bound, double goal) {
    if (bound > best_) {
      best_ = bound;
      best_lambda_ = lambda_;
    }
    const double notable = !component_.capacity.empty()
                               ? 0.02 * std::max(0.01, step_) * (goal - reference_)
                               : 1e-9 * std::max(1.0, std::abs(bound));
    if (reference_ == unset || best_ > reference_ + notable) {
      reference_ = best_;
      since_progress_ = 0;
    } else {
      ++since_progress_;
    }
  }

  // Turns the direction towards the rows that are over capacity.  Returns its squared norm.
  double turn_direction() {
    double norm = 0, usage = 0;
    for (std::size_t t = 0; t < lambda_.size(); ++t) {
      usage += usage_[t];
      double excess = usage - static_cast<double>(component_.capacity[t]);
      if (lambda_[t] == 0 && excess < 0) excess = 0;
      direction_[t] = options_.momentum * direction_[t] + (1 - options_.momentum) * excess;
      if (lambda_[t] == 0 && direction_[t] < 0) direction_[t] = 0;
      norm += direction_[t] * direction_[t];
    }
    return norm;
  }

  void move(double goal) {
    const double gap = goal - best_;
    // The softness of the minima follows the step: the nearer the optimum, the harder they are.
    temperature_ = std::max(
        0.3 * step_ * std::max(goal, gap) / static_cast<double>(component_.size() + 1), 1e-9);
    // A young average has seen little: without this correction its first steps would be thirty
    // times too long.
    decay_ *= options_.momentum;
    const double correction = 1 / (1 - decay_);
    const double norm = turn_direction();
    // No row is over capacity and none has too high a price: only messages are left to improve.
    if (norm == 0 && !moves_only_messages_) messages_.begin_momentum();
    moves_only_messages_ = norm == 0;
    if (moves_only_messages_) {
      is_converged_ = since_progress_ >= 8;
      return;
    }
    const double length = step_ * gap / (norm * correction);
    for (std::size_t t = 0; t < lambda_.size(); ++t)
      lambda_[t] = std::max(0.0, lambda_[t] + length * direction_[t]);
    messages_.set_prices(lambda_);
  }

  void return_to_best() {
    if (component_.capacity.empty()) return;
    lambda_ = best_lambda_;
    std::fill(direction_.begin(), direction_.end(), 0);
    decay_ = 1;
    messages_.set_prices(lambda_);
  }

  const Component& component_;
  const Weights& weights_;
  const AscentOptions options_;
  MessagePassing messages_;
  std::vector<double> lambda_, usage_;
  double best_ = unset, reference_ = unset, step_, temperature_ = 1e-9, decay_ = 1;
  std::vector<double> best_lambda_, direction_;
  int since_progress_ = 0;
  bool is_converged_ = false, moves_only_messages_;
};

}  // namespace tessera::solver::detail
