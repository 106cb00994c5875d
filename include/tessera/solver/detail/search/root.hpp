// SPDX-License-Identifier: Apache-2.0
//
// The root of a proof: multipliers and messages ascend over what the domains leave of a component.
//
// Values whose reduced costs reach the incumbent go on the way.  Where few variables meet anywhere,
// all are minimised out instead (bucket_elimination.hpp).  In the end the root is closed, or what
// is left is presolved again, or the tree begins.
#pragma once
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/propagator.hpp"
#include "tessera/solver/detail/search/bucket_elimination.hpp"
#include "tessera/solver/detail/search/dual_points.hpp"
#include "tessera/solver/detail/search/proof_state.hpp"

namespace tessera::solver::detail {

class RootPhase {
 public:
  enum class Outcome : std::uint8_t {
    open,
    closed,    // nothing cheaper than the incumbent is left
    presolve,  // many values are gone: what is left is to be presolved
    branch     // nothing more can be done without branching
  };

  // Of the present component.  @pre both outlive it
  RootPhase(ProofState& state, const Propagator& propagator, Domains domains)
      : state_(state), propagator_(propagator), domains_(std::move(domains)) {}

  // Either `open` or `closed`.
  [[gnu::cold]] Outcome begin() {
    if (!propagator_.run(domains_, state_.proof)) return Outcome::closed;
    relax_domains();
    bound_ = bound_without_messages(state_, restricted_);
    raise_bound(state_, bound_);
    constexpr double few_sweeps = 20;
    return minimise_out(few_sweeps) ? Outcome::closed : Outcome::open;
  }

  // Multipliers to begin with, by row.
  void start_from(std::vector<double> lambda) {
    relaxation_->start_from(std::move(lambda), restart_step);
  }
  // As start_from(), with messages that suit them.
  [[gnu::cold]] void approach(std::vector<double> lambda) {
    constexpr int sweeps = 48;
    start_from(std::move(lambda));
    relaxation_->approach(sweeps, [this] { return state_.deadline.is_over(); });
    state_.work += sweeps * sweep_work(weights_->entries());
  }

  // A few sweeps more.
  Outcome advance() {
    if (restricted_.size() == 0) {
      offer(state_, restricted_, kept_, {});
      return Outcome::closed;
    }
    const double goal = target_of(state_);
    constexpr int batch = 4;
    for (int i = 0; i < batch && !relaxation_->is_converged() && !state_.deadline.is_over(); ++i) {
      relaxation_->ascend(goal);
      ++sweeps_;
    }
    state_.work += batch * sweep_work(weights_->entries());
    const bool is_ready = relaxation_->is_converged() || relaxation_->best() >= goal;
    if (!is_ready && sweeps_ < next_look()) return Outcome::open;
    last_look_ = sweeps_;
    if (!take_stock()) return Outcome::closed;
    return is_ready ? leave() : Outcome::open;
  }

  // --- After it ----------------------------------------------------------------------------------

  const Domains& domains() const noexcept { return domains_; }
  Wide bound() const noexcept { return bound_; }
  const std::vector<double>& lambda() const noexcept { return relaxation_->lambda(); }
  // Multipliers and, if asked for, messages by the component's values.
  [[gnu::cold]] DualPoint point(bool with_messages) const {
    if (!with_messages) return {{}, {}, relaxation_->lambda()};
    return widened(restriction(), relaxation_->point());
  }

 private:
  static constexpr double restart_step = 0.02;

  Restriction restriction() const { return {component_of(state_), restricted_, kept_}; }

  // A relaxation of what the domains leave, with messages and multipliers at zero.
  [[gnu::cold]] void relax_domains() {
    relaxation_.reset();
    weights_.reset();
    restricted_ = restrict_to(component_of(state_), domains_, kept_);
    weights_.emplace(restricted_);
    relaxation_.emplace(*weights_, AscentOptions{});
  }

  // The first one is sooner where there is an incumbent, by which values could go.
  int next_look() const {
    constexpr int first_look = 24;
    const int first = state_.incumbent.cost() ? first_look / 2 : first_look;
    return std::max(first, last_look_ + last_look_ / 2);
  }

