// SPDX-License-Identifier: Apache-2.0
//
// Wide-ResNet as in Alpa's suites: ResNet's bottleneck blocks, in which the convolution of three by
// three has `width` times as many output features as input features.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/mesh/extent.hpp"
#include "tessera/models/step.hpp"

namespace tessera::models {

/// The sizes of a Wide-ResNet: `channels` after the stem, `image` pixels in height and width.
struct WideResNet {
  Extent layers = 50, channels = 160, width = 2, image = 224, classes = 1024, batch = 32;
};

/// The program of this size, for the step that the options describe.
/// @throws InvalidArgument unless `layers` is 50, 101 or 152.
graph::Graph build(const WideResNet& size, const StepOptions& step);

}  // namespace tessera::models

#ifdef TESSERA_HEADER_ONLY
#include "tessera/models/wide_resnet.ipp"
#endif
