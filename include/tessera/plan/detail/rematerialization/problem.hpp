// SPDX-License-Identifier: Apache-2.0
//
// The 0-1 program in which tensors are kept for the backward pass, or rematerialized.
//
// It is made of the program's own (formulate.hpp).  Each op that may run again (candidates.hpp) has
// one more node, for the value that the backward pass reads:
//
//   kept, in each output sharding of the op            held in between
//   recomputed, by each strategy of the op             at that strategy's price
//   absent                                             where nothing reads it
//
// Readers in the backward part have their edges from that node.  Ops that run again have theirs
// from such nodes too, since they may read kept tensors as well as recomputed ones.  A result that
// later segments read is never recomputed, but has such a node without that choice, where it is
// held longer only to be read by ops that run again.
//
// Time is that of the program in which every candidate runs again.  A tensor is held until the last
// op that might read it, whether that one runs or not, and a rematerialization costs as much as the
// first. Of all such plans the problem has the cheapest that fits; to keep everything is one of
// them, at the price and in the memory of the program itself.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/plan/detail/memory/buffer_use.hpp"
#include "tessera/plan/detail/memory/timeline.hpp"
#include "tessera/plan/detail/rematerialization/candidates.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/plan/options.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::plan::detail {

struct RematerializationProblem {
  // Where the backward pass has a tensor from; `strategy` of the op: one with the output sharding
  // in which the tensor is kept, or the one by which it is recomputed.
  struct Retention {
    enum class Kind : std::uint8_t { kept, recomputed, absent } kind;
    std::uint32_t strategy = 0;

    friend constexpr bool operator==(const Retention&, const Retention&) noexcept = default;
  };
  struct BackwardNode {
    solver::NodeId node = 0;
    std::vector<Retention> retentions;        // its strategies
    std::optional<solver::NodeId> wait = {};  // a node that follows it: the tensor in between
  };

  solver::Problem problem;                         // its first nodes are the formulation's
  std::vector<std::optional<BackwardNode>> later;  // by op
  RematerializedProgram all;                       // in which every candidate runs again
};

// @pre the formulation, the candidates and `in_memory` are the graph's
RematerializationProblem formulate_rematerialization(const graph::Graph& graph,
                                                     const Formulation& formulation,
                                                     const Candidates& candidates,
                                                     const std::vector<char>& in_memory,
                                                     RematerializationMode mode);

// The same assignment in another problem of the same program, with other retentions to choose from.
// @pre it has those that are taken
solver::Assignment moved(const RematerializationProblem& from, const solver::Assignment& assignment,
                         const RematerializationProblem& to);

// The moments of the program in which every candidate runs again.  `owns`: by op of the program
// that was given, whether its results have memory of their own.
Timeline timeline_of(const RematerializedProgram& program, const std::vector<char>& owns);

// The buffers of a rematerialization problem, in those moments; they point into it.
std::vector<BufferUse> buffer_uses_of(const Formulation& formulation, const Candidates& candidates,
                                      const RematerializationProblem& rematerialization,
                                      const std::vector<char>& owns, const Timeline& timeline);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/rematerialization/problem.ipp"
#endif
