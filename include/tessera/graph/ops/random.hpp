// SPDX-License-Identifier: Apache-2.0
//
// Random numbers.
#pragma once
#include <cstddef>
#include <span>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

/// Random numbers from a state.  Every device has the state, and draws the numbers of its shard.
Rule random_bits_rule(const Dims& state, std::span<const Dims> results);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/random.ipp"
#endif
