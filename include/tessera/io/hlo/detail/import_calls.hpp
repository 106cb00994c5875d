// SPDX-License-Identifier: Apache-2.0
//
// Calls, fusions, loops and branches: the ops of the computations that they call.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/import_state.hpp"

namespace tessera::io::hlo::detail {

// Adds the ops of a computation whose parameters are the given values; those of the entry, which
// has none yet, become ops.  `prefix` makes names unique.  Returns the values of the root.
Leaves import_computation(ImportState& state, std::uint32_t id, std::span<const Leaves> arguments,
                          const std::string& prefix);

// Each adds the ops of what the instruction calls; one op that is kept whole where a computation is
// missing.
Leaves import_call(ImportState& state, const ImportSite& site);
Leaves import_fusion(ImportState& state, const ImportSite& site);
Leaves import_loop(ImportState& state, const ImportSite& site);
Leaves import_branches(ImportState& state, const ImportSite& site);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/import_calls.ipp"
#endif
