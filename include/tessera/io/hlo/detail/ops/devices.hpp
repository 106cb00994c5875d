// SPDX-License-Identifier: Apache-2.0
//
// Ops that depend on the device or the host that runs them: collectives of the program's own, input
// and output, random bits.
#pragma once
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

std::optional<graph::Rule> foreign_collective_rule(const RuleSite& site);
std::optional<graph::Rule> whole_rule(const RuleSite& site);
std::optional<graph::Rule> random_bits_rule(const RuleSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/ops/devices.ipp"
#endif
