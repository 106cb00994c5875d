// SPDX-License-Identifier: Apache-2.0
//
// The layers of the mixture of experts.
#pragma once
#include "tessera/models/moe.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "tessera/models/detail/network.hpp"

namespace tessera::models {
namespace detail {

// Adds a weight of each expert to its features; y is [experts, groups, capacity, features].
TESSERA_INLINE Tensor add_expert_bias(Network& net, const std::string& name, const Tensor& y) {
  const Tensor bias = net.weight(name, {y.dims()[0], y.dims().back()});
  return y + broadcast(bias, y.dims(), {0, 3});
}

// Every expert is a feed-forward network; x is [experts, groups, capacity, hidden].
TESSERA_INLINE Tensor expert_feed_forward(Network& net, const std::string& name, const Tensor& x,
                                          Extent inner) {
  const Extent experts = x.dims()[0], hidden = x.dims().back();
  const Tensor up_weight = net.weight(name + ".up.weight", {experts, hidden, inner});
  const Tensor up =
      gelu(add_expert_bias(net, name + ".up.bias", einsum<"egcm,emf->egcf">(x, up_weight)));
  const Tensor down_weight = net.weight(name + ".down.weight", {experts, inner, hidden});
  return add_expert_bias(net, name + ".down.bias", einsum<"egcf,efm->egcm">(up, down_weight));
}

struct Mixture {
  Tensor result;
  Tensor balance;  // a scalar, minimal if all experts get equal shares
};

TESSERA_INLINE Mixture mixture(Network& net, const std::string& name, const Tensor& x,
                               const Moe& size, Extent inner) {
  const Extent tokens = size.batch * size.seq, group = std::min(size.group, tokens);
  const Extent capacity = std::max<Extent>(1, size.choices * group / size.experts);
  const Tensor grouped = reshape(x, {tokens / group, group, size.hidden});
  const Tensor gate = net.weight(name + ".gate", {size.hidden, size.experts});
  const Tensor preference = einsum<"gsm,me->gse">(grouped, gate);
  const Routing routing = route(softmax(convert(preference, f32)), size.choices, capacity);
  const Tensor dispatch = convert(routing.dispatch, net.precision());
  const Tensor received = einsum<"gsec,gsm->egcm">(dispatch, grouped);
  const Tensor computed = expert_feed_forward(net, name, received, inner);
  const Tensor combine = convert(routing.combine, net.precision());
  const Tensor combined = einsum<"gsec,egcm->gsm">(combine, computed);
  return {reshape(combined, x.dims()), routing.balance};
}

TESSERA_INLINE void check(const Moe& size) {
  graph::require(size.heads > 0 && size.hidden % size.heads == 0,
                 "moe: hidden is no multiple of heads");
  const Extent tokens = size.batch * size.seq;
  graph::require(size.group > 0 && tokens % std::min(size.group, tokens) == 0,
                 "moe: batch times seq is no multiple of group");
}

// The features of tokens, with those of their positions added.
TESSERA_INLINE Tensor embed(Network& net, const Moe& size, const Tensor& table,
                            const Tensor& tokens) {
  const Tensor x = lookup(table, tokens);
  return x + broadcast(net.weight("positions", {size.seq, size.hidden}), x.dims(), {1, 2});
}

}  // namespace detail

TESSERA_INLINE graph::Graph build(const Moe& size, const StepOptions& step) {
  using namespace graph;
  using namespace detail;
  check(size);
  const Extent inner = size.ffn == 0 ? 8 * size.hidden : size.ffn;
  Network net(step);
  const Tensor ids = net.input("tokens", s32, {size.batch, size.seq});
  const Tensor table = net.weight("embedding", {size.vocab, size.hidden});
  Tensor x = embed(net, size, table, ids);
  std::optional<Tensor> penalty;
  for (Extent layer = 0; layer < size.layers; ++layer) {
    const std::string name = layer_name(layer);
    x = x + attention(net, name + ".attention", layer_norm(net, name + ".norm1", x), size.heads);
    const Tensor normed = layer_norm(net, name + ".norm2", x);
    if (layer % 2 == 0) {
      x = x + feed_forward(net, name + ".mlp", normed, inner);
      continue;
    }
    const Mixture mixed = mixture(net, name + ".experts", normed, size, inner);
    x = x + mixed.result;
    const Tensor imbalance = mixed.balance * 0.01;
    penalty = penalty ? *penalty + imbalance : imbalance;
  }
  return net.finish(einsum<"bsm,vm->bsv">(layer_norm(net, "norm", x), table), penalty);
}

}  // namespace tessera::models
