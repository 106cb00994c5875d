// SPDX-License-Identifier: Apache-2.0
//
// The priced strategies of one op: its column in the 0-1 program, pruned without losing an optimum.
//
// A strategy may go when another one can always replace it (detail/pruning.hpp).  Where memory has
// no limit, a result that is read once need not be finished by its own op either: its reader pays
// the same.  (Three axes make hundreds of ways to finish one partial sum.)
#pragma once
#include <functional>
#include <memory>

#include "tessera/core/inline.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/strategy/choice.hpp"
#include "tessera/strategy/price_table.hpp"

namespace tessera::strategy {

namespace detail {
struct ColumnState;
}

/// Makes the columns of the ops of one program.
class ColumnMaker {
 public:
  /// `passes`: the reductions whose partial sums may pass through ops.  `checkpoint`, where there
  /// is one, is called often; what it throws ends the work.  @pre `resharding` outlives it
  ColumnMaker(cost::Resharding& resharding, graph::ReductionSet passes, Pruning pruning,
              std::function<void()> checkpoint = {});
  ~ColumnMaker();
  ColumnMaker(const ColumnMaker&) = delete;
  ColumnMaker& operator=(const ColumnMaker&) = delete;

  /// Every strategy of the op, priced; pruned if asked for.  Where a heavy op can use every axis
  /// only with partial sums in results that must be whole, it need not use every axis, and an idle
  /// op is a strategy: so the column is never empty, unless no strategy fits the annotations of
  /// several results.
  ///
  /// An annotation keeps the strategies that have its output sharding.  Where there are none, each
  /// strategy reshards its result to it.
  /// @pre annotations fit their tensors
  Column make(const graph::Graph& graph, graph::OpId id, const ColumnNeeds& needs);

  /// The prices between shardings, which edges use too.
  PriceTables& tables() noexcept;

 private:
  std::unique_ptr<detail::ColumnState> state_;
};

}  // namespace tessera::strategy

#ifdef TESSERA_HEADER_ONLY
#include "tessera/strategy/column.ipp"
#endif
