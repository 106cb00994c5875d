// SPDX-License-Identifier: Apache-2.0
//
// Reverse mode.
#pragma once
#include "tessera/graph/autodiff.hpp"

#include <array>
#include <cstddef>
#include <optional>

#include "tessera/core/error.hpp"
#include "tessera/graph/detail/adjoint.hpp"
#include "tessera/graph/ops.hpp"

namespace tessera::graph {

namespace detail {

using AdjointTable = std::array<AdjointFunction, opcode_count>;

TESSERA_INLINE AdjointTable make_adjoint_table() {
  AdjointTable table{};
  for (const std::span<const AdjointEntry> family :
       {elementwise_adjoints(), movement_adjoints(), product_adjoints(), reduction_adjoints(),
        window_adjoints(), lookup_adjoints()})
    for (const AdjointEntry& entry : family)
      table[static_cast<std::size_t>(entry.opcode)] = entry.function;
  return table;
}

TESSERA_INLINE AdjointFunction adjoint_of(const OpAdjoint& at) {
  static const AdjointTable table = make_adjoint_table();
  const Opcode opcode = at.builder.graph().op(at.id).opcode;
  const AdjointFunction function = table[static_cast<std::size_t>(opcode)];
  if (function == nullptr) at.fail("has no derivative here");
  return function;
}

// Whether the operand may carry a derivative to what it comes from.
TESSERA_INLINE bool carries(const Builder& builder, OpId reader, std::size_t operand) {
  const Graph& graph = builder.graph();
  return !builder.is_detached(reader, operand) &&
         is_floating(graph.type_of(graph.operand(reader, operand)).element);
}

// For every op up to `last`: whether it depends on one of `sources` by way of what carries.
TESSERA_INLINE std::vector<char> dependents(const Builder& builder, std::span<const Tensor> sources,
                                            OpId last) {
  const Graph& graph = builder.graph();
  std::vector<char> depends(last + 1, 0);
  for (const Tensor& source : sources)
    if (source.value().op <= last) depends[source.value().op] = 1;
  for (OpId id = 0; id <= last; ++id)
    for (std::size_t i = 0; depends[id] == 0 && i < graph.operand_count(id); ++i)
      if (depends[graph.operand(id, i).op] != 0 && carries(builder, id, i)) depends[id] = 1;
  return depends;
}

// Adds the adjoints of an op's operands to those of the ops that compute them.
TESSERA_INLINE void add_operand_adjoints(const OpAdjoint& at, const std::vector<char>& depends,
                                         std::vector<std::optional<Tensor>>& adjoints) {
  const std::size_t operands = at.builder.graph().operand_count(at.id);
  for (std::size_t i = 0; i < operands; ++i) {
    const OpId from = at.builder.graph().operand(at.id, i).op;
    if (depends[from] == 0 || !carries(at.builder, at.id, i)) continue;
    const Tensor term = adjoint_of(at)(at, i);
    adjoints[from] = adjoints[from] ? *adjoints[from] + term : term;
  }
}

}  // namespace detail

TESSERA_INLINE std::vector<Tensor> gradients(const Tensor& loss, std::span<const Tensor> sources) {
  require(loss.dims().empty() && is_floating(loss.type().element),
          "gradients: the loss is " + to_string(loss.type()) + " and no floating scalar");
  Builder& builder = loss.builder();
  for (const Tensor& source : sources)
    require(&source.builder() == &builder, "gradients: a source belongs to another builder");
  const OpId last = loss.value().op;
  const std::vector<char> depends = detail::dependents(builder, sources, last);
  std::vector<std::optional<Tensor>> adjoints(last + 1);
  adjoints[last] = builder.constant(loss.type().element, {}, 1);
  for (OpId id = last + 1; id-- > 0;)
    if (adjoints[id] && depends[id] != 0)
      detail::add_operand_adjoints({builder, id, *adjoints[id]}, depends, adjoints);
  std::vector<Tensor> result;
  for (const Tensor& source : sources) {
    const OpId id = source.value().op;
    result.push_back(id <= last && adjoints[id] ? *adjoints[id] : constant_like(source, 0));
  }
  return result;
}

}  // namespace tessera::graph
