// SPDX-License-Identifier: Apache-2.0
//
// Gradients of a program, as more of the same program: reverse mode, op by op.
//
//   const std::vector<Tensor> gradients_of_weights = gradients(loss, weights);
//
// From the loss back, every op turns the adjoint of its result (the loss's derivative by it) into
// adjoints of its operands.  The adjoints that a value receives from several readers are added up.
// They are built with the builder, so they have sharding rules and can be planned.  The adjoints of
// a family's ops are in the family's file (ops/).
#pragma once
#include <span>
#include <vector>

#include "tessera/graph/builder.hpp"

namespace tessera::graph {

/// The derivatives of `loss`, a floating scalar, by each of `sources`, which are results of ops
/// with one result; zeros for a source that the loss does not depend on.  Throws InvalidArgument,
/// naming the op, where an op between them has no known derivative.  Adds O(ops up to the loss)
/// ops.
std::vector<Tensor> gradients(const Tensor& loss, std::span<const Tensor> sources);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/autodiff.ipp"
#endif
