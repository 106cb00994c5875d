// SPDX-License-Identifier: Apache-2.0
//
// solve(): presolve, split into components, search each, undo, check.
//
// The answer always says status, cost and lower bound, whatever limit was reached.  Its cost is
// that of evaluate.hpp, which shares nothing with the search.
#pragma once
#include <algorithm>
#include <cmath>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/solver/evaluate.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/presolve.hpp"
#include "tessera/solver/reduce.hpp"
#include "tessera/solver/search.hpp"

namespace tessera::solver {

namespace detail {

template<class Int>
class Solve {
 public:
  Solve(const Problem& problem, const Options& options, int shift)
      : problem_(problem), options_(options), deadline_(options), shift_(shift) {}

  Result run() {
    if (options_.on_proof) {
      proof_.emplace(options_.on_proof);
      (proof_->step("certificate 2 scale") << shift_).end();
    }
    row_times_ = detail::row_times(problem_);
    reduced_ = make_reduced<Int>(problem_, shift_);
    reduced_.proof = proof();
    if (options_.presolve && !reduced_.infeasible) Presolve<Int>(reduced_, deadline_).run();
    if (!reduced_.infeasible) {
      components_ = components_of(reduced_);
      begin_with(options_.start);
      outcomes_.resize(components_.size());
      for (std::size_t c = 0; c < components_.size(); ++c)
        outcomes_[c].bound = easy_bound(components_[c]);
      report("presolved");
    }
    search();
    if (!reduced_.infeasible) report("finished");
    Result answer = result();
    if (proof_) claim(answer);
    return answer;
  }

 private:
  // An assignment to begin with, as far as presolve has left it.
  void begin_with(const Assignment& start) {
    starts_.resize(components_.size());
    if (start.size() != problem_.node_count() || evaluate(problem_, start).forbidden > 0) return;
    std::vector<Value> values(start.begin(), start.end());
    for (const std::uint32_t combination : combinations_in(problem_, start))
      values.push_back(combination);
    if (!reduced_.project(values)) return;
    for (std::size_t c = 0; c < components_.size(); ++c)
      for (const Variable w : components_[c].origin) starts_[c].push_back(values[w]);
  }

  Proof* proof() { return proof_ ? &*proof_ : nullptr; }
  void claim(const Result& answer) {
    proof_->step("claim");
    if (answer.status == Status::infeasible)
      *proof_ << "infeasible";
    else
      *proof_ << answer.lower_bound;
    proof_->end();
  }

  void search() {
    for (std::size_t c = 0; c < components_.size() && !reduced_.infeasible; ++c) {
      Search<Int> search(components_[c], Wide(1) << shift_, options_, deadline_, proof(),
                         [&](const Outcome& so_far, bool improved) {
                           outcomes_[c].best = so_far.best;
                           outcomes_[c].cost = so_far.cost;
                           outcomes_[c].bound = std::max(outcomes_[c].bound, so_far.bound);
                           outcomes_[c].nodes = so_far.nodes;
                           report(improved ? "incumbent" : "bound");
                         });
      if (options_.gap_limit > 0)
        search.allow_gap([this, c](Wide bound) { return allowed_gap(c, bound); });
      search.begin_with(multipliers_of(components_[c]), starts_[c]);
      Outcome outcome = search.run();
      add_prices(components_[c], search.lambda());
      outcome.bound = std::max(outcome.bound, outcomes_[c].bound);
      outcomes_[c] = std::move(outcome);
      // A component without an answer leaves the whole without one.
      if (!outcomes_[c].best && outcomes_[c].is_complete) reduced_.infeasible = true;
    }
  }

  // The prices to begin with, each at the last of a component's rows before it.
  std::vector<double> multipliers_of(const Component<Int>& component) const {
    std::vector<double> lambda(component.row_name.size(), 0);
    std::size_t row = 0;
    for (const UsagePrice& at : options_.usage_prices) {
      while (row < lambda.size() && row_times_[component.row_name[row]] <= at.time) ++row;
      if (row > 0) lambda[row - 1] += std::ldexp(std::max(at.price, 0.0), shift_);
    }
    return lambda;
  }
  void add_prices(const Component<Int>& component, const std::vector<double>& lambda) {
    for (std::size_t row = 0; row < lambda.size(); ++row)
      if (lambda[row] > 0)
        prices_[row_times_[component.row_name[row]]] += std::ldexp(lambda[row], -shift_);
  }

