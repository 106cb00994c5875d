// SPDX-License-Identifier: Apache-2.0
//
// How one op turns the adjoint of its result into adjoints of its operands.
//
// Each family of ops (graph/ops) has a list of such functions, by opcode; autodiff.hpp calls them.
#pragma once
#include <cstddef>
#include <string>

#include "tessera/graph/builder.hpp"

namespace tessera::graph::detail {

// One op in the backward pass.
struct OpAdjoint {
  Builder& builder;
  OpId id;
  Tensor adjoint;  // the loss's derivative by the op's result

  Attributes attributes() const { return builder.graph().op(id).attributes; }
  Tensor result() const { return builder.tensor({id, 0}); }
  Tensor operand(std::size_t i) const { return builder.tensor(builder.graph().operand(id, i)); }
  Tensor zero() const;                                   // of the adjoint's type
  [[noreturn]] void fail(const std::string& why) const;  // InvalidArgument, naming the op
};

// The adjoint of operand i of an op.
using AdjointFunction = Tensor (*)(const OpAdjoint&, std::size_t operand);

struct AdjointEntry {
  Opcode opcode;
  AdjointFunction function;
};

}  // namespace tessera::graph::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/detail/adjoint.ipp"
#endif
