// SPDX-License-Identifier: Apache-2.0
//
// The update of a training step: weights are moved against their gradients, in place.
//
// The state of an optimizer consists of parameters of the program, named after their weight and
// updated in place as well.  The arithmetic is done in f32.  Weights of a narrower type may have a
// master copy in f32 (mixed precision), which is updated; the narrow weight is rounded from it.
#pragma once
#include <span>

#include "tessera/graph/builder.hpp"

namespace tessera::graph {

/// An optimizer and its constants.
struct Optimizer {
  enum class Kind {
    sgd,       ///< no state
    momentum,  ///< one number per weight
    adam,      ///< two, and a count of steps
  };
  Kind kind = Kind::adam;
  double learning_rate = 1e-3;
  double momentum = 0.9;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  bool has_master_weights = true;  ///< for weights that are not f32
};

/// Updates every weight, which is a parameter, by the gradient of `loss`.  Throws as
/// gradients() and Builder::update() do.
void train(const Tensor& loss, std::span<const Tensor> weights, const Optimizer& optimizer);

/// The program of one of several microbatches: adds the gradients to sums in f32, which are
/// parameters, and leaves the weights unchanged.
void accumulate(const Tensor& loss, std::span<const Tensor> weights);

/// The program that follows the last of `count` microbatches: updates every weight by the mean of
/// the gradients that accumulate() added up, and sets the sums to zero.  The program has parameters
/// of the weights' names and types.
void apply_accumulated(std::span<const Tensor> weights, const Optimizer& optimizer, Extent count);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/optimizer.ipp"
#endif
