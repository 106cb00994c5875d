// SPDX-License-Identifier: Apache-2.0
//
// Zeros, and ops that have no derivative.
#pragma once
#include "tessera/graph/detail/adjoint.hpp"

#include "tessera/core/error.hpp"
#include "tessera/graph/ops/source.hpp"

namespace tessera::graph::detail {

TESSERA_INLINE Tensor OpAdjoint::zero() const { return constant_like(adjoint, 0); }

TESSERA_INLINE void OpAdjoint::fail(const std::string& why) const {
  const Op& op = builder.graph().op(id);
  throw InvalidArgument("gradients: op '" + op.name + "' (" + std::string(opcode_text(op)) + ") " +
                        why);
}

}  // namespace tessera::graph::detail
