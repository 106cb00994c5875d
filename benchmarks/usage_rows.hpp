// SPDX-License-Identifier: Apache-2.0
//
// The times at which a usage limit must be written down for a solver that knows no intervals.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::benchmarks {

// For each time that can matter, the nodes that are live then.  Between two times at which nothing
// ends, the later one has all nodes of the earlier; and where even the largest usages fit, there
// is nothing to say.
inline std::vector<std::vector<solver::NodeId>> usage_rows(const solver::Problem& problem) {
  std::vector<std::vector<solver::NodeId>> rows;
  if (!problem.usage_limit) return rows;
  struct Event {
    std::vector<solver::NodeId> begins, ends;
  };
  std::map<std::int64_t, Event> events;
  for (solver::NodeId v = 0; v < problem.node_count(); ++v) {
    if (problem.interval(v).empty() || std::ranges::max(problem.usages(v)) == 0) continue;
    events[problem.interval(v).begin].begins.push_back(v);
    events[problem.interval(v).end].ends.push_back(v);
  }
  std::set<solver::NodeId> live;
  Wide most = 0;
  bool has_grown = false;
  for (const auto& [time, event] : events) {
    if (!event.ends.empty()) {
      if (has_grown && most > *problem.usage_limit) rows.emplace_back(live.begin(), live.end());
      has_grown = false;
    }
    for (const solver::NodeId v : event.ends) {
      live.erase(v);
      most -= std::ranges::max(problem.usages(v));
    }
    for (const solver::NodeId v : event.begins) {
      live.insert(v);
      most += std::ranges::max(problem.usages(v));
      has_grown = true;
    }
  }
  return rows;
}

}  // namespace tessera::benchmarks
