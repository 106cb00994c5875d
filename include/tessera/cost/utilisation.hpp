// SPDX-License-Identifier: Apache-2.0
//
// How well a plan uses its devices: model and hardware FLOPs utilisation, as the PaLM paper
// (Chowdhery et al. 2022, section 4.1 and appendix B) defines them.
//
//   MFU = FLOPs that the model needs, forward and backward / (time * devices * peak)
//   HFU = FLOPs that the devices execute                   / (the same)
//
// Work that is done twice counts for HFU and not for MFU: what several devices compute alike, and
// what is computed again for want of memory.  A FLOP is a multiplication or an addition of a matrix
// product or convolution; everything else is left out, as is usual.  The peak is the published one.
//
// The integers are exact; the ratios are for people, and nothing is decided by them.
#pragma once
#include "tessera/core/wide.hpp"
#include "tessera/cost/accelerator.hpp"

namespace tessera::cost {

// FLOPs that are done in `seconds` as a share of what the devices could do at their peak.
inline double utilisation(Wide flops, double seconds, Extent devices, Rate peak) {
  return static_cast<double>(flops) /
         (seconds * static_cast<double>(devices) * static_cast<double>(peak));
}

struct Utilisation {
  Wide model_flops = 0;     // of the whole program, each op once
  Wide hardware_flops = 0;  // of all devices together
  Wide time = 0;            // picoseconds
  Extent devices = 1;
  Rate peak = 0;  // of one device, for the type that most of the FLOPs are of

  double mfu() const { return share(model_flops); }
  double hfu() const { return share(hardware_flops); }

 private:
  double share(Wide flops) const {
    if (time == 0 || peak == 0) return 0;
    return utilisation(flops, static_cast<double>(time) / static_cast<double>(second), devices,
                       peak);
  }
};

}  // namespace tessera::cost
