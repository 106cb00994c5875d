// SPDX-License-Identifier: Apache-2.0
//
// Linear layers with a rectifier between any two: the smallest network that has something to plan.
#pragma once
#include "tessera/models/network.hpp"

namespace tessera::models {

// Of `layers` weights; the last one's features are the classes.
struct Mlp {
  Extent layers = 4, width = 1024, classes = 1024, batch = 1024;
};

// @pre all sizes are positive
inline Graph build(const Mlp& size, const StepOptions& step) {
  Network net(step);
  Tensor x = net.input("x", net.precision(), {size.batch, size.width});
  for (Extent layer = 0; layer < size.layers; ++layer) {
    const bool is_last = layer + 1 == size.layers;
    const Extent out = is_last ? size.classes : size.width;
    const std::string name = layer_name(layer);
    const Tensor weight = net.weight(name + ".weight", {x.dims()[1], out});
    x = add_bias(net, name + ".bias", einsum<"bm,mn->bn">(x, weight));
    if (!is_last) x = relu(x);
  }
  return net.finish(x);
}

}  // namespace tessera::models
