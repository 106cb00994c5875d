// SPDX-License-Identifier: Apache-2.0
//
// Shares of the peak.
#pragma once
#include "tessera/cost/utilisation.hpp"

namespace tessera::cost {

TESSERA_INLINE double utilisation(Wide flops, double seconds, Extent devices, Rate peak) {
  return static_cast<double>(flops) /
         (seconds * static_cast<double>(devices) * static_cast<double>(peak));
}

namespace detail {

TESSERA_INLINE double share_of(const Utilisation& use, Wide flops) {
  if (use.time == 0 || use.peak == 0) return 0;
  return utilisation(flops, static_cast<double>(use.time) / static_cast<double>(second),
                     use.devices, use.peak);
}

}  // namespace detail

TESSERA_INLINE double Utilisation::mfu() const { return detail::share_of(*this, model_flops); }
TESSERA_INLINE double Utilisation::hfu() const { return detail::share_of(*this, hardware_flops); }

}  // namespace tessera::cost
