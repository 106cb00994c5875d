// SPDX-License-Identifier: Apache-2.0
//
// A cluster: devices of one kind, and the links between them, level by level.
//
// A level joins units of the level below: devices to a node, nodes to a pod, pods to the cluster;
// or the rows of a torus to planes.  Devices are numbered through all levels, the innermost running
// fastest, and a mesh is laid over those numbers in row-major order.  So where the devices of a
// mesh axis sit follows from the mesh alone, and with it what links its collectives use: a Group.
//
// All groups of an axis talk at once, as they do in a program that runs on every device.  Links
// that they share are divided among them; what a device has of a link for itself is a level's
// bandwidth.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/cost/accelerator.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/mesh/replica_groups.hpp"

namespace tessera::cost {

// How the units of one level are joined.
enum class Wiring : std::uint8_t {
  switched,  // a switch: each reaches all others at its full rate
  peers,     // a link to each other one, and none is faster for the others' being idle
  ring,      // one dim of a torus: a link to the next one either way
};

struct Level {
  const char* name = "";  // what it joins its units to: "node"
  Extent fan_out = 1;     // how many units it joins
  Wiring wiring = Wiring::switched;
  // Bytes per second that one device sends into the level while all do; of a ring, over one link.
  Rate bandwidth = 0;
  Rate peer_bandwidth = 0;  // of the link to one peer; peers only
  Cost latency = 0;         // picoseconds from one device to another, once per message
  // What collectives reach of the bandwidth, in hundredths.
  int achieved_percent = 100;
  bool is_closed = false;          // a ring whose last unit has a link to the first
  bool reduces_in_switch = false;  // the switch adds up what it passes on

  friend constexpr bool operator==(const Level&, const Level&) = default;
};

inline constexpr std::size_t max_levels = 5;  // a torus of three dims, nodes, pods

// A group of devices that takes part in one collective, seen level by level.
struct Hop {
  Extent fan = 1;    // how many units of this level each unit of the next holds members in
  Extent below = 1;  // members in each of those
  Wiring wiring = Wiring::switched;
  Rate bandwidth = 0;  // that each member has for itself here; of a ring, over one link
  Cost latency = 0;
  bool is_closed = false, reduces_in_switch = false;

  // Bytes per second into the level and out of it, by both links of a closed ring.
  constexpr Rate throughput() const noexcept { return is_closed ? 2 * bandwidth : bandwidth; }
  // The same of all members of one unit.
  constexpr Rate unit_throughput() const noexcept { return below * throughput(); }

  friend constexpr bool operator==(const Hop&, const Hop&) = default;
};

struct Group {
  Extent size = 1;
  InlineVector<Hop, max_levels> hops;  // innermost first; only levels that the group crosses

  friend constexpr bool operator==(const Group&, const Group&) = default;
};

struct Cluster {
  std::string name;
  Accelerator device = {};
  InlineVector<Level, max_levels> levels;  // innermost first; rings before all others
  Cost collective_start = 0;               // picoseconds before a collective sends anything

  Extent device_count() const noexcept {
    Extent count = 1;
    for (const Level& level : levels) count *= level.fan_out;
    return count;
  }

  // A mesh that follows the wiring: an axis for each level, the innermost last.
  DynamicMesh natural_mesh() const {
    std::vector<Extent> extents;
    for (std::size_t l = levels.size(); l-- > 0;)
      if (levels[l].fan_out > 1) extents.push_back(levels[l].fan_out);
    if (extents.empty()) extents.push_back(1);
    return DynamicMesh(extents);
  }
};

// So many devices of a cluster that lie next to each other, from the beginning of a unit on, as a
// cluster of their own.  Where they are no whole number of a level's units, they are taken to
// spread evenly over more of them, which is slower rather than faster.  Throws
// InvalidArgument where the cluster does not have so many.
inline Cluster part_of(const Cluster& cluster, Extent devices) {
  if (devices < 1 || devices > cluster.device_count())
    throw InvalidArgument("a part of " + std::to_string(devices) + " devices of cluster " +
                                cluster.name + ", which has " +
                                std::to_string(cluster.device_count()));
  Cluster part{cluster.name, cluster.device, {}, cluster.collective_start};
  Extent left = devices;
  for (std::size_t l = 0; l < cluster.levels.size() && left > 1; ++l) {
    Level level = cluster.levels[l];
    const bool is_last = l + 1 == cluster.levels.size();
    Extent fan = std::min(left, level.fan_out);
    while (!is_last && left % fan != 0) --fan;
    level.is_closed = level.is_closed && fan == level.fan_out;
    level.fan_out = is_last ? left : fan;
    left /= level.fan_out;
    if (level.fan_out > 1) part.levels.push_back(level);
  }
  return part;
}

namespace detail {

// Where the members of the groups sit: at which level each first meets the one before it.
class GroupFinder {
 public:
  explicit GroupFinder(const Cluster& cluster) : cluster_(cluster) {
    Extent size = 1;
    for (const Level& level : cluster.levels) sizes_.push_back(size *= level.fan_out);
  }

