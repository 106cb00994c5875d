// SPDX-License-Identifier: Apache-2.0
//
// Submeshes: what shapes a stage's devices may have, where each stage's are in the cluster, and as
// what meshes they may be seen.
//
// A submesh is part of one host, or a number of whole hosts.  Devices are numbered host by host, so
// either is a run of consecutive numbers, and a placement is where each run begins.  Runs must not
// straddle hosts: a host's part stays in the host, whole hosts begin where a host does.
//
// The paper allows parts of 1, 2, 4, ... devices of hosts that have a power of two.  Then whatever
// uses all devices can be placed (theorem 1 of its appendix): whole hosts first; then parts by
// falling size, each of which divides what is left of the host it goes into, so that none
// straddles. With other sizes this is bin packing, and there may be no placement.
#pragma once
#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/mesh/mesh.hpp"

namespace tessera::pipeline {

// So many devices of each of so many hosts.  A cluster is the largest submesh of itself.
struct Submesh {
  Extent hosts = 1;
  Extent per_host = 1;

  constexpr Extent devices() const noexcept { return hosts * per_host; }
  friend constexpr bool operator==(const Submesh&, const Submesh&) noexcept = default;
};
using Submeshes = std::vector<Submesh>;

inline std::string to_string(const Submesh& submesh) {
  return std::to_string(submesh.hosts) + 'x' + std::to_string(submesh.per_host);
}

namespace detail {

// Throws InvalidArgument where the submesh is no part of a cluster like this.
inline void check_part(const Submesh& cluster, const Submesh& submesh) {
  const bool is_positive = submesh.hosts >= 1 && submesh.per_host >= 1;
  const bool is_inside = submesh.hosts <= cluster.hosts && submesh.per_host <= cluster.per_host;
  const bool is_run = submesh.hosts == 1 || submesh.per_host == cluster.per_host;
  if (!is_positive || !is_inside || !is_run)
    throw InvalidArgument("submesh " + to_string(submesh) + " of a cluster " +
                                to_string(cluster) +
                                ": must be part of one host, or a number of whole hosts");
}

}  // namespace detail

// The paper's: 1x1, 1x2, 1x4, ... up to a host, then 2, 3, ... whole hosts.  Whatever uses all
// devices of a cluster whose hosts have a power of two can be placed.
inline Submeshes paper_submeshes(const Submesh& cluster) {
  Submeshes result;
  for (Extent part = 1; part < cluster.per_host; part *= 2) result.push_back({1, part});
  for (Extent hosts = 1; hosts <= cluster.hosts; ++hosts)
    result.push_back({hosts, cluster.per_host});
  return result;
}

// All there are: parts of any number of devices as well.  Not every choice of these can be placed.
inline Submeshes all_submeshes(const Submesh& cluster) {
  Submeshes result;
  for (Extent part = 1; part < cluster.per_host; ++part) result.push_back({1, part});
  for (Extent hosts = 1; hosts <= cluster.hosts; ++hosts)
    result.push_back({hosts, cluster.per_host});
  return result;
}

// The first device of each submesh, in their order.
using Placement = std::vector<Device>;

namespace detail {

// One after the other, so that neighbouring stages are neighbours; nothing where one would
// straddle.
inline std::optional<Placement> place_in_order(const Submesh& cluster, const Submeshes& submeshes) {
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

// Packs parts into hosts, exactly: each host's free devices in turn are filled by parts of falling
// size, and where the rest can not be packed, by other parts.  Powers of two never need that.
class Packing {
 public:
  // `parts`: sizes, whose sum is per_host * hosts.
  Packing(std::vector<Extent> parts, Extent per_host)
      : parts_(std::move(parts)), per_host_(per_host), begins_(parts_.size(), -1) {
    by_size_.resize(parts_.size());
    std::iota(by_size_.begin(), by_size_.end(), std::size_t{0});
    std::stable_sort(by_size_.begin(), by_size_.end(),
                     [&](std::size_t a, std::size_t b) { return parts_[a] > parts_[b]; });
  }

  // Where each part begins, counted from the first of these hosts' devices.
  std::optional<std::vector<Device>> run() {
    if (!fill(0, 0, 0)) return std::nullopt;
    return begins_;
  }

 private:
  // Fills devices `next` and on.  In one host parts come by falling size, from place `from` on.
  bool fill(Device next, std::size_t from, std::size_t placed) {
    if (placed == parts_.size()) return true;
    const Extent left = per_host_ - next % per_host_;
    if (left == per_host_) from = 0;
    Extent refused = 0;  // a size that did not do will not do again
    for (std::size_t place = from; place < by_size_.size(); ++place) {
      const std::size_t part = by_size_[place];
      if (begins_[part] >= 0 || parts_[part] > left || parts_[part] == refused) continue;
      begins_[part] = next;
      if (fill(next + parts_[part], place + 1, placed + 1)) return true;
      begins_[part] = -1;
      refused = parts_[part];
      // The largest part that is left must go into some host, and an empty one is as good as any.
      if (left == per_host_) return false;
    }
    return false;
  }

  std::vector<Extent> parts_;
  Extent per_host_;
  std::vector<std::size_t> by_size_;
  std::vector<Device> begins_;
};

}  // namespace detail

// Where the submeshes go so that they use every device of the cluster once: in their order where
// that is possible, else whole hosts first and parts after them.  Nothing where there is no
// placement.  Parts that are no powers of two are packed by search: exponential at worst.
// Throws InvalidArgument for a submesh that is no part of the cluster, and where the
// submeshes do not have as many devices as the cluster.
inline std::optional<Placement> place(const Submesh& cluster, const Submeshes& submeshes) {
  Extent used = 0;
  for (const Submesh& submesh : submeshes) {
    detail::check_part(cluster, submesh);
    used += submesh.devices();
  }
  if (used != cluster.devices())
    throw InvalidArgument("placement: submeshes of " + std::to_string(used) +
                                " devices on a cluster of " + std::to_string(cluster.devices()));
  if (auto placement = detail::place_in_order(cluster, submeshes)) return placement;

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
  const auto begins = detail::Packing(parts, cluster.per_host).run();
  if (!begins) return std::nullopt;
  for (std::size_t i = 0, part = 0; i < submeshes.size(); ++i)
    if (submeshes[i].per_host < cluster.per_host) placement[i] = next + (*begins)[part++];
  return placement;
}

// As what meshes of `rank` axes the devices of a submesh may be seen, the numbers of the devices
// staying as they are: 2x8 as 1x16, 2x8, 4x4, 8x2, 16x1.  In order of the first extent, then of the
// second and so on.  @pre 1 <= rank <= max_axes
inline std::vector<DynamicMesh> logical_views(const Submesh& submesh, std::size_t rank = 2) {
  std::vector<std::vector<Extent>> lists{{}};
  for (std::size_t axis = 0; axis < rank; ++axis) {
    std::vector<std::vector<Extent>> longer;
    for (const std::vector<Extent>& list : lists) {
      const Extent before =
          std::accumulate(list.begin(), list.end(), Extent{1}, std::multiplies<>());
      const Extent left = submesh.devices() / before;
      const bool is_last = axis + 1 == rank;
      for (Extent extent = is_last ? left : 1; extent <= left; ++extent) {
        if (left % extent != 0) continue;
        longer.push_back(list);
        longer.back().push_back(extent);
      }
    }
    lists = std::move(longer);
  }
  std::vector<DynamicMesh> views;
  for (const std::vector<Extent>& list : lists) views.emplace_back(std::span(list));
  return views;
}

}  // namespace tessera::pipeline
