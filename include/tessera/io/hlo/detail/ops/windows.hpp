// SPDX-License-Identifier: Apache-2.0
//
// Windows that slide along the dims of a tensor.
#pragma once
#include <optional>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

// The size of a dim after a window has passed over it.
Extent windowed(const ShapeSite& site, Extent size, const WindowDim& window);

// The attribute `window`, which must have one entry for each of `rank` dims.
std::vector<WindowDim> window_of_rank(const ShapeSite& site, std::size_t rank);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/windows.ipp"
#endif
