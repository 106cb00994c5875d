// SPDX-License-Identifier: Apache-2.0
//
// Ops without operands: parameters, constants, and numbers that count places.
#pragma once
#include "tessera/graph/builder.hpp"
#include "tessera/graph/rule_writer.hpp"  // source_rule

namespace tessera::graph {

/// Each element's place along a dim: 0, 1, 2, ...
Tensor iota(Builder& builder, ElementType element, const Dims& dims, Extent dim);

/// As many copies of a number as x has elements.
Tensor constant_like(const Tensor& x, double value);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/source.ipp"
#endif
