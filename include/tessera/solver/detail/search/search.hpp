// SPDX-License-Identifier: Apache-2.0
//
// Solves one component: a prover from below (prover.hpp), explorers from above (explorer.hpp).
//
// Where many variables of a component are interchangeable, it is first solved with one value for
// all of them (interchangeable.hpp): a small part of the work, and mostly an assignment hardly more
// expensive than the cheapest.
// Most components are proven before exploring could begin.  Where not, one thread shares its time
// between proof and exploration, by work done and not by the clock, so that a seed gives the same
// answer; of several threads the first proves, and the others explore.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "tessera/solver/deadline.hpp"
#include "tessera/solver/detail/bound/weights.hpp"
#include "tessera/solver/detail/presolve/presolve.hpp"
#include "tessera/solver/detail/search/explorer.hpp"
#include "tessera/solver/detail/search/improver.hpp"
#include "tessera/solver/detail/search/incumbent.hpp"
#include "tessera/solver/detail/search/interchangeable.hpp"
#include "tessera/solver/detail/search/prover.hpp"
#include "tessera/solver/options.hpp"

namespace tessera::solver::detail {

// The result of a search; costs are scaled, as the component's are.
struct Outcome {
  std::optional<Choice> best;
  Wide cost = 0;   // of the best, when there is one
  Wide bound = 0;  // no choice is cheaper; meaningless when complete without a best
  bool is_complete = false;
  std::uint64_t nodes = 0;
};

class Search {
 public:
  using Report = std::function<void(const Outcome&, bool is_new)>;

  // `unit` divides every total cost.  `report` is called, with the outcome so far, whenever the
  // incumbent improves and from time to time; one call at a time.
  [[gnu::cold]] Search(const Component& component, Wide unit, const Options& options,
                       const Deadline& deadline, Proof* proof, Report report)
      : component_(component),
        options_(options),
        deadline_(deadline.part()),
        report_(std::move(report)),
        incumbent_(component, unit, trivial_bound(component),
                   [this](const Incumbent& incumbent, bool is_new) { pass_on(incumbent, is_new); }),
        prover_(component, incumbent_, deadline_, options.seed, options.presolve, proof) {}

  // Multipliers to begin with, by row, and a choice, if there is one.
  // @pre the choice takes no forbidden pair
  [[gnu::cold]] void begin_with(std::vector<double> lambda, Choice choice) {
    const auto is_priced = [](double price) { return price > 0; };
    if (std::any_of(lambda.begin(), lambda.end(), is_priced)) prover_.begin_with(lambda);
    if (choice.empty()) return;
    if (!is_within_capacity(component_, choice)) {
      const Weights weights(component_);
      Improver improver(weights, options_.seed);
      if (!improver.repair(choice, std::move(lambda), deadline_)) return;
    }
    incumbent_.offer(choice);
  }
  // Ends the search once the possible gain, scaled, is within what is allowed at such a bound.
  void allow_gap(std::function<double(Wide bound)> allowed) { allowed_gap_ = std::move(allowed); }

  // The multipliers of the best bound, by row.
  const std::vector<double>& lambda() const noexcept { return prover_.lambda(); }

  [[gnu::cold]] Outcome run() {
    constexpr double alone = 4e7, sweeps = 100;
    // With a good assignment at hand, sweeps exclude most values, and leave less to explore.
    const bool has_good = incumbent_.cost() || try_interchangeable();
    const double first = has_good ? sweeps * sweep_work(entries_of(component_)) : 0;
    // Without rows the root's sweeps converge soon, and leave little to explore.
    const bool is_short = component_.capacity.empty();
    while (!is_finished() && (prover_.work() < alone ||
                              (prover_.is_at_root() && (is_short || prover_.work() < first))))
      prove();
    if (!is_finished()) explore_too();
    Outcome outcome = outcome_of(incumbent_);
    outcome.is_complete = prover_.is_done();
    return outcome;
  }

 private:
  bool is_finished() {
    return prover_.is_done() || deadline_.is_over() || prover_.nodes() >= options_.node_limit ||
           prover_.work() + explored_ >= options_.work_limit || is_near_enough();
  }
  bool is_near_enough() const {
    if (!allowed_gap_) return false;
    const auto gap = incumbent_.gap();
    return gap && static_cast<double>(*gap) <= allowed_gap_(incumbent_.bound());
  }

  // --- Interchangeable variables -----------------------------------------------------------------

  // Solves the component with one value for all interchangeable variables, where that makes it much
  // smaller.  Whether it gave an assignment.
  [[gnu::cold]] bool try_interchangeable() {
    constexpr int depth = 3;               // farther, and layers near an end differ from the others
    constexpr std::size_t worthwhile = 4;  // times as few variables
    constexpr double sweeps = 40;          // of the whole component: what it may take, about
    std::vector<std::uint32_t> classes = interchangeable_classes(component_, depth);
    const std::uint32_t count = *std::max_element(classes.begin(), classes.end()) + 1;
    if (count * worthwhile > component_.size()) return false;
    const MergedComponent merged(component_, std::move(classes));
    const double limit = sweeps * sweep_work(entries_of(component_));
    const std::optional<Choice> choice = solve_small(merged.component(), limit);
    return choice && incumbent_.offer(merged.lifted(*choice));
  }

