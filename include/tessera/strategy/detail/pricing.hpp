// SPDX-License-Identifier: Apache-2.0
//
// The price of running an op by one strategy.
#pragma once
#include "tessera/core/inline.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/cost/workload.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/strategy/choice.hpp"
#include "tessera/strategy/detail/op_tables.hpp"

namespace tessera::strategy::detail {

// All that prices of one op depend on.
struct PricedOp {
  const graph::Op& op;
  const cost::Workload& workload;
  const cost::Resharding& resharding;
  const OpTables& tables;
};

// The strategy with its shardings, bytes and prices.  Throws what the model gives reason for.
Choice priced(const PricedOp& of, const Strategy& strategy);

}  // namespace tessera::strategy::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/strategy/detail/pricing.ipp"
#endif
