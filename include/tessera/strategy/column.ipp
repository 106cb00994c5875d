// SPDX-License-Identifier: Apache-2.0
//
// The bodies of column.hpp.
#pragma once
#include "tessera/strategy/column.hpp"

#include <cstddef>
#include <utility>

#include "tessera/strategy/detail/buffer_table.hpp"
#include "tessera/strategy/detail/op_tables.hpp"
#include "tessera/strategy/detail/pricing.hpp"
#include "tessera/strategy/detail/pruning.hpp"
#include "tessera/strategy/enumerate.hpp"

namespace tessera::strategy {

namespace detail {

struct ColumnState {
  cost::Resharding& resharding;
  PriceTables tables;
  BufferTables buffers;
  graph::ReductionSet passes;
  Pruning pruning;
  std::function<void()> checkpoint;
};

TESSERA_INLINE OpTables tables_of(ColumnState& state, const graph::Graph& graph, graph::OpId id) {
  OpTables result;
  for (std::size_t i = 0; i < graph.operand_count(id); ++i)
    result.operands.push_back(&state.tables.of(graph.type_of(graph.operand(id, i))));
  for (const graph::TensorType& type : graph.op(id).results)
    result.results.push_back(&state.tables.of(type));
  if (state.pruning != Pruning::within_buffers) return result;
  for (std::size_t i = 0; i < result.operands.size(); ++i)
    result.operand_buffers.push_back(
        &state.buffers.of(*result.operands[i], graph.type_of(graph.operand(id, i)).dims));
  for (std::size_t r = 0; r < result.results.size(); ++r)
    result.result_buffers.push_back(
        &state.buffers.of(*result.results[r], graph.op(id).results[r].dims));
  return result;
}

// Whether the output may be less split than the result is computed.  Readers gather their operands
// themselves, but nothing reads an output, whose sharding is given.  Where it is smaller than an
// operand, gathering it afterwards is cheaper: ZeRO gathers a weight once it is converted.
TESSERA_INLINE bool gathers_late(const graph::Graph& graph, graph::OpId id,
                                 const ColumnNeeds& needs) {
  const graph::Op& op = graph.op(id);
  const bool is_given = needs.is_tied || !needs.annotations.empty();
  if (op.results.size() != 1 || needs.uses[0] != 0 || !is_given) return false;
  const auto is_larger = [&](std::size_t i) {
    return graph::byte_count(graph.type_of(graph.operand(id, i))) >
           graph::byte_count(op.results[0]);
  };
  for (std::size_t i = 0; i < graph.operand_count(id); ++i)
    if (is_larger(i)) return true;
  return false;
}

// Calls visit(strategy) for each way to gather the result: of every dim from `dim` on none, one or
// more of the minor axes that split it.
template<class Visit>
void for_each_gathered(Strategy strategy, std::size_t dim, Visit&& visit) {
  for (; dim < strategy.output_sharding.rank(); ++dim) {
    Strategy gathered = strategy;
    for (AxisList axes = strategy.output_sharding.axes(dim); !axes.empty(); axes.pop_back()) {
      gathered.output_sharding = gathered.output_sharding.without(axes.back());
      visit(gathered);
      for_each_gathered(gathered, dim + 1, visit);
    }
  }
}

TESSERA_INLINE bool is_finished_by_reader(const ColumnNeeds& needs) {
  return !needs.is_tied && needs.annotations.empty() && needs.uses.size() == 1 &&
         needs.uses[0] == 1 && needs.must_be_whole[0] == 0;
}

TESSERA_INLINE bool may_have_output(const DynamicMesh& mesh, DynamicSharding sharding,
                                    std::size_t result, const ColumnNeeds& needs) {
  if (needs.must_be_whole[result] != 0 && !sharding.partial_axes().empty()) return false;
  const Annotation* const asked = needs.annotation(result);
  return asked == nullptr || allows(*asked, sharding, mesh);
}

// The strategies whose output shardings are as they must be.
TESSERA_INLINE Column allowed(const PricedOp& of, const EnumerateOptions& options,
                              const ColumnNeeds& needs, bool gathers,
                              const std::function<void()>& checkpoint) {
  const DynamicMesh& mesh = of.resharding.mesh();
  Column column;
  const auto add = [&](const Strategy& strategy) {
    if (checkpoint) checkpoint();
    Choice choice = priced(of, strategy);
    for (std::size_t r = 0; r < choice.results.size(); ++r)
      if (!may_have_output(mesh, choice.results[r], r, needs)) return;
    column.push_back(std::move(choice));
  };
  for_each_strategy(of.op.rule, mesh, options, [&](const Strategy& strategy) {
    add(strategy);
    if (gathers) for_each_gathered(strategy, 0, add);
  });
  return column;
}

// Every strategy of an op with one result, which is then resharded as its annotation asks.
TESSERA_INLINE Column resharded(const PricedOp& of, const EnumerateOptions& options,
                                const ColumnNeeds& needs, const std::function<void()>& checkpoint) {
  const DynamicMesh& mesh = of.resharding.mesh();
  Column column;
  for_each_strategy(of.op.rule, mesh, options, [&](const Strategy& strategy) {
    if (checkpoint) checkpoint();
    Strategy asked = strategy;
    asked.output_sharding =
        applied(*needs.annotation(0), strategy.output_sharding, mesh, of.op.results[0].dims);
    if (!may_have_output(mesh, asked.output_sharding, 0, needs)) return;
    Choice choice = priced(of, asked);
    if (is_finite(choice.price)) column.push_back(std::move(choice));
  });
  return column;
}

TESSERA_INLINE Column all_strategies(const PricedOp& of, EnumerateOptions options,
                                     const ColumnNeeds& needs, bool gathers,
                                     const std::function<void()>& checkpoint) {
  Column column = allowed(of, options, needs, gathers, checkpoint);
  if (column.empty()) {
    options.use_every_axis = false;
    column = allowed(of, options, needs, gathers, checkpoint);
  }
  if (column.empty() && of.op.results.size() == 1 && needs.annotation(0) != nullptr)
    column = resharded(of, options, needs, checkpoint);
  return column;
}

}  // namespace detail

TESSERA_INLINE ColumnMaker::ColumnMaker(cost::Resharding& resharding, graph::ReductionSet passes,
                                        Pruning pruning, std::function<void()> checkpoint)
    : state_(new detail::ColumnState{resharding, PriceTables(resharding),
                                     detail::BufferTables(resharding.mesh(), passes), passes,
                                     pruning, std::move(checkpoint)}) {}
TESSERA_INLINE ColumnMaker::~ColumnMaker() = default;

TESSERA_INLINE PriceTables& ColumnMaker::tables() noexcept { return state_->tables; }

TESSERA_INLINE Column ColumnMaker::make(const graph::Graph& graph, graph::OpId id,
                                        const ColumnNeeds& needs) {
  detail::ColumnState& state = *state_;
  const graph::Op& op = graph.op(id);
  const detail::OpTables tables = tables_of(state, graph, id);
  EnumerateOptions options;
  options.use_every_axis = op.is_heavy && state.resharding.prices().spreads_heavy_ops();
  options.passes = state.passes;
  options.skip_unit_axes = state.pruning != Pruning::none;
  options.finish = state.pruning != Pruning::full || !detail::is_finished_by_reader(needs);
  Column column = detail::all_strategies({op, needs.workload, state.resharding, tables}, options,
                                         needs, detail::gathers_late(graph, id, needs),
                                         state.checkpoint);
  if (state.pruning != Pruning::none)
    detail::drop_replaceable(op.rule, column, needs, tables, state.checkpoint);
  return column;
}

}  // namespace tessera::strategy
