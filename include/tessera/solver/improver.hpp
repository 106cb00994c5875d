// SPDX-License-Identifier: Apache-2.0
//
// Large-neighbourhood search: from one assignment to a cheaper one, again and again.
//
// A step takes a region (a ball in the graph, what lives at a tight time, a window of the program,
// or everything), prices usage by the multipliers, and gives the whole region its best values by
// elimination.  What then needs too much room is priced higher and tried again.  Of the change,
// each connected part that pays and fits is kept.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "tessera/solver/elimination.hpp"
#include "tessera/solver/random.hpp"
#include "tessera/solver/standing.hpp"
#include "tessera/solver/weights.hpp"

namespace tessera::solver {

template<class Int>
class Improver {
 public:
  // @pre the weights outlive it
  Improver(const Weights<Int>& weights, std::uint64_t seed)
      : weights_(weights),
        component_(weights.component()),
        random_(seed),
        elimination_(weights),
        standing_(component_),
        unary_(weights.costs()),
        part_of_(component_.size(), nobody),
        in_region_(component_.size(), 0) {
    everything_.resize(component_.size());
    std::iota(everything_.begin(), everything_.end(), 0U);
    lambda_.assign(component_.capacity.size(), 0);
  }

  // @pre feasible
  void start_from(Choice choice) {
    target_ = choice;
    standing_.set(std::move(choice));
  }
  void set_lambda(std::vector<double> lambda) { lambda_ = std::move(lambda); }

  const Choice& choice() const noexcept { return standing_.choice(); }
  Wide cost() const noexcept { return standing_.cost(); }
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

  // Takes over what pays and fits of another choice.
  bool merge(const Choice& other) {
    target_ = other;
    return merge_target(everything_);
  }

  // A few passes over everything at the given prices, starting from `choice`: cheaper as priced,
  // though it may not fit.
  void polish(Choice& choice, const std::vector<double>& lambda, int passes) {
    price(everything_, lambda);
    for (int i = 0; i < passes; ++i) {
      elimination_.plan(everything_, limit_, random_);
      elimination_.minimise(unary_, choice);
      work_ += elimination_.work() + planning_work(everything_.size());
    }
  }

