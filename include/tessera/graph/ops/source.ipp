// SPDX-License-Identifier: Apache-2.0
//
// Rules and builders of ops without operands.
#pragma once
#include "tessera/graph/ops/source.hpp"

#include "tessera/graph/detail/checks.hpp"
#include "tessera/graph/ops/movement.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Tensor iota(Builder& builder, ElementType element, const Dims& dims, Extent dim) {
  detail::require_distinct_dims("iota", {dim}, dims);
  return builder.apply(Opcode::iota, {}, {element, dims}, source_rule(dims), Dim{dim});
}

TESSERA_INLINE Tensor constant_like(const Tensor& x, double value) {
  return broadcast_to(x.builder().constant(x.type().element, {}, value), x.dims());
}

}  // namespace tessera::graph
