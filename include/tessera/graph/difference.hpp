// SPDX-License-Identifier: Apache-2.0
//
// Whether two programs are equal: op by op, in order, with all that is known of each.
#pragma once
#include <string>

#include "tessera/graph/graph.hpp"

namespace tessera::graph {

/// The first difference, in words; empty where the programs are equal.  O(size)
std::string difference(const Graph& a, const Graph& b);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/difference.ipp"
#endif
