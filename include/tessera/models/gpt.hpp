// SPDX-License-Identifier: Apache-2.0
//
// GPT as Megatron-LM and Alpa train it: learned positions, a norm before each block, tanh GELU, and
// the embedding reused for the logits.
//
// Parameters: 12 l h^2 (1 + 13 / 12h + (V + s) / 12lh), and 2h of the last norm that the Megatron
// paper leaves out.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/mesh/extent.hpp"
#include "tessera/models/step.hpp"

namespace tessera::models {

/// The sizes of a GPT; `batch` is in sequences of `seq` tokens.
struct Gpt {
  Extent layers = 12, hidden = 768, heads = 12, seq = 1024, vocab = 51200, batch = 8;
  Extent ffn = 0;  ///< features between the two layers of a block; 0: four times `hidden`
};

/// The program of this size, for the step that the options describe.
/// @throws InvalidArgument unless `heads` divides `hidden`.
graph::Graph build(const Gpt& size, const StepOptions& step);

}  // namespace tessera::models

#ifdef TESSERA_HEADER_ONLY
#include "tessera/models/gpt.ipp"
#endif