  template<MeshLike M>
  Group find(const ReplicaGroups<M>& groups) {
    const Extent size = groups.group_size();
    if (size == 1) return {};
    fans_.resize(cluster_.levels.size(), 1);
    gaps_.resize(cluster_.levels.size(), 1);
    bool all_agree = read_first(groups);
    for (Extent g = 0; all_agree && g < groups.size(); ++g) all_agree = agrees(groups, g);
    return all_agree ? group(size) : scattered(size, outermost_of(groups));
  }

 private:
  std::size_t meeting_level(Device a, Device b) const {
    std::size_t level = 0;
    while (a / sizes_[level] != b / sizes_[level]) ++level;
    return level;
  }
  Extent gap(Device a, Device b, std::size_t level) const {
    const Extent unit = level == 0 ? 1 : sizes_[level - 1];
    return b / unit - a / unit;
  }

  // How many units of each level the first group's members spread over; false where they do not
  // make up a whole number of each.
  template<MeshLike M>
  bool read_first(const ReplicaGroups<M>& groups) {
    const Extent size = groups.group_size();
    Extent members = 1;  // in one unit so far
    for (std::size_t level = 0; level < sizes_.size(); ++level) {
      Extent fan = 1;
      while (members * fan < size &&
             meeting_level(groups.device(0, 0), groups.device(0, members * fan)) <= level)
        ++fan;
      fans_[level] = fan;
      members *= fan;
    }
    return members == size;
  }

  // Whether members meet where the first group's do.  The gaps between them may differ, and the
  // widest one counts.
  template<MeshLike M>
  bool agrees(const ReplicaGroups<M>& groups, Extent g) {
    for (Extent i = 1; i < groups.group_size(); ++i) {
      const Device before = groups.device(g, i - 1), at = groups.device(g, i);
      const std::size_t level = meeting_level(before, at);
      Extent below = 1, within = 1;
      for (std::size_t l = 0; l <= level; ++l) {
        below = within;
        within *= fans_[l];
      }
      if (i % below != 0 || i % within == 0) return false;
      gaps_[level] = std::max(gaps_[level], gap(before, at, level));
    }
    return true;
  }

  template<MeshLike M>
  std::size_t outermost_of(const ReplicaGroups<M>& groups) const {
    std::size_t level = 0;
    for (Extent g = 0; g < groups.size(); ++g)
      level = std::max(
          level, meeting_level(groups.device(g, 0), groups.device(g, groups.group_size() - 1)));
    return level;
  }

  // A group that does not line up with the units is priced as if every member sat in one by itself.
  Group scattered(Extent size, std::size_t level) {
    for (Extent& fan : fans_) fan = 1;
    fans_[level] = size;
    for (std::size_t l = 0; l < gaps_.size(); ++l) gaps_[l] = cluster_.levels[l].fan_out;
    return group(size);
  }

  Group group(Extent size) const {
    Group group{size, {}};
    Extent below = 1;
    for (std::size_t l = 0; l < fans_.size(); ++l) {
      if (fans_[l] == 1) continue;
      group.hops.push_back(hop(cluster_.levels[l], fans_[l], below, gaps_[l]));
      below *= fans_[l];
    }
    return group;
  }

  static Hop hop(const Level& level, Extent fan, Extent below, Extent gap) {
    Hop hop{fan, below, level.wiring, level.bandwidth, level.latency};
    if (level.wiring == Wiring::peers)
      hop.bandwidth = std::min(level.bandwidth, (fan - 1) * level.peer_bandwidth);
    if (level.wiring == Wiring::ring) {  // groups that leave out units share the links between
      hop.bandwidth = level.bandwidth / gap;
      hop.is_closed = level.is_closed && fan * gap == level.fan_out;
    }
    hop.bandwidth = std::max<Rate>(1, hop.bandwidth / 100 * level.achieved_percent);
    hop.reduces_in_switch = level.reduces_in_switch;
    return hop;
  }

  const Cluster& cluster_;
  InlineVector<Extent, max_levels> sizes_;  // of one unit of each level, in devices
  InlineVector<Extent, max_levels> fans_;
  InlineVector<Extent, max_levels> gaps_;  // how many units apart neighbours of a group are
};

}  // namespace detail

// The groups that a collective over these mesh axes runs in; all are alike, or are taken to be.
// O(devices).  Throws InvalidArgument where mesh and cluster differ in size, InvalidMesh
// where the mesh has no such axis.
template<MeshLike M>
Group group_of(const Cluster& cluster, const M& mesh, AxisSet axes) {
  if (mesh.device_count() != cluster.device_count())
    throw InvalidArgument("mesh " + to_string(mesh) + " has " +
                                std::to_string(mesh.device_count()) + " devices, and cluster " +
                                cluster.name + " has " + std::to_string(cluster.device_count()));
  return detail::GroupFinder(cluster).find(replica_groups(mesh, axes));
}

}  // namespace tessera::cost
