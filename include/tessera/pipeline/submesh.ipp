// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of submesh.hpp.
#pragma once
#include "tessera/pipeline/submesh.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <span>
#include <utility>

#include "tessera/core/error.hpp"

namespace tessera::pipeline {
namespace detail {

// One after the other, so that neighbouring stages are neighbours; nothing where one would
// straddle hosts.
TESSERA_INLINE std::optional<Placement> place_in_order(const Submesh& cluster,
                                                       const Submeshes& submeshes) {
  Placement placement;
  Device next = 0;
  for (const Submesh& submesh : submeshes) {
    const Extent offset = next % cluster.per_host;
    const bool straddles = submesh.hosts > 1 ? offset != 0
                                             : offset + submesh.per_host > cluster.per_host;
    if (straddles) return std::nullopt;
    placement.push_back(next);
    next += submesh.devices();
  }
  return placement;
}

// Packs parts into hosts, exactly: the free devices of each host in turn are filled by parts of
// falling size, and where the rest can not be packed, by other parts.  Powers of two never need
// that.
struct Packing {
  const std::vector<Extent>& parts;  // sizes; their sum is a multiple of per_host
  Extent per_host;
  std::vector<std::size_t> by_size;  // parts, by falling size
  std::vector<Device> begins;        // by part; -1: not placed
};

// Fills the devices from `next` on.  In one host parts come by falling size, from place `from` on.
TESSERA_INLINE bool fill(Packing& packing, Device next, std::size_t from, std::size_t placed) {
  if (placed == packing.parts.size()) return true;
  const Extent left = packing.per_host - next % packing.per_host;
  const bool is_empty_host = left == packing.per_host;
  if (is_empty_host) from = 0;
  Extent refused = 0;  // a size that did not fit will not fit again
  for (std::size_t place = from; place < packing.by_size.size(); ++place) {
    const std::size_t part = packing.by_size[place];
    const Extent size = packing.parts[part];
    if (packing.begins[part] >= 0 || size > left || size == refused) continue;
    packing.begins[part] = next;
    if (fill(packing, next + size, place + 1, placed + 1)) return true;
    packing.begins[part] = -1;
    refused = size;
    // The largest part that is left must go into some host, and all empty hosts are equal.
    if (is_empty_host) return false;
  }
  return false;
}

// The begin of each part, counted from the first device of these hosts; nothing where they can not
// be packed.
TESSERA_INLINE std::optional<std::vector<Device>> packed(const std::vector<Extent>& parts,
                                                         Extent per_host) {
  Packing packing{parts, per_host, std::vector<std::size_t>(parts.size()),
                  std::vector<Device>(parts.size(), -1)};
  std::iota(packing.by_size.begin(), packing.by_size.end(), std::size_t{0});
  std::stable_sort(packing.by_size.begin(), packing.by_size.end(),
                   [&](std::size_t a, std::size_t b) { return parts[a] > parts[b]; });
  if (!fill(packing, 0, 0, 0)) return std::nullopt;
  return std::move(packing.begins);
}

// Whole hosts first, then parts of hosts.
TESSERA_INLINE std::optional<Placement> place_hosts_first(const Submesh& cluster,
                                                          const Submeshes& submeshes) {
  Placement placement(submeshes.size());
  std::vector<Extent> parts;
  Device next = 0;
  for (std::size_t i = 0; i < submeshes.size(); ++i) {
    if (submeshes[i].per_host < cluster.per_host) {
      parts.push_back(submeshes[i].per_host);
      continue;
    }
    placement[i] = next;
    next += submeshes[i].devices();
  }
  const auto begins = packed(parts, cluster.per_host);
  if (!begins) return std::nullopt;
  for (std::size_t i = 0, part = 0; i < submeshes.size(); ++i)
    if (submeshes[i].per_host < cluster.per_host) placement[i] = next + (*begins)[part++];
  return placement;
}

// Every list, longer by each extent that divides the devices that it leaves; the last axis takes
// them all.
TESSERA_INLINE std::vector<std::vector<Extent>> with_one_more_axis(
    const std::vector<std::vector<Extent>>& lists, Extent devices, bool is_last) {
  std::vector<std::vector<Extent>> longer;
  for (const std::vector<Extent>& list : lists) {
    const Extent left = devices /
                        std::accumulate(list.begin(), list.end(), Extent{1}, std::multiplies<>());
    for (Extent extent = is_last ? left : 1; extent <= left; ++extent) {
      if (left % extent != 0) continue;
      longer.push_back(list);
      longer.back().push_back(extent);
    }
  }
  return longer;
}

}  // namespace detail

TESSERA_INLINE std::string to_string(const Submesh& submesh) {
  return std::to_string(submesh.hosts) + 'x' + std::to_string(submesh.per_host);
}

TESSERA_INLINE void check_submesh(const Submesh& cluster, const Submesh& submesh) {
  const bool is_positive = submesh.hosts >= 1 && submesh.per_host >= 1;
  const bool is_inside = submesh.hosts <= cluster.hosts && submesh.per_host <= cluster.per_host;
  const bool is_interval = submesh.hosts == 1 || submesh.per_host == cluster.per_host;
  if (!is_positive || !is_inside || !is_interval)
    throw InvalidArgument("submesh " + to_string(submesh) + " of a cluster " + to_string(cluster) +
                          ": must be part of one host, or a number of whole hosts");
}

TESSERA_INLINE Submeshes paper_submeshes(const Submesh& cluster) {
  Submeshes result;
  for (Extent part = 1; part < cluster.per_host; part *= 2) result.push_back({1, part});
  for (Extent hosts = 1; hosts <= cluster.hosts; ++hosts)
    result.push_back({hosts, cluster.per_host});
  return result;
}

TESSERA_INLINE Submeshes all_submeshes(const Submesh& cluster) {
  Submeshes result;
  for (Extent part = 1; part < cluster.per_host; ++part) result.push_back({1, part});
  for (Extent hosts = 1; hosts <= cluster.hosts; ++hosts)
    result.push_back({hosts, cluster.per_host});
  return result;
}

TESSERA_INLINE std::optional<Placement> place(const Submesh& cluster, const Submeshes& submeshes) {
  Extent used = 0;
  for (const Submesh& submesh : submeshes) {
    check_submesh(cluster, submesh);
    used += submesh.devices();
  }
  if (used != cluster.devices())
    throw InvalidArgument("placement: the submeshes have " + std::to_string(used) +
                          " devices, the cluster has " + std::to_string(cluster.devices()) +
                          "; they must use every device once");
  if (auto placement = detail::place_in_order(cluster, submeshes)) return placement;
  return detail::place_hosts_first(cluster, submeshes);
}

TESSERA_INLINE std::vector<DynamicMesh> logical_views(const Submesh& submesh, std::size_t rank) {
  std::vector<std::vector<Extent>> lists{{}};
  for (std::size_t axis = 0; axis < rank; ++axis)
    lists = detail::with_one_more_axis(lists, submesh.devices(), axis + 1 == rank);
  std::vector<DynamicMesh> views;
  for (const std::vector<Extent>& list : lists) views.emplace_back(std::span(list));
  return views;
}

}  // namespace tessera::pipeline