  // The best choice that this much work finds in a component, if any.
  [[gnu::cold]] std::optional<Choice> solve_small(const Component& component, double work_limit) {
    Reduced reduced = make_reduced(component, Domains(component.total_values(), 1));
    presolve(reduced, deadline_);
    if (reduced.infeasible) return std::nullopt;
    Options options;
    options.seed = options_.seed;
    std::vector<Value> values(reduced.nodes.size(), 0);
    const std::vector<Component> parts = components_of(reduced);
    options.work_limit = work_limit / static_cast<double>(parts.size());
    for (const Component& part : parts) {
      Search search(part, incumbent_.unit(), options, deadline_, nullptr,
                    [](const Outcome&, bool) {});
      const Outcome outcome = search.run();
      if (!outcome.best) return std::nullopt;
      for (std::uint32_t i = 0; i < part.size(); ++i) values[part.origin[i]] = (*outcome.best)[i];
    }
    undo(reduced, values);
    values.resize(component.size());
    return values;
  }

  void prove() {
    prover_.advance();
    nodes_.store(prover_.nodes(), std::memory_order_relaxed);
  }

  // @pre no other thread changes the incumbent
  [[gnu::cold]] Outcome outcome_of(const Incumbent& incumbent) const {
    Outcome outcome;
    outcome.best = incumbent.best_unlocked();
    outcome.cost = incumbent.cost_unlocked();
    outcome.bound = incumbent.bound_unlocked();
    outcome.nodes = nodes_.load(std::memory_order_relaxed);
    return outcome;
  }

  // --- Proof and exploration ---------------------------------------------------------------------

  [[gnu::cold]] void explore_too() {
    const Weights weights(component_);
    std::vector<std::thread> helpers;
    for (int i = 1; i < options_.threads; ++i)
      helpers.emplace_back([this, &weights, i] { guarded([&] { explore(weights, i); }); });
    guarded([&] { prove_and_explore(weights); });
    deadline_.end();
    for (std::thread& helper : helpers) helper.join();
    if (failure_) std::rethrow_exception(failure_);
  }

  template<class Work>
  void guarded(Work&& work) {
    try {
      work();
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      deadline_.end();
    }
  }

  [[gnu::cold]] void explore(const Weights& weights, int number) {
    Explorer explorer(weights, incumbent_, deadline_, seed_of(number));
    while (!deadline_.is_over()) explorer.advance(shared_lambda());
  }

  [[gnu::cold]] void prove_and_explore(const Weights& weights) {
    Explorer explorer(weights, incumbent_, deadline_, seed_of(0));
    double proving = 0, exploring = 0;  // work by share
    while (!is_finished()) {
      share_lambda();
      const double share = prover_share();
      if (proving <= exploring) {
        const double before = prover_.work();
        prove();
        proving += (prover_.work() - before + 1) / share;
      } else {
        explorer.advance(prover_.lambda());
        exploring += (explorer.work() - explored_ + 1) / (1 - share);
        explored_ = explorer.work();
      }
    }
  }

  // Of this thread's work.  A tree pays where the gap is small; where it is not, it will hardly be
  // closed by splitting.  Where nothing fits so far, perhaps nothing does, and only a tree can
  // tell.
  [[gnu::cold]] double prover_share() const {
    const bool has_helpers = options_.threads > 1;
    const auto cost = incumbent_.cost();
    if (prover_.is_at_root() || !cost) return has_helpers ? 0.9 : 0.5;
    const auto bound = static_cast<double>(incumbent_.bound());
    const bool is_near = static_cast<double>(*cost) - bound <
                         2e-3 * std::abs(static_cast<double>(*cost));
    if (!is_near) return 0.2;
    return has_helpers ? 0.9 : 0.6;
  }

  std::uint64_t seed_of(int number) const {
    return mix_bits(options_.seed + static_cast<std::uint64_t>(number));
  }

  void share_lambda() {
    if (options_.threads == 1) return;
    const std::scoped_lock lock(mutex_);
    if (lambda_ != prover_.lambda()) lambda_ = prover_.lambda();
  }
  std::vector<double> shared_lambda() {
    const std::scoped_lock lock(mutex_);
    return lambda_;
  }

  // --- Reporting: called by the incumbent, which lets one thread in at a time --------------------

  [[gnu::cold]] void pass_on(const Incumbent& incumbent, bool is_new) {
    constexpr double interval = 1.0;
    const double now = deadline_.seconds();
    if (!is_new && now < last_report_ + interval) return;
    last_report_ = now;
    report_(outcome_of(incumbent), is_new);
  }

  const Component& component_;
  const Options& options_;
  Deadline deadline_;
  Report report_;
  std::atomic<std::uint64_t> nodes_{0};
  double last_report_ = 0;
  Incumbent incumbent_;
  Prover prover_;
  double explored_ = 0;  // this thread's work apart from proving
  std::function<double(Wide)> allowed_gap_;

  std::mutex mutex_;  // guards what follows
  std::vector<double> lambda_;
  std::exception_ptr failure_;
};

}  // namespace tessera::solver::detail
