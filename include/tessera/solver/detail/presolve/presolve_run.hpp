// SPDX-License-Identifier: Apache-2.0
//
// The state that the passes of presolve share.
#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "tessera/solver/deadline.hpp"
#include "tessera/solver/detail/presolve/reduced.hpp"

namespace tessera::solver::detail {

struct PresolveRun {
  Reduced& problem;
  const Deadline& deadline;
  std::uint64_t changes = 0;  // since the round began
  int steps_since_look = 64;  // at the clock
  bool is_late = false;
  std::vector<std::optional<ListId>> all_values = {};  // by size: the list of all values
};

// Whether presolve has to end.  The clock is read now and then only: most steps take less time than
// reading it.
inline bool is_stopped(PresolveRun& run) {
  constexpr int steps = 64;
  if (++run.steps_since_look >= steps) {
    run.steps_since_look = 0;
    run.is_late = run.is_late || run.deadline.is_over();
  }
  return run.problem.infeasible || run.is_late;
}

template<class Visit>
void for_each_alive(PresolveRun& run, Visit&& visit) {
  for (Variable w = 0; w < run.problem.nodes.size() && !is_stopped(run); ++w)
    if (run.problem.nodes[w].alive) visit(w);
}

// Restricts a variable to these values, and fixes it where one is left.
inline void keep_values(PresolveRun& run, Variable w, const std::vector<Value>& kept,
                        std::vector<Value> instead = {}) {
  if (kept.size() == run.problem.nodes[w].size()) return;
  restrict_values(run.problem, w, kept, std::move(instead));
  ++run.changes;
  if (kept.size() == 1) fix(run.problem, w);
}

// Calls visit(x) for every value that is not kept.  @pre `kept` ascends
template<class Visit>
void for_each_other(std::size_t size, const std::vector<Value>& kept, Visit&& visit) {
  std::size_t next = 0;
  for (Value x = 0; x < size; ++x) {
    if (next < kept.size() && kept[next] == x)
      ++next;
    else
      visit(x);
  }
}

}  // namespace tessera::solver::detail
