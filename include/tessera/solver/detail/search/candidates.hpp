// SPDX-License-Identifier: Apache-2.0
//
// Candidate assignments from a walk of the multipliers.
//
// Unlike the ascent of the bound (relaxation.hpp), the walk is driven by the usage of the
// relaxation's own reading: that makes readings nearly feasible, and different from one another.
// The best of some steps is polished by bucket elimination and repaired.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/core/random.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/detail/bound/message_passing.hpp"
#include "tessera/solver/detail/search/improver.hpp"
#include "tessera/solver/detail/search/incumbent.hpp"

namespace tessera::solver::detail {

class CandidateWalk {
 public:
  // @pre all outlive it
  CandidateWalk(const Weights& weights, const Incumbent& incumbent, const Deadline& deadline,
                RandomSource& random, Improver& improver)
      : component_(weights.component()),
        incumbent_(incumbent),
        deadline_(deadline),
        random_(random),
        improver_(improver),
        messages_(weights),
        sweep_work_(sweep_work(weights.entries())) {}

  MessagePassing& messages() noexcept { return messages_; }
  // Kernel operations so far, without the improver's.
  double work() const noexcept { return work_; }

  // The next candidate begins at the multipliers that are known then.
  void restart() { lambda_.clear(); }

  // A feasible assignment, if the next steps of the walk find one.
  std::optional<Choice> next(const std::vector<double>& known_lambda) {
    if (lambda_.empty() || length_++ % 12 == 0) {
      lambda_ = known_lambda;
      direction_.assign(lambda_.size(), 0);
      step_ = 0.02 * std::exp(0.7 * random_.normal());
    }
    constexpr int steps = 30, first_taken = 20;
    Reading best;
    for (int step = 0; step < steps && !deadline_.is_over(); ++step)
      take_step(step >= first_taken && step % 3 == 0, best);
    if (!best.choice) return std::nullopt;
    improver_.polish(*best.choice, best.lambda, 3);
    if (!improver_.repair(*best.choice, best.lambda, deadline_)) return std::nullopt;
    return best.choice;
  }

 private:
  struct Reading {
    std::optional<Choice> choice;
    std::vector<double> lambda;  // at which it was read
    double score = 0;
  };

  void take_step(bool is_taken, Reading& best) {
    messages_.set_prices(lambda_);
    messages_.sweep();
    work_ += sweep_work_;
    Choice choice = messages_.decode();
    if (is_taken) improver_.polish(choice, lambda_, 1);
    const std::vector<UsageSum> usage = usage_of(component_, choice);
    if (is_taken) {
      const double score = score_of(choice, usage);
      if (!best.choice || score < best.score) best = {std::move(choice), lambda_, score};
    }
    move(usage);
  }

  double score_of(const Choice& choice, const std::vector<UsageSum>& usage) const {
    const auto cost = cost_of(component_, choice);
    double excess = 0;
    for (std::size_t t = 0; t < usage.size(); ++t)
      excess = std::max(excess, relative_excess(component_, t, usage[t]));
    return (cost ? static_cast<double>(*cost) : kernels::huge) * (1 + 2 * excess);
  }

  // Prices of usage follow the usage of the reading, in steps that are a part of the gap.
  void move(const std::vector<UsageSum>& usage) {
    const auto cost = incumbent_.cost();
    const double bound = static_cast<double>(incumbent_.bound());
    const double gap = cost ? std::max(static_cast<double>(*cost) - bound, 1e-3 * std::abs(bound))
                            : 0.2 * std::abs(bound) + 1;
    double norm = 0;
    for (std::size_t t = 0; t < lambda_.size(); ++t) {
      double excess = static_cast<double>(usage[t]) - static_cast<double>(component_.capacity[t]);
      if (lambda_[t] <= 0 && excess < 0) excess = 0;
      direction_[t] = 0.5 * direction_[t] + 0.5 * excess;
      if (lambda_[t] <= 0 && direction_[t] < 0) direction_[t] = 0;
      norm += direction_[t] * direction_[t];
    }
    if (norm == 0) return;
    const double length = step_ * gap / norm;
    for (std::size_t t = 0; t < lambda_.size(); ++t)
      lambda_[t] = std::max(0.0, lambda_[t] + length * direction_[t]);
  }

  const Component& component_;
  const Incumbent& incumbent_;
  const Deadline& deadline_;
  RandomSource& random_;
  Improver& improver_;
  MessagePassing messages_;
  double sweep_work_, work_ = 0;
  std::vector<double> lambda_, direction_;
  double step_ = 0;
  int length_ = 0;
};

}  // namespace tessera::solver::detail
