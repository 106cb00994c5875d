// SPDX-License-Identifier: Apache-2.0
//
// What stands beside a tensor while it is resharded: the buffers into which collectives write.
//
// A collective reads what it finds and writes beside it.  What is in memory is read where it lies,
// and so is a slice of it, or of another buffer.  What is computed where it is read is written down
// only for a collective; and what an op needs that runs where it is read, is held until then.
//
// A resharding goes the cheapest way (resharding.hpp), whatever room that takes.
#pragma once
#include <algorithm>
#include <cstddef>

#include "tessera/cost/resharding.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::cost {

// Bytes per device: at most while a tensor is on its way, and from then on.
struct ReshardingBuffers {
  Extent during = 0, after = 0;
};

// Of an operand, handed on as `from` and needed as `to`.  `owns`: whether it has memory of its own.
inline ReshardingBuffers operand_buffers(TensorResharding& tensor, DynamicSharding from,
                                         DynamicSharding to, bool owns) {
  ReshardingBuffers result;
  if (from == to) return result;
  bool is_buffer = false;
  DynamicSharding at = from;
  for (const auto& priced : tensor.path(from, to)) {
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

// Of an op's result, computed as `from` and handed on as `to`: before it is in memory.
inline ReshardingBuffers result_buffers(TensorResharding& tensor, DynamicSharding from,
                                        DynamicSharding to, bool owns) {
  ReshardingBuffers result;
  if (from == to) return result;
  const auto path = tensor.path(from, to);
  const bool moves = std::any_of(
      path.begin(), path.end(), [](const auto& priced) { return is_collective(priced.step.kind); });
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