  // Where no row is left and few variables meet anywhere, all are minimised out one by one, which
  // closes the root.  Whether that took no more than so many sweeps, and was done.
  [[gnu::cold]] bool minimise_out(double sweeps) {
    constexpr double most_bits = 22;  // of the entries of one function
    constexpr std::size_t most_memory = std::size_t{1} << 25;
    if (!restricted_.capacity.empty() || restricted_.size() == 0) return false;
    BucketElimination elimination(*weights_);
    std::vector<std::uint32_t> everything(restricted_.size());
    std::iota(everything.begin(), everything.end(), 0U);
    RandomSource random(state_.seed);
    elimination.plan(everything, most_bits, random);
    if (elimination.conditioned() > 0 ||
        elimination.work() > sweeps * sweep_work(weights_->entries()) ||
        elimination.memory() > most_memory ||
        !is_exact_in_double(restricted_, state_.incumbent.unit()))
      return false;
    Choice choice(restricted_.size(), 0);
    elimination.minimise(weights_->costs(), choice);
    state_.work += elimination.work();
    if (state_.proof != nullptr) {
      state_.proof->step("bucket_elimination");
      for (const std::uint32_t i : elimination.order()) *state_.proof << restricted_.name[i];
      state_.proof->end();
    }
    offer(state_, restricted_, kept_, choice);  // unless nothing is allowed
    return true;
  }

  // An exact bound, an assignment, new multipliers.  False where that closes the root.
  [[gnu::cold]] bool take_stock() {
    const Wide before = bound_;
    const Bound bound = measure(false);
    const bool is_better = bound.value > before;  // and so in the certificate
    if (!closes(state_, bound_)) round_and_offer(state_, *weights_, *relaxation_, kept_, true);
    return !closes(state_, bound_) && (!is_better || thin_out(bound));
  }

  // Where many values can not be part of anything cheaper they go at once, and the ascent goes on
  // over the rest: the sooner, the cheaper its sweeps.  False where nothing cheaper is left.
  [[gnu::cold]] bool thin_out(const Bound& bound) {
    constexpr std::size_t worthwhile = 4;  // a fourth
    const std::vector<std::uint32_t> costly = costly_values(state_, bound, kept_);
    if (costly.size() * worthwhile < kept_.size() - restricted_.size()) return true;
    remove_values(state_, domains_, costly);
    if (!propagator_.run(domains_, state_.proof)) return false;
    DualPoint point = widened(restriction(), relaxation_->point());
    point.lambda = relaxation_->best_lambda();
    const double step = relaxation_->step();
    relax_domains();
    load(restriction(), point, *relaxation_);
    relaxation_->start_from(point.lambda, step);
    return true;
  }

  [[gnu::cold]] Bound measure(bool is_needed) {
    if (state_.rounds.empty()) state_.lambda = relaxation_->lambda();
    Bound bound = bound_of(state_, restricted_, *relaxation_, bound_, is_needed);
    state_.work += sweep_work(weights_->entries());
    bound_ = std::max(bound_, bound.value);
    raise_bound(state_, bound_);
    return bound;
  }

  // The ascent has converged: values that are not needed go, and either it starts again on what is
  // left or the tree begins.
  [[gnu::cold]] Outcome leave() {
    constexpr double many_sweeps = 2000;  // as many as some nodes of a tree
    relaxation_->settle();
    const Bound bound = measure(true);
    const std::size_t before = kept_.size() - restricted_.size();
    const std::size_t removed = remove_costly(state_, domains_, bound, kept_);
    if (closes(state_, bound_) || !propagator_.run(domains_, state_.proof)) return Outcome::closed;
    if (state_.may_presolve && removed * 20 > before) return Outcome::presolve;
    return minimise_out(many_sweeps) ? Outcome::closed : Outcome::branch;
  }

  ProofState& state_;
  const Propagator& propagator_;
  Domains domains_;
  Component restricted_;  // to the domains, mostly as they were some sweeps ago
  std::vector<std::uint32_t> kept_;
  std::optional<Weights> weights_;
  std::optional<Relaxation> relaxation_;
  Wide bound_ = 0;
  int sweeps_ = 0, last_look_ = 0;
};

}  // namespace tessera::solver::detail
