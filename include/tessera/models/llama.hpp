// SPDX-License-Identifier: Apache-2.0
//
// Llama: rotary positions, RMSNorm, SwiGLU, no biases, and grouped-query attention: each head of
// keys and values serves a group of query heads.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/mesh/extent.hpp"
#include "tessera/models/step.hpp"

namespace tessera::models {

/// The sizes of a Llama; `batch` is in sequences of `seq` tokens.
struct Llama {
  Extent layers = 32, hidden = 4096, heads = 32, kv_heads = 8, ffn = 14336, seq = 8192,
         vocab = 128256, batch = 8;
  double rope_base = 500000;  ///< of the rotary positions' frequencies
};

/// The program of this size, for the step that the options describe.
/// @throws InvalidArgument unless `heads` divides `hidden` and `kv_heads` divides `heads`.
graph::Graph build(const Llama& size, const StepOptions& step);

}  // namespace tessera::models

#ifdef TESSERA_HEADER_ONLY
#include "tessera/models/llama.ipp"
#endif
