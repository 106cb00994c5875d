// SPDX-License-Identifier: Apache-2.0
//
// Breaks ties between equally cheap plans in favour of smaller shards.
//
// Slicing is free, so many a tensor may as well be kept whole as sharded, and a solver that looks
// at cost alone picks either.  People, and the next program's memory, prefer the shard.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/plan/formulate.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::plan::detail {

// @pre the assignment is feasible.  @post it still is, costs the same, and no op by itself could
// hold less at that cost
void prefer_smaller_shards(const Formulation& formulation, solver::Assignment& assignment);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/mesh/smaller_shards.ipp"
#endif
