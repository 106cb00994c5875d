// SPDX-License-Identifier: Apache-2.0
//
// The buffers beside a tensor while it is resharded, into which collectives write.
//
// A collective reads its operand where it is, and writes its result beside it.  A tensor in memory
// is read in place, and so is a slice of it, or of another buffer.  A fused op's result is written
// to memory only for a collective; and an operand of a fused op is held until that op runs.
//
// A resharding takes the cheapest path (resharding.hpp), whatever memory that needs.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"

namespace tessera::cost {

class TensorResharding;

/// Bytes per device that a resharding takes beside the tensor.
struct ReshardingBuffers {
  Extent during = 0;  ///< at most while it runs
  Extent after = 0;   ///< from then on, until the result is no longer needed
};

/// Of an operand that is produced as `from` and needed as `to`.  `owns`: whether it has memory of
/// its own.
ReshardingBuffers operand_buffers(TensorResharding& tensor, DynamicSharding from,
                                  DynamicSharding to, bool owns);

/// Of an op's result, computed as `from` and resharded to the output sharding `to` before it is in
/// memory.
ReshardingBuffers result_buffers(TensorResharding& tensor, DynamicSharding from, DynamicSharding to,
                                 bool owns);

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/resharding_buffers.ipp"
#endif
