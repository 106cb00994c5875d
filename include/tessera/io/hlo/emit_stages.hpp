// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan as HLO: the module with the sharding of every instruction on the devices of the
// stage that runs it.
#pragma once
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/emit.hpp"

namespace tessera::plan {
struct StagedOp;
}

namespace tessera::io::hlo {

/// The sharding of each value, on the devices of the stage that computes it; "{unknown}" where no
/// stage needs it.  `ops`: of the module's program, as plan::staged_ops() has them; they must
/// outlive the function.
ValueText texts_of(const std::vector<plan::StagedOp>& ops);

/// The text of the module, which is unchanged but for `sharding=`.  O(text + instructions *
/// devices)
std::string emit(const Module& module, const Program& program,
                 const std::vector<plan::StagedOp>& ops);

}  // namespace tessera::io::hlo

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/emit_stages.ipp"
#endif
