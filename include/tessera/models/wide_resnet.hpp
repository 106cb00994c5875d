// SPDX-License-Identifier: Apache-2.0
//
// Wide-ResNet as in Alpa's suites: ResNet's bottleneck blocks, where the convolution of three by
// three has `width` times as many features as it is given.
#pragma once
#include <array>

#include "tessera/models/network.hpp"

namespace tessera::models {

struct WideResNet {
  Extent layers = 50, channels = 160, width = 2, image = 224, classes = 1024, batch = 32;
};

namespace detail {

// A convolution, and its result normalised.
inline Tensor normed_convolution(Network& net, const std::string& name, const Tensor& x,
                                 Extent size, Extent features, Extent stride) {
  const Tensor kernel = net.weight(name + ".kernel", {size, size, x.dims()[3], features});
  const Tensor y = convolve(x, kernel, stride);
  const Tensor scale = net.weight(name + ".scale", {features});
  return batch_norm(y, scale, net.weight(name + ".shift", {features}));
}

inline Tensor bottleneck(Network& net, const std::string& name, const Tensor& x, Extent features,
                         Extent width, Extent stride) {
  Tensor y = relu(normed_convolution(net, name + ".in", x, 1, features, 1));
  y = relu(normed_convolution(net, name + ".space", y, 3, features * width, stride));
  y = normed_convolution(net, name + ".out", y, 1, 4 * features, 1);
  const bool fits = x.dims() == y.dims();
  return relu(y + (fits ? x : normed_convolution(net, name + ".skip", x, 1, 4 * features, stride)));
}

}  // namespace detail

// Throws InvalidArgument where `layers` is none of 50, 101 and 152.
inline Graph build(const WideResNet& size, const StepOptions& step) {
  std::array<Extent, 4> blocks{3, 4, 6, 3};
  if (size.layers == 101) blocks = {3, 4, 23, 3};
  if (size.layers == 152) blocks = {3, 8, 36, 3};
  graph::require(size.layers == 50 || size.layers == 101 || size.layers == 152,
                 "wide-resnet: layers is 50, 101 or 152");
  Network net(step);
  const Tensor images =
      net.input("images", net.precision(), {size.batch, size.image, size.image, 3});
  Tensor x = relu(detail::normed_convolution(net, "stem", images, 7, size.channels, 2));
  x = max_pool(x, 3, 2, true);
  Extent features = size.channels;
  for (std::size_t stage = 0; stage < blocks.size(); ++stage, features *= 2)
    for (Extent block = 0; block < blocks[stage]; ++block)
      x = detail::bottleneck(net,
                             "stage" + std::to_string(stage) + ".block" + std::to_string(block), x,
                             features, size.width, stage > 0 && block == 0 ? 2 : 1);
  const double pixels = static_cast<double>(x.dims()[1] * x.dims()[2]);
  const Tensor mean = reduce_sum(x, {1, 2}) * (1 / pixels);
  const Tensor weight = net.weight("head.weight", {mean.dims()[1], size.classes});
  return net.finish(add_bias(net, "head.bias", einsum<"bm,mn->bn">(mean, weight)));
}

}  // namespace tessera::models
