// SPDX-License-Identifier: Apache-2.0
//
// Breaks ties between equally cheap plans in favour of smaller shards.
//
// Slicing is free, so many a tensor may as well be kept whole as sharded, and a solver that looks
// at cost alone picks either.  People, and the next program's memory, prefer the shard.
#pragma once
#include <cstdint>
#include <vector>

#include "tessera/plan/formulate.hpp"

namespace tessera::plan {

namespace detail {

class Tidier {
 public:
  Tidier(const Formulation& formulation, solver::Assignment& assignment)
      : formulation_(formulation), problem_(formulation.problem), assignment_(assignment) {
    edges_.resize(problem_.node_count());
    for (solver::EdgeId e = 0; e < problem_.edge_count(); ++e)
      for (const solver::NodeId v : problem_.edge_nodes(e)) edges_[v].push_back(e);
  }

  void run() {
    constexpr int max_rounds = 10;
    for (int round = 0, changes = 1; round < max_rounds && changes > 0; ++round) {
      changes = 0;
      // Backwards, since what an op needs is settled by its readers.
      for (std::size_t id = formulation_.columns.size(); id-- > 0;) changes += shrink(id);
    }
  }

 private:
  bool shrink(std::size_t id) {
    const strategy::Column& column = *formulation_.columns[id];
    const std::uint32_t old = assignment_[formulation_.nodes[id][0]];
    std::uint32_t best = old;
    const Wide price = price_of(id, old);
    for (std::uint32_t s = 0; s < column.size(); ++s)
      if (is_smaller(column[s], column[best]) && price_of(id, s) == price) best = s;
    for (const solver::NodeId v : formulation_.nodes[id]) assignment_[v] = best;
    return best != old;
  }

  static bool is_smaller(const strategy::Choice& a, const strategy::Choice& b) {
    bool any = false;
    for (std::size_t r = 0; r < a.result_bytes.size(); ++r) {
      if (a.result_bytes[r] > b.result_bytes[r]) return false;
      any = any || a.result_bytes[r] < b.result_bytes[r];
    }
    return any;
  }

  // What the op and its edges would cost with strategy s, everything else as it is; -1: forbidden.
  Wide price_of(std::size_t id, std::uint32_t s) const {
    const std::vector<solver::NodeId>& own = formulation_.nodes[id];
    Wide total = problem_.costs(own[0])[s];
    for (const solver::EdgeId e : edges_[own[0]]) {
      std::size_t index = 0;
      for (const solver::NodeId v : problem_.edge_nodes(e)) {
        const bool is_own = v >= own.front() && v <= own.back();
        index = index * problem_.strategy_count(v) + (is_own ? s : assignment_[v]);
      }
      const Cost cost = problem_.edge_costs(e)[index];
      if (!is_finite(cost)) return -1;
      total += cost;
    }
    return total;
  }

  const Formulation& formulation_;
  const solver::Problem& problem_;
  solver::Assignment& assignment_;
  std::vector<std::vector<solver::EdgeId>> edges_;  // of each node
};

}  // namespace detail

// @pre the assignment is feasible.  @post it still is, costs the same, and no op by itself could
// hold less at that cost
inline void prefer_small_shards(const Formulation& formulation, solver::Assignment& assignment) {
  detail::Tidier(formulation, assignment).run();
}

}  // namespace tessera::plan
