// SPDX-License-Identifier: Apache-2.0
//
// The levels of U-Net.
#pragma once
#include "tessera/models/unet.hpp"

#include <cstddef>
#include <string>
#include <vector>

#include "tessera/models/detail/network.hpp"

namespace tessera::models {
namespace detail {

TESSERA_INLINE Tensor biased_convolution(Network& net, const std::string& name, const Tensor& x,
                                         Extent size, Extent features) {
  const Tensor kernel = net.weight(name + ".kernel", {size, size, x.dims()[3], features});
  return add_bias(net, name + ".bias", convolve(x, kernel));
}

// Two convolutions of three by three.
TESSERA_INLINE Tensor level(Network& net, const std::string& name, Tensor x, Extent features) {
  x = relu(biased_convolution(net, name + ".first", x, 3, features));
  return relu(biased_convolution(net, name + ".second", x, 3, features));
}

// Doubles the image, and concatenates the features of the same level on the way down.
TESSERA_INLINE Tensor level_up(Network& net, const std::string& name, const Tensor& x,
                               const Tensor& counterpart, Extent features) {
  const Tensor kernel = net.weight(name + ".grow.kernel", {2, 2, x.dims()[3], features});
  const Tensor up = add_bias(net, name + ".grow.bias", convolve_up(x, kernel));
  const Tensor both[] = {counterpart, up};
  return level(net, name, concatenate(both, 3), features);
}

}  // namespace detail

TESSERA_INLINE graph::Graph build(const UNet& size, const StepOptions& step) {
  using namespace graph;
  using namespace detail;
  graph::require(size.depth >= 0 && size.depth < 30 && size.image % (Extent{1} << size.depth) == 0,
                 "unet: the image can not be halved depth times");
  Network net(step);
  Tensor x =
      net.input("images", net.precision(), {size.batch, size.image, size.image, size.inputs});
  std::vector<Tensor> on_the_way_down;
  Extent features = size.channels;
  for (Extent d = 0; d < size.depth; ++d, features *= 2) {
    on_the_way_down.push_back(level(net, "down" + std::to_string(d), x, features));
    x = max_pool(on_the_way_down.back(), 2, 2);
  }
  x = level(net, "bottom", x, features);
  for (Extent d = size.depth; d-- > 0;) {
    features /= 2;
    x = level_up(net, "up" + std::to_string(d), x, on_the_way_down[static_cast<std::size_t>(d)],
                 features);
  }
  return net.finish(biased_convolution(net, "head", x, 1, size.classes));
}

}  // namespace tessera::models
