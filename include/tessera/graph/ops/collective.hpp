// SPDX-License-Identifier: Apache-2.0
//
// Collectives that a program itself asks for.
#pragma once
#include <cstddef>
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

/// A collective that the program itself asks for, among devices that are none of the plan's: result
/// i is operand i with other data, and dims that change their size, or are named, stay whole.
/// `mixes`: the operands are of the same dims and trade places among each other.
Rule foreign_collective_rule(std::span<const Dims> operands, std::span<const Dims> results,
                             std::span<const Extent> named, bool mixes,
                             std::span<const PartialPass> passes = {});

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/collective.ipp"
#endif
