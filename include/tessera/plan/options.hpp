// SPDX-License-Identifier: Apache-2.0
//
// Requests to plan() and plan_rematerializing().
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tessera/mesh/mesh.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/strategy/annotation.hpp"

namespace tessera::plan {

/// How much of the forward pass is computed again for the backward pass.
enum class RematerializationMode : std::uint8_t {
  none,       ///< all that the backward pass reads is kept
  full,       ///< all that may run again does, but for results that nothing would read
  automatic,  ///< the cheapest choice within the memory budget
};

/// Requests to plan().
struct Options {
  std::optional<Extent> memory_budget = {};  ///< bytes per device
  /// Off: no strategy is left out for being replaceable, and it takes longer (FormulateOptions).
  bool prune = true;
  /// Shardings that results must have.  Where one can not be had, plan() throws InvalidAnnotation.
  std::vector<strategy::Annotation> annotations = {};
  /// How often each op runs; empty: once (FormulateOptions).  Prices in a plan's ops are of one
  /// run, its cost is of all.
  std::vector<std::int64_t> runs = {};
  /// The bytes that count against the budget, by op and result; empty: all that is in memory, while
  /// it is there (FormulateOptions).  Where it is given, the buffers of reshardings do not count,
  /// and an infeasible plan reports no shortage.
  std::vector<std::vector<Holding>> holdings = {};
  /// Its time limit and cancellation are for the whole plan(); where they end it before the solver
  /// begins, the plan's status is unknown.
  solver::Options solver = {};
  std::string problem_name = {};
  /// Called with the problem that is to be solved, before it is.
  std::function<void(const Formulation&)> on_formulated = {};
};

}  // namespace tessera::plan
