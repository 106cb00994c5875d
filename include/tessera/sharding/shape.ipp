// SPDX-License-Identifier: Apache-2.0
//
// The dims of a tensor as text.
#pragma once
#include "tessera/core/text.hpp"
#include "tessera/sharding/shape.hpp"

namespace tessera {

TESSERA_INLINE std::string to_string(const Dims& dims) { return '[' + joined(dims, ",") + ']'; }

TESSERA_INLINE void detail::refuse_shape(const char* what, const Dims& dims, ShardingFault fault) {
  throw InvalidSharding(what + (' ' + to_string(dims) + ", dim " + std::to_string(fault.first)),
                        fault);
}

}  // namespace tessera