  // What a component with this bound may leave open, scaled: of what the whole may and those before
  // it did not, an even share.
  double allowed_gap(std::size_t c, Wide bound_of_it) const {
    Wide bound = reduced_.constant, open = 0;
    for (std::size_t i = 0; i < outcomes_.size(); ++i) {
      bound += i == c ? bound_of_it : outcomes_[i].bound;
      if (i < c && outcomes_[i].best)
        open += std::max(Wide(0), outcomes_[i].cost - outcomes_[i].bound);
    }
    const double whole = options_.gap_limit * std::abs(static_cast<double>(bound));
    return (whole - static_cast<double>(open)) / static_cast<double>(outcomes_.size() - c);
  }

  Wide unscaled_up(Wide scaled) const {  // rounded up
    const Wide unit = Wide(1) << shift_;
    Wide quotient = scaled / unit;
    if (scaled > 0 && scaled % unit != 0) ++quotient;
    return quotient;
  }

  Wide lower_bound() const {
    Wide total = reduced_.constant;
    for (const Outcome& outcome : outcomes_)
      total += outcome.best ? std::min(outcome.bound, outcome.cost) : outcome.bound;
    return unscaled_up(total);
  }

  void report(const char* event) {
    if (!options_.on_progress) return;
    Progress progress;
    progress.seconds = deadline_.seconds();
    progress.has_incumbent = true;
    Wide total = reduced_.constant;
    for (const Outcome& outcome : outcomes_) {
      progress.nodes += outcome.nodes;
      progress.has_incumbent = progress.has_incumbent && outcome.best.has_value();
      total += outcome.cost;
    }
    progress.incumbent = unscaled_up(total);
    progress.lower_bound = lower_bound();
    progress.event = event;
    options_.on_progress(progress);
  }

  Result result() {
    Result result;
    fill_statistics(result.statistics);
    if (reduced_.infeasible) {
      result.status = Status::infeasible;
      return result;
    }
    result.lower_bound = lower_bound();
    for (const auto& [time, price] : prices_) result.usage_prices.push_back({time, price});
    bool has_all = true, is_complete = true;
    for (const Outcome& outcome : outcomes_) {
      has_all = has_all && outcome.best.has_value();
      is_complete = is_complete && outcome.is_complete;
    }
    if (!has_all) return result;
    result.assignment = assignment();
    const Evaluation evaluation = evaluate(problem_, result.assignment);
    if (!evaluation.is_feasible())
      throw InternalError("the solver's answer is not feasible: this is a defect");
    result.cost = evaluation.cost;
    result.status = is_complete || result.lower_bound == result.cost ? Status::optimal
                                                                     : Status::feasible;
    if (result.status == Status::optimal && result.lower_bound != result.cost)
      throw InternalError("the solver's answer does not cost what it proved: this is a defect");
    return result;
  }

  Assignment assignment() const {
    std::vector<Value> values(reduced_.nodes.size(), 0);
    for (std::size_t c = 0; c < components_.size(); ++c)
      for (std::uint32_t i = 0; i < components_[c].size(); ++i)
        values[components_[c].origin[i]] = (*outcomes_[c].best)[i];
    reduced_.undo(values);
    values.resize(problem_.node_count());
    return values;
  }

  void fill_statistics(Statistics& statistics) const {
    statistics.seconds = deadline_.seconds();
    statistics.rows = reduced_.capacity.size();
    statistics.components = components_.size();
    for (const Component<Int>& component : components_) {
      statistics.variables += component.size();
      statistics.values += component.total_values();
      statistics.edges += component.tables.size();
    }
    for (const Outcome& outcome : outcomes_) statistics.nodes += outcome.nodes;
  }

  const Problem& problem_;
  const Options& options_;
  Deadline deadline_;
  int shift_;
  std::optional<Proof> proof_;
  Reduced<Int> reduced_;
  std::vector<Component<Int>> components_;
  std::vector<Outcome> outcomes_;
  std::vector<Choice> starts_;             // by component; empty: none
  std::vector<std::int64_t> row_times_;    // by a row's first number
  std::map<std::int64_t, double> prices_;  // unscaled, by time
};

}  // namespace detail

// The cheapest assignment, or the best found within the limits.  @post the result is consistent:
// its cost is evaluate()'s, and lower_bound <= cost
//
// A template only so that who includes this without calling it does not compile the solver, twice;
// and that a program of several files can have it compiled in one of them, by `extern template`.
template<std::same_as<Problem> P = Problem>
Result solve(const P& problem, const Options& options = {}) {
  const Wide magnitude = magnitude_of(problem);
  if (const int shift = spare_bits<std::int64_t>(magnitude); shift >= 0)
    return detail::Solve<std::int64_t>(problem, options, shift).run();
  return detail::Solve<Wide>(problem, options, spare_bits<Wide>(magnitude)).run();
}

}  // namespace tessera::solver
