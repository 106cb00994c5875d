// SPDX-License-Identifier: Apache-2.0
//
// A mixture of experts as GShard has it and Alpa trains it: in every second layer each token goes
// to the best of several feed-forward networks.
//
// Tokens are dealt into groups, and dispatch and combination are products with a tensor
// [groups, tokens, experts, places]; splitting groups before and experts after the dispatch is what
// makes an all-to-all.
#pragma once
#include "tessera/models/network.hpp"

namespace tessera::models {

struct Moe {
  Extent layers = 8, hidden = 768, heads = 16, seq = 1024, vocab = 32000, batch = 8;
  Extent ffn = 0;  // 0: eight times `hidden`
  Extent experts = 8, choices = 2;
  Extent group = 2048;  // tokens; fewer where a batch has fewer
};

namespace detail {

struct Mixture {
  Tensor result;
  Tensor balance;
};

inline Mixture mixture(Network& net, const std::string& name, const Tensor& x, const Moe& size,
                       Extent inner) {
  const Extent hidden = size.hidden, experts = size.experts;
  const Extent tokens = size.batch * size.seq, group = std::min(size.group, tokens);
  const Extent capacity = std::max<Extent>(1, size.choices * group / experts);
  const Tensor dealt = reshape(x, {tokens / group, group, hidden});
  const Tensor preference =
      einsum<"gsm,me->gse">(dealt, net.weight(name + ".gate", {hidden, experts}));
  const Routing routing = route(softmax(convert(preference, f32)), size.choices, capacity);

  const auto add_bias = [&](const Tensor& y, const char* part) {
    const Tensor bias = net.weight(name + part, {experts, y.dims().back()});
    return y + broadcast(bias, y.dims(), {0, 3});
  };
  const Tensor sent = einsum<"gsec,gsm->egcm">(convert(routing.dispatch, net.precision()), dealt);
  const Tensor grow = net.weight(name + ".up.weight", {experts, hidden, inner});
  const Tensor up = gelu(add_bias(einsum<"egcm,emf->egcf">(sent, grow), ".up.bias"));
  const Tensor shrink = net.weight(name + ".down.weight", {experts, inner, hidden});
  const Tensor down = add_bias(einsum<"egcf,efm->egcm">(up, shrink), ".down.bias");
  const Tensor back = einsum<"gsec,egcm->gsm">(convert(routing.combine, net.precision()), down);
  return {reshape(back, x.dims()), routing.balance};
}

}  // namespace detail

// Throws InvalidArgument where heads do not divide `hidden`, or groups the batch.
inline Graph build(const Moe& size, const StepOptions& step) {
  graph::require(size.heads > 0 && size.hidden % size.heads == 0,
                 "moe: hidden is no multiple of heads");
  const Extent tokens = size.batch * size.seq;
  graph::require(size.group > 0 && tokens % std::min(size.group, tokens) == 0,
                 "moe: batch times seq is no multiple of group");
  const Extent inner = size.ffn == 0 ? 8 * size.hidden : size.ffn;
  Network net(step);
  const Tensor ids = net.input("tokens", s32, {size.batch, size.seq});
  const Tensor table = net.weight("embedding", {size.vocab, size.hidden});
  Tensor x = lookup(table, ids);
  x = x + broadcast(net.weight("positions", {size.seq, size.hidden}), x.dims(), {1, 2});
  std::optional<Tensor> penalty;
  for (Extent layer = 0; layer < size.layers; ++layer) {
    const std::string name = layer_name(layer);
    x = x + attention(net, name + ".attention", layer_norm(net, name + ".norm1", x), size.heads);
    const Tensor normed = layer_norm(net, name + ".norm2", x);
    if (layer % 2 == 0) {
      x = x + feed_forward(net, name + ".mlp", normed, inner);
      continue;
    }
    const detail::Mixture mixed = detail::mixture(net, name + ".experts", normed, size, inner);
    x = x + mixed.result;
    const Tensor part = mixed.balance * 0.01;
    penalty = penalty ? *penalty + part : part;
  }
  return net.finish(einsum<"bsm,vm->bsv">(layer_norm(net, "norm", x), table), penalty);
}

}  // namespace tessera::models
