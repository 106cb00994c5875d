// SPDX-License-Identifier: Apache-2.0
//
// The bodies of buffer_use.hpp.
#pragma once
#include "tessera/plan/detail/memory/buffer_use.hpp"

namespace tessera::plan::detail {

TESSERA_INLINE void add_operand_uses(std::vector<BufferUse>& uses, const graph::Graph& graph,
                                     const Timeline& timeline, graph::OpId reader,
                                     std::size_t operand, bool owns, const ReshardingEnd& from,
                                     ReshardingEnd to) {
  to.tensor = operand;
  const graph::TensorType& type = graph.type_of(graph.operand(reader, operand));
  const graph::Op* const op = &graph.op(reader);
  uses.push_back({op, &type, owns, from, to, timeline.resharding_operand(reader, operand), true});
  uses.push_back({op, &type, owns, from, to, timeline.holding_operand(reader, operand), false});
}

TESSERA_INLINE void add_result_uses(std::vector<BufferUse>& uses, const graph::Graph& graph,
                                    const Timeline& timeline, graph::OpId id, bool owns,
                                    const ReshardingEnd& to) {
  const graph::Op& op = graph.op(id);
  if (op.results.size() != 1) return;
  uses.push_back({&op, &op.results[0], owns, {}, to, timeline.resharding_result(id), true});
  uses.push_back({&op, &op.results[0], owns, {}, to, timeline.holding_result(id), false});
}

TESSERA_INLINE std::vector<BufferUse> buffer_uses_of(const graph::Graph& graph,
                                                     const Formulation& formulation,
                                                     const std::vector<char>& owns,
                                                     const Timeline& timeline) {
  std::vector<BufferUse> uses;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const ReshardingEnd to{formulation.nodes[id][0], formulation.columns[id].get()};
    for (std::size_t i = 0; i < graph.operand_count(id); ++i) {
      const graph::Value value = graph.operand(id, i);
      const ReshardingEnd from{formulation.nodes[value.op][0], formulation.columns[value.op].get(),
                               value.result};
      add_operand_uses(uses, graph, timeline, id, i, owns[value.op] != 0, from, to);
    }
    add_result_uses(uses, graph, timeline, id, owns[id] != 0, to);
  }
  return uses;
}

}  // namespace tessera::plan::detail
