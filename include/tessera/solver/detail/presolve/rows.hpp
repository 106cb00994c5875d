// SPDX-License-Identifier: Apache-2.0
//
// Usage rows: values that can never fit go, and so do rows that can never be over capacity.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include "tessera/solver/detail/numbers/range_minimum.hpp"
#include "tessera/solver/detail/presolve/presolve_run.hpp"

namespace tessera::solver::detail {

[[gnu::noinline]] inline void drop_idle_items(ReducedNode& node) {
  std::erase_if(node.items, [](const UsageItem& item) {
    return item.begin == item.end || std::all_of(item.usage.begin(), item.usage.end(),
                                                 [](Usage usage) { return usage == 0; });
  });
}

// The least usage of a variable is certain: it is taken off the capacity.
inline void subtract_minimum_usage(PresolveRun& run) {
  Reduced& problem = run.problem;
  if (problem.proof != nullptr) problem.proof->step("subtract_minimum_usage").end();
  for_each_alive(run, [&](Variable w) {
    for (UsageItem& item : problem.nodes[w].items) {
      const Usage least = *std::min_element(item.usage.begin(), item.usage.end());
      if (least == 0) continue;
      for (Usage& usage : item.usage) usage -= least;
      for (std::uint32_t row = item.begin; row < item.end; ++row) {
        Usage& left = problem.capacity[row];
        problem.infeasible = problem.infeasible || left < least;
        if (problem.infeasible) return;
        left -= least;
      }
    }
    drop_idle_items(problem.nodes[w]);
  });
}

// For every value that goes, a row on which it does not fit.
[[gnu::cold]] inline void explain_over_capacity(const Reduced& problem, Variable w,
                                                const std::vector<Value>& kept) {
  const ReducedNode& here = problem.nodes[w];
  for_each_other(here.size(), kept, [&](Value x) {
    for (const UsageItem& item : here.items) {
      const auto begin = problem.capacity.begin();
      const auto tightest = std::min_element(begin + item.begin, begin + item.end);
      if (item.usage[x] <= *tightest) continue;
      const auto row = problem.row_name[static_cast<std::size_t>(tightest - begin)];
      (problem.proof->step("over_capacity") << here.name << here.label[x] << row).end();
      return;
    }
  });
}

// On each row, a value's usage beyond the least of its variable must fit beside the least usage of
// all others.  A variable fixed on the way is seen in the next round.
inline void drop_values_that_never_fit(PresolveRun& run) {
  Reduced& problem = run.problem;
  if (problem.proof != nullptr) problem.proof->step("profile").end();
  const RangeMinimum<Usage> least_capacity(problem.capacity);
  for_each_alive(run, [&](Variable w) {
    ReducedNode& node = problem.nodes[w];
    if (node.items.empty()) return;
    std::vector<char> fits(node.size(), 1);
    for (const UsageItem& item : node.items) {
      if (item.begin == item.end) continue;
      const Usage capacity = least_capacity(item.begin, item.end);
      for (std::size_t x = 0; x < fits.size(); ++x) fits[x] &= item.usage[x] <= capacity;
    }
    std::vector<Value> kept;
    for (Value x = 0; x < fits.size(); ++x)
      if (fits[x] != 0) kept.push_back(x);
    if (problem.proof != nullptr) explain_over_capacity(problem, w, kept);
    keep_values(run, w, kept);
  });
}

// For each row, of the items live there, the earliest end and the latest begin.
struct LiveItems {
  std::vector<std::uint32_t> earliest_end, latest_begin;
};
[[gnu::cold]] inline LiveItems live_items(PresolveRun& run) {
  const std::size_t rows = run.problem.capacity.size();
  LiveItems live{std::vector(rows, std::numeric_limits<std::uint32_t>::max()),
                 std::vector<std::uint32_t>(rows, 0)};
  std::vector<std::vector<std::uint32_t>> ends_of(rows), begins_of(rows + 1);
  for_each_alive(run, [&](Variable w) {
    for (const UsageItem& item : run.problem.nodes[w].items) {
      ends_of[item.begin].push_back(item.end);
      begins_of[item.end].push_back(item.begin);
    }
  });
  std::multiset<std::uint32_t> ends, begins;
  for (std::uint32_t row = 0; row < rows; ++row) {
    for (const std::uint32_t end : ends_of[row]) {
      ends.insert(end);
      begins.insert(row);
    }
    for (const std::uint32_t begin : begins_of[row]) {
      ends.erase(ends.find(row));
      begins.erase(begins.find(begin));
    }
    if (ends.empty()) continue;
    live.earliest_end[row] = *ends.begin();
    live.latest_begin[row] = *begins.rbegin();
  }
  return live;
}

// Of each group of rows in which one's live items contain the other's, the tighter and larger.
[[gnu::cold]] inline std::vector<std::uint32_t> undominated_rows(
    PresolveRun& run, const std::vector<std::uint32_t>& candidates) {
  const LiveItems live = live_items(run);
  const std::vector<Usage>& capacity = run.problem.capacity;
  std::vector<std::uint32_t> kept;
  for (const std::uint32_t row : candidates) {
    while (!kept.empty() && live.earliest_end[kept.back()] > row &&
           capacity[kept.back()] >= capacity[row])
      kept.pop_back();
    const bool is_covered = !kept.empty() && live.latest_begin[row] <= kept.back() &&
                            capacity[row] >= capacity[kept.back()];
    if (!is_covered) kept.push_back(row);
  }
  return kept;
}

[[gnu::cold]] inline void keep_rows(PresolveRun& run, const std::vector<std::uint32_t>& kept) {
  Reduced& problem = run.problem;
  if (kept.size() == problem.capacity.size()) return;
  if (problem.proof != nullptr) {
    std::vector<std::uint32_t> rows;
    for (const std::uint32_t row : kept) rows.push_back(problem.row_name[row]);
    problem.proof->step("keep_rows").ranges(rows).end();
  }
  const auto row_of = [&](std::uint32_t old) {
    return static_cast<std::uint32_t>(std::lower_bound(kept.begin(), kept.end(), old) -
                                      kept.begin());
  };
  for (ReducedNode& node : problem.nodes) {
    for (UsageItem& item : node.items) {
      item.begin = row_of(item.begin);
      item.end = row_of(item.end);
    }
    drop_idle_items(node);
  }
  pick(problem.capacity, kept);
  pick(problem.row_name, kept);
  ++run.changes;
}

// A row is needed only if the largest usages together could exceed it, and no neighbouring row
// with the same variables alive, or more of them, has as little capacity.
[[gnu::cold]] inline void drop_rows(PresolveRun& run) {
  const std::size_t rows = run.problem.capacity.size();
  std::vector<Wide> change(rows + 1, Wide(0));
  for_each_alive(run, [&](Variable w) {
    for (const UsageItem& item : run.problem.nodes[w].items) {
      const Usage most = *std::max_element(item.usage.begin(), item.usage.end());
      change[item.begin] += most;
      change[item.end] -= most;
    }
  });
  std::vector<std::uint32_t> candidates;
  Wide most = 0;
  for (std::size_t row = 0; row < rows; ++row) {
    most += change[row];
    if (most > run.problem.capacity[row]) candidates.push_back(static_cast<std::uint32_t>(row));
  }
  keep_rows(run, undominated_rows(run, candidates));
}

inline void update_rows(PresolveRun& run) {
  if (run.problem.capacity.empty()) return;
  subtract_minimum_usage(run);
  if (run.problem.infeasible) return;
  drop_values_that_never_fit(run);
  if (run.problem.infeasible) return;
  drop_rows(run);
}

}  // namespace tessera::solver::detail
