// SPDX-License-Identifier: Apache-2.0
//
// The end of a step, and shared layers.
#pragma once
#include "tessera/models/detail/network.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "tessera/graph/optimizer.hpp"

namespace tessera::models::detail {

// --- Fused attention -----------------------------------------------------------------------------

// Whether an op of a fused attention can stay without a buffer: it has the scores' dims, in any
// order.
TESSERA_INLINE bool belongs_to_scores(const Op& op, const Dims& scores) {
  if (!op.has_buffer || op.is_parameter || op.results.size() != 1) return false;
  const Dims& own = op.results[0].dims;
  return std::is_permutation(own.begin(), own.end(), scores.begin(), scores.end());
}

// Removes the buffers of the scores, and of all ops of the same dims that are connected to them
// without a product in between.  These include the scores' adjoint in the backward pass.
TESSERA_INLINE void remove_buffers(Graph& graph, OpId scores) {
  const Dims dims = graph.op(scores).results[0].dims;
  std::vector<OpId> todo;
  const auto visit = [&](OpId id) {
    if (!belongs_to_scores(graph.op(id), dims)) return;
    graph.op(id).has_buffer = false;
    todo.push_back(id);
  };
  visit(scores);
  while (!todo.empty()) {
    const OpId id = todo.back();
    todo.pop_back();
    graph.for_each_use(id, [&](OpId reader, const Use&) {
      if (!graph.op(reader).is_heavy) visit(reader);
    });
    if (graph.op(id).is_heavy) continue;
    for (std::size_t i = 0; i < graph.operand_count(id); ++i) visit(graph.operand(id, i).op);
  }
}

// --- Network -------------------------------------------------------------------------------------

TESSERA_INLINE Tensor Network::input(const std::string& name, ElementType element,
                                     const Dims& dims) {
  return b_.parameter(name, element, dims);
}

TESSERA_INLINE Tensor Network::weight(const std::string& name, const Dims& dims) {
  weights_.push_back(b_.parameter(name, step_.precision, dims));
  return weights_.back();
}

TESSERA_INLINE Graph Network::finish(const Tensor& logits, std::optional<Tensor> penalty) {
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

TESSERA_INLINE Graph Network::finished() const {
  Graph graph = b_.graph();
  if (!step_.fuses_attention) return graph;
  for (const OpId scores : scores_) remove_buffers(graph, scores);
  return graph;
}

// The optimizer alone: only the weights of the network remain.
TESSERA_INLINE Graph Network::application() const {
  Builder b;
  std::vector<Tensor> weights;
  for (const Tensor& weight : weights_) {
    const TensorType type = weight.type();
    weights.push_back(b.parameter(b_.graph().op(weight.value().op).name, type.element, type.dims));
  }
  apply_accumulated(weights, step_.optimizer, step_.microbatches);
  return b.graph();
}

// --- Layers --------------------------------------------------------------------------------------

TESSERA_INLINE Tensor add_bias(Network& net, const std::string& name, const Tensor& x) {
  return add_bias(x, net.weight(name, {x.dims().back()}));
}

TESSERA_INLINE Tensor linear(Network& net, const std::string& name, const Tensor& x, Extent out) {
  const Tensor weight = net.weight(name + ".weight", {x.dims().back(), out});
  return add_bias(net, name + ".bias", einsum<"bsm,mf->bsf">(x, weight));
}

TESSERA_INLINE Tensor layer_norm(Network& net, const std::string& name, const Tensor& x) {
  const Tensor scale = net.weight(name + ".scale", {x.dims().back()});
  return layer_norm(x, scale, net.weight(name + ".shift", {x.dims().back()}));
}

TESSERA_INLINE Tensor rms_norm(Network& net, const std::string& name, const Tensor& x) {
  return rms_norm(x, net.weight(name + ".scale", {x.dims().back()}));
}

// Causal scaled dot-product attention.  Query, key and value are [batch, positions, heads,
// features], the result [batch, heads, positions, features].
TESSERA_INLINE Tensor dot_product_attention(Network& net, const Tensor& query, const Tensor& key,
                                            const Tensor& value) {
  const double scale = 1 / std::sqrt(static_cast<double>(query.dims().back()));
  const Tensor scores = einsum<"bqhd,bkhd->bhqk">(query * scale, key);
  net.add_scores(scores);
  return einsum<"bhqk,bkhd->bhqd">(softmax(causal_mask(scores)), value);
}

TESSERA_INLINE Tensor attention(Network& net, const std::string& name, const Tensor& x,
                                Extent heads) {
  const Extent hidden = x.dims().back(), features = hidden / heads;
  const auto project = [&](const std::string& part) {
    const Tensor weight = net.weight(name + part + ".weight", {hidden, heads, features});
    const Tensor y = einsum<"bsm,mhd->bshd">(x, weight);
    return y + broadcast(net.weight(name + part + ".bias", {heads, features}), y.dims(), {2, 3});
  };
  const Tensor query = project(".query"), key = project(".key"), value = project(".value");
  const Tensor context = dot_product_attention(net, query, key, value);
  const Tensor weight = net.weight(name + ".output.weight", {heads, features, hidden});
  return add_bias(net, name + ".output.bias", einsum<"bhsd,hdm->bsm">(context, weight));
}

TESSERA_INLINE Tensor feed_forward(Network& net, const std::string& name, const Tensor& x,
                                   Extent inner) {
  return linear(net, name + ".down", gelu(linear(net, name + ".up", x, inner)), x.dims().back());
}

TESSERA_INLINE std::string layer_name(Extent layer) { return "layer" + std::to_string(layer); }

}  // namespace tessera::models::detail
