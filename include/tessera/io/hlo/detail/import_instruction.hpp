// SPDX-License-Identifier: Apache-2.0
//
// The import of one instruction: it becomes ops, or dissolves into the values of others.
#pragma once
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/import_state.hpp"

namespace tessera::io::hlo::detail {

// The values of the instruction's result.  `values`: of the computation so far.  Throws InputError
// at the instruction.
Leaves import_instruction(ImportState& state, const Computation& computation,
                          const Instruction& instruction, const std::vector<Leaves>& values,
                          const std::string& prefix);

// Sets the scope of those ops from `begin` on that have none yet.  Where the instruction has the
// hint, marks the ops that compute its `values` as ops without a buffer.
void set_scope_and_buffers(ImportState& state, const Instruction& instruction, graph::OpId begin,
                           const Leaves& values);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/import_instruction.ipp"
#endif
