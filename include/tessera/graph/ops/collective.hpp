// SPDX-License-Identifier: Apache-2.0
//
// Collectives that a program itself asks for.
#pragma once
#include <cstddef>
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

/// A collective that the program itself contains, among devices outside of the plan.  Result i is
/// operand i with other elements; dims that change their size, or that are named, stay whole.
/// @param mixes the operands have equal dims and exchange elements with each other
Rule foreign_collective_rule(std::span<const Dims> operands, std::span<const Dims> results,
                             std::span<const Extent> named, bool mixes,
                             std::span<const PartialPass> passes = {});

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/collective.ipp"
#endif
