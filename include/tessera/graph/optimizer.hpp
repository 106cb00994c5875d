// SPDX-License-Identifier: Apache-2.0
//
// The other half of a training step: weights, moved against their gradients, take their own
// place.
//
// An optimizer's state are parameters of the program, named after their weight and updated in
// place like it.  The arithmetic is done in f32.  Weights of a narrower type may have a copy in f32
// (mixed precision): steps are added up there, and the narrow weight is only ever rounded from it.
#pragma once
#include <span>

#include "tessera/graph/builder.hpp"

namespace tessera::graph {

struct Optimizer {
  enum class Kind {
    sgd,       // no state
    momentum,  // one number per weight
    adam,      // two, and a count of steps
  };
  Kind kind = Kind::adam;
  double learning_rate = 1e-3;
  double momentum = 0.9;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  bool has_master_weights = true;  // for weights that are not f32
};

/// Updates every weight by the derivative of `loss`.  Weights are parameters.  Throws as
/// gradients() and Builder::update() do.
void train(const Tensor& loss, std::span<const Tensor> weights, const Optimizer& optimizer);

/// One of several micro-batches: adds the derivatives to sums in f32 that are kept from one to the
/// next, and leaves the weights alone.
void accumulate(const Tensor& loss, std::span<const Tensor> weights);

/// After the last of `count` micro-batches: updates every weight by the mean of what accumulate()
/// kept of each, and begins the sums anew.  The program has parameters of the weights' names and
/// types.
void apply_accumulated(std::span<const Tensor> weights, const Optimizer& optimizer, Extent count);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/optimizer.ipp"
#endif
