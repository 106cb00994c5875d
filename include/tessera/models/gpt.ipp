// SPDX-License-Identifier: Apache-2.0
//
// The layers of GPT.
#pragma once
#include "tessera/models/gpt.hpp"

#include <string>

#include "tessera/models/detail/network.hpp"

namespace tessera::models {

TESSERA_INLINE graph::Graph build(const Gpt& size, const StepOptions& step) {
  using namespace graph;
  using namespace detail;
  graph::require(size.heads > 0 && size.hidden % size.heads == 0,
                 "gpt: hidden is no multiple of heads");
  const Extent inner = size.ffn == 0 ? 4 * size.hidden : size.ffn;
  Network net(step);
  const Tensor tokens = net.input("tokens", s32, {size.batch, size.seq});
  const Tensor table = net.weight("embedding", {size.vocab, size.hidden});
  const Tensor positions = net.weight("positions", {size.seq, size.hidden});
  Tensor x = lookup(table, tokens);
  x = x + broadcast(positions, x.dims(), {1, 2});
  for (Extent layer = 0; layer < size.layers; ++layer) {
    const std::string name = layer_name(layer);
    x = x + attention(net, name + ".attention", layer_norm(net, name + ".norm1", x), size.heads);
    x = x + feed_forward(net, name + ".mlp", layer_norm(net, name + ".norm2", x), inner);
  }
  return net.finish(einsum<"bsm,vm->bsv">(layer_norm(net, "norm", x), table));
}

}  // namespace tessera::models
