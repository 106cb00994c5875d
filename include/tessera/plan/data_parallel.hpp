// SPDX-License-Identifier: Apache-2.0
//
// Plain data parallelism, as what is asked of a plan: the yardstick for what memory a program
// needs.
//
// Each device has all weights, all that the optimizer remembers and all gradients, and a share of
// the batch: of the data, and of what forward products make of it.  The batch is cut over those
// mesh axes that make most parts of it, all of one size; what is left open, and what the other axes
// do, is up to the solver.
#pragma once
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/strategy/annotation.hpp"

namespace tessera::plan {

/// The annotations of plain data parallelism; empty where the program's data have no first dim in
/// common, or it updates no weights.  O(ops + uses + aliases * outputs)
std::vector<strategy::Annotation> data_parallel(const graph::Graph& graph, const DynamicMesh& mesh);

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/data_parallel.ipp"
#endif
