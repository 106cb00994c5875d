// SPDX-License-Identifier: Apache-2.0
//
// A strategy in words: "RS0 x S0R -> RR (allreduce @ [0])".
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/strategy/choice.hpp"

namespace tessera::strategy {

/// "S0R x RS1 -> S0S1 (allreduce @ [2])": operands, output shardings, and the collectives that
/// finish a single result.  @pre the choice is one of the rule's
std::string to_string(const graph::Rule& rule, const Choice& choice);

}  // namespace tessera::strategy

#ifdef TESSERA_HEADER_ONLY
#include "tessera/strategy/text.ipp"
#endif
