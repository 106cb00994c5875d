// SPDX-License-Identifier: Apache-2.0
//
// When each result occupies memory, in program order.
//
// A result lives from the op that computes it to the last op that reads it.  Parameters belong to
// the caller and live throughout, outputs to the end.  An output that aliases a parameter is
// written into the parameter's buffer, so it is counted only while the old value is still read.
// The state of a loop, and all that a loop reads from outside in every round, lives until the loop
// is over.
#pragma once
#include <cstddef>
#include <vector>

#include "tessera/graph/graph.hpp"

namespace tessera::graph {

/// Half-open, in op numbers: at point t, op t runs.
struct Lifetime {
  std::size_t begin = 0;
  std::size_t end = 0;

  constexpr bool empty() const noexcept { return end <= begin; }
  friend constexpr bool operator==(const Lifetime&, const Lifetime&) noexcept = default;
};

/// Indexed by op, then by result.
using Lifetimes = std::vector<std::vector<Lifetime>>;

inline constexpr std::size_t no_loop = static_cast<std::size_t>(-1);

/// By op, the number of the innermost loop that it is in; no_loop where it is in none.
std::vector<std::size_t> innermost_loops(const Graph& graph);

/// By op and result, from the op to the last op that reads the result; to the loop's end where a
/// loop reads it in every round.  O((ops + uses) * depth of loops)
Lifetimes read_lifetimes_of(const Graph& graph);

/// When each result takes memory: read_lifetimes_of(), and besides that parameters live throughout,
/// outputs to the end, and values without a buffer never.  O((ops + uses) * depth of loops)
Lifetimes lifetimes_of(const Graph& graph);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/liveness.ipp"
#endif
