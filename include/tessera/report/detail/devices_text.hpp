// SPDX-License-Identifier: Apache-2.0
//
// The utilization of devices, in one line that several tables share.
#pragma once
#include <string>

#include "tessera/cost/utilisation.hpp"
#include "tessera/report/text.hpp"

namespace tessera::report::detail {

// "MFU 46.6% (250.90 PFLOP on 64 devices of 125.00 TFLOP/s), HFU 47.4%"
inline std::string devices_text(const cost::Utilisation& use) {
  return "MFU " + percent_text(use.mfu()) + " (" + flops_text(use.model_flops) + " on " +
         std::to_string(use.devices) + " devices of " + flops_text(use.peak) + "/s), HFU " +
         percent_text(use.hfu());
}

}  // namespace tessera::report::detail
