// SPDX-License-Identifier: Apache-2.0
//
// The parts that all models share: a builder that remembers which parameters are weights, the end
// of a step, and layers that several models have.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/builder.hpp"
#include "tessera/graph/functions.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/models/step.hpp"

namespace tessera::models::detail {

using namespace graph;  // models are written in the builder's words

class Network {
 public:
  explicit Network(const StepOptions& step) : step_(step) {}

  Builder& builder() noexcept { return b_; }
  ElementType precision() const noexcept { return step_.precision; }

  // Data that each step receives.
  Tensor input(const std::string& name, ElementType element, const Dims& dims);
  // A parameter that training updates.
  Tensor weight(const std::string& name, const Dims& dims);

  // Marks the product of queries and keys of an attention.
  void add_scores(const Tensor& scores) { scores_.push_back(scores.value().op); }

  // The program of a classifier: `logits` is [..., classes].  A training step also takes the right
  // classes, `labels`, and minimizes cross-entropy plus `penalty`, a scalar of f32.
  Graph finish(const Tensor& logits, std::optional<Tensor> penalty = std::nullopt);

 private:
  Graph finished() const;
  Graph application() const;

  Builder b_;
  StepOptions step_;
  std::vector<Tensor> weights_;
  std::vector<OpId> scores_;
};

// --- Layers that several models have -------------------------------------------------------------

// Adds a weight to the features, the last dim.
Tensor add_bias(Network& net, const std::string& name, const Tensor& x);
// [..., positions, in] to [..., positions, out], with a bias.
Tensor linear(Network& net, const std::string& name, const Tensor& x, Extent out);
// Norms with weights.
Tensor layer_norm(Network& net, const std::string& name, const Tensor& x);
Tensor rms_norm(Network& net, const std::string& name, const Tensor& x);

// Causal multi-head attention with biases, as in GPT: as many keys as queries.
Tensor attention(Network& net, const std::string& name, const Tensor& x, Extent heads);

// Two linear layers with a GELU between them.
Tensor feed_forward(Network& net, const std::string& name, const Tensor& x, Extent inner);

std::string layer_name(Extent layer);

}  // namespace tessera::models::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/models/detail/network.ipp"
#endif
