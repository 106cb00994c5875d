// SPDX-License-Identifier: Apache-2.0
//
// Which strategies of a column can be left out without losing an optimum.
//
// A strategy may go when another one can always replace it: the other's operands can be had from
// this one's, and this one's results from the other's, at no higher price in all.  That is safe
// because reshardings are shortest paths, so going through a third sharding is never a gain.
// Where the buffers of reshardings count against a budget, none of them may grow by it, either.
#pragma once
#include <functional>

#include "tessera/core/inline.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/strategy/choice.hpp"
#include "tessera/strategy/detail/op_tables.hpp"

namespace tessera::strategy::detail {

// Removes them.  `checkpoint`, where there is one, is called often; what it throws ends the work.
void drop_replaceable(const graph::Rule& rule, Column& column, const ColumnNeeds& needs,
                      const OpTables& tables, const std::function<void()>& checkpoint);

}  // namespace tessera::strategy::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/strategy/detail/pruning.ipp"
#endif
