// SPDX-License-Identifier: Apache-2.0
//
// Whether two programs are the same: op by op, in order, with all that is known of each.
#pragma once
#include <string>

#include "tessera/graph/graph.hpp"

namespace tessera::graph {

/// The first thing that is not the same in both, in words; empty where they are equal.  O(size).
std::string difference(const Graph& a, const Graph& b);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/difference.ipp"
#endif
