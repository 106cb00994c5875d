// SPDX-License-Identifier: Apache-2.0
//
// Looks for cheaper assignments of a component by every means that proves nothing.
//
//   candidates  A second walk of the multipliers, driven by what the relaxation's own reading uses:
//               that makes readings nearly feasible, and no two alike.  The best is polished by
//               elimination and repaired.
//   fusion      Only the values that a few good assignments have are allowed; what is left to
//               choose is a small problem, solved nearly to the optimum.  Likewise with the values
//               that the relaxation believes in.
//   search      Large neighbourhoods (improver.hpp) around the best so far.
//
// When nothing helps for long, the assignment at hand is put aside and another one grown from new
// candidates; what was put aside is fused in the end.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/condensed.hpp"
#include "tessera/solver/improver.hpp"
#include "tessera/solver/incumbent.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/relaxation.hpp"

namespace tessera::solver {

template<class Int>
class Explorer {
 public:
  // @pre weights, incumbent and deadline outlive it
  Explorer(const Weights<Int>& weights, Incumbent<Int>& incumbent, const Deadline& deadline,
           std::uint64_t seed)
      : weights_(weights),
        component_(weights.component()),
        incumbent_(incumbent),
        deadline_(deadline),
        random_(seed),
        improver_(weights, seed + 1),
        relaxation_(weights) {
    choose_limit();
  }

  // Kernel operations so far, which a caller may take for time.
  double work() const noexcept { return work_ + improver_.work(); }

  // One more attempt.  `lambda` are the best multipliers known, by row; none if there are none yet.
  void advance(const std::vector<double>& lambda) {
    if (!lambda.empty()) {
      lambda_ = lambda;
      improver_.set_lambda(lambda);
    } else if (lambda_.empty()) {
      lambda_.assign(component_.capacity.size(), 0);
    }
    take_over_incumbent();
    if (!has_choice_) {
      try_candidate();
      return;
    }
    const Wide before = improver_.cost();
    const double work_before = work();
    switch (turn_++ % 4) {
      case 0: try_candidate(); break;
      case 2: fuse_with_beliefs(); break;
      default: search(); break;
    }
    publish();
    if (improver_.cost() < before - before / stale_fraction)
      idle_work_ = 0;
    else
      idle_work_ += work() - work_before;
    if (idle_work_ > patience()) move_on();
  }

 private:
  static constexpr int stale_fraction = 50'000;
  static constexpr std::size_t max_pool = 12;

  bool stopped() const { return deadline_.is_over(); }
  double sweep_work() const { return solver::sweep_work(weights_.entries()); }
  // What one turn is allowed to take, about.
  double turn_work() const { return std::max(3e7, 100 * sweep_work()); }
  double patience() const { return 60 * turn_work(); }

  // Functions as large as a pass over everything can afford.
  void choose_limit() {
    constexpr double affordable = 3e7;
    std::vector<std::uint32_t> everything(component_.size());
    std::iota(everything.begin(), everything.end(), 0U);
    Elimination<Int> elimination(weights_);
    double limit = 8;
    for (; limit < 20 && !stopped(); limit += 2) {
      elimination.plan(everything, limit + 2, random_);
      if (elimination.work() > affordable) break;
      if (elimination.held() == 0) break;
    }
    improver_.set_limit(limit);
  }

  void take_over_incumbent() {
    if (is_island_ && has_choice_) return;
    const auto cost = has_choice_ ? std::optional(improver_.cost()) : std::nullopt;
    if (auto best = incumbent_.best_below(cost)) start_from(std::move(*best));
  }
  void start_from(Choice choice) {
    improver_.start_from(std::move(choice));
    has_choice_ = true;
    idle_work_ = 0;
  }
  void publish() { incumbent_.offer(improver_.choice()); }

  // --- Large neighbourhoods ----------------------------------------------------------------------

  void search() {
    const double end = improver_.work() + turn_work();
    while (improver_.work() < end && !stopped()) improver_.step();
  }

