// SPDX-License-Identifier: Apache-2.0
//
// The result shape of every instruction, from its operands and attributes.
//
// A declared shape must be the one that follows, up to layouts; one that the text leaves out is
// filled in.  Operands and attributes that do not fit are reported here, so that rules and graphs
// are only ever made of tensors that do.
#pragma once
#include <optional>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo::detail {

// Sets the instruction's shape.  Throws InputError where the declared one is not what follows.
void settle_shape(const Module& module, const Computation& computation, Instruction& instruction,
                  const std::optional<Shape>& declared);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/shapes.ipp"
#endif
