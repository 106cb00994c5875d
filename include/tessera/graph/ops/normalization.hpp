// SPDX-License-Identifier: Apache-2.0
//
// The parts of a batch normalization.
#pragma once
#include <cstddef>
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

/// An elementwise part of a batch normalization; some operands have the result's dim `feature`
/// only.
Rule per_feature_rule(std::span<const Dims> operands, const Dims& result, std::size_t feature);

/// Sums over all dims but `feature`, of products of the operands: a vector of statistics.
Rule feature_sum_rule(std::span<const Dims> operands, std::size_t feature);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/normalization.ipp"
#endif
