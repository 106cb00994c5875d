// SPDX-License-Identifier: Apache-2.0
//
// Errors of shardings that fit neither their mesh nor their tensor.
#pragma once
#include "tessera/sharding/local.hpp"

namespace tessera::detail {

TESSERA_INLINE void refuse_axis(DynamicSharding sharding, const DynamicMesh& mesh,
                                ShardingFault fault) {
  throw InvalidSharding("sharding " + to_string(sharding) + " on mesh " + to_string(mesh) +
                            ", axis " + std::to_string(fault.first),
                        fault);
}

TESSERA_INLINE void refuse_dims(DynamicSharding sharding, const Dims& dims, ShardingFault fault) {
  throw InvalidSharding("sharding " + to_string(sharding) + " of a tensor " + to_string(dims),
                        fault);
}

}  // namespace tessera::detail
