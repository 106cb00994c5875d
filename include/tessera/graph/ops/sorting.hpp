// SPDX-License-Identifier: Apache-2.0
//
// Ops along a dim that every device needs as a whole: sort, top-k, softmax as one op.
#pragma once
#include <cstddef>
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

/// Tensors of equal dims of which these dims must be whole.  A dim whose sizes differ between the
/// tensors is whole too.
Rule along_whole_rule(std::span<const Dims> operands, std::span<const Dims> results,
                      std::span<const Extent> whole);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/sorting.ipp"
#endif
