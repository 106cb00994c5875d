// SPDX-License-Identifier: Apache-2.0
//
// The bodies of emit_stages.hpp.
#pragma once
#include "tessera/io/hlo/emit_stages.hpp"

#include "tessera/notation/hlo_sharding.hpp"
#include "tessera/plan/staged_ops.hpp"

namespace tessera::io::hlo {

TESSERA_INLINE ValueText texts_of(const std::vector<plan::StagedOp>& ops) {
  return [&ops](const Value& value) -> std::string {
    const plan::StagedOp& op = ops[value.op];
    if (op.op.results.empty()) return "{unknown}";  // no stage needs it
    const DynamicSharding sharding = op.op.results[value.result];
    return notation::to_string(notation::on_submesh(notation::to_hlo(sharding, op.mesh),
                                                    sharding.rank(), op.first_device,
                                                    op.mesh.device_count()));
  };
}

TESSERA_INLINE std::string emit(const Module& module, const Program& program,
                                const std::vector<plan::StagedOp>& ops) {
  return with_shardings(module, program, texts_of(ops));
}

}  // namespace tessera::io::hlo
