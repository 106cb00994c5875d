// SPDX-License-Identifier: Apache-2.0
//
// U-Net (Ronneberger and others, 2015) with padded convolutions: down by pooling, up by transposed
// convolutions, and what a level had on the way down is set beside what comes up.
#pragma once
#include "tessera/models/network.hpp"

namespace tessera::models {

struct UNet {
  Extent channels = 64, depth = 4, image = 512, inputs = 3, classes = 2, batch = 8;
};

namespace detail {

inline Tensor biased_convolution(Network& net, const std::string& name, const Tensor& x,
                                 Extent size, Extent features) {
  const Tensor kernel = net.weight(name + ".kernel", {size, size, x.dims()[3], features});
  return add_bias(net, name + ".bias", convolve(x, kernel));
}
inline Tensor level(Network& net, const std::string& name, Tensor x, Extent features) {
  x = relu(biased_convolution(net, name + ".first", x, 3, features));
  return relu(biased_convolution(net, name + ".second", x, 3, features));
}

}  // namespace detail

// Throws InvalidArgument where the image can not be halved `depth` times.
inline Graph build(const UNet& size, const StepOptions& step) {
  graph::require(size.depth >= 0 && size.depth < 30 && size.image % (Extent{1} << size.depth) == 0,
                 "unet: the image can not be halved depth times");
  Network net(step);
  Tensor x =
      net.input("images", net.precision(), {size.batch, size.image, size.image, size.inputs});
  std::vector<Tensor> kept;
  Extent features = size.channels;
  for (Extent d = 0; d < size.depth; ++d, features *= 2) {
    kept.push_back(detail::level(net, "down" + std::to_string(d), x, features));
    x = max_pool(kept.back(), 2, 2);
  }
  x = detail::level(net, "bottom", x, features);
  for (Extent d = size.depth; d-- > 0;) {
    features /= 2;
    const std::string name = "up" + std::to_string(d);
    const Tensor kernel = net.weight(name + ".grow.kernel", {2, 2, x.dims()[3], features});
    const Tensor up = add_bias(net, name + ".grow.bias", convolve_up(x, kernel));
    const Tensor both[] = {kept[static_cast<std::size_t>(d)], up};
    x = detail::level(net, name, concatenate(both, 3), features);
  }
  return net.finish(detail::biased_convolution(net, "head", x, 1, size.classes));
}

}  // namespace tessera::models
