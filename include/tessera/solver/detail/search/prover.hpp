// SPDX-License-Identifier: Apache-2.0
//
// Raises the lower bound of a component until it meets the incumbent.
//
//   root   Multipliers and messages ascend (root.hpp).  Values that the bound shows to be
//          unnecessary (reduced costs) go, and what is left is presolved again: values that are
//          gone make new infinities, those merge variables, and the next ascent starts from a
//          smaller component.
//   parts  Where that falls apart, each part is proven by itself (parts.hpp).
//   tree   Branch and bound on what is left (tree.hpp).
//
// Every bound that decides is exact (exact_bound.hpp).  Along the way each relaxation is read as an
// assignment and offered.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/detail/bound/propagator.hpp"
#include "tessera/solver/detail/presolve/presolve.hpp"
#include "tessera/solver/detail/search/parts.hpp"
#include "tessera/solver/detail/search/proof_state.hpp"
#include "tessera/solver/detail/search/root.hpp"
#include "tessera/solver/detail/search/tree.hpp"

namespace tessera::solver::detail {

class Prover {
 public:
  // Its steps are written to `proof`, unless that is null; the first is `step`.
  // @pre everything outlives it
  Prover(const Component& component, Incumbent& incumbent, const Deadline& deadline,
         std::uint64_t seed, bool may_presolve, Proof* proof, const char* step = "component")
      : state_{
            component, incumbent, deadline, seed, may_presolve, proof, trivial_ceiling(component)} {
    Domains domains = component.costs->finite_values();
    if (proof != nullptr) {
      proof->step(step);
      for (const Variable name : component.name) *proof << name;
      proof->end();
      explain_infinite(domains);
    }
    begin_root(std::move(domains));
  }

  Prover(const Prover&) = delete;
  Prover& operator=(const Prover&) = delete;

  // Multipliers to begin with, by row of the component it was given.  With `approach`, some sweeps
  // are made at them first.
  [[gnu::cold]] void begin_with(std::vector<double> lambda, bool approach = true) {
    if (!root_) return;
    if (approach)
      root_->approach(std::move(lambda));
    else
      root_->start_from(std::move(lambda));
  }

  // Whether nothing cheaper than the incumbent exists.
  bool is_done() const noexcept { return !root_ && !parts_ && !tree_; }
  std::uint64_t nodes() const noexcept { return state_.nodes; }
  // Kernel operations so far, which a caller may take for time.
  double work() const noexcept { return state_.work; }
  // Multipliers for the rows of the component it was given; better ones from time to time.
  const std::vector<double>& lambda() const noexcept { return state_.lambda; }
  // Before any tree; with parts, before the one at hand has a tree.
  bool is_at_root() const { return parts_ ? parts_->is_at_root() : root_.has_value(); }

  // A little more: some sweeps, or a node of the tree.
  [[gnu::cold]] void advance() {
    if (root_)
      advance_root();
    else if (parts_ ? !parts_->advance() : tree_ && !tree_->advance())
      finish();
  }

 private:
  [[gnu::cold]] void explain_infinite(const Domains& domains) const {
    const Component& component = state_.first;
    for (std::uint32_t i = 0; i < component.size(); ++i)
      for (std::uint32_t x = component.first[i]; x < component.first[i + 1]; ++x)
        if (domains[x] == 0)
          (state_.proof->step("unsupported")
           << component.name[i] << component.label[x] << component.name[i])
              .end();
  }

  [[gnu::cold]] void begin_root(Domains domains) {
    propagator_.emplace(component_of(state_));
    root_.emplace(state_, *propagator_, std::move(domains));
    if (root_->begin() == RootPhase::Outcome::closed) finish();
  }

  [[gnu::cold]] void advance_root() {
    switch (root_->advance()) {
      case RootPhase::Outcome::open: break;
      case RootPhase::Outcome::closed: finish(); break;
      case RootPhase::Outcome::presolve: presolve_again(); break;
      case RootPhase::Outcome::branch: begin_tree(); break;
    }
  }

  // Presolves what the root leaves of the component.
  void presolve_again() {
    auto remainder = std::make_unique<Remainder>();
    remainder->reduced = make_reduced(component_of(state_), root_->domains(), state_.proof);
    presolve(remainder->reduced, state_.deadline);
    if (remainder->reduced.infeasible) {
      finish();
      return;
    }
    remainder->constant = constant_of(state_) + remainder->reduced.constant;
    if (std::vector<Component> parts = components_of(remainder->reduced); parts.size() > 1) {
      std::vector<std::vector<double>> lambda;
      for (const Component& part : parts) lambda.push_back(multipliers_of(part));
      parts_.emplace(state_, std::move(remainder), std::move(parts), std::move(lambda));
      root_.reset();
      return;
    }
    remainder->component = remainder_of(remainder->reduced);
    std::vector<double> lambda = multipliers_of(remainder->component);
    root_.reset();
    state_.rounds.push_back(std::move(remainder));
    begin_root(Domains(component_of(state_).total_values(), 1));
    begin_with(std::move(lambda), false);
  }

