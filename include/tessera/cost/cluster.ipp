// SPDX-License-Identifier: Apache-2.0
//
// Parts of clusters, and where in one the members of a group sit.
#pragma once
#include <algorithm>
#include <optional>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/mesh/replica_groups.hpp"

namespace tessera::cost {

TESSERA_INLINE Extent Cluster::device_count() const noexcept {
  Extent count = 1;
  for (const LinkLevel& level : levels) count *= level.fan_out;
  return count;
}

TESSERA_INLINE DynamicMesh Cluster::natural_mesh() const {
  std::vector<Extent> extents;
  for (std::size_t l = levels.size(); l-- > 0;)
    if (levels[l].fan_out > 1) extents.push_back(levels[l].fan_out);
  if (extents.empty()) extents.push_back(1);
  return DynamicMesh(extents);
}

TESSERA_INLINE Cluster subcluster(const Cluster& cluster, Extent devices) {
  if (devices < 1 || devices > cluster.device_count())
    throw InvalidArgument("a subcluster of " + std::to_string(devices) + " devices of cluster " +
                          cluster.name + ", which has " + std::to_string(cluster.device_count()));
  Cluster part{cluster.name, cluster.device, {}, cluster.collective_start};
  Extent left = devices;
  for (std::size_t l = 0; l < cluster.levels.size() && left > 1; ++l) {
    LinkLevel level = cluster.levels[l];
    const bool is_last = l + 1 == cluster.levels.size();
    Extent fan_out = std::min(left, level.fan_out);
    while (!is_last && left % fan_out != 0) --fan_out;
    level.is_closed = level.is_closed && fan_out == level.fan_out;
    level.fan_out = is_last ? left : fan_out;
    left /= level.fan_out;
    if (level.fan_out > 1) part.levels.push_back(level);
  }
  return part;
}

namespace detail {

using PerLevel = InlineVector<Extent, max_levels>;
using Groups = ReplicaGroups<DynamicMesh>;

// Of one unit of each level, in devices.
TESSERA_INLINE PerLevel unit_sizes(const Cluster& cluster) {
  PerLevel sizes;
  Extent size = 1;
  for (const LinkLevel& level : cluster.levels) sizes.push_back(size *= level.fan_out);
  return sizes;
}

// The innermost level that has both devices in one unit.
TESSERA_INLINE std::size_t meeting_level(const PerLevel& sizes, Device a, Device b) {
  std::size_t level = 0;
  while (a / sizes[level] != b / sizes[level]) ++level;
  return level;
}

// How many units of a level two devices are apart.
TESSERA_INLINE Extent spacing_of(const PerLevel& sizes, Device a, Device b, std::size_t level) {
  const Extent unit = level == 0 ? 1 : sizes[level - 1];
  return b / unit - a / unit;
}

// How many units of each level the first group's members spread over; nothing where they do not
// make up a whole number of each.
TESSERA_INLINE std::optional<PerLevel> fan_outs_of_first(const PerLevel& sizes,
                                                         const Groups& groups) {
  PerLevel fan_outs;
  const Extent size = groups.group_size();
  Extent members = 1;  // in one unit so far
  for (std::size_t level = 0; level < sizes.size(); ++level) {
    Extent fan_out = 1;
    while (members * fan_out < size &&
           meeting_level(sizes, groups.device(0, 0), groups.device(0, members * fan_out)) <= level)
      ++fan_out;
    fan_outs.push_back(fan_out);
    members *= fan_out;
  }
  if (members != size) return std::nullopt;
  return fan_outs;
}

// Whether the members of group `g` meet where the first group's do.  The spacing between them may
// differ, and the widest one counts.
TESSERA_INLINE bool agrees(const PerLevel& sizes, const PerLevel& fan_outs, const Groups& groups,
                           Extent g, PerLevel& spacing) {
  for (Extent i = 1; i < groups.group_size(); ++i) {
    const Device before = groups.device(g, i - 1), at = groups.device(g, i);
    const std::size_t level = meeting_level(sizes, before, at);
    Extent below = 1, within = 1;
    for (std::size_t l = 0; l <= level; ++l) {
      below = within;
      within *= fan_outs[l];
    }
    if (i % below != 0 || i % within == 0) return false;
    spacing[level] = std::max(spacing[level], spacing_of(sizes, before, at, level));
  }
  return true;
}

TESSERA_INLINE std::size_t outermost_level(const PerLevel& sizes, const Groups& groups) {
  std::size_t level = 0;
  for (Extent g = 0; g < groups.size(); ++g)
    level = std::max(level, meeting_level(sizes, groups.device(g, 0),
                                          groups.device(g, groups.group_size() - 1)));
  return level;
}

TESSERA_INLINE GroupLevel group_level(const LinkLevel& links, Extent fan_out,
                                      Extent members_per_unit, Extent spacing) {
  GroupLevel level{fan_out, members_per_unit, links.wiring, links.bandwidth, links.latency};
  if (links.wiring == Wiring::peers)
    level.bandwidth = std::min(links.bandwidth, (fan_out - 1) * links.peer_bandwidth);
  if (links.wiring == Wiring::ring) {  // groups that leave out units share the links between
    level.bandwidth = links.bandwidth / spacing;
    level.is_closed = links.is_closed && fan_out * spacing == links.fan_out;
  }
  level.bandwidth = std::max<Rate>(1, level.bandwidth / 100 * links.achieved_percent);
  level.reduces_in_switch = links.reduces_in_switch;
  return level;
}

TESSERA_INLINE GroupTopology make_topology(const Cluster& cluster, Extent size,
                                           const PerLevel& fan_outs, const PerLevel& spacing) {
  GroupTopology topology{size, {}};
  Extent members_per_unit = 1;
  for (std::size_t l = 0; l < fan_outs.size(); ++l) {
    if (fan_outs[l] == 1) continue;
    topology.levels.push_back(
        group_level(cluster.levels[l], fan_outs[l], members_per_unit, spacing[l]));
    members_per_unit *= fan_outs[l];
  }
  return topology;
}

// Of a group whose every member sits in a unit of `level` by itself.
TESSERA_INLINE GroupTopology spread_topology(const Cluster& cluster, Extent size,
                                             std::size_t level) {
  PerLevel fan_outs(cluster.levels.size(), 1), spacing;
  fan_outs[level] = size;
  for (const LinkLevel& links : cluster.levels) spacing.push_back(links.fan_out);
  return make_topology(cluster, size, fan_outs, spacing);
}

}  // namespace detail

TESSERA_INLINE GroupTopology group_topology(const Cluster& cluster, const DynamicMesh& mesh,
                                            AxisSet axes) {
  if (mesh.device_count() != cluster.device_count())
    throw InvalidArgument("mesh " + to_string(mesh) + " has " +
                          std::to_string(mesh.device_count()) + " devices, and cluster " +
                          cluster.name + " has " + std::to_string(cluster.device_count()));
  const detail::Groups groups = replica_groups(mesh, axes);
  const Extent size = groups.group_size();
  if (size == 1) return {};
  const detail::PerLevel sizes = detail::unit_sizes(cluster);
  detail::PerLevel spacing(cluster.levels.size(), 1);
  const auto fan_outs = detail::fan_outs_of_first(sizes, groups);
  bool all_agree = fan_outs.has_value();
  for (Extent g = 0; all_agree && g < groups.size(); ++g)
    all_agree = detail::agrees(sizes, *fan_outs, groups, g, spacing);
  return all_agree ? detail::make_topology(cluster, size, *fan_outs, spacing)
                   : detail::spread_topology(cluster, size, detail::outermost_level(sizes, groups));
}

}  // namespace tessera::cost
