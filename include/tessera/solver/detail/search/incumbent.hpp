// SPDX-License-Identifier: Apache-2.0
//
// The incumbent, which is the best assignment found so far, and the best lower bound proven, shared
// by all threads of a search.
#pragma once
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/detail/search/descent.hpp"

namespace tessera::solver::detail {

class Incumbent {
 public:
  // `unit` divides every total cost: a cheaper assignment is cheaper by a unit at least.  `report`
  // is called, with whether the assignment is new, whenever something improves; one call at a time.
  // `limit`, if there is one: only what costs less is of use.
  Incumbent(const Component& component, Wide unit, Wide bound,
            std::function<void(const Incumbent&, bool)> report, std::optional<Wide> limit = {})
      : component_(component),
        unit_(unit),
        cost_(limit),
        bound_(bound),
        report_(std::move(report)) {}

  Wide unit() const noexcept { return unit_; }

  // Takes a choice if it is feasible and the cheapest so far.
  [[gnu::noinline]] bool offer(const Choice& choice) {
    const std::optional<Wide> cost = cost_of(component_, choice);
    if (!cost) return false;
    const std::scoped_lock lock(mutex_);
    if (cost_ && *cost >= *cost_) return false;
    if (!is_within_capacity(component_, choice)) return false;
    best_ = choice;
    cost_ = cost;
    if (report_) report_(*this, true);
    return true;
  }

  // No assignment is cheaper than `bound`.
  [[gnu::noinline]] void raise_bound(Wide bound) {
    const std::scoped_lock lock(mutex_);
    if (bound <= bound_) return;
    bound_ = bound;
    if (report_) report_(*this, false);
  }

  // Whether a set of assignments that cost `bound` at least holds nothing cheaper.
  [[gnu::noinline]] bool closes(Wide bound) const {
    const std::scoped_lock lock(mutex_);
    return cost_ && bound + unit_ > *cost_;
  }
  // Of the best choice, or the limit where there is none.
  [[gnu::noinline]] std::optional<Wide> cost() const {
    const std::scoped_lock lock(mutex_);
    return cost_;
  }
  [[gnu::noinline]] Wide bound() const {
    const std::scoped_lock lock(mutex_);
    return bound_;
  }
  // The cost of the best choice beyond the bound, if there is one.
  [[gnu::noinline]] std::optional<Wide> gap() const {
    const std::scoped_lock lock(mutex_);
    return best_ ? std::optional(*cost_ - bound_) : std::nullopt;
  }
  // The best choice, if it is cheaper than `cost`.
  [[gnu::noinline]] std::optional<Choice> best_below(const std::optional<Wide>& cost) const {
    const std::scoped_lock lock(mutex_);
    return best_ && (!cost || *cost_ < *cost) ? best_ : std::nullopt;
  }

  // For `report`, which runs while the lock is held.
  const std::optional<Choice>& best_unlocked() const noexcept { return best_; }
  Wide cost_unlocked() const noexcept { return cost_.value_or(0); }
  Wide bound_unlocked() const noexcept { return bound_; }

 private:
  const Component& component_;
  const Wide unit_;
  mutable std::mutex mutex_;  // guards what follows
  std::optional<Choice> best_;
  std::optional<Wide> cost_;
  Wide bound_;
  std::function<void(const Incumbent&, bool)> report_;
};

}  // namespace tessera::solver::detail
