// SPDX-License-Identifier: Apache-2.0
//
// The state that all phases of a proof share, and what they all do: bounds that are written to the
// certificate, values that go by their reduced costs, and relaxations rounded to assignments.
//
// A proof works on a chain of components: the first, and what each round of presolve left of the
// one before.  Its phases see the last one only.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/deadline.hpp"
#include "tessera/solver/detail/bound/component.hpp"
#include "tessera/solver/detail/bound/exact_bound.hpp"
#include "tessera/solver/detail/bound/relaxation.hpp"
#include "tessera/solver/detail/search/descent.hpp"
#include "tessera/solver/detail/search/greedy_rounding.hpp"
#include "tessera/solver/detail/search/improver.hpp"
#include "tessera/solver/detail/search/incumbent.hpp"

namespace tessera::solver::detail {

// The result of a round of presolve, and the way back.
struct Remainder {
  Reduced reduced;  // from the component before
  Component component;
  Wide constant = 0;  // cost that is certain by now
};

struct ProofState {
  const Component& first;
  Incumbent& incumbent;
  const Deadline& deadline;
  std::uint64_t seed;
  bool may_presolve;
  Proof* proof;  // receives all steps, unless null
  Wide ceiling;  // no choice of the first component costs more
  std::vector<std::unique_ptr<Remainder>> rounds = {};
  std::vector<double> lambda = {};  // good multipliers for the rows of the first component
  double work = 0;                  // kernel operations so far
  std::uint64_t nodes = 0;          // of the tree
};

// The component after so many rounds of presolve; the present one.
inline const Component& component_after(const ProofState& state, std::size_t rounds) {
  return rounds == 0 ? state.first : state.rounds[rounds - 1]->component;
}
inline const Component& component_of(const ProofState& state) {
  return component_after(state, state.rounds.size());
}
inline Wide constant_of(const ProofState& state) {
  return state.rounds.empty() ? Wide(0) : state.rounds.back()->constant;
}

// --- Against the incumbent -----------------------------------------------------------------------

// Whether nothing of use costs `bound` or more.  More than the ceiling means infeasible.
inline bool closes(const ProofState& state, Wide bound) {
  const Wide total = bound + constant_of(state);
  return state.incumbent.closes(total) || total > state.ceiling;
}
// As a cost of the present component.
inline std::optional<Wide> incumbent_cost(const ProofState& state) {
  const auto cost = state.incumbent.cost();
  return cost ? std::optional(*cost - constant_of(state)) : std::nullopt;
}
// The target of the ascent.
inline double target_of(const ProofState& state) {
  const auto cost = incumbent_cost(state);
  return cost ? static_cast<double>(*cost) : 1e300;
}
inline void raise_bound(ProofState& state, Wide bound) {
  const Wide total = bound + constant_of(state);
  const auto cost = state.incumbent.cost();
  state.incumbent.raise_bound(cost ? std::min(*cost, total) : total);
}

// --- Values that go by their reduced costs -------------------------------------------------------

// A choice of this cost is no better than the incumbent, or infeasible.
inline Wide limit_of_use(const ProofState& state) {
  const auto incumbent = incumbent_cost(state);
  return incumbent ? *incumbent - state.incumbent.unit() + 1
                   : state.ceiling - constant_of(state) + 1;
}

// The values with which the bound reaches the limit.  `kept` has the component's value of each.
inline std::vector<std::uint32_t> costly_values(const ProofState& state, const Bound& bound,
                                                const std::vector<std::uint32_t>& kept) {
  std::vector<std::uint32_t> costly;
  const Wide limit = limit_of_use(state);
  for (std::size_t x = 0; x < kept.size(); ++x)
    if (bound.value + bound.reduced_costs[x] >= limit) costly.push_back(kept[x]);
  return costly;
}

[[gnu::cold]] inline void remove_values(const ProofState& state, Domains& domains,
                                        const std::vector<std::uint32_t>& costly) {
  for (const std::uint32_t x : costly) domains[x] = 0;
  if (state.proof == nullptr || costly.empty()) return;
  const Component& component = component_of(state);
  state.proof->step("reduced_cost_fixing") << limit_of_use(state);
  std::uint32_t i = 0;
  for (const std::uint32_t x : costly) {
    while (component.first[i + 1] <= x) ++i;
    state.proof->pair(component.name[i], component.label[x]);
  }
  state.proof->end();
}

// Removes a value whose own bound reaches the incumbent.  Returns how many there were.
inline std::size_t remove_costly(const ProofState& state, Domains& domains, const Bound& bound,
                                 const std::vector<std::uint32_t>& kept) {
  const std::vector<std::uint32_t> costly = costly_values(state, bound, kept);
  remove_values(state, domains, costly);
  return costly.size();
}

// --- Bounds --------------------------------------------------------------------------------------

// The sum of all minima; of single values, their cost.
inline Wide bound_without_messages(const ProofState& state, const Component& restricted) {
  const Wide bound = trivial_bound(restricted);
  if (state.proof != nullptr) (state.proof->step("lower_bound") << bound << 0 << "|").end();
  return bound;
}

// The bound of a relaxation.  It is written to the certificate where it is better than the known
// one, or where values are to go by it.
[[gnu::cold]] inline Bound bound_of(const ProofState& state, const Component& restricted,
                                    const Relaxation& relaxation, Wide known, bool is_needed) {
  const Multipliers multipliers = rounded_multipliers(restricted, relaxation.lambda());
  Messages messages;
  Bound bound = exact_bound(restricted, relaxation.messages().forward(), multipliers,
                            state.proof != nullptr ? &messages : nullptr);
  if (state.proof != nullptr && (is_needed || bound.value > known))
    write_bound(*state.proof, restricted, multipliers, messages, bound.value);
  return bound;
}

// --- Assignments ---------------------------------------------------------------------------------

// A choice of the present component as one of the first.
[[gnu::cold]] inline Choice lifted(const ProofState& state, Choice choice) {
  for (std::size_t r = state.rounds.size(); r-- > 0;) {
    const Remainder& round = *state.rounds[r];
    std::vector<Value> values(round.reduced.nodes.size(), 0);
    for (std::uint32_t i = 0; i < choice.size(); ++i) values[round.component.origin[i]] = choice[i];
    undo(round.reduced, values);
    values.resize(component_after(state, r).size());
    choice = std::move(values);
  }
  return choice;
}

// Offers a choice of a restriction of the present component.
[[gnu::cold]] inline void offer(ProofState& state, const Component& restricted,
                                const std::vector<std::uint32_t>& kept, const Choice& choice) {
  Choice whole(choice.size());
  for (std::uint32_t i = 0; i < choice.size(); ++i)
    whole[i] = kept[restricted.first[i] + choice[i]] - component_of(state).first[i];
  state.incumbent.offer(lifted(state, std::move(whole)));
}

// Makes a choice fit, by repair or else by greedy rounding.
[[gnu::cold]] inline bool make_fit(ProofState& state, const Weights& weights,
                                   const Relaxation& relaxation, Choice& choice) {
  constexpr double elimination_limit = 10;
  Improver improver(weights, state.seed + state.nodes);
  improver.set_limit(elimination_limit);
  const bool is_repaired = improver.repair(choice, relaxation.lambda(), state.deadline);
  state.work += improver.work();
  return is_repaired || round_greedily(weights, relaxation, choice);
}

// Reads the relaxation as an assignment, makes it fit, polishes and offers it.  Returns the plain
// reading, which may use too much.
[[gnu::cold]] inline Choice round_and_offer(ProofState& state, const Weights& weights,
                                            Relaxation& relaxation,
                                            const std::vector<std::uint32_t>& kept,
                                            bool thoroughly) {
  const Component& restricted = weights.component();
  Choice plain = relaxation.messages().decode();
  Choice choice = plain;
  if (!is_within_capacity(restricted, choice) &&
      (!thoroughly || !make_fit(state, weights, relaxation, choice)))
    return plain;
  if (!cost_of(restricted, choice)) return plain;
  descend(restricted, choice);
  offer(state, restricted, kept, choice);
  return plain;
}

}  // namespace tessera::solver::detail
