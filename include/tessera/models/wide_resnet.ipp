// SPDX-License-Identifier: Apache-2.0
//
// The blocks of Wide-ResNet.
#pragma once
#include "tessera/models/wide_resnet.hpp"

#include <array>
#include <cstddef>
#include <string>

#include "tessera/models/detail/network.hpp"

namespace tessera::models {
namespace detail {

// A convolution, and a batch norm of its result.
TESSERA_INLINE Tensor normed_convolution(Network& net, const std::string& name, const Tensor& x,
                                         Extent size, Extent features, Extent stride) {
  const Tensor kernel = net.weight(name + ".kernel", {size, size, x.dims()[3], features});
  const Tensor y = convolve(x, kernel, stride);
  const Tensor scale = net.weight(name + ".scale", {features});
  return batch_norm(y, scale, net.weight(name + ".shift", {features}));
}

TESSERA_INLINE Tensor bottleneck(Network& net, const std::string& name, const Tensor& x,
                                 Extent features, Extent width, Extent stride) {
  Tensor y = relu(normed_convolution(net, name + ".in", x, 1, features, 1));
  y = relu(normed_convolution(net, name + ".space", y, 3, features * width, stride));
  y = normed_convolution(net, name + ".out", y, 1, 4 * features, 1);
  const bool fits = x.dims() == y.dims();
  return relu(y + (fits ? x : normed_convolution(net, name + ".skip", x, 1, 4 * features, stride)));
}

// How many blocks each of the four stages has.
TESSERA_INLINE std::array<Extent, 4> blocks_of(Extent layers) {
  graph::require(layers == 50 || layers == 101 || layers == 152,
                 "wide-resnet: layers is 50, 101 or 152");
  if (layers == 101) return {3, 4, 23, 3};
  if (layers == 152) return {3, 8, 36, 3};
  return {3, 4, 6, 3};
}

}  // namespace detail

TESSERA_INLINE graph::Graph build(const WideResNet& size, const StepOptions& step) {
  using namespace graph;
  using namespace detail;
  const std::array<Extent, 4> blocks = blocks_of(size.layers);
  Network net(step);
  const Tensor images =
      net.input("images", net.precision(), {size.batch, size.image, size.image, 3});
  Tensor x = relu(normed_convolution(net, "stem", images, 7, size.channels, 2));
  x = max_pool(x, 3, 2, true);
  Extent features = size.channels;
  for (std::size_t stage = 0; stage < blocks.size(); ++stage, features *= 2)
    for (Extent block = 0; block < blocks[stage]; ++block)
      x = bottleneck(net, "stage" + std::to_string(stage) + ".block" + std::to_string(block), x,
                     features, size.width, stage > 0 && block == 0 ? 2 : 1);
  const double pixels = static_cast<double>(x.dims()[1] * x.dims()[2]);
  const Tensor mean = reduce_sum(x, {1, 2}) * (1 / pixels);
  const Tensor weight = net.weight("head.weight", {mean.dims()[1], size.classes});
  return net.finish(add_bias(net, "head.bias", einsum<"bm,mn->bn">(mean, weight)));
}

}  // namespace tessera::models
