// SPDX-License-Identifier: Apache-2.0
//
// Shapes as HLO writes them: f32[8,16]{1,0}, and tuples in parentheses.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/scanner.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo::detail {

// Whether a shape begins here, rather than a name or an opcode.
bool at_shape(Scanner& scan);

// Reads a shape.  `depth` counts the tuples around it.
Shape read_shape(Scanner& scan, int depth = 0);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/shape_text.ipp"
#endif
