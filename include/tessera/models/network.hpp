// SPDX-License-Identifier: Apache-2.0
//
// What all models share: a builder that remembers which parameters are weights, and the end of a
// step, which makes a training step of what was so far a network.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/graph/functions.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/optimizer.hpp"

namespace tessera::models {

using namespace graph;  // models are written in the builder's words

enum class Purpose : std::uint8_t {
  training,      // forward, backward, optimizer
  accumulation,  // forward, backward; derivatives are added to those of earlier micro-batches
  application,   // the optimizer alone, by what micro-batches have added up
  inference,     // forward
};

// What one run of the program does with the network, and in which numbers.
struct StepOptions {
  Purpose purpose = Purpose::training;
  ElementType precision = bf16;  // of weights and activations
  Optimizer optimizer = {};
  Extent microbatches = 1;  // of which derivatives were added up (application)
  // Attention is one kernel, whose scores never reach memory (FlashAttention).
  bool fuses_attention = false;
};

class Network {
 public:
  explicit Network(const StepOptions& step) : step_(step) {}

  Builder& builder() noexcept { return b_; }
  ElementType precision() const noexcept { return step_.precision; }

  // Data that comes with each step.
  Tensor input(const std::string& name, ElementType element, const Dims& dims) {
    return b_.parameter(name, element, dims);
  }
  // What training changes.
  Tensor weight(const std::string& name, const Dims& dims) {
    weights_.push_back(b_.parameter(name, step_.precision, dims));
    return weights_.back();
  }

  // Says which dims scores have, of queries against keys, and whatever is made of them one by one.
  void add_scores(const Dims& dims) { scores_.push_back(dims); }

  // The program that classifies: `logits` [..., classes].  Training steps take the right classes as
  // an input, `labels`, and lessen cross-entropy plus `penalty`, a scalar of f32.
  Graph finish(const Tensor& logits, std::optional<Tensor> penalty = std::nullopt) {
    if (step_.purpose == Purpose::application) return application();
    if (step_.purpose == Purpose::inference) {
      b_.output(logits);
      return finished();
    }
    Dims rows = logits.dims();
    rows.pop_back();
    Tensor loss = cross_entropy(logits, input("labels", s32, rows));
    if (penalty) loss = loss + *penalty;
    b_.output(loss);
    if (step_.purpose == Purpose::accumulation)
      accumulate(loss, weights_);
    else
      train(loss, weights_, step_.optimizer);
    return finished();
  }

 private:
  Graph finished() const {
    Graph graph = b_.graph();
    if (!step_.fuses_attention) return graph;
    for (OpId id = 0; id < graph.op_count(); ++id) {
      Op& op = graph.op(id);
      if (op.results.size() == 1 && !op.is_parameter && are_scores(op.results[0].dims))
        op.has_buffer = false;
    }
    return graph;
  }
  // In whatever order a product leaves them.
  bool are_scores(const Dims& dims) const {
    return std::any_of(scores_.begin(), scores_.end(), [&](const Dims& scores) {
      return std::is_permutation(dims.begin(), dims.end(), scores.begin(), scores.end());
    });
  }

  // Of the network itself only its weights are left.
  Graph application() const {
    Builder b;
    std::vector<Tensor> weights;
    for (const Tensor& weight : weights_) {
      const TensorType type = weight.type();
      weights.push_back(
          b.parameter(b_.graph().op(weight.value().op).name, type.element, type.dims));
    }
    apply_accumulated(weights, step_.optimizer, step_.microbatches);
    return b.graph();
  }

  Builder b_;
  StepOptions step_;
  std::vector<Tensor> weights_;
  std::vector<Dims> scores_;
};

// --- Layers that several models have -------------------------------------------------------------

// With a bias of its own for each feature, the last dim.
inline Tensor add_bias(Network& net, const std::string& name, const Tensor& x) {
  return add_bias(x, net.weight(name, {x.dims().back()}));
}
// [..., positions, in] to [..., positions, out].
inline Tensor linear(Network& net, const std::string& name, const Tensor& x, Extent out) {
  const Tensor weight = net.weight(name + ".weight", {x.dims().back(), out});
  return add_bias(net, name + ".bias", einsum<"bsm,mf->bsf">(x, weight));
}
// A norm with weights of its own.
inline Tensor layer_norm(Network& net, const std::string& name, const Tensor& x) {
  const Tensor scale = net.weight(name + ".scale", {x.dims().back()});
  return layer_norm(x, scale, net.weight(name + ".shift", {x.dims().back()}));
}
inline Tensor rms_norm(Network& net, const std::string& name, const Tensor& x) {
  return rms_norm(x, net.weight(name + ".scale", {x.dims().back()}));
}

// Scaled, masked and normalised products of queries with keys, times values; all
// [batch, positions, heads, features], the result [batch, heads, positions, features].
inline Tensor attend(const Tensor& query, const Tensor& key, const Tensor& value) {
  const double scale = 1 / std::sqrt(static_cast<double>(query.dims().back()));
  const Tensor scores = einsum<"bqhd,bkhd->bhqk">(query * scale, key);
  return einsum<"bhqk,bkhd->bhqd">(softmax(causal_mask(scores)), value);
}

// Attention as GPT has it: as many keys as queries, biases everywhere.
inline Tensor attention(Network& net, const std::string& name, const Tensor& x, Extent heads) {
  const Extent hidden = x.dims().back(), features = hidden / heads;
  const auto project = [&](const std::string& part) {
    const Tensor weight = net.weight(name + part + ".weight", {hidden, heads, features});
    const Tensor y = einsum<"bsm,mhd->bshd">(x, weight);
    return y + broadcast(net.weight(name + part + ".bias", {heads, features}), y.dims(), {2, 3});
  };
  const Tensor query = project(".query"), key = project(".key"), value = project(".value");
  net.add_scores({x.dims()[0], heads, x.dims()[1], x.dims()[1]});
  const Tensor seen = attend(query, key, value);
  const Tensor weight = net.weight(name + ".output.weight", {heads, features, hidden});
  return add_bias(net, name + ".output.bias", einsum<"bhsd,hdm->bsm">(seen, weight));
}

// Two linear layers with a bend between them.
inline Tensor feed_forward(Network& net, const std::string& name, const Tensor& x, Extent inner) {
  return linear(net, name + ".down", gelu(linear(net, name + ".up", x, inner)), x.dims().back());
}

inline std::string layer_name(Extent layer) { return "layer" + std::to_string(layer); }

}  // namespace tessera::models
