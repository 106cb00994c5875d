// SPDX-License-Identifier: Apache-2.0
//
// Decompositions, transforms and systems of equations: ops on rows or matrices, in batches.
#pragma once
#include <cstddef>
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

/// Ops on rows or matrices in the last `count` dims of `tensor`, which stay whole; the dims before
/// them are batches, which are parallel.  Other tensors have the same batches as far as their dims
/// are equal, and are whole otherwise.
Rule batched_rule(const Dims& tensor, std::span<const Dims> operands, std::span<const Dims> results,
                  std::size_t count, std::span<const PartialPass> passes = {});

/// Solves a x = b, or x a = b where `from_left` is false, for a triangular matrix a.  Batches are
/// parallel, and so are the columns (or rows) of b.  Linear in b.
Rule triangular_solve_rule(const Dims& a, const Dims& b, bool from_left);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/linear_algebra.ipp"
#endif
