// SPDX-License-Identifier: Apache-2.0
//
// The shardings that instructions ask for.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/import_state.hpp"

namespace tessera::io::hlo::detail {

// Whether instruction i of computation c has a sharding that the options keep.
bool is_annotation_kept(const ImportState& state, std::uint32_t c, std::size_t i);

// Remembers the sharding of instruction i of computation c, whose arrays are `leaves`.  A copy of
// its own takes the place of an array that has another annotation already, or that comes from an op
// with several results.
void annotate(ImportState& state, std::uint32_t c, std::size_t i, const std::string& prefix,
              Leaves& leaves);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/import_annotations.ipp"
#endif
