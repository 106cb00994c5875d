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

  // Says which product is the scores of an attention, of queries against keys.
  void add_scores(const Tensor& scores) { scores_.push_back(scores.value().op); }

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
    for (const OpId scores : scores_) take_buffers(graph, scores);
    return graph;
  }
  // Of scores, and of what has their dims, in whatever order, and is made of them, or goes into
  // that, without a product between: so of the backward pass's slopes by scores too.
  static void take_buffers(Graph& graph, OpId scores) {
    const Dims dims = graph.op(scores).results[0].dims;
    std::vector<OpId> todo;
    const auto reach = [&](OpId id) {
      Op& op = graph.op(id);
      if (!op.has_buffer || op.is_parameter || op.results.size() != 1) return;
      const Dims& own = op.results[0].dims;
      if (!std::is_permutation(own.begin(), own.end(), dims.begin(), dims.end())) return;
      op.has_buffer = false;
      todo.push_back(id);
    };
    reach(scores);
    while (!todo.empty()) {
      const OpId id = todo.back();
      todo.pop_back();
      graph.for_each_use(id, [&](OpId reader, const Use&) {
        if (!graph.op(reader).is_heavy) reach(reader);
      });
      if (graph.op(id).is_heavy) continue;
      for (std::size_t i = 0; i < graph.operand_count(id); ++i) reach(graph.operand(id, i).op);
    }
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
  std::vector<OpId> scores_;
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
inline Tensor attend(Network& net, const Tensor& query, const Tensor& key, const Tensor& value) {
  const double scale = 1 / std::sqrt(static_cast<double>(query.dims().back()));
  const Tensor scores = einsum<"bqhd,bkhd->bhqk">(query * scale, key);
  net.add_scores(scores);
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
  const Tensor seen = attend(net, query, key, value);
  const Tensor weight = net.weight(name + ".output.weight", {heads, features, hidden});
  return add_bias(net, name + ".output.bias", einsum<"bhsd,hdm->bsm">(seen, weight));
}

// Two linear layers with a bend between them.
inline Tensor feed_forward(Network& net, const std::string& name, const Tensor& x, Extent inner) {
  return linear(net, name + ".down", gelu(linear(net, name + ".up", x, inner)), x.dims().back());
}

inline std::string layer_name(Extent layer) { return "layer" + std::to_string(layer); }

}  // namespace tessera::models
