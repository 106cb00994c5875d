// SPDX-License-Identifier: Apache-2.0
//
// The body of solve(): presolve, split into components, search each, undo, check.
#pragma once
#include "tessera/solver/solve.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/solver/deadline.hpp"
#include "tessera/solver/detail/bound/exact_costs_of.hpp"
#include "tessera/solver/detail/presolve/presolve.hpp"
#include "tessera/solver/detail/presolve/reduce.hpp"
#include "tessera/solver/detail/search/search.hpp"
#include "tessera/solver/evaluate.hpp"

namespace tessera::solver {

namespace detail {

// A problem while its components are searched.
struct SolveState {
  const Problem& problem;
  const Options& options;
  Deadline deadline;
  int shift;  // costs are scaled by 2^shift
  std::unique_ptr<Proof> proof = nullptr;
  Reduced reduced = {};
  std::vector<Component> components = {};
  std::vector<Outcome> outcomes = {};                 // by component
  std::vector<std::int64_t> row_times = {};           // by a row's first number
  std::map<std::int64_t, double> shadow_prices = {};  // unscaled, by time
};

// Rounded up.
inline Wide unscaled(const SolveState& state, Wide scaled) {
  const Wide unit = Wide(1) << state.shift;
  Wide quotient = scaled / unit;
  if (scaled > 0 && scaled % unit != 0) ++quotient;
  return quotient;
}

inline Wide lower_bound_of(const SolveState& state) {
  Wide total = state.reduced.constant;
  for (const Outcome& outcome : state.outcomes)
    total += outcome.best ? std::min(outcome.bound, outcome.cost) : outcome.bound;
  return unscaled(state, total);
}

[[gnu::cold]] inline void report(const SolveState& state, const char* event) {
  if (!state.options.on_progress) return;
  Progress progress;
  progress.seconds = state.deadline.seconds();
  progress.has_incumbent = true;
  Wide total = state.reduced.constant;
  for (const Outcome& outcome : state.outcomes) {
    progress.nodes += outcome.nodes;
    progress.has_incumbent = progress.has_incumbent && outcome.best.has_value();
    total += outcome.cost;
  }
  progress.incumbent = unscaled(state, total);
  progress.lower_bound = lower_bound_of(state);
  progress.event = event;
  state.options.on_progress(progress);
}

// --- Before the search ---------------------------------------------------------------------------

[[gnu::cold]] inline void begin(SolveState& state, std::unique_ptr<CostTables> costs) {
  if (state.options.on_proof) {
    state.proof = std::make_unique<Proof>(state.options.on_proof);
    (state.proof->step("certificate 2 scale") << state.shift).end();
  }
  state.row_times = row_times(state.problem);
  state.reduced = make_reduced(state.problem, std::move(costs), state.shift);
  state.reduced.proof = state.proof.get();
  if (state.options.presolve && !state.reduced.infeasible) presolve(state.reduced, state.deadline);
  if (state.reduced.infeasible) return;
  state.components = components_of(state.reduced);
  state.outcomes.resize(state.components.size());
  for (std::size_t c = 0; c < state.components.size(); ++c)
    state.outcomes[c].bound = trivial_bound(state.components[c]);
}

// The assignment to begin with, by component, as far as presolve has left it; empty: none.
[[gnu::cold]] inline std::vector<Choice> starts_of(const SolveState& state) {
  std::vector<Choice> starts(state.components.size());
  const Assignment& start = state.options.start;
  if (start.size() != state.problem.node_count() || evaluate(state.problem, start).forbidden > 0)
    return starts;
  std::vector<Value> values(start.begin(), start.end());
  for (const std::uint32_t combination : combinations_in(state.problem, start))
    values.push_back(combination);
  if (!project(state.reduced, values)) return starts;
  for (std::size_t c = 0; c < starts.size(); ++c)
    for (const Variable w : state.components[c].origin) starts[c].push_back(values[w]);
  return starts;
}

// The shadow prices to begin with, each at the last of a component's rows before it.
[[gnu::cold]] inline std::vector<double> multipliers_of(const SolveState& state,
                                                        const Component& component) {
  std::vector<double> lambda(component.row_name.size(), 0);
  std::size_t row = 0;
  for (const ShadowPrice& at : state.options.shadow_prices) {
    while (row < lambda.size() && state.row_times[component.row_name[row]] <= at.time) ++row;
    if (row > 0) lambda[row - 1] += std::ldexp(std::max(at.price, 0.0), state.shift);
  }
  return lambda;
}

// --- The search ----------------------------------------------------------------------------------

// The gap that a component with this bound may leave open, scaled: of the gap that the whole may
// have and those before it did not use, an even share.
[[gnu::cold]] inline double allowed_gap(const SolveState& state, std::size_t c, Wide bound_of_it) {
  Wide bound = state.reduced.constant, open = 0;
  for (std::size_t i = 0; i < state.outcomes.size(); ++i) {
    const Outcome& outcome = state.outcomes[i];
    bound += i == c ? bound_of_it : outcome.bound;
    if (i < c && outcome.best) open += std::max(Wide(0), outcome.cost - outcome.bound);
  }
  const double whole = state.options.gap_limit * std::abs(static_cast<double>(bound));
  return (whole - static_cast<double>(open)) / static_cast<double>(state.outcomes.size() - c);
}

[[gnu::cold]] inline void add_shadow_prices(SolveState& state, const Component& component,
                                            const std::vector<double>& lambda) {
  for (std::size_t row = 0; row < lambda.size(); ++row)
    if (lambda[row] > 0)
      state.shadow_prices[state.row_times[component.row_name[row]]] +=
          std::ldexp(lambda[row], -state.shift);
}

[[gnu::cold]] inline void search(SolveState& state, std::size_t c, Choice start) {
  const Component& component = state.components[c];
  Search search(component, Wide(1) << state.shift, state.options, state.deadline, state.proof.get(),
                [&](const Outcome& so_far, bool improved) {
                  const Wide bound = std::max(state.outcomes[c].bound, so_far.bound);
                  state.outcomes[c] = so_far;
                  state.outcomes[c].bound = bound;
                  report(state, improved ? "incumbent" : "bound");
                });
  if (state.options.gap_limit > 0)
    search.allow_gap([&state, c](Wide bound) { return allowed_gap(state, c, bound); });
  search.begin_with(multipliers_of(state, component), std::move(start));
  Outcome outcome = search.run();
  add_shadow_prices(state, component, search.lambda());
  outcome.bound = std::max(outcome.bound, state.outcomes[c].bound);
  state.outcomes[c] = std::move(outcome);
  // A component without an answer leaves the whole without one.
  if (!state.outcomes[c].best && state.outcomes[c].is_complete) state.reduced.infeasible = true;
}

// --- The answer ----------------------------------------------------------------------------------

[[gnu::cold]] inline Assignment assignment_of(const SolveState& state) {
  std::vector<Value> values(state.reduced.nodes.size(), 0);
  for (std::size_t c = 0; c < state.components.size(); ++c) {
    const Component& component = state.components[c];
    for (std::uint32_t i = 0; i < component.size(); ++i)
      values[component.origin[i]] = (*state.outcomes[c].best)[i];
  }
  undo(state.reduced, values);
  values.resize(state.problem.node_count());
  return values;
}

[[gnu::cold]] inline Statistics statistics_of(const SolveState& state) {
  Statistics statistics;
  statistics.seconds = state.deadline.seconds();
  statistics.rows = state.reduced.capacity.size();
  statistics.components = state.components.size();
  for (const Component& component : state.components) {
    statistics.variables += component.size();
    statistics.values += component.total_values();
    statistics.edges += component.tables.size();
  }
  for (const Outcome& outcome : state.outcomes) statistics.nodes += outcome.nodes;
  return statistics;
}

[[gnu::cold]] inline Result result_of(const SolveState& state) {
  Result result;
  result.statistics = statistics_of(state);
  if (state.reduced.infeasible) {
    result.status = Status::infeasible;
    return result;
  }
  result.lower_bound = lower_bound_of(state);
  for (const auto& [time, price] : state.shadow_prices)
    result.shadow_prices.push_back({time, price});
  bool has_all = true, is_complete = true;
  for (const Outcome& outcome : state.outcomes) {
    has_all = has_all && outcome.best.has_value();
    is_complete = is_complete && outcome.is_complete;
  }
  if (!has_all) return result;
  result.assignment = assignment_of(state);
  const Evaluation evaluation = evaluate(state.problem, result.assignment);
  if (!evaluation.is_feasible())
    throw InternalError("the solver's answer is not feasible: this is a defect");
  result.cost = evaluation.cost;
  result.status = is_complete || result.lower_bound == result.cost ? Status::optimal
                                                                   : Status::feasible;
  if (result.status == Status::optimal && result.lower_bound != result.cost)
    throw InternalError("the solver's answer does not cost what it proved: this is a defect");
  return result;
}

[[gnu::cold]] inline void claim(Proof& proof, const Result& answer) {
  proof.step("claim");
  if (answer.status == Status::infeasible)
    proof << "infeasible";
  else
    proof << answer.lower_bound;
  proof.end();
}

}  // namespace detail

TESSERA_INLINE Result solve(const Problem& problem, const Options& options) {
  const Wide magnitude = detail::magnitude_of(problem);
  const int narrow_shift = detail::spare_bits<std::int64_t>(magnitude);
  const bool is_wide = narrow_shift < 0;
  detail::SolveState state{problem, options, Deadline(options),
                           is_wide ? detail::spare_bits<Wide>(magnitude) : narrow_shift};
  detail::begin(state, detail::make_cost_tables(is_wide));
  if (!state.reduced.infeasible) {
    std::vector<detail::Choice> starts = detail::starts_of(state);
    detail::report(state, "presolved");
    for (std::size_t c = 0; c < state.components.size() && !state.reduced.infeasible; ++c)
      detail::search(state, c, std::move(starts[c]));
  }
  if (!state.reduced.infeasible) detail::report(state, "finished");
  Result answer = detail::result_of(state);
  if (state.proof) detail::claim(*state.proof, answer);
  return answer;
}

}  // namespace tessera::solver
