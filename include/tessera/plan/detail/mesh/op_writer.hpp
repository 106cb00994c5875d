// SPDX-License-Identifier: Apache-2.0
//
// The ops of a plan: the steps, bytes, memory and utilisation that follow from chosen strategies.
#pragma once
#include <cstdint>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/plan/planned_ops.hpp"
#include "tessera/strategy/choice.hpp"

namespace tessera::plan::detail {

// All that a plan's ops follow from.
struct ChosenOps {
  const graph::Graph& graph;
  std::vector<char> in_memory;            // by op: whether its results reach memory
  std::vector<strategy::Choice> choices;  // by op
  std::vector<std::int64_t> runs = {};    // by op: how often it runs; empty: once
  std::vector<char> is_repeated = {};     // by op: whether it repeats work; empty: none does
};

// Writes them into the plan.  `leaves_partial`: whether columns leave it to single readers to
// finish partial sums (strategy::Pruning).
void write_ops(ChosenOps chosen, bool leaves_partial, cost::Resharding& resharding, Plan& plan);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/mesh/op_writer.ipp"
#endif
