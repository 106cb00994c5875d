// SPDX-License-Identifier: Apache-2.0
//
// Loops and conditionals: their bodies are ops of the program like any other, and these ops choose
// which values go on.
#pragma once
#include <cstddef>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"

namespace tessera::graph {

/// A loop's state: operand 0 is its value before the loop, operand 1 the next one.  All three have
/// one sharding.
Rule loop_state_rule(const Dims& dims);

/// One result of a conditional: operand 0 is the index of the branch that ran, the others are
/// what each of the `branches` computed.  They are partial together, or not at all.
Rule conditional_rule(const Dims& dims, std::size_t branches);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/control.ipp"
#endif
