// SPDX-License-Identifier: Apache-2.0
//
// A cluster: devices of one kind, and the links between them, level by level.
//
// A level joins units of the level below: devices to a host, hosts to a pod, pods to the cluster;
// or the rows of a torus to planes.  Devices are numbered through all levels, the innermost running
// fastest, and a mesh is laid over those numbers in row-major order.  So where the devices of a
// mesh axis sit follows from the mesh alone, and with it which links its collectives use: a
// GroupTopology.
//
// All groups of an axis communicate at once, as they do in a program that runs on every device.
// Links that they share are divided among them; a level's bandwidth is what a device has of a link
// for itself.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/cost/accelerator.hpp"
#include "tessera/mesh/mesh.hpp"

namespace tessera::cost {

/// How the units of one level are joined.
enum class Wiring : std::uint8_t {
  switched,  ///< a switch: each reaches all others at its full rate
  peers,     ///< a link to each other unit, and none is faster for the others' being idle
  ring,      ///< one dim of a torus: a link to the next unit either way
};

/// The links that join the units of one level.
struct LinkLevel {
  const char* name = "";  ///< what the units are joined to: "host"
  Extent fan_out = 1;     ///< how many units it joins
  Wiring wiring = Wiring::switched;
  /// Bytes per second that one device sends into the level while all do; of a ring, over one link.
  Rate bandwidth = 0;
  Rate peer_bandwidth = 0;  ///< bytes per second of the link to one peer; peers only
  Cost latency = 0;         ///< picoseconds from one device to another, once per message
  /// The share of the bandwidth that collectives reach, in hundredths.
  int achieved_percent = 100;
  bool is_closed = false;          ///< a ring whose last unit has a link to the first
  bool reduces_in_switch = false;  ///< the switch adds up what it passes on

  friend constexpr bool operator==(const LinkLevel&, const LinkLevel&) = default;
};

/// A torus of three dims, hosts and pods.
inline constexpr std::size_t max_levels = 5;

/// One level of links, as the members of a group that takes part in a collective see it.
struct GroupLevel {
  Extent fan_out = 1;  ///< how many units of this level each unit of the next holds members in
  Extent members_per_unit = 1;
  Wiring wiring = Wiring::switched;
  Rate bandwidth =
      0;             ///< bytes per second that each member has for itself; of a ring, over one link
  Cost latency = 0;  ///< picoseconds
  bool is_closed = false, reduces_in_switch = false;

  /// Bytes per second into the level and out of it, by both links of a closed ring.
  constexpr Rate throughput() const noexcept { return is_closed ? 2 * bandwidth : bandwidth; }
  /// The same of all members of one unit.
  constexpr Rate unit_throughput() const noexcept { return members_per_unit * throughput(); }

  friend constexpr bool operator==(const GroupLevel&, const GroupLevel&) = default;
};

/// The links among the devices that take part in one collective.
struct GroupTopology {
  Extent size = 1;                              ///< in devices
  InlineVector<GroupLevel, max_levels> levels;  ///< innermost first; only those that it crosses

  friend constexpr bool operator==(const GroupTopology&, const GroupTopology&) = default;
};

/// Devices of one kind and their links.
struct Cluster {
  std::string name;
  Accelerator device = {};
  InlineVector<LinkLevel, max_levels> levels;  ///< innermost first; rings before all others
  Cost collective_start = 0;                   ///< picoseconds before a collective sends anything

  Extent device_count() const noexcept;

  /// A mesh that follows the wiring: an axis for each level, the innermost last.
  DynamicMesh natural_mesh() const;
};

/// So many devices of a cluster that lie next to each other, from the beginning of a unit on, as a
/// cluster of their own.  Where they are no whole number of a level's units, they are taken to
/// spread evenly over more of them, which is slower rather than faster.  Throws InvalidArgument
/// where the cluster does not have so many.
Cluster subcluster(const Cluster& cluster, Extent devices);

/// The links of the groups that a collective over these mesh axes runs in; all groups have the
/// same, or are taken to have.  A group that does not line up with the units is priced as if every
/// member sat in a unit by itself.  O(devices).  Throws InvalidArgument where mesh and cluster
/// differ in size, InvalidMesh where the mesh has no such axis.
GroupTopology group_topology(const Cluster& cluster, const DynamicMesh& mesh, AxisSet axes);

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/cluster.ipp"
#endif
