// SPDX-License-Identifier: Apache-2.0
//
// The bodies of buffer_nodes.hpp.
#pragma once
#include "tessera/plan/detail/memory/buffer_nodes.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include "tessera/cost/resharding_buffers.hpp"
#include "tessera/strategy/strategy.hpp"

namespace tessera::plan::detail {

// --- Bytes
// -----------------------------------------------------------------------------------------

TESSERA_INLINE DynamicSharding computed_by(const BufferUse& use, const strategy::Choice& choice) {
  const graph::Rule& rule = use.op->rule;
  return strategy::sharding_of(rule, choice.strategy, rule.operand_count());
}

// Between two strategies of the ends' columns.
TESSERA_INLINE Extent bytes_between(cost::Resharding& resharding, const BufferUse& use,
                                    std::uint32_t from, std::uint32_t to) {
  if (to == ReshardingEnd::none) return 0;
  const strategy::Choice& needed = (*use.to.column)[to];
  cost::TensorResharding& tensor = resharding.of(*use.type);
  cost::ReshardingBuffers buffers;
  if (!use.from) {
    buffers = cost::result_buffers(tensor, computed_by(use, needed), needed.results[0], use.owns);
  } else if (from != ReshardingEnd::none) {
    const DynamicSharding given = (*use.from->column)[from].results[use.from->tensor];
    const DynamicSharding wanted = needed.operands[use.to.tensor];
    if (!is_finite(tensor.price(given, wanted))) return 0;
    buffers = cost::operand_buffers(tensor, given, wanted, use.owns);
  }
  return use.is_during ? buffers.during : buffers.after;
}

TESSERA_INLINE Extent bytes_of(cost::Resharding& resharding, const BufferUse& use,
                               const solver::Assignment& assignment) {
  if (use.gate && use.gate->is_open[assignment[use.gate->node]] == 0) return 0;
  const std::uint32_t from = use.from ? use.from->strategy(assignment[use.from->node])
                                      : ReshardingEnd::none;
  return bytes_between(resharding, use, from, use.to.strategy(assignment[use.to.node]));
}

// --- Tables
// ----------------------------------------------------------------------------------------

// Bytes by row and column: by the shardings of the two ends.
using ByteMatrix = std::vector<std::vector<Extent>>;

// A buffer's strategies: of rows that differ, each number of bytes that is in them.
struct BufferStates {
  std::vector<std::size_t> pattern_of;  // by row
  std::vector<std::pair<std::size_t, Extent>> states;
  std::vector<std::size_t> row_of;  // by pattern: one that has it
};

TESSERA_INLINE BufferStates states_of(const ByteMatrix& rows) {
  BufferStates result;
  std::map<std::vector<Extent>, std::size_t> patterns;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const auto [at, is_new] = patterns.try_emplace(rows[row], result.row_of.size());
    result.pattern_of.push_back(at->second);
    if (!is_new) continue;
    result.row_of.push_back(row);
    for (const Extent bytes : std::set<Extent>(rows[row].begin(), rows[row].end()))
      result.states.emplace_back(at->second, bytes);
  }
  return result;
}

TESSERA_INLINE std::vector<Cost> or_empty(std::vector<Cost> costs) {
  if (std::all_of(costs.begin(), costs.end(), [](Cost cost) { return cost == 0; })) costs.clear();
  return costs;
}

// The leading end's sharding decides the pattern.  `rows`: of its strategies.
TESSERA_INLINE std::vector<Cost> leading_costs(const BufferStates& states,
                                               const std::vector<std::uint32_t>& rows) {
  std::vector<Cost> costs;
  for (const std::uint32_t row : rows)
    for (const auto& [pattern, bytes] : states.states)
      costs.push_back(states.pattern_of[row] == pattern ? 0 : infinite);
  return or_empty(std::move(costs));
}

// The other end's sharding decides how many bytes are enough.  `columns`: of its strategies.
TESSERA_INLINE std::vector<Cost> bounding_costs(const BufferStates& states, const ByteMatrix& rows,
                                                const std::vector<std::uint32_t>& columns) {
  std::vector<Cost> costs;
  for (const std::uint32_t column : columns)
    for (const auto& [pattern, bytes] : states.states)
      costs.push_back(rows[states.row_of[pattern]][column] <= bytes ? 0 : infinite);
  return or_empty(std::move(costs));
}

TESSERA_INLINE ByteMatrix transposed(const ByteMatrix& matrix, std::size_t columns) {
  ByteMatrix result(columns, std::vector<Extent>(matrix.size()));
  for (std::size_t r = 0; r < matrix.size(); ++r)
    for (std::size_t c = 0; c < columns; ++c) result[c][r] = matrix[r][c];
  return result;
}

// The end that leads is the one that makes fewer strategies.
TESSERA_INLINE BufferNodeTables tabulate(const std::vector<std::uint32_t>& rows,
                                         const std::vector<std::uint32_t>& columns,
                                         const ByteMatrix& bytes) {
  const ByteMatrix turned = transposed(bytes, columns.empty() ? 0 : bytes[0].size());
  const BufferStates by_row = states_of(bytes), by_column = states_of(turned);
  const bool row_leads = by_row.states.size() < by_column.states.size();
  BufferNodeTables result;
  for (const auto& [pattern, size] : (row_leads ? by_row : by_column).states)
    result.usages.push_back(size);
  if (row_leads) {
    result.from = leading_costs(by_row, rows);
    result.to = bounding_costs(by_row, bytes, columns);
  } else {
    result.to = leading_costs(by_column, columns);
    result.from = bounding_costs(by_column, turned, rows);
  }
  return result;
}

