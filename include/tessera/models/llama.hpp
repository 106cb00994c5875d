// SPDX-License-Identifier: Apache-2.0
//
// Llama: rotary positions, RMSNorm, SwiGLU, no biases, and fewer keys than queries: each head of
// keys and values serves a group of query heads.
#pragma once
#include "tessera/models/network.hpp"

namespace tessera::models {

struct Llama {
  Extent layers = 32, hidden = 4096, heads = 32, kv_heads = 8, ffn = 14336, seq = 8192,
         vocab = 128256, batch = 8;
  double rope_base = 500000;
};

namespace detail {

// Queries [batch, positions, key heads, group, features] against keys [batch, positions, key heads,
// features].
inline Tensor grouped_attention(Network& net, const std::string& name, const Tensor& x,
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
  const Tensor seen = einsum<"bcgqk,bkcd->bcgqd">(softmax(causal_mask(scores)), value);
  const Tensor output = net.weight(name + ".output", {keys, group, features, hidden});
  return einsum<"bcgqd,cgdm->bqm">(seen, output);
}

inline Tensor gated_feed_forward(Network& net, const std::string& name, const Tensor& x,
                                 Extent inner) {
  const Extent hidden = x.dims().back();
  const Tensor gate = einsum<"bsm,mf->bsf">(x, net.weight(name + ".gate", {hidden, inner}));
  const Tensor up = einsum<"bsm,mf->bsf">(x, net.weight(name + ".up", {hidden, inner}));
  const Tensor gated = silu(gate) * up;
  return einsum<"bsf,fm->bsm">(gated, net.weight(name + ".down", {inner, hidden}));
}

}  // namespace detail

// Throws InvalidArgument where heads do not divide `hidden`, or key heads `heads`.
inline Graph build(const Llama& size, const StepOptions& step) {
  graph::require(size.heads > 0 && size.hidden % size.heads == 0,
                 "llama: hidden is no multiple of heads");
  graph::require(size.kv_heads > 0 && size.heads % size.kv_heads == 0,
                 "llama: heads is no multiple of kv_heads");
  Network net(step);
  const Tensor tokens = net.input("tokens", s32, {size.batch, size.seq});
  Tensor x = lookup(net.weight("embedding", {size.vocab, size.hidden}), tokens);
  const Rotation turn = rotation(net.builder(), size.seq, size.hidden / size.heads, size.rope_base);
  for (Extent layer = 0; layer < size.layers; ++layer) {
    const std::string name = layer_name(layer);
    x = x + detail::grouped_attention(net, name + ".attention", rms_norm(net, name + ".norm1", x),
                                      size, turn);
    x = x +
        detail::gated_feed_forward(net, name + ".mlp", rms_norm(net, name + ".norm2", x), size.ffn);
  }
  const Tensor head = net.weight("head", {size.hidden, size.vocab});
  return net.finish(einsum<"bsm,mv->bsv">(rms_norm(net, "norm", x), head));
}

}  // namespace tessera::models
