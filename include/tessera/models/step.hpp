// SPDX-License-Identifier: Apache-2.0
//
// The use of a network in a program: a whole training step, a phase of one, or inference.
#pragma once
#include <cstdint>

#include "tessera/graph/element_type.hpp"
#include "tessera/graph/optimizer.hpp"
#include "tessera/mesh/extent.hpp"

namespace tessera::models {

/// The use of a network in a program.
enum class Purpose : std::uint8_t {
  training,      ///< forward pass, backward pass and optimizer
  accumulation,  ///< forward and backward pass; adds the gradients to those of earlier microbatches
  application,   ///< the optimizer alone, on the gradients that microbatches have accumulated
  inference,     ///< forward pass
};

/// The options that all models share.
struct StepOptions {
  Purpose purpose = Purpose::training;
  graph::ElementType precision = graph::bf16;  ///< of weights and activations
  graph::Optimizer optimizer = {};
  Extent microbatches = 1;       ///< whose gradients are averaged, for Purpose::application
  bool fuses_attention = false;  ///< attention is one kernel that keeps its scores out of memory
                                 ///< (FlashAttention): the scores get no buffer
};

}  // namespace tessera::models