// The distinct shardings of an end's strategies.
struct EndClasses {
  std::vector<std::uint32_t> of;              // by the node's strategies: the number of its class
  std::vector<std::uint32_t> representative;  // by class: a strategy of the column, or none
};

// All that the bytes depend on in a strategy of an end: its sharding, and for a result the sharding
// in which it is computed.
TESSERA_INLINE std::pair<std::uint64_t, std::uint64_t> shardings_at(const BufferUse& use,
                                                                    const ReshardingEnd& end,
                                                                    std::uint32_t strategy) {
  const strategy::Choice& choice = (*end.column)[strategy];
  if (!use.from) return {choice.results[end.tensor].bits(), computed_by(use, choice).bits()};
  const bool is_operand = &end == &use.to;
  return {(is_operand ? choice.operands : choice.results)[end.tensor].bits(), 0};
}

TESSERA_INLINE EndClasses classes_of(const BufferUse& use, const ReshardingEnd& end) {
  EndClasses result;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint32_t> known;
  std::optional<std::uint32_t> of_none;
  const auto add = [&](std::uint32_t strategy) {
    result.representative.push_back(strategy);
    return static_cast<std::uint32_t>(result.representative.size() - 1);
  };
  for (std::uint32_t s = 0; s < end.size(); ++s) {
    const std::uint32_t strategy = end.strategy(s);
    if (strategy == ReshardingEnd::none) {
      if (!of_none) of_none = add(strategy);
      result.of.push_back(*of_none);
      continue;
    }
    const auto [at, is_new] = known.try_emplace(shardings_at(use, end, strategy), 0);
    if (is_new) at->second = add(strategy);
    result.of.push_back(at->second);
  }
  return result;
}

TESSERA_INLINE std::vector<Extent> key_of(const graph::TensorType& type) {
  std::vector<Extent> key(type.dims.begin(), type.dims.end());
  key.push_back(graph::bytes_of(type.element));
  return key;
}

TESSERA_INLINE std::shared_ptr<const BufferNodeTables> tables_of(cost::Resharding& resharding,
                                                                 const BufferUse& use,
                                                                 KnownBufferTables& known) {
  const BufferTablesKey key(use.from ? use.from->key() : EndKey(), use.to.key(), use.owns,
                            use.is_during, key_of(*use.type));
  std::shared_ptr<const BufferNodeTables>& tables = known[key];
  if (tables) return tables;
  const EndClasses to = classes_of(use, use.to);
  EndClasses from{{}, {ReshardingEnd::none}};
  if (use.from) from = classes_of(use, *use.from);
  ByteMatrix bytes;
  for (const std::uint32_t row : from.representative) {
    bytes.emplace_back();
    for (const std::uint32_t column : to.representative)
      bytes.back().push_back(bytes_between(resharding, use, row, column));
  }
  return tables = std::make_shared<const BufferNodeTables>(tabulate(from.of, to.of, bytes));
}

// --- Nodes
// -----------------------------------------------------------------------------------------

TESSERA_INLINE std::vector<Cost> with_free_column(const std::vector<Cost>& costs,
                                                  std::size_t columns) {
  std::vector<Cost> result;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    result.push_back(costs[i]);
    if ((i + 1) % columns == 0) result.push_back(0);
  }
  return result;
}

TESSERA_INLINE void add_edge(solver::Problem& problem, solver::NodeId end, solver::NodeId buffer,
                             const std::vector<Cost>& costs) {
  const solver::NodeId ends[] = {end, buffer};
  if (!costs.empty()) problem.add_edge(ends, costs);
}

TESSERA_INLINE void add_node(solver::Problem& problem, const BufferUse& use,
                             const BufferNodeTables& tables) {
  std::vector<solver::Usage> usages = tables.usages;
  std::vector<Cost> of_from = tables.from, of_to = tables.to;
  const std::size_t states = usages.size();
  if (use.gate) {  // one more, for when it is closed
    usages.push_back(0);
    for (std::vector<Cost>* costs : {&of_from, &of_to}) *costs = with_free_column(*costs, states);
  }
  const std::vector<Cost> free(usages.size(), 0);
  const solver::NodeId buffer = problem.add_node(free, usages, use.interval);
  if (use.from) add_edge(problem, use.from->node, buffer, of_from);
  add_edge(problem, use.to.node, buffer, of_to);
  if (!use.gate) return;
  std::vector<Cost> of_gate;
  for (const char is_open : use.gate->is_open) {
    of_gate.insert(of_gate.end(), states, 0);
    of_gate.push_back(is_open != 0 ? infinite : 0);
  }
  add_edge(problem, use.gate->node, buffer, of_gate);
}

TESSERA_INLINE std::uint32_t least_strategy(const BufferUse& use, const BufferNodeTables& tables,
                                            const solver::Assignment& assignment) {
  const std::size_t states = tables.usages.size();
  const bool is_closed = use.gate && use.gate->is_open[assignment[use.gate->node]] == 0;
  const auto allows = [&](const std::vector<Cost>& costs, solver::NodeId end, std::size_t s) {
    return costs.empty() || costs[assignment[end] * states + s] == 0;
  };
  std::size_t best = states;
  for (std::size_t s = 0; s < states && !is_closed; ++s)
    if (allows(tables.to, use.to.node, s) &&
        (!use.from || allows(tables.from, use.from->node, s)) &&
        (best == states || tables.usages[s] < tables.usages[best]))
      best = s;
  return static_cast<std::uint32_t>(best);
}

}  // namespace tessera::plan::detail
