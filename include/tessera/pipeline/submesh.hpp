// SPDX-License-Identifier: Apache-2.0
//
// Submeshes: the shapes that the devices of a stage may have, their places in the cluster, and the
// meshes as which they can be viewed.
//
// A submesh is part of one host, or a number of whole hosts.  Devices are numbered host by host, so
// a submesh is an interval of device numbers, and a placement gives the begin of each interval.  An
// interval must not straddle hosts: part of a host stays in one host, whole hosts begin where a
// host does.
//
// The Alpa paper allows parts of 1, 2, 4, ... devices of hosts that have a power of two.  Then
// every choice that uses all devices can be placed (theorem 1 of its appendix): whole hosts first,
// then parts by falling size.  Each part divides the free devices of the host that it goes into, so
// none straddles.  With other sizes this is bin packing, and there may be no placement.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/mesh/mesh.hpp"

namespace tessera::pipeline {

/// A number of devices on each of a number of hosts.  A cluster is the largest submesh of itself.
struct Submesh {
  Extent hosts = 1;
  Extent per_host = 1;

  constexpr Extent devices() const noexcept { return hosts * per_host; }
  friend constexpr bool operator==(const Submesh&, const Submesh&) noexcept = default;
};
using Submeshes = std::vector<Submesh>;

/// "2x8": hosts and devices per host.
std::string to_string(const Submesh& submesh);

/// Throws InvalidArgument unless the submesh is part of one host of the cluster, or a number of its
/// whole hosts.
void check_submesh(const Submesh& cluster, const Submesh& submesh);

/// The Alpa paper's submeshes: 1x1, 1x2, 1x4, ... up to a host, then 2, 3, ... whole hosts.  Every
/// choice of them that uses all devices of a cluster whose hosts have a power of two can be placed.
Submeshes paper_submeshes(const Submesh& cluster);

/// All submeshes, parts of any number of devices included.  Not every choice of them can be placed.
Submeshes all_submeshes(const Submesh& cluster);

/// The first device of each submesh, in the order of the submeshes.
using Placement = std::vector<Device>;

/// Places submeshes so that every device of the cluster is used once: in their order where that is
/// possible, otherwise whole hosts first and parts after them.  Nothing where no placement exists.
///
/// Throws InvalidArgument for a submesh that is no part of the cluster, and where the submeshes do
/// not have as many devices as the cluster.  Parts whose sizes are no powers of two are packed by
/// search, which is exponential in the worst case.
std::optional<Placement> place(const Submesh& cluster, const Submeshes& submeshes);

/// The meshes of `rank` axes as which a submesh can be viewed with its devices in their order: 2x8
/// as 1x16, 2x8, 4x4, 8x2, 16x1.  Sorted by the first extent, then by the second and so on.
/// @pre 1 <= rank <= max_axes
std::vector<DynamicMesh> logical_views(const Submesh& submesh, std::size_t rank = 2);

}  // namespace tessera::pipeline

#ifdef TESSERA_HEADER_ONLY
#include "tessera/pipeline/submesh.ipp"
#endif
