// SPDX-License-Identifier: Apache-2.0
//
// The bodies of windows.hpp.
#pragma once
#include "tessera/io/hlo/detail/ops/windows.hpp"

#include <string>

namespace tessera::io::hlo::detail {

TESSERA_INLINE Extent windowed(const ShapeSite& site, Extent size, const WindowDim& window) {
  const auto dilated = [](Extent n, Extent by) { return n == 0 ? 0 : Wide(n - 1) * by + 1; };
  const Wide in = dilated(size, window.lhs_dilate) + window.pad_low + window.pad_high;
  const Wide covered = dilated(window.size, window.rhs_dilate);
  if (in < covered || in < 0) return 0;
  return size_of_dim(site, (in - covered) / window.stride + 1);
}

TESSERA_INLINE std::vector<WindowDim> window_of_rank(const ShapeSite& site, std::size_t rank) {
  std::vector<WindowDim> window = site.attributes.window(rank);
  if (window.size() != rank)
    fail_with(site, {"the window has ", std::to_string(window.size()), " dims, the operand has ",
                     std::to_string(rank)});
  return window;
}

}  // namespace tessera::io::hlo::detail
