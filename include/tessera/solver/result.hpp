// SPDX-License-Identifier: Apache-2.0
//
// The solver's answer.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver {

/// Four outcomes, never merged: reaching a limit says nothing about feasibility.
enum class Status : std::uint8_t {
  optimal,   ///< the assignment is proven the cheapest
  feasible,  ///< an assignment was found; the lower bound says how far from the cheapest it can be
  infeasible,  ///< there is none, proven
  unknown,     ///< none was found in time
};

constexpr const char* to_string(Status status) noexcept {
  switch (status) {
    case Status::optimal: return "optimal";
    case Status::feasible: return "feasible";
    case Status::infeasible: return "infeasible";
    case Status::unknown: return "unknown";
  }
  return "";
}

struct Statistics {
  double seconds = 0;
  std::uint64_t nodes = 0;  ///< of the search tree
  /// Sizes of the problem after presolve.
  std::size_t variables = 0, values = 0, edges = 0, rows = 0, components = 0;
};

struct Result {
  Status status = Status::unknown;
  Assignment assignment;  ///< meaningful when optimal or feasible
  Wide cost = 0;          ///< of the assignment
  Wide lower_bound = 0;   ///< <= the cost of every assignment; equal to cost exactly when optimal
  /// The times at which usage is short, with the saving that more of it would give, by the
  /// relaxation that gave the bound; times ascend.
  std::vector<ShadowPrice> shadow_prices;
  Statistics statistics;

  bool has_assignment() const noexcept {
    return status == Status::optimal || status == Status::feasible;
  }
};

/// Whether a cost is within the relative gap of the lower bound (Options::gap_limit).
inline bool is_near_enough(Wide cost, Wide lower_bound, double gap_limit) {
  const auto magnitude = static_cast<double>(cost < 0 ? -cost : cost);
  return cost == lower_bound || static_cast<double>(cost - lower_bound) <= gap_limit * magnitude;
}
inline bool is_near_enough(const Result& result, const Options& options) {
  return result.has_assignment() &&
         is_near_enough(result.cost, result.lower_bound, options.gap_limit);
}

}  // namespace tessera::solver
