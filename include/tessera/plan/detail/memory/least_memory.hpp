// SPDX-License-Identifier: Apache-2.0
//
// When no plan fits the memory budget: how much would be needed, where, and by which tensors.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/detail/memory/buffer_budget.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/planned_ops.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::plan::detail {

// The least limit within which a problem has an assignment.
struct LeastLimit {
  Wide bytes = 0;                 // there is none below
  bool is_exact = false;          // and one within it
  solver::Assignment assignment;  // within the least limit for which one was found
};

// Finds it by bisection, in options.time_limit at most.  `budget` is of the problem.
// @pre the problem has no assignment within its limit, nor below `floor`
LeastLimit least_limit(const solver::Problem& problem, Wide floor, BufferBudget& budget,
                       const solver::Options& options);

// The peak with every tensor at the least that it can take.
MemoryPeak least_peak(const graph::Graph& graph, const Formulation& formulation);

// The shortage of a formulation without a solution within its usage limit, in options.time_limit at
// most.  `budget` is of its problem.
Shortage find_shortage(const graph::Graph& graph, const Formulation& formulation,
                       BufferBudget& budget, const solver::Options& options);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/memory/least_memory.ipp"
#endif
