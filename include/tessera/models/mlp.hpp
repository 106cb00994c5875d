// SPDX-License-Identifier: Apache-2.0
//
// A multilayer perceptron: linear layers with a ReLU between them, the smallest network that has
// something to plan.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/mesh/extent.hpp"
#include "tessera/models/step.hpp"

namespace tessera::models {

/// The sizes of a multilayer perceptron: `layers` linear layers of `width` features, the last one
/// of `classes`.
struct Mlp {
  Extent layers = 4, width = 1024, classes = 1024, batch = 1024;
};

/// The program of this size, for the step that the options describe.
/// @pre all sizes are positive
graph::Graph build(const Mlp& size, const StepOptions& step);

}  // namespace tessera::models

#ifdef TESSERA_HEADER_ONLY
#include "tessera/models/mlp.ipp"
#endif
