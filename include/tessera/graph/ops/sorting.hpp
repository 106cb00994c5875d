// SPDX-License-Identifier: Apache-2.0
//
// Ops along a dim that every device needs as a whole: sort, top-k, softmax as one op.
#pragma once
#include <cstddef>
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

/// Tensors of equal dims in which one or more dims must be whole: sort, top-k, softmax.
/// Operand i has dims operands[i], result i results[i]; a dim whose sizes differ is whole too.
Rule along_whole_rule(std::span<const Dims> operands, std::span<const Dims> results,
                      std::span<const Extent> whole);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/sorting.ipp"
#endif
