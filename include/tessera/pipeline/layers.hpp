// SPDX-License-Identifier: Apache-2.0
//
// Layers: a program cut into consecutive pieces of about the same work, between which little data
// flows.
//
// The forward part is cut as in Alpa (OSDI 2022, section 5.2): no layer has more than its share of
// the work and a tolerance; of such cuts those with the smallest largest input of a layer, and of
// these the most even one.  Only places between two heavy ops matter, and of these the one across
// which the fewest bytes are live: the ops between two such places are a unit.
//
// The rest of a training step follows: an op that reads a layer's own parameters (a weight's
// update, the product that passes a gradient on through it) belongs to that layer, and an op that
// leads to such ops belongs to the layer that it reaches first.  So forward and backward passes of
// a layer stay together.
//
// A program does not say where its forward part ends.  It ends with the last heavy op that is the
// first one to read some weight: from there on every heavy op reads what was read before.  Weights
// are the parameters that are updated in place; where no heavy op reads one, all parameters.  (So a
// head that shares its weights with the embedding is recognized as forward where the embedding is
// looked up, as it is everywhere, and not where it is multiplied by one-hot rows.)
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::pipeline {

using LayerId = std::uint32_t;

/// A parameter that forward ops of several layers read, such as a tied embedding.  The first of
/// them owns it; the others need a copy, and their share of its gradient goes to the first.
struct SharedParameter {
  graph::OpId parameter = 0;
  std::vector<LayerId> layers;  ///< rising
};

/// A program cut into layers.
struct Layers {
  std::size_t count = 0;
  std::vector<LayerId> of_op;  ///< by OpId
  std::vector<Wide> work;      ///< by layer: multiplications of its forward ops
  std::vector<Wide> input;     ///< by layer: bytes that its forward ops read from layers before it
  std::vector<SharedParameter> shared;
};

struct LayerOptions {
  std::size_t count = 1;
  /// A layer may have this many percent more than an even share of the work.  Where no cut
  /// satisfies that, the excess is made as small as possible.
  std::int64_t tolerance = 10;
};

/// By op: the multiplications of a heavy op, by its rule; 0 for others.  Throws Overflow.
std::vector<Wide> heavy_work(const graph::Graph& graph);

/// One past the last op of the forward part; the number of ops where the whole program is forward.
graph::OpId forward_end(const graph::Graph& graph);

/// Cuts a program into layers.  `work`: of each op; only forward ops' counts.  Loops stay whole.
///
/// Throws InvalidArgument where there are fewer heavy ops to separate than layers asked for.
/// O(ops + heavy^2 * (layers + reads))
Layers cluster_layers(const graph::Graph& graph, const LayerOptions& options,
                      const std::vector<Wide>& work);

/// The same by the multiplications of heavy ops.
Layers cluster_layers(const graph::Graph& graph, const LayerOptions& options);

/// Cuts a program into the layers that it names itself: by the scopes of its ops ("encoder/layer3";
/// markers in HLO become scopes too), or else by the names of parameters ("layer3.up").
///
/// A new layer begins before the first heavy forward op with a new mark: a new scope up to its
/// first number, or a parameter with a new name up to its first dot, if that ends in a number.  The
/// cut is made between that op and the heavy op before, where the fewest bytes are live.  Ops
/// without a mark belong to the layer before them.  Nothing where there are not two marks.
std::optional<Layers> named_layers(const graph::Graph& graph);

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/layers.ipp"
#endif
