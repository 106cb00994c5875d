// SPDX-License-Identifier: Apache-2.0
//
// How well a plan uses its devices: model and hardware FLOPs utilisation, as the PaLM paper
// (Chowdhery et al. 2022, section 4.1 and appendix B) defines them.
//
//   MFU = FLOPs that the model needs, forward and backward / (time * devices * peak)
//   HFU = FLOPs that the devices execute                   / (the same)
//
// Work that is done twice counts for HFU and not for MFU: what several devices compute equally, and
// what is rematerialized to save memory.  A FLOP is a multiplication or an addition of a matrix
// product or convolution; everything else is left out, as is usual.  The peak is the published one.
//
// The integers are exact; the ratios are for people, and nothing is decided by them.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/cost/accelerator.hpp"

namespace tessera::cost {

/// FLOPs that are done in `seconds` as a share of what the devices could do at their peak.
double utilisation(Wide flops, double seconds, Extent devices, Rate peak);

/// The two utilisations of a plan, and the integers that they are made of.
struct Utilisation {
  Wide model_flops = 0;     ///< of the whole program, each op once
  Wide hardware_flops = 0;  ///< of all devices together
  Wide time = 0;            ///< picoseconds
  Extent devices = 1;
  Rate peak = 0;  ///< of one device, for the type that most of the FLOPs are of

  /// Shares from 0 to 1; 0 where there is no time or no peak.
  double mfu() const;
  double hfu() const;
};

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/utilisation.ipp"
#endif
