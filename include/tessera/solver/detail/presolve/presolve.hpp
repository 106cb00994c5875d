// SPDX-License-Identifier: Apache-2.0
//
// Makes a problem smaller without losing an optimum: which operation of reduced.hpp applies where.
//
//   arc consistency  values that no neighbour supports, over and over (arc_consistency.hpp)
//   rows             points of time that can not be over capacity, values that can not fit
//                    (rows.hpp)
//   merge            a variable that another one determines becomes part of it (the largest single
//                    gain on the contest's instances: 35,000 nodes become 300)
//   separate         tables that are a sum of two vectors
//   eliminate        variables without usage and with at most two neighbours
//   dominate         values that another one of the same variable can always replace
//
// Rounds of these run until nothing changes.  Each stops early when time is up: what has been done
// by then is still exact.  A question about a table's entries alone is asked once for all tables
// with the same entries.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tessera/solver/detail/presolve/arc_consistency.hpp"
#include "tessera/solver/detail/presolve/presolve_run.hpp"
#include "tessera/solver/detail/presolve/rows.hpp"

namespace tessera::solver::detail {

// --- merge: a table in which each value of one end allows a single value of the other ------------

// For each value of w the only one that the other end may have; empty where there are more.
[[gnu::cold]] inline ListId image_of(Reduced& problem, EdgeId e, Variable w) {
  const EntriesId entries = table_from(problem, w, e);
  const std::uint32_t size = problem.nodes[w].values;
  return cached(problem, Question::only_columns, {entries, size},
                [&] { return problem.lists.add(problem.costs->only_columns(entries, size)); });
}

[[gnu::cold]] inline void merge_all(PresolveRun& run) {
  Reduced& problem = run.problem;
  std::vector<char> has_more_items(problem.nodes.size(), 0);
  for (EdgeId e = 0; e < problem.tables.size() && !is_stopped(run); ++e) {
    if (!problem.tables[e].alive) continue;
    const Variable u = problem.tables[e].u, v = problem.tables[e].v;
    // Where both ends determine each other, the one with fewer tables moves.
    const bool v_first = problem.nodes[u].edges.size() < problem.nodes[v].edges.size();
    for (const Variable into : v_first ? std::array{v, u} : std::array{u, v}) {
      const std::vector<Value>& image = problem.lists[image_of(problem, e, into)];
      if (image.empty()) continue;
      merge_into(problem, e, into, image);
      has_more_items[into] = 1;
      ++run.changes;
      break;
    }
  }
  for (Variable w = 0; w < has_more_items.size(); ++w)
    if (has_more_items[w] != 0 && problem.nodes[w].alive) merge_items(problem, w);
}

// --- separate: cost[x][y] = a[x] + b[y] ----------------------------------------------------------

[[gnu::cold]] inline bool is_separable(Reduced& problem, const ReducedTable& table) {
  const std::uint32_t columns = problem.nodes[table.v].values;
  return cached(problem, Question::is_separable, {table.entries, columns},
                [&] { return problem.costs->is_separable(table.entries, columns) ? 1U : 0U; }) != 0;
}

[[gnu::cold]] inline void separate_all(PresolveRun& run) {
  Reduced& problem = run.problem;
  for (EdgeId e = 0; e < problem.tables.size() && !is_stopped(run); ++e) {
    if (!problem.tables[e].alive || !is_separable(problem, problem.tables[e])) continue;
    separate_table(problem, e);
    ++run.changes;
  }
}

// --- eliminate -----------------------------------------------------------------------------------

inline bool can_eliminate(const Reduced& problem, Variable w) {
  // The largest table that elimination may make, where it is larger than those that it removes.
  constexpr std::size_t max_table = 4096;
  const ReducedNode& here = problem.nodes[w];
  if (!here.items.empty() || here.edges.size() > 2) return false;
  if (here.edges.size() < 2) return true;
  const std::size_t u = problem.nodes[problem.tables[here.edges[0]].other(w)].size();
  const std::size_t v = problem.nodes[problem.tables[here.edges[1]].other(w)].size();
  return u * v <= std::max(max_table, here.size() * (u + v));
}

[[gnu::cold]] inline void eliminate_all(PresolveRun& run) {
  Reduced& problem = run.problem;
  std::vector<Variable> waiting;
  for_each_alive(run, [&](Variable w) { waiting.push_back(w); });
  while (!waiting.empty() && !is_stopped(run)) {
    const Variable w = waiting.back();
    waiting.pop_back();
    if (!problem.nodes[w].alive || !can_eliminate(problem, w)) continue;
    for (const EdgeId e : problem.nodes[w].edges) waiting.push_back(problem.tables[e].other(w));
    eliminate(problem, w);
    ++run.changes;
  }
}

// --- dominate: value x goes when some y uses no more and never costs more ------------------------

// For each value one that can replace it (dominance.hpp).  It depends on the costs, the usages and
// the tables alone, so variables that are equal in these share the answer.
[[gnu::cold]] inline ListId dominating_values(Reduced& problem, Variable w) {
  const ReducedNode& here = problem.nodes[w];
  std::vector<EntriesId> tables;
  for (const EdgeId e : here.edges) tables.push_back(table_from(problem, w, e));
  std::sort(tables.begin(), tables.end());
  std::vector<std::uint32_t> question{static_cast<std::uint32_t>(Question::replacements),
                                      problem.costs->pooled_costs(w)};
  question.push_back(static_cast<std::uint32_t>(tables.size()));
  question.insert(question.end(), tables.begin(), tables.end());
  for (const UsageItem& item : here.items)
    question.push_back(problem.usages.add(std::span<const Usage>(item.usage)));
  return problem.answers.answer(question, [&] {
    std::vector<std::span<const Usage>> usages;
    for (const UsageItem& item : here.items) usages.push_back(item.usage);
    return problem.lists.add(problem.costs->replacements(w, tables, std::move(usages)));
  });
}

[[gnu::cold]] inline void explain_dominated(const Reduced& problem, Variable w,
                                            const std::vector<Value>& instead) {
  const ReducedNode& here = problem.nodes[w];
  for (Value x = 0; x < here.size(); ++x)
    if (instead[x] != x)
      (problem.proof->step("dominated") << here.name << here.label[x] << here.label[instead[x]])
          .end();
}

[[gnu::cold]] inline void dominate_all(PresolveRun& run) {
  // Dominance compares all pairs of values; past this many it costs more than it gives.
  constexpr std::size_t max_values = 8192;
  for_each_alive(run, [&](Variable w) {
    const std::size_t size = run.problem.nodes[w].size();
    if (size < 2 || size > max_values) return;
    std::vector<Value> instead = run.problem.lists[dominating_values(run.problem, w)], kept;
    if (run.problem.proof != nullptr) explain_dominated(run.problem, w, instead);
    // A value that took another's place may have been replaced itself.
    for (Value& value : instead)
      while (instead[value] != value) value = instead[value];
    for (Value x = 0; x < size; ++x)
      if (instead[x] == x) kept.push_back(x);
    keep_values(run, w, kept, std::move(instead));
  });
}

// --- All of them ---------------------------------------------------------------------------------

[[gnu::cold]] inline void presolve(Reduced& reduced, const Deadline& deadline) {
  constexpr int max_rounds = 20;
  PresolveRun run{reduced, deadline};
  for (int round = 0; round < max_rounds && !is_stopped(run); ++round) {
    run.changes = 0;
    make_arc_consistent(run);
    if (is_stopped(run)) return;
    update_rows(run);
    merge_all(run);
    separate_all(run);
    eliminate_all(run);
    dominate_all(run);
    if (run.changes == 0) return;
  }
  if (!is_stopped(run)) update_rows(run);
}

}  // namespace tessera::solver::detail
