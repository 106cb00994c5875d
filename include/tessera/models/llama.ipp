// SPDX-License-Identifier: Apache-2.0
//
// The layers of Llama.
#pragma once
#include "tessera/models/llama.hpp"

#include <cmath>
#include <string>

#include "tessera/models/detail/network.hpp"

namespace tessera::models {
namespace detail {

// Queries are [batch, positions, key heads, group, features], keys and values [batch, positions,
// key heads, features].
TESSERA_INLINE Tensor grouped_attention(Network& net, const std::string& name, const Tensor& x,
                                        const Llama& size, const Rotation& rotation) {
  const Extent hidden = size.hidden, features = hidden / size.heads, keys = size.kv_heads,
               group = size.heads / keys;
  const auto project = [&](const char* part) {
    return einsum<"bsm,mcd->bscd">(x, net.weight(name + part, {hidden, keys, features}));
  };
  const Tensor weight = net.weight(name + ".query", {hidden, keys, group, features});
  const Tensor query = rotate(einsum<"bsm,mcgd->bscgd">(x, weight), rotation, 1);
  const Tensor key = rotate(project(".key"), rotation, 1), value = project(".value");
  const double scale = 1 / std::sqrt(static_cast<double>(features));
  const Tensor scores = einsum<"bqcgd,bkcd->bcgqk">(query * scale, key);
  net.add_scores(scores);
  const Tensor context = einsum<"bcgqk,bkcd->bcgqd">(softmax(causal_mask(scores)), value);
  const Tensor output = net.weight(name + ".output", {keys, group, features, hidden});
  return einsum<"bcgqd,cgdm->bqm">(context, output);
}

// SwiGLU.
TESSERA_INLINE Tensor gated_feed_forward(Network& net, const std::string& name, const Tensor& x,
                                         Extent inner) {
  const Extent hidden = x.dims().back();
  const Tensor gate = einsum<"bsm,mf->bsf">(x, net.weight(name + ".gate", {hidden, inner}));
  const Tensor up = einsum<"bsm,mf->bsf">(x, net.weight(name + ".up", {hidden, inner}));
  const Tensor gated = silu(gate) * up;
  return einsum<"bsf,fm->bsm">(gated, net.weight(name + ".down", {inner, hidden}));
}

}  // namespace detail

TESSERA_INLINE graph::Graph build(const Llama& size, const StepOptions& step) {
  using namespace graph;
  using namespace detail;
  graph::require(size.heads > 0 && size.hidden % size.heads == 0,
                 "llama: hidden is no multiple of heads");
  graph::require(size.kv_heads > 0 && size.heads % size.kv_heads == 0,
                 "llama: heads is no multiple of kv_heads");
  Network net(step);
  const Tensor tokens = net.input("tokens", s32, {size.batch, size.seq});
  Tensor x = lookup(net.weight("embedding", {size.vocab, size.hidden}), tokens);
  const Rotation positions =
      rotation(net.builder(), size.seq, size.hidden / size.heads, size.rope_base);
  for (Extent layer = 0; layer < size.layers; ++layer) {
    const std::string name = layer_name(layer);
    x = x + grouped_attention(net, name + ".attention", rms_norm(net, name + ".norm1", x), size,
                              positions);
    x = x + gated_feed_forward(net, name + ".mlp", rms_norm(net, name + ".norm2", x), size.ffn);
  }
  const Tensor head = net.weight("head", {size.hidden, size.vocab});
  return net.finish(einsum<"bsm,mv->bsv">(rms_norm(net, "norm", x), head));
}

}  // namespace tessera::models
