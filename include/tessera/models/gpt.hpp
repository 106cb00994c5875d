// SPDX-License-Identifier: Apache-2.0
//
// GPT as Megatron-LM and Alpa train it: learned positions, a norm before each block, tanh GELU, and
// the embedding used again for the logits.
//
// Parameters: 12 l h^2 (1 + 13 / 12h + (V + s) / 12lh), and 2h of the last norm that the Megatron
// paper leaves out.
#pragma once
#include "tessera/models/network.hpp"

namespace tessera::models {

struct Gpt {
  Extent layers = 12, hidden = 768, heads = 12, seq = 1024, vocab = 51200, batch = 8;
  Extent ffn = 0;  // 0: four times `hidden`
};

// Throws InvalidArgument where the heads do not divide `hidden`.
inline Graph build(const Gpt& size, const StepOptions& step) {
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
