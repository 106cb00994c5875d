// SPDX-License-Identifier: Apache-2.0
//
// Large-neighbourhood search: from one assignment to a cheaper one, again and again.
//
// A step takes a region (regions.hpp), prices usage by the multipliers, and gives the whole region
// its best values by bucket elimination.  Rows that are then over capacity are priced higher, and
// the step is tried again.  Of the change, each connected part that pays and fits is kept.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "tessera/core/random.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/detail/bound/weights.hpp"
#include "tessera/solver/detail/search/bucket_elimination.hpp"
#include "tessera/solver/detail/search/choice_state.hpp"
#include "tessera/solver/detail/search/regions.hpp"

namespace tessera::solver::detail {

class Improver {
 public:
  // @pre the weights outlive it
  [[gnu::cold]] Improver(const Weights& weights, std::uint64_t seed)
      : weights_(weights),
        component_(weights.component()),
        random_(seed),
        regions_(component_, random_),
        elimination_(weights),
        state_(component_),
        unary_(weights.costs()),
        mark_(component_.size(), Mark::unchanged) {
    everything_.resize(component_.size());
    std::iota(everything_.begin(), everything_.end(), 0U);
    lambda_.assign(component_.capacity.size(), 0);
  }

  // @pre feasible
  void start_from(Choice choice) {
    target_ = choice;
    state_.set(std::move(choice));
  }
  void set_lambda(std::vector<double> lambda) { lambda_ = std::move(lambda); }

  const Choice& choice() const noexcept { return state_.choice(); }
  Wide cost() const noexcept { return state_.cost(); }
  // Kernel operations so far, which a caller may take for time.
  double work() const noexcept { return work_; }
  // How large functions may grow in elimination, as a power of two.
  void set_limit(double limit) noexcept { limit_ = limit; }
  double limit() const noexcept { return limit_; }

  // One step.  @post the choice is feasible and costs no more than before.  Whether it costs less.
  bool step() {
    const std::size_t number = pick_arm();
    Arm& arm = arms_[number];
    const double work_before = work_;
    const bool gained = step_with(number);
    constexpr double fading = 0.98;
    arm.work = arm.work * fading + (work_ - work_before) / 1e6;
    arm.gains = std::max(arm.gains * fading + (gained ? 1 : 0), 0.02);
    return gained;
  }

  // Takes over the parts of another choice that pay and fit.
  bool merge(const Choice& other) {
    target_ = other;
    return merge_target(everything_);
  }

  // A few passes over everything at the given prices, starting from `choice`: cheaper as priced,
  // though it may not fit.
  [[gnu::noinline]] void polish(Choice& choice, const std::vector<double>& lambda, int passes) {
    price(everything_, lambda);
    for (int i = 0; i < passes; ++i) {
      elimination_.plan(everything_, limit_, random_);
      elimination_.minimise(unary_, choice);
      work_ += elimination_.work() + planning_work(everything_.size());
    }
  }

  // Makes a choice fit by raising prices where it does not.  False where that fails.
  [[gnu::noinline]] bool repair(Choice& choice, std::vector<double> lambda,
                                const Deadline& deadline) {
    const double base = typical_price(lambda);
    for (int attempt = 0; attempt < max_repairs && !deadline.is_over(); ++attempt) {
      const std::vector<UsageSum> usage = usage_of(component_, choice);
      bool fits = true;
      for (std::size_t t = 0; t < usage.size(); ++t) {
        const double excess = relative_excess(component_, t, usage[t]);
        if (excess <= 0) continue;
        fits = false;
        lambda[t] =
            std::max(lambda[t] * (1 + std::min(0.3, 0.05 + 2 * excess) * (1 + 0.2 * attempt)),
                     base * 0.02 * (1 + attempt));
      }
      if (fits) return cost_of(component_, choice).has_value();
      polish(choice, lambda, 1);
    }
    return false;
  }

 private:
  static constexpr int max_repairs = 40;
  static constexpr std::size_t limit_classes = 3;
  enum class Mark : char { unchanged, waiting, collected };

  // Each combination of kind, size and limit remembers its gains and its work (a bandit).
  struct Arm {
    double work = 0.02, gains = 0.5;
  };

  static double planning_work(std::size_t n) { return 300.0 * static_cast<double>(n); }

  std::size_t pick_arm() {
    if (random_.uniform() < 0.3) return random_.below(arms_.size());
    double total = 0;
    for (const Arm& arm : arms_) total += arm.gains / (arm.work + 1e-3);
    double at = random_.uniform() * total;
    for (std::size_t i = 0; i + 1 < arms_.size(); ++i) {
      at -= arms_[i].gains / (arms_[i].work + 1e-3);
      if (at < 0) return i;
    }
    return arms_.size() - 1;
  }

