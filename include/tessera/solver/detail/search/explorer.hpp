// SPDX-License-Identifier: Apache-2.0
//
// Looks for a better incumbent by every means that proves nothing.
//
//   candidates  Assignments from a walk of the multipliers (candidates.hpp).
//   fusion      Only the values of a few good assignments are allowed; the rest is a small problem
//               (subproblem.hpp), solved nearly to the optimum.  Likewise with the values that the
//               relaxation believes in.
//   search      Large neighbourhoods (improver.hpp) around the incumbent.
//
// When nothing helps for long, the present assignment is put aside and the search starts again from
// new candidates; in the end all that was put aside is fused.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/deadline.hpp"
#include "tessera/solver/detail/search/candidates.hpp"
#include "tessera/solver/detail/search/improver.hpp"
#include "tessera/solver/detail/search/incumbent.hpp"
#include "tessera/solver/detail/search/subproblem.hpp"

namespace tessera::solver::detail {

class Explorer {
 public:
  // @pre weights, incumbent and deadline outlive it
  [[gnu::cold]] Explorer(const Weights& weights, Incumbent& incumbent, const Deadline& deadline,
                         std::uint64_t seed)
      : weights_(weights),
        component_(weights.component()),
        incumbent_(incumbent),
        deadline_(deadline),
        random_(seed),
        improver_(weights, seed + 1),
        walk_(weights, incumbent, deadline, random_, improver_) {
    choose_limit();
  }

  // Kernel operations so far, which a caller may take for time.
  double work() const noexcept { return work_ + walk_.work() + improver_.work(); }

  // One more attempt.  `lambda` are the best multipliers known, by row; none if there are none yet.
  [[gnu::cold]] void advance(const std::vector<double>& lambda) {
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
  double sweep_work() const { return detail::sweep_work(weights_.entries()); }
  // The work that one turn may take, about.
  double turn_work() const { return std::max(3e7, 100 * sweep_work()); }
  double patience() const { return 60 * turn_work(); }

  // Functions as large as a pass over everything can afford.
  [[gnu::cold]] void choose_limit() {
    constexpr double affordable = 3e7;
    std::vector<std::uint32_t> everything(component_.size());
    std::iota(everything.begin(), everything.end(), 0U);
    BucketElimination elimination(weights_);
    double limit = 8;
    for (; limit < 20 && !stopped(); limit += 2) {
      elimination.plan(everything, limit + 2, random_);
      if (elimination.work() > affordable) break;
      if (elimination.conditioned() == 0) break;
    }
    improver_.set_limit(limit);
  }

  [[gnu::cold]] void take_over_incumbent() {
    if (is_restarted_ && has_choice_) return;
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

  [[gnu::cold]] void try_candidate() {
    std::optional<Choice> candidate = walk_.next(lambda_);
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

  // --- Fusion ------------------------------------------------------------------------------------

  void allow(Domains& domains, const Choice& choice) const {
    for (std::uint32_t v = 0; v < component_.size(); ++v)
      domains[component_.first[v] + choice[v]] = 1;
  }

  // Values that the relaxation believes in, up to some rank in all.
  [[gnu::cold]] void fuse_with_beliefs() {
    MessagePassing& messages = walk_.messages();
    messages.set_prices(lambda_);
    for (int i = 0; i < 2; ++i) messages.sweep();
    work_ += 2 * sweep_work();
    std::vector<double> beliefs(component_.total_values());
    for (std::uint32_t v = 0; v < component_.size(); ++v) {
      double least = kernels::huge;
      for (std::uint32_t y = 0; y < component_.value_count(v); ++y)
        least = std::min(least, beliefs[component_.first[v] + y] = messages.belief(v, y));
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
  [[gnu::cold]] void fuse(Domains& domains) {
    allow(domains, improver_.choice());
    const Subproblem subproblem(component_, domains, improver_.choice());
    if (subproblem.component().size() < 2) return;
    const Weights weights(subproblem.component());
    Improver inner(weights, random_.next());
    inner.set_limit(improver_.limit() + 2);
    inner.start_from(subproblem.start());
    std::vector<double> lambda;
    for (const std::uint32_t row : subproblem.rows()) lambda.push_back(lambda_[row]);
    inner.set_lambda(std::move(lambda));
    const double allowance = turn_work();
    double gained_at = 0;
    while (inner.work() < allowance && inner.work() - gained_at < allowance / 3 && !stopped())
      if (inner.step()) gained_at = inner.work();
    work_ += inner.work() + sweep_work();
    improver_.merge(subproblem.lifted(inner.choice()));
  }

  // --- Restarts ----------------------------------------------------------------------------------

  // Nothing has helped for long: puts the choice aside and starts from elsewhere; the next time,
  // from the fusion of all that was put aside.
  [[gnu::cold]] void move_on() {
    idle_work_ = 0;
    elites_.push_back(improver_.choice());
    if (elites_.size() > max_elites) elites_.pop_front();
    if (is_restarted_ && elites_.size() > 1) {
      if (auto best = incumbent_.best_below(improver_.cost())) improver_.start_from(*best);
      Domains domains(component_.total_values(), 0);
      for (const Choice& elite : elites_) allow(domains, elite);
      for (int i = 0; i < 3 && !stopped(); ++i) fuse(domains);
      publish();
      is_restarted_ = false;
      return;
    }
    pool_.clear();
    walk_.restart();
    is_restarted_ = true;
    if (std::optional<Choice> candidate = walk_.next(lambda_)) improver_.start_from(*candidate);
  }
  static constexpr std::size_t max_elites = 6;

  const Weights& weights_;
  const Component& component_;
  Incumbent& incumbent_;
  const Deadline& deadline_;
  RandomSource random_;
  Improver improver_;
  CandidateWalk walk_;
  double work_ = 0, idle_work_ = 0;
  bool has_choice_ = false, is_restarted_ = false;
  std::uint64_t turn_ = 0;
  std::vector<double> lambda_;

  std::deque<Choice> pool_, elites_;
};

}  // namespace tessera::solver::detail