  // Makes a choice fit by raising prices where it does not.  False when it would not.
  template<class Stop>
  bool repair(Choice& choice, std::vector<double> lambda, Stop&& stop) {
    const double base = typical_price(lambda);
    for (int attempt = 0; attempt < max_repairs && !stop(); ++attempt) {
      const std::vector<UsageSum> usage = Standing<Int>::usage_of(component_, choice);
      bool fits = true;
      for (std::size_t t = 0; t < usage.size(); ++t) {
        const double excess = relative_excess(t, usage[t]);
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
  static constexpr std::uint32_t nobody = 0xffffffff;
  static constexpr int max_repairs = 40;

  enum Kind : std::size_t { ball, tight_time, window, all, kinds };
  static constexpr std::size_t size_classes = 4, limit_classes = 3;
  // Each combination of kind, size and limit remembers what it gained for what it cost.
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
    const auto kind = static_cast<Kind>(number % kinds);
    const std::size_t size_class = number / kinds % size_classes;
    const std::size_t limit_class = number / kinds / size_classes;
    take_region(kind, region_size(size_class));
    const double limit = limit_ - 2 + 2 * static_cast<double>(limit_class);
    elimination_.plan(region_, std::max(limit, 6.0), random_);
    work_ += planning_work(region_.size());

    local_ = lambda_;
    const double scale = random_.uniform() < 0.15 ? 0 : std::exp(0.5 * random_.normal());
    for (double& price : local_) price *= scale;
    const double base = typical_price(lambda_);
    bool gained = false;
    constexpr int attempts = 5;
    for (int attempt = 0; attempt < attempts; ++attempt) {
      price(region_, local_);
      elimination_.minimise(unary_, target_);
      work_ += elimination_.work() + 2.0 * static_cast<double>(local_.size());
      changed_.clear();
      for (const std::uint32_t v : region_)
        if (target_[v] != standing_.choice()[v]) changed_.push_back(v);
      if (changed_.empty()) break;
      bool fits = true;
      standing_.for_each_raised_row(changed_, target_, [&](std::size_t t, UsageSum usage) {
        const double excess = relative_excess(t, usage);
        if (excess <= 0) return;
        fits = false;
        local_[t] = std::max(local_[t] * (1.3 + 2 * excess), base * 0.3 * (1 + attempt));
      });
      gained = merge_target(region_) || gained;
      if (fits) break;
    }
    return gained;
  }

  std::size_t region_size(std::size_t size_class) {
    constexpr double least = 20, most = 6000;
    const double share = (static_cast<double>(size_class) + random_.uniform()) / size_classes;
    const double top = std::min<double>(most, static_cast<double>(component_.size()));
    const double size = least * std::pow(std::max(top / least, 1.0), share);
    return std::min(component_.size(), static_cast<std::size_t>(size));
  }

  void take_region(Kind kind, std::size_t size) {
    region_.clear();
    switch (kind) {
      case all: region_ = everything_; return;
      case window: {
        const std::uint32_t first = random_.below(component_.size());
        for (std::size_t i = 0; i < size; ++i)
          region_.push_back(static_cast<std::uint32_t>((first + i) % component_.size()));
        return;
      }
      case tight_time: take_tight_time(size); break;
      default: break;
    }
    if (region_.empty()) add_to_region(random_.below(component_.size()));
    grow_region(size);
    for (const std::uint32_t v : region_) in_region_[v] = 0;
  }
  void add_to_region(std::uint32_t v) {
    if (std::exchange(in_region_[v], 1) == 0) region_.push_back(v);
  }
  // Variables that use something at one time that is nearly full.
  void take_tight_time(std::size_t size) {
    if (component_.capacity.empty()) return;
    std::size_t row = 0;
    for (int attempt = 0; attempt < 200; ++attempt) {
      row = random_.below(component_.capacity.size());
      if (relative_excess(row, standing_.usage(row)) > -0.01) break;
    }
    const std::uint32_t first = random_.below(component_.size());
    for (std::size_t i = 0; i < component_.size() && region_.size() < size; ++i) {
      const auto v = static_cast<std::uint32_t>((first + i) % component_.size());
      for (std::uint32_t k = component_.first_item[v]; k < component_.first_item[v + 1]; ++k)
        if (component_.items[k].begin <= row && row < component_.items[k].end) {
          add_to_region(v);
          break;
        }
    }
  }
  // Breadth first; where the graph ends, somewhere else.
  void grow_region(std::size_t size) {
    for (std::size_t next = 0; region_.size() < size; ++next) {
      if (next == region_.size()) {
        int attempts = 50;
        while (next == region_.size() && attempts-- > 0)
          add_to_region(random_.below(component_.size()));
        if (next == region_.size()) return;
      }
      const std::uint32_t v = region_[next];
      for (const std::uint32_t e : component_.lower[v])
        if (region_.size() < size) add_to_region(component_.tables[e].u);
      for (const std::uint32_t e : component_.higher[v])
        if (region_.size() < size) add_to_region(component_.tables[e].v);
    }
  }

  void price(const std::vector<std::uint32_t>& region, const std::vector<double>& lambda) {
    prefix_sums(lambda, before_);
    for (const std::uint32_t v : region) {
      const std::size_t begin = weights_.value_at(v), end = weights_.value_at(v + 1);
      std::copy(weights_.costs().begin() + static_cast<std::ptrdiff_t>(begin),
                weights_.costs().begin() + static_cast<std::ptrdiff_t>(end),
                unary_.begin() + static_cast<std::ptrdiff_t>(begin));
      if (!lambda.empty()) weights_.add_usage_price(v, before_, unary_.data() + begin);
    }
  }

  double relative_excess(std::size_t row, UsageSum usage) const {
    const auto capacity = static_cast<double>(component_.capacity[row]);
    return (static_cast<double>(usage) - capacity) / std::max(capacity, 1.0);
  }
  // Of the rows that have a price; where none has, a small part of the cost over a row's room.
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
    return std::max(std::abs(static_cast<double>(standing_.cost())), 1.0) / capacity / 1000;
  }

  // Moves towards the target wherever that pays and fits.  @post target_ == choice
  bool merge_target(const std::vector<std::uint32_t>& region) {
    changed_.clear();
    for (const std::uint32_t v : region)
      if (target_[v] != standing_.choice()[v]) changed_.push_back(v);
    if (changed_.empty()) return false;
    const Wide before = standing_.cost();
    const auto change = standing_.change_in_cost(changed_, target_);
    if (change && *change <= 0 && standing_.fits(changed_, target_))
      standing_.move(changed_, target_, *change);
    else
      merge_parts();
    for (const std::uint32_t v : changed_) target_[v] = standing_.choice()[v];
    return standing_.cost() < before;
  }

  // Parts of the change that no table connects can be taken or left one by one; best first.
  void merge_parts() {
    for (const std::uint32_t v : changed_) part_of_[v] = static_cast<std::uint32_t>(-2);
    std::vector<std::vector<std::uint32_t>> parts;
    for (const std::uint32_t v : changed_)
      if (part_of_[v] == static_cast<std::uint32_t>(-2)) parts.push_back(collect_part(v));
    for (const std::uint32_t v : changed_) part_of_[v] = nobody;
    if (parts.size() == 1) return;
    std::vector<std::pair<Wide, std::size_t>> order;
    for (std::size_t p = 0; p < parts.size(); ++p)
      if (const auto change = standing_.change_in_cost(parts[p], target_); change && *change <= 0)
        order.push_back({*change, p});
    std::sort(order.begin(), order.end());
    for (const auto& [change, p] : order)
      if (standing_.fits(parts[p], target_)) standing_.move(parts[p], target_, change);
  }
  std::vector<std::uint32_t> collect_part(std::uint32_t first) {
    std::vector<std::uint32_t> part{first};
    part_of_[first] = 0;
    const auto reach = [&](std::uint32_t w) {
      if (part_of_[w] != static_cast<std::uint32_t>(-2)) return;
      part_of_[w] = 0;
      part.push_back(w);
    };
    for (std::size_t next = 0; next < part.size(); ++next) {
      for (const std::uint32_t e : component_.lower[part[next]]) reach(component_.tables[e].u);
      for (const std::uint32_t e : component_.higher[part[next]]) reach(component_.tables[e].v);
    }
    return part;
  }

  const Weights<Int>& weights_;
  const Component<Int>& component_;
  RandomSource random_;
  Elimination<Int> elimination_;
  Standing<Int> standing_;
  double limit_ = 12, work_ = 0;
  std::array<Arm, kinds * size_classes * limit_classes> arms_;

  std::vector<double> lambda_, local_, unary_, before_;
  Choice target_;
  std::vector<std::uint32_t> everything_, region_, changed_, part_of_;
  std::vector<char> in_region_;
};

}  // namespace tessera::solver