  // --- Candidates --------------------------------------------------------------------------------

  void try_candidate() {
    std::optional<Choice> candidate = next_candidate();
    if (!candidate) return;
    incumbent_.offer(*candidate);
    if (!has_choice_) {
      start_from(std::move(*candidate));
      return;
    }
    improver_.merge(*candidate);
    Domains domains(component_.total_values(), 0);
    allow(domains, *candidate);
    for (int i = 0; i < 3 && !pool_.empty(); ++i)
      allow(domains, pool_[random_.below(pool_.size())]);
    pool_.push_back(std::move(*candidate));
    if (pool_.size() > max_pool) pool_.pop_front();
    fuse(domains);
  }

  std::optional<Choice> next_candidate() {
    if (walk_.empty() || walk_length_++ % 12 == 0) {
      walk_ = lambda_;
      walk_direction_.assign(walk_.size(), 0);
      walk_step_ = 0.02 * std::exp(0.7 * random_.normal());
    }
    constexpr int steps = 30, first_taken = 20;
    std::optional<Choice> best;
    std::vector<double> best_lambda;
    double best_score = 0;
    for (int step = 0; step < steps && !stopped(); ++step) {
      relaxation_.set_lambda(walk_);
      relaxation_.sweep();
      work_ += sweep_work();
      Choice choice = relaxation_.decode();
      const bool is_taken = step >= first_taken && step % 3 == 0;
      if (is_taken) improver_.polish(choice, walk_, 1);
      const std::vector<UsageSum> usage = usage_of(choice);
      if (is_taken) {
        const double score = score_of(choice, usage);
        if (!best || score < best_score) {
          best_score = score;
          best_lambda = walk_;
          best = choice;
        }
      }
      step_by(usage);
    }
    if (!best) return std::nullopt;
    improver_.polish(*best, best_lambda, 3);
    if (!improver_.repair(*best, best_lambda, [this] { return stopped(); })) return std::nullopt;
    return best;
  }

  std::vector<UsageSum> usage_of(const Choice& choice) const {
    return Standing<Int>::usage_of(component_, choice);
  }
  double score_of(const Choice& choice, const std::vector<UsageSum>& usage) const {
    const auto cost = cost_of(component_, choice);
    double excess = 0;
    for (std::size_t t = 0; t < usage.size(); ++t) excess = std::max(excess, relative(t, usage[t]));
    return (cost ? static_cast<double>(*cost) : kernels::huge) * (1 + 2 * excess);
  }
  double relative(std::size_t row, UsageSum usage) const {
    const auto capacity = static_cast<double>(component_.capacity[row]);
    return (static_cast<double>(usage) - capacity) / std::max(capacity, 1.0);
  }

  // Prices of usage follow what the reading uses, in steps that are a part of the gap.
  void step_by(const std::vector<UsageSum>& usage) {
    const auto cost = incumbent_.cost();
    const double bound = static_cast<double>(incumbent_.bound());
    const double gap = cost ? std::max(static_cast<double>(*cost) - bound, 1e-3 * std::abs(bound))
                            : 0.2 * std::abs(bound) + 1;
    double norm = 0;
    for (std::size_t t = 0; t < walk_.size(); ++t) {
      double excess = static_cast<double>(usage[t]) - static_cast<double>(component_.capacity[t]);
      if (walk_[t] <= 0 && excess < 0) excess = 0;
      walk_direction_[t] = 0.5 * walk_direction_[t] + 0.5 * excess;
      if (walk_[t] <= 0 && walk_direction_[t] < 0) walk_direction_[t] = 0;
      norm += walk_direction_[t] * walk_direction_[t];
    }
    if (norm == 0) return;
    const double length = walk_step_ * gap / norm;
    for (std::size_t t = 0; t < walk_.size(); ++t)
      walk_[t] = std::max(0.0, walk_[t] + length * walk_direction_[t]);
  }

  // --- Fusion ------------------------------------------------------------------------------------

