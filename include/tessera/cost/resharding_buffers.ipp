// SPDX-License-Identifier: Apache-2.0
//
// The bodies of resharding_buffers.hpp.
#pragma once
#include "tessera/cost/resharding_buffers.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "tessera/cost/resharding.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::cost {

TESSERA_INLINE ReshardingBuffers operand_buffers(TensorResharding& tensor, DynamicSharding from,
                                                 DynamicSharding to, bool owns) {
  ReshardingBuffers result;
  if (from == to) return result;
  bool is_buffer = false;
  DynamicSharding at = from;
  for (const PricedStep& priced : tensor.path(from, to)) {
    const DynamicSharding after = apply(priced.step, at, to.reduction());
    if (is_collective(priced.step.kind)) {
      const Extent read = is_buffer ? result.after : owns ? 0 : tensor.local_bytes(at);
      result.after = tensor.local_bytes(after);
      result.during = std::max(result.during, read + result.after);
      is_buffer = true;
    }
    at = after;
  }
  return result;
}

TESSERA_INLINE ReshardingBuffers result_buffers(TensorResharding& tensor, DynamicSharding from,
                                                DynamicSharding to, bool owns) {
  ReshardingBuffers result;
  if (from == to) return result;
  const std::vector<PricedStep> path = tensor.path(from, to);
  const bool moves = std::any_of(path.begin(), path.end(), [](const PricedStep& priced) {
    return is_collective(priced.step.kind);
  });
  if (!moves && !owns) return result;
  DynamicSharding at = from;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const DynamicSharding after = apply(path[i].step, at, to.reduction());
    const bool is_to_memory = owns && i + 1 == path.size();
    result.after = is_to_memory ? 0 : tensor.local_bytes(after);
    result.during = std::max(result.during, tensor.local_bytes(at) + result.after);
    at = after;
  }
  return result;
}

}  // namespace tessera::cost
