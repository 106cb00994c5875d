// SPDX-License-Identifier: Apache-2.0
//
// Arc consistency: a value is possible when its own cost is finite and every neighbour supports it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/detail/presolve/presolve_run.hpp"

namespace tessera::solver::detail {

[[gnu::noinline]] inline std::vector<Value> finite_values(const Reduced& problem, Variable w) {
  std::vector<Value> values;
  if (problem.costs->all_finite(w)) {  // almost always
    values.resize(problem.nodes[w].size());
    std::iota(values.begin(), values.end(), 0U);
    return values;
  }
  for (Value x = 0; x < problem.nodes[w].size(); ++x)
    if (problem.costs->is_finite(w, x)) values.push_back(x);
  return values;
}
// The same as a list's number; almost always it is all of them.
inline ListId finite_list(PresolveRun& run, Variable w) {
  Reduced& problem = run.problem;
  const std::size_t size = problem.nodes[w].size();
  if (!problem.costs->all_finite(w)) return problem.lists.add(finite_values(problem, w));
  if (size >= run.all_values.size()) run.all_values.resize(size + 1);
  std::optional<ListId>& all = run.all_values[size];
  if (!all) all = problem.lists.add(finite_values(problem, w));
  return *all;
}

// The values of w for which the table allows some value of its other end.
[[gnu::cold]] inline ListId supported_values(PresolveRun& run, Variable w, EdgeId e) {
  Reduced& problem = run.problem;
  const Variable other = problem.tables[e].other(w);
  const EntriesId entries = table_from(problem, w, e);
  const ListId allowed = finite_list(run, other);
  const std::uint32_t width = problem.nodes[other].values;
  return cached(problem, Question::supported_rows, {entries, width, allowed}, [&] {
    return problem.lists.add(problem.costs->supported_rows(entries, width, problem.lists[allowed]));
  });
}

inline std::vector<Value> possible_values(PresolveRun& run, Variable w) {
  const ReducedNode& node = run.problem.nodes[w];
  std::vector<Value> kept = finite_values(run.problem, w);
  for (const EdgeId e : node.edges) {
    const std::vector<Value>& supported = run.problem.lists[supported_values(run, w, e)];
    if (supported.size() == node.size()) continue;
    std::vector<Value> both;
    std::set_intersection(kept.begin(), kept.end(), supported.begin(), supported.end(),
                          std::back_inserter(both));
    kept = std::move(both);
  }
  return kept;
}

// For every value that goes, a neighbour that does not support it.
[[gnu::cold]] inline void explain_unsupported(PresolveRun& run, Variable w,
                                              const std::vector<Value>& kept) {
  Reduced& problem = run.problem;
  for_each_other(problem.nodes[w].size(), kept, [&](Value x) {
    Variable witness = w;
    if (problem.costs->is_finite(w, x))
      for (const EdgeId e : problem.nodes[w].edges) {
        const std::vector<Value>& supported = problem.lists[supported_values(run, w, e)];
        if (!std::binary_search(supported.begin(), supported.end(), x))
          witness = problem.tables[e].other(w);
      }
    (problem.proof->step("unsupported")
     << problem.nodes[w].name << problem.nodes[w].label[x] << problem.nodes[witness].name)
        .end();
  });
}

[[gnu::cold]] inline void make_arc_consistent(PresolveRun& run) {
  Reduced& problem = run.problem;
  std::vector<Variable> waiting;
  std::vector<bool> is_waiting(problem.nodes.size(), true);
  for_each_alive(run, [&](Variable w) { waiting.push_back(w); });
  while (!waiting.empty() && !is_stopped(run)) {
    const Variable w = waiting.back();
    waiting.pop_back();
    is_waiting[w] = false;
    if (!problem.nodes[w].alive) continue;
    const std::vector<Value> kept = possible_values(run, w);
    if (kept.size() == problem.nodes[w].size()) {
      if (kept.size() == 1) fix(problem, w);
      continue;
    }
    if (problem.proof != nullptr) explain_unsupported(run, w, kept);
    for (const EdgeId e : problem.nodes[w].edges) {
      const Variable other = problem.tables[e].other(w);
      if (!is_waiting[other]) waiting.push_back(other);
      is_waiting[other] = true;
    }
    keep_values(run, w, kept);
  }
}

}  // namespace tessera::solver::detail
