// SPDX-License-Identifier: Apache-2.0
//
// U-Net (Ronneberger and others, 2015) with padded convolutions: down by pooling, up by transposed
// convolutions, and each level on the way up is concatenated with its counterpart on the way down.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/mesh/extent.hpp"
#include "tessera/models/step.hpp"

namespace tessera::models {

/// The sizes of a U-Net.  It has `channels` at the first level, doubled at each of `depth` levels
/// down; `image` pixels in height and width, with `inputs` channels.
struct UNet {
  Extent channels = 64, depth = 4, image = 512, inputs = 3, classes = 2, batch = 8;
};

/// The program of this size, for the step that the options describe.
/// @throws InvalidArgument unless 2^depth divides `image`.
graph::Graph build(const UNet& size, const StepOptions& step);

}  // namespace tessera::models

#ifdef TESSERA_HEADER_ONLY
#include "tessera/models/unet.ipp"
#endif