  // The present multipliers of the rows that remain in the next component: a good start there.
  [[gnu::cold]] std::vector<double> multipliers_of(const Component& next) const {
    std::vector<double> lambda;
    std::size_t at = 0;
    for (const std::uint32_t row : next.row_name) {
      while (component_of(state_).row_name[at] != row) ++at;
      lambda.push_back(root_->lambda()[at]);
    }
    return lambda;
  }

  void begin_tree() {
    TreeNode node;
    node.domains = root_->domains();
    node.bound = root_->bound();
    node.point = std::make_shared<DualPoint>(
        root_->point(keeps_messages(message_count_of(component_of(state_)))));
    root_.reset();
    tree_.emplace(state_, *propagator_, std::move(node));
  }

  // Nothing cheaper than the incumbent is left.
  [[gnu::cold]] void finish() {
    root_.reset();
    parts_.reset();
    tree_.reset();
    if (const auto cost = state_.incumbent.cost()) state_.incumbent.raise_bound(*cost);
  }

  ProofState state_;
  std::optional<Propagator> propagator_;  // of the present component
  // One of these, until it is done.
  std::optional<RootPhase> root_;
  std::optional<PartsPhase> parts_;
  std::optional<TreePhase> tree_;
};

// --- Parts ---------------------------------------------------------------------------------------

inline PartsPhase::PartsPhase(ProofState& state, std::unique_ptr<Remainder> divided,
                              std::vector<Component> parts, std::vector<std::vector<double>> lambda)
    : state_(state), divided_(std::move(divided)) {
  for (std::size_t p = 0; p < parts.size(); ++p)
    parts_.push_back({std::move(parts[p]), std::move(lambda[p]), nullptr, nullptr});
}
inline PartsPhase::~PartsPhase() = default;

inline bool PartsPhase::is_at_root() const {
  return at_hand_ == parts_.size() || !parts_[at_hand_].prover ||
         parts_[at_hand_].prover->is_at_root();
}

inline bool PartsPhase::advance() {
  if (at_hand_ == parts_.size()) {
    offer_parts();
    return false;
  }
  Part& part = parts_[at_hand_];
  if (!part.prover) begin_part(part);
  const double work = part.prover->work();
  const std::uint64_t nodes = part.prover->nodes();
  part.prover->advance();
  state_.work += part.prover->work() - work;
  state_.nodes += part.prover->nodes() - nodes;
  if (at_hand_ + 1 == parts_.size())
    raise_bound(state_,
                divided_->constant - constant_of(state_) + settled_ + part.incumbent->bound());
  if (!part.prover->is_done()) return true;
  if (state_.proof != nullptr) state_.proof->step("end_subcomponent").end();
  part.prover.reset();
  ++at_hand_;
  // Where nothing of use is left of this part, none is left of all.
  if (!part.incumbent->best_below(std::nullopt)) return false;
  settled_ += *part.incumbent->cost();
  return true;
}

[[gnu::cold]] inline void PartsPhase::begin_part(Part& part) {
  part.incumbent = std::make_unique<Incumbent>(part.component, state_.incumbent.unit(),
                                               trivial_bound(part.component), nullptr,
                                               limit_of_part());
  part.prover = std::make_unique<Prover>(part.component, *part.incumbent, state_.deadline,
                                         state_.seed, state_.may_presolve, state_.proof,
                                         "subcomponent");
  part.prover->begin_with(part.lambda, false);
}

// The most that the part at hand may cost to be of use: the incumbent less the others.
[[gnu::cold]] inline std::optional<Wide> PartsPhase::limit_of_part() const {
  const auto cost = state_.incumbent.cost();
  if (!cost) return std::nullopt;
  Wide others = divided_->constant + settled_;
  for (std::size_t p = at_hand_ + 1; p < parts_.size(); ++p)
    others += trivial_bound(parts_[p].component);
  return *cost - others;
}

// The parts' best choices together.
[[gnu::cold]] inline void PartsPhase::offer_parts() {
  std::vector<Value> values(divided_->reduced.nodes.size(), 0);
  for (const Part& part : parts_) {
    const Choice choice = *part.incumbent->best_below(std::nullopt);
    for (std::uint32_t i = 0; i < choice.size(); ++i) values[part.component.origin[i]] = choice[i];
  }
  undo(divided_->reduced, values);
  values.resize(component_of(state_).size());
  state_.incumbent.offer(lifted(state_, std::move(values)));
}

}  // namespace tessera::solver::detail
