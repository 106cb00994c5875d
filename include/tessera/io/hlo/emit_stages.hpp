// SPDX-License-Identifier: Apache-2.0
//
// A pipeline's plan as HLO: the module with the sharding of every instruction on the devices of the
// stage that runs it.
#pragma once
#include <string>
#include <vector>

#include "tessera/io/hlo/emit.hpp"
#include "tessera/notation/hlo_sharding.hpp"
#include "tessera/plan/staged_ops.hpp"

namespace tessera::io::hlo {

// How the stages have a value: on the devices of the one that computes it.
inline auto texts_of(const std::vector<plan::StagedOp>& ops) {
  return [&ops](const Value& value) -> std::string {
    const plan::StagedOp& op = ops[value.op];
    if (op.op.results.empty()) return "{unknown}";  // no stage needs it
    const DynamicSharding sharding = op.op.results[value.result];
    return notation::to_string(notation::on_submesh(notation::to_hlo(sharding, op.mesh),
                                                    sharding.rank(), op.first_device,
                                                    op.mesh.device_count()));
  };
}

// The text of the module, which is unchanged but for `sharding=`.  `ops`: of the module's program,
// as plan::staged_ops() has them.  O(text + instructions * devices)
inline std::string emit(const Module& module, const Program& program,
                        const std::vector<plan::StagedOp>& ops) {
  return with_shardings(module, program, texts_of(ops));
}

}  // namespace tessera::io::hlo
