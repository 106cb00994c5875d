// SPDX-License-Identifier: Apache-2.0
//
// Which ops may be rematerialized, and where, and the program in which they are.
//
// A training step keeps forward results for its backward pass.  Instead, the ops that computed them
// can run again just before the backward pass reads them: rematerialization, or activation
// checkpointing.  The program then has those ops twice; backward ops read the second copies, and so
// do second copies among themselves.
//
// The forward part is cut into segments.  Each is rematerialized, if at all, in one place: in front
// of the first backward op that reads any result of it.  Results that forward ops of a later
// segment read are kept, so that a segment can begin there.  Cuts are where least is alive: of all
// gaps between heavy ops those across which fewer bytes are read later than across the next ones to
// either side. In a transformer these are in front of attention and in front of the feed-forward
// block.
#pragma once
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::plan::detail {

// The ops that may be rematerialized.
struct Candidates {
  graph::OpId forward_end = 0;     // the backward part begins here
  std::vector<char> may_run;       // by op
  std::vector<graph::OpId> place;  // by op that may: in front of which one
};

// None where the program has loops, or no backward part.  `in_memory`: by op, whether its results
// reach memory.  O(ops + uses + segments * ops)
Candidates candidates_of(const graph::Graph& graph, const std::vector<char>& in_memory);

// A program some of whose ops run twice.
struct RematerializedProgram {
  graph::Graph graph;
  std::vector<graph::OpId> origin;  // by its ops: the op of the first program
  std::vector<graph::OpId> first;   // by ops of the first program: where they run
  std::vector<graph::OpId> second;  // and where they run again; the same where they do not
};

// The program in which the chosen ops run a second time, for the backward part.
// @pre `chosen`, by op, are candidates, and the program has no loops where there are any
RematerializedProgram rematerialized_program(const graph::Graph& graph,
                                             const Candidates& candidates,
                                             const std::vector<char>& chosen);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/rematerialization/candidates.ipp"
#endif
