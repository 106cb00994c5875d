// SPDX-License-Identifier: Apache-2.0
//
// The layers of the multilayer perceptron.
#pragma once
#include "tessera/models/mlp.hpp"

#include <string>

#include "tessera/models/detail/network.hpp"

namespace tessera::models {

TESSERA_INLINE graph::Graph build(const Mlp& size, const StepOptions& step) {
  using namespace graph;
  detail::Network net(step);
  Tensor x = net.input("x", net.precision(), {size.batch, size.width});
  for (Extent layer = 0; layer < size.layers; ++layer) {
    const bool is_last = layer + 1 == size.layers;
    const Extent out = is_last ? size.classes : size.width;
    const std::string name = detail::layer_name(layer);
    const Tensor weight = net.weight(name + ".weight", {x.dims()[1], out});
    x = detail::add_bias(net, name + ".bias", einsum<"bm,mn->bn">(x, weight));
    if (!is_last) x = relu(x);
  }
  return net.finish(x);
}

}  // namespace tessera::models
