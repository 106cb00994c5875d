// SPDX-License-Identifier: Apache-2.0
//
// Keeps a memory budget with all that stands beside tensors while they are resharded.
//
// A program has more resharding buffers than anything else, and few of them matter.  So a problem
// is solved without any, then again with nodes (buffer_nodes.hpp) for those that the answer had
// where it exceeded the budget, until it fits: constraints are added lazily.  Each of these
// problems is a relaxation of the next.  So their lower bounds hold, and an answer that fits is the
// cheapest one.
#pragma once
#include <cstddef>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/plan/detail/memory/buffer_nodes.hpp"
#include "tessera/plan/detail/memory/buffer_use.hpp"
#include "tessera/plan/detail/memory/timeline.hpp"
#include "tessera/solver/options.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/solver/result.hpp"

namespace tessera::plan::detail {

// The buffers of a problem's program, and those among them that have become nodes so far.
class BufferBudget {
 public:
  // `uses` are of the program's moments and name nodes of its problem.
  BufferBudget(cost::Resharding& resharding, Timeline timeline, std::vector<BufferUse> uses);

  // Bytes at each moment.  @pre the assignment is one of the problem's
  std::vector<Wide> in_use(const solver::Problem& problem, const solver::Assignment& assignment);
  Wide peak(const solver::Problem& problem, const solver::Assignment& assignment);
  bool fits(const solver::Problem& problem, const solver::Assignment& assignment);

  // As solver::solve() does, but the answer fits with its buffers.  Trials, which need not be
  // exact, find out which of them matter; each begins where the last one left off.
  // `ends_with_trials`: where some matter, trials are enough, and an answer that fits.
  solver::Result solve(const solver::Problem& problem, const solver::Options& options,
                       bool ends_with_trials = false);

  // A lower bound for every plan within the limit, buffers left out; and whether some were counted.
  Wide bound_of_tensors() const noexcept { return bound_of_tensors_; }
  bool has_counted_buffers() const noexcept { return !nodes_.empty(); }

  // Counts the buffers that another budget of the same program came to count, from the beginning.
  void count_as(const BufferBudget& other);

 private:
  solver::Problem with_buffers(const solver::Problem& problem) const;
  solver::Assignment with_buffers(solver::Assignment assignment) const;
  solver::Result solve_with_buffers(const solver::Problem& problem,
                                    const solver::Options& options) const;
  void count(std::size_t use);
  void count_where_exceeded(const std::vector<Wide>& bytes, Wide limit,
                            const solver::Assignment& assignment);
  bool keep_or_refine(const solver::Problem& problem, const solver::Result& found,
                      solver::Result& best);

  cost::Resharding& resharding_;
  Timeline timeline_;
  std::vector<BufferUse> uses_;
  std::vector<char> is_node_;  // by use: whether it has been made one, if it needs one at all
  std::vector<BufferNode> nodes_;
  Wide bound_of_tensors_ = 0;
  KnownBufferTables tables_;
};

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/memory/buffer_budget.ipp"
#endif
