// SPDX-License-Identifier: Apache-2.0
//
// The priced strategies of one op: its column in the 0-1 program, and what may be left out of it.
//
// A strategy may go when another one can always stand in for it: the other's operands can be had
// from this one's, and this one's results from the other's, at no higher price in all.  That is
// safe because reshardings are shortest paths, so going through a third sharding is never a gain.
#pragma once
#include <cstdint>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/strategy/enumerate.hpp"

namespace tessera::strategy {

// A strategy with all that follows from it.
struct Choice {
  Strategy strategy;
  std::vector<DynamicSharding> operands, results;
  Cost price = 0;                    // of the collectives that finish the result
  std::vector<Extent> result_bytes;  // per device
};

using Column = std::vector<Choice>;

// What the rest of the program asks of an op's results.
struct ColumnNeeds {
  std::vector<std::size_t> uses;    // of each result: how many operands read it
  std::vector<char> must_be_whole;  // of each result: no partial results (program outputs)
  bool is_tied = false;  // some result's sharding must equal another op's: nothing stands in
};

template<cost::CostModel Model, MeshLike M>
class ColumnMaker {
 public:
  ColumnMaker(cost::Resharding<Model, M>& resharding, graph::ReductionSet passes, bool prune)
      : resharding_(resharding), passes_(passes), prune_(prune) {}

  // Every strategy of the op, priced; pruned if asked for.  Never empty: an idle op is a strategy.
  Column make(const graph::Graph& graph, graph::OpId id, const ColumnNeeds& needs) {
    const graph::Op& op = graph.op(id);
    bind(graph, id);
    EnumerateOptions options;
    options.use_every_axis = op.is_heavy && resharding_.model().spreads_heavy_ops();
    options.passes = passes_;
    options.skip_unit_axes = prune_;
    Column column;
    for_each_strategy(op.rule, resharding_.mesh(), options, [&](const Strategy& strategy) {
      Choice choice = priced(op, strategy);
      for (std::size_t r = 0; r < choice.results.size(); ++r)
        if (needs.must_be_whole[r] != 0 && !choice.results[r].partial_axes().empty()) return;
      column.push_back(std::move(choice));
    });
    if (prune_ && !needs.is_tied) drop_replaceable(column, needs);
    return column;
  }

 private:
  using Tensor = cost::TensorResharding<Model, M>;

  void bind(const graph::Graph& graph, graph::OpId id) {
    operands_.clear();
    results_.clear();
    for (std::size_t i = 0; i < graph.operand_count(id); ++i)
      operands_.push_back(&resharding_.of(graph.type_of(graph.operand(id, i))));
    for (const graph::TensorType& type : graph.op(id).results)
      results_.push_back(&resharding_.of(type));
  }

  Choice priced(const graph::Op& op, const Strategy& strategy) {
    Choice choice{strategy, {}, {}, 0, {}};
    for (std::size_t i = 0; i < op.rule.operand_count(); ++i)
      choice.operands.push_back(sharding_of(op.rule, strategy, i));
    for (std::size_t r = 0; r < op.rule.result_count(); ++r) {
      choice.results.push_back(result_sharding(op.rule, strategy, r));
      choice.result_bytes.push_back(results_[r]->local_bytes(choice.results[r]));
    }
    if (op.rule.result_count() == 1)
      choice.price = results_[0]->price(sharding_of(op.rule, strategy, op.rule.operand_count()),
                                        strategy.handed_on);
    return choice;
  }

  void drop_replaceable(Column& column, const ColumnNeeds& needs) {
    std::vector<char> gone(column.size(), 0);
    for (std::size_t x = 0; x < column.size(); ++x)
      for (std::size_t y = 0; y < column.size() && gone[x] == 0; ++y)
        if (x != y && gone[y] == 0 && replaces(column[y], column[x], needs)) gone[x] = 1;
    std::size_t kept = 0;
    for (std::size_t x = 0; x < column.size(); ++x)
      if (gone[x] == 0) {
        if (kept != x) column[kept] = std::move(column[x]);
        ++kept;
      }
    column.resize(kept);
  }

  bool replaces(const Choice& y, const Choice& x, const ColumnNeeds& needs) {
    Cost total = y.price;
    if (total > x.price) return false;
    for (std::size_t r = 0; r < x.results.size(); ++r) {
      if (y.result_bytes[r] > x.result_bytes[r]) return false;
      for (std::size_t use = 0; use < needs.uses[r] && total <= x.price; ++use)
        total = saturating_add(total, results_[r]->price(y.results[r], x.results[r]));
    }
    for (std::size_t i = 0; i < x.operands.size() && total <= x.price; ++i)
      total = saturating_add(total, operands_[i]->price(x.operands[i], y.operands[i]));
    return total <= x.price;
  }

  cost::Resharding<Model, M>& resharding_;
  graph::ReductionSet passes_;
  bool prune_;
  std::vector<Tensor*> operands_, results_;  // of the op at hand
};

}  // namespace tessera::strategy