  void allow(Domains& domains, const Choice& choice) const {
    for (std::uint32_t v = 0; v < component_.size(); ++v)
      domains[component_.first[v] + choice[v]] = 1;
  }

  // Values that the relaxation believes in, up to some rank in all.
  void fuse_with_beliefs() {
    relaxation_.set_lambda(lambda_);
    for (int i = 0; i < 2; ++i) relaxation_.sweep();
    work_ += 2 * sweep_work();
    std::vector<double> beliefs(component_.total_values());
    for (std::uint32_t v = 0; v < component_.size(); ++v) {
      double least = kernels::huge;
      for (std::uint32_t y = 0; y < component_.value_count(v); ++y)
        least = std::min(least, beliefs[component_.first[v] + y] = relaxation_.belief(v, y));
      for (std::uint32_t y = 0; y < component_.value_count(v); ++y)
        beliefs[component_.first[v] + y] -= least;
    }
    std::vector<double> ranked = beliefs;
    const double share = 0.02 * std::pow(20.0, random_.uniform());
    const auto rank = static_cast<std::ptrdiff_t>(share * static_cast<double>(ranked.size()));
    std::nth_element(ranked.begin(), ranked.begin() + rank, ranked.end());
    const double most = ranked[static_cast<std::size_t>(rank)];
    Domains domains(component_.total_values(), 0);
    for (std::size_t x = 0; x < domains.size(); ++x) domains[x] = beliefs[x] <= most;
    fuse(domains);
  }

  // Searches the assignments within the domains and the present choice.
  void fuse(Domains& domains) {
    allow(domains, improver_.choice());
    const Condensed<Int> condensed(component_, domains, improver_.choice());
    if (condensed.component().size() < 2) return;
    const Weights<Int> weights(condensed.component());
    Improver<Int> inner(weights, random_.next());
    inner.set_limit(improver_.limit() + 2);
    inner.start_from(condensed.start());
    std::vector<double> lambda;
    for (const std::uint32_t row : condensed.rows()) lambda.push_back(lambda_[row]);
    inner.set_lambda(std::move(lambda));
    const double allowance = turn_work();
    double gained_at = 0;
    while (inner.work() < allowance && inner.work() - gained_at < allowance / 3 && !stopped())
      if (inner.step()) gained_at = inner.work();
    work_ += inner.work() + sweep_work();
    improver_.merge(condensed.lifted(inner.choice()));
  }

  // --- Islands -----------------------------------------------------------------------------------

  // Nothing has helped for long: puts the choice aside and starts from elsewhere; then again from
  // what all that was put aside gives together.
  void move_on() {
    idle_work_ = 0;
    elites_.push_back(improver_.choice());
    if (elites_.size() > max_elites) elites_.pop_front();
    if (is_island_ && elites_.size() > 1) {
      if (auto best = incumbent_.best_below(improver_.cost())) improver_.start_from(*best);
      Domains domains(component_.total_values(), 0);
      for (const Choice& elite : elites_) allow(domains, elite);
      for (int i = 0; i < 3 && !stopped(); ++i) fuse(domains);
      publish();
      is_island_ = false;
      return;
    }
    pool_.clear();
    walk_.clear();
    is_island_ = true;
    if (std::optional<Choice> candidate = next_candidate()) improver_.start_from(*candidate);
  }
  static constexpr std::size_t max_elites = 6;

  const Weights<Int>& weights_;
  const Component<Int>& component_;
  Incumbent<Int>& incumbent_;
  const Deadline& deadline_;
  RandomSource random_;
  Improver<Int> improver_;
  Relaxation<Int> relaxation_;
  double work_ = 0, idle_work_ = 0;
  bool has_choice_ = false, is_island_ = false;
  std::uint64_t turn_ = 0;
  std::vector<double> lambda_;

  std::vector<double> walk_, walk_direction_;
  double walk_step_ = 0;
  int walk_length_ = 0;
  std::deque<Choice> pool_, elites_;
};

}  // namespace tessera::solver
