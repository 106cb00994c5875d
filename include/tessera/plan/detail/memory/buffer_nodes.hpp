// SPDX-License-Identifier: Apache-2.0
//
// Resharding buffers as nodes of the 0-1 program.
//
// A node's usage follows from its strategy alone, but the size of a resharding's buffers from both
// ends.  So a buffer becomes a node of its own, tied to those two: it has a strategy for each
// number of bytes that one end's sharding can make it take, and the other end's sharding allows
// only the strategies with enough bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/cost/resharding.hpp"
#include "tessera/plan/detail/memory/buffer_use.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::plan::detail {

// The tables of a node that is a buffer.
struct BufferNodeTables {
  std::vector<solver::Usage> usages;
  std::vector<Cost> from, to;  // forbidden pairs of an end's strategy and the buffer's; or empty
};

// A buffer that has become a node.
struct BufferNode {
  std::size_t use = 0;
  std::shared_ptr<const BufferNodeTables> tables;
};

// The tables made so far, by what they depend on.
using EndKey = decltype(ReshardingEnd().key());
using BufferTablesKey = std::tuple<EndKey, EndKey, bool, bool, std::vector<Extent>>;
using KnownBufferTables = std::map<BufferTablesKey, std::shared_ptr<const BufferNodeTables>>;

// The bytes that a buffer takes under an assignment of the problem.
Extent bytes_of(cost::Resharding& resharding, const BufferUse& use,
                const solver::Assignment& assignment);

std::shared_ptr<const BufferNodeTables> tables_of(cost::Resharding& resharding,
                                                  const BufferUse& use, KnownBufferTables& known);

void add_node(solver::Problem& problem, const BufferUse& use, const BufferNodeTables& tables);

// The strategy of a buffer's node with the least bytes that an assignment allows.
std::uint32_t least_strategy(const BufferUse& use, const BufferNodeTables& tables,
                             const solver::Assignment& assignment);

}  // namespace tessera::plan::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/detail/memory/buffer_nodes.ipp"
#endif
