// SPDX-License-Identifier: Apache-2.0
//
// A mixture of experts as in GShard and Alpa: in every second layer, each token goes to the best
// few of several feed-forward networks.
//
// Tokens form groups.  Dispatch and combination are products with a tensor [groups, tokens,
// experts, capacity]; splitting the groups before the dispatch and the experts after it requires an
// all-to-all.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/mesh/extent.hpp"
#include "tessera/models/step.hpp"

namespace tessera::models {

/// The sizes of a mixture of experts; `batch` is in sequences of `seq` tokens.
struct Moe {
  Extent layers = 8, hidden = 768, heads = 16, seq = 1024, vocab = 32000, batch = 8;
  Extent ffn = 0;                   ///< features within an expert; 0: eight times `hidden`
  Extent experts = 8, choices = 2;  ///< experts per layer, and how many of them a token goes to
  Extent group = 2048;              ///< tokens in a group; at most those of a batch
};

/// The program of this size, for the step that the options describe.
/// @throws InvalidArgument unless `heads` divides `hidden` and `group` divides the batch's tokens.
graph::Graph build(const Moe& size, const StepOptions& step);

}  // namespace tessera::models

#ifdef TESSERA_HEADER_ONLY
#include "tessera/models/moe.ipp"
#endif
