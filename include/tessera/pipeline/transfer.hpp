// SPDX-License-Identifier: Apache-2.0
//
// Transfers between stages: a tensor moves from its sharding on one submesh to another sharding on
// another submesh (cross-mesh resharding).
//
// Links between hosts are slow, links within a host are fast.  So a slice that several devices of a
// host need comes to that host once: it is cut into as many pieces as devices need it, each device
// receives one piece, and then the devices exchange the pieces among themselves (Alpa's local
// all-gather).  No plan sends less between hosts.  Where several devices hold a slice, the one that
// has sent least so far sends it.  A slice that a host holds already, since two stages share the
// host, is not sent between hosts at all.
//
// The borders of both shardings cut the tensor into blocks, so that a device holds all of a block
// or nothing of it.  A piece is an interval of a block's elements, in row-major order.
#pragma once
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"
#include "tessera/sharding/local.hpp"

namespace tessera::cost {
struct Cluster;
}

namespace tessera::pipeline {

/// A sharding on a submesh whose devices, in the mesh's order, are those from `first` on.
struct PlacedSharding {
  DynamicMesh mesh;
  DynamicSharding sharding;
  Device first = 0;
};

/// One message.
struct Send {
  Device from = 0, to = 0;
  Slice block;
  Range elements;  ///< of the block's, counted in row-major order
};

/// The messages of one tensor.
struct Transfer {
  std::vector<Send> across;  ///< between hosts, all at once
  std::vector<Send> within;  ///< in a host, after that
  Wide elements_across = 0;  ///< the sum of what is sent between hosts
};

/// Plans the messages after which every device of `target` holds its shard.
///
/// Throws InvalidArgument for a partial sum (unreduced sharding), which must be reduced first, and
/// InvalidSharding for a sharding that does not fit the tensor.  @pre per_host >= 1
Transfer transfer_between(const Dims& dims, const PlacedSharding& source,
                          const PlacedSharding& target, Extent per_host);

/// The time of a transfer in picoseconds: first the messages between hosts, then those within
/// hosts. Each device has the share of a link that it has while all others send too.
///
/// Throws InvalidArgument for devices that the cluster does not have, Overflow where it takes
/// longer than a day.
Cost transfer_time(const Transfer& transfer, std::int64_t bytes_per_element,
                   const cost::Cluster& cluster);

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/transfer.ipp"
#endif