  bool step_with(std::size_t number) {
    const auto kind = static_cast<RegionKind>(number % region_kinds);
    const std::size_t size_class = number / region_kinds % region_size_classes;
    const std::size_t limit_class = number / region_kinds / region_size_classes;
    const std::vector<std::uint32_t>& region = regions_.pick(kind, size_class, state_);
    const double limit = limit_ - 2 + 2 * static_cast<double>(limit_class);
    elimination_.plan(region, std::max(limit, 6.0), random_);
    work_ += planning_work(region.size());

    local_ = lambda_;
    const double scale = random_.uniform() < 0.15 ? 0 : std::exp(0.5 * random_.normal());
    for (double& price : local_) price *= scale;
    const double base = typical_price(lambda_);
    bool gained = false;
    constexpr int attempts = 5;
    for (int attempt = 0; attempt < attempts; ++attempt) {
      price(region, local_);
      elimination_.minimise(unary_, target_);
      work_ += elimination_.work() + 2.0 * static_cast<double>(local_.size());
      collect_changed(region);
      if (changed_.empty()) break;
      const bool fits = raise_local_prices(base * 0.3 * (1 + attempt));
      gained = merge_target(region) || gained;
      if (fits) break;
    }
    return gained;
  }

  void collect_changed(const std::vector<std::uint32_t>& region) {
    changed_.clear();
    for (const std::uint32_t v : region)
      if (target_[v] != state_.choice()[v]) changed_.push_back(v);
  }

  // Raises the prices of the rows that the change would bring over capacity, to `least` or more.
  // Whether it fits.
  bool raise_local_prices(double least) {
    bool fits = true;
    state_.for_each_raised_row(changed_, target_, [&](std::size_t t, UsageSum usage) {
      const double excess = relative_excess(component_, t, usage);
      if (excess <= 0) return;
      fits = false;
      local_[t] = std::max(local_[t] * (1.3 + 2 * excess), least);
    });
    return fits;
  }

  [[gnu::noinline]] void price(const std::vector<std::uint32_t>& region,
                               const std::vector<double>& lambda) {
    prefix_sums(lambda, before_);
    for (const std::uint32_t v : region) {
      const std::size_t begin = weights_.value_at(v), end = weights_.value_at(v + 1);
      std::copy(weights_.costs().begin() + static_cast<std::ptrdiff_t>(begin),
                weights_.costs().begin() + static_cast<std::ptrdiff_t>(end),
                unary_.begin() + static_cast<std::ptrdiff_t>(begin));
      if (!lambda.empty()) weights_.add_usage_price(v, before_, unary_.data() + begin);
    }
  }

  // Of the rows that have a price; where none has, a small part of the cost over a row's capacity.
  double typical_price(const std::vector<double>& lambda) const {
    double total = 0, count = 0, capacity = 1;
    for (std::size_t t = 0; t < lambda.size(); ++t) {
      if (lambda[t] > 0) {
        total += lambda[t];
        ++count;
      }
      capacity = std::max(capacity, static_cast<double>(component_.capacity[t]));
    }
    if (count > 0) return total / count;
    return std::max(std::abs(static_cast<double>(state_.cost())), 1.0) / capacity / 1000;
  }

  // Moves towards the target wherever that pays and fits.  @post target_ == choice
  [[gnu::noinline]] bool merge_target(const std::vector<std::uint32_t>& region) {
    collect_changed(region);
    if (changed_.empty()) return false;
    const Wide before = state_.cost();
    const auto change = state_.change_in_cost(changed_, target_);
    if (change && *change <= 0 && state_.fits(changed_, target_))
      state_.move(changed_, target_, *change);
    else
      merge_parts();
    for (const std::uint32_t v : changed_) target_[v] = state_.choice()[v];
    return state_.cost() < before;
  }

  // Parts of the change that no table connects can be taken or left one by one; best first.
  void merge_parts() {
    for (const std::uint32_t v : changed_) mark_[v] = Mark::waiting;
    std::vector<std::vector<std::uint32_t>> parts;
    for (const std::uint32_t v : changed_)
      if (mark_[v] == Mark::waiting) parts.push_back(collect_part(v));
    for (const std::uint32_t v : changed_) mark_[v] = Mark::unchanged;
    if (parts.size() == 1) return;
    std::vector<std::pair<Wide, std::size_t>> order;
    for (std::size_t p = 0; p < parts.size(); ++p)
      if (const auto change = state_.change_in_cost(parts[p], target_); change && *change <= 0)
        order.push_back({*change, p});
    std::sort(order.begin(), order.end());
    for (const auto& [change, p] : order)
      if (state_.fits(parts[p], target_)) state_.move(parts[p], target_, change);
  }
  std::vector<std::uint32_t> collect_part(std::uint32_t first) {
    std::vector<std::uint32_t> part{first};
    mark_[first] = Mark::collected;
    const auto reach = [&](std::uint32_t w) {
      if (mark_[w] != Mark::waiting) return;
      mark_[w] = Mark::collected;
      part.push_back(w);
    };
    for (std::size_t next = 0; next < part.size(); ++next) {
      for (const std::uint32_t e : component_.lower[part[next]]) reach(component_.tables[e].u);
      for (const std::uint32_t e : component_.higher[part[next]]) reach(component_.tables[e].v);
    }
    return part;
  }

  const Weights& weights_;
  const Component& component_;
  RandomSource random_;
  RegionPicker regions_;
  BucketElimination elimination_;
  ChoiceState state_;
  double limit_ = 12, work_ = 0;
  std::array<Arm, region_kinds * region_size_classes * limit_classes> arms_;

  std::vector<double> lambda_, local_, unary_, before_;
  Choice target_;
  std::vector<std::uint32_t> everything_, changed_;
  std::vector<Mark> mark_;
};

}  // namespace tessera::solver::detail
