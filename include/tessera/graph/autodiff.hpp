// SPDX-License-Identifier: Apache-2.0
//
// Gradients of a program, as more of the same program: reverse mode, op by op.
//
//   const std::vector<Tensor> gradients_of_weights = gradients(loss, weights);
//
// Every op turns the adjoint of its result (the loss's derivative by it) into adjoints of its
// operands, from the loss back; adjoints of a value that several ops read are added up.  They are
// built with the builder like anything else, so they have sharding rules and can be planned.  How
// the ops of a family do that stands in the family's file (ops/).
#pragma once
#include <span>
#include <vector>

#include "tessera/graph/builder.hpp"

namespace tessera::graph {

/// The derivatives of `loss`, a scalar, by each of `sources`, which are results of ops with one
/// result; zeros where the loss does not depend on one.  Throws InvalidArgument, naming the
/// op, where one on the way has no derivative here.  O(ops up to the loss) new ops at most.
std::vector<Tensor> gradients(const Tensor& loss, std::span<const Tensor> sources);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/autodiff.ipp"
#endif
