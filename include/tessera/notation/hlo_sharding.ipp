// SPDX-License-Identifier: Apache-2.0
//
// From axes to HLO's array of tiles, and back.
#pragma once
#include <algorithm>

#include "tessera/core/text.hpp"
#include "tessera/notation/detail/hlo_sharding_parser.hpp"  // parse_hlo_sharding()
#include "tessera/notation/hlo_sharding.hpp"
#include "tessera/sharding/local.hpp"

namespace tessera::notation {

TESSERA_INLINE const char* to_string(SubgroupKind kind) noexcept {
  switch (kind) {
    case SubgroupKind::manual: return "manual";
    case SubgroupKind::unreduced: return "unreduced";
    case SubgroupKind::replicated: return "replicated";
    case SubgroupKind::maximal: return "maximal";
  }
  return "";
}

namespace detail {

// All devices of a mesh, as its coordinates run through in another order of axes, major first.
TESSERA_INLINE std::vector<Device> devices_in_order(const DynamicMesh& mesh,
                                                    const std::vector<Axis>& order) {
  std::vector<Device> devices;
  for (Extent position = 0; position < mesh.device_count(); ++position) {
    Device device = 0;
    Extent rest = position;
    for (std::size_t i = order.size(); i-- > 0;) {
      device += rest % mesh.extent(order[i]) * stride_of(mesh, order[i]);
      rest /= mesh.extent(order[i]);
    }
    devices.push_back(device);
  }
  return devices;
}

// The axes along which every device holds the same.
TESSERA_INLINE HloSharding without_tiles(const std::vector<SubgroupKind>& subgroups) {
  const bool is_unreduced = !subgroups.empty() && subgroups[0] == SubgroupKind::unreduced;
  return {is_unreduced ? HloSharding::Kind::unreduced : HloSharding::Kind::replicated, {}, {}, {}};
}

// Copies are interchangeable: each group of `size` of them is listed in ascending order.
TESSERA_INLINE void sort_copies(std::vector<Device>& devices, Extent size) {
  for (auto at = devices.begin(); at != devices.end(); at += static_cast<std::ptrdiff_t>(size))
    std::sort(at, at + static_cast<std::ptrdiff_t>(size));
}

}  // namespace detail

TESSERA_INLINE HloSharding to_hlo(DynamicSharding sharding, const DynamicMesh& mesh) {
  check_axes(sharding, mesh);
  std::vector<Axis> order;  // axes in the order of the tile array's digits
  HloSharding result;
  bool is_split = false;
  for (std::size_t dim = 0; dim < sharding.rank(); ++dim) {
    result.tile_dims.push_back(shard_count(sharding, mesh, dim));
    is_split = is_split || result.tile_dims.back() > 1;
    for (const Axis axis : sharding.axes(dim)) order.push_back(axis);
  }
  const auto add_subgroup = [&](AxisSet axes, SubgroupKind kind) {
    const Extent size = extent_of(mesh, axes);
    for (const Axis axis : axes.to_list()) order.push_back(axis);
    if (size == 1) return;
    result.tile_dims.push_back(size);
    result.subgroups.push_back(kind);
  };
  const AxisSet partial = sharding.partial_axes();
  add_subgroup(partial, SubgroupKind::unreduced);
  add_subgroup(all_axes(mesh) - partial - sharding.split_axes(), SubgroupKind::replicated);

  if (!is_split && result.subgroups.size() <= 1) return detail::without_tiles(result.subgroups);
  result.kind = HloSharding::Kind::tiled;
  result.devices = detail::devices_in_order(mesh, order);
  if (!result.subgroups.empty() && result.subgroups.back() == SubgroupKind::replicated)
    detail::sort_copies(result.devices, result.tile_dims.back());
  return result;
}

TESSERA_INLINE HloSharding on_submesh(HloSharding sharding, std::size_t rank, Device first,
                                      Extent count) {
  using Kind = HloSharding::Kind;
  if (count == 1) return {Kind::maximal, {}, {}, {first}};
  if (sharding.kind == Kind::replicated || sharding.kind == Kind::unreduced) {
    sharding.subgroups = {sharding.kind == Kind::replicated ? SubgroupKind::replicated
                                                            : SubgroupKind::unreduced};
    sharding.kind = Kind::tiled;
    sharding.tile_dims.assign(rank, 1);
    sharding.tile_dims.push_back(count);
    for (Device device = 0; device < count; ++device) sharding.devices.push_back(device);
  }
  for (Device& device : sharding.devices) device += first;
  return sharding;
}

namespace detail {

// The axes that run along one dim of the array, major first, by how far the devices of neighbouring
// places are apart.  Nothing where that is no axis' stride.
TESSERA_INLINE std::optional<AxisList> axes_along(const std::vector<Device>& devices, Extent stride,
                                                  Extent count, const DynamicMesh& mesh) {
  AxisList minor_first;
  for (Extent done = 1; done < count;) {
    const Device apart = devices[static_cast<std::size_t>(stride * done)] - devices[0];
    Axis axis = 0;
    while (axis < mesh.rank() && (mesh.extent(axis) == 1 || stride_of(mesh, axis) != apart)) ++axis;
    if (axis == mesh.rank()) return std::nullopt;
    minor_first.push_back(axis);
    done *= mesh.extent(axis);
    if (done > count) return std::nullopt;
  }
  AxisList result;
  for (std::size_t i = minor_first.size(); i-- > 0;) result.push_back(minor_first[i]);
  return result;
}

// An array of tiles without the dims of copies: of devices that hold the same the first one stands
// for all.
struct Tiles {
  std::vector<Extent> sizes;     // 1 where the dim is of copies
  std::vector<Device> first;     // by place, row-major over the sizes: the least of its devices
  std::vector<Extent> place_of;  // by position in the sharding's own array

  Extent count() const noexcept { return static_cast<Extent>(first.size()); }
};

// Nothing where a subgroup is neither of copies nor of partial sums.  @pre tiled
TESSERA_INLINE std::optional<Tiles> tiles_of(const HloSharding& sharding) {
  Tiles result;
  const std::size_t rank = sharding.tile_dims.size() - sharding.subgroups.size();
  Extent places = 1;
  for (std::size_t d = 0; d < sharding.tile_dims.size(); ++d) {
    const bool is_copies = d >= rank && sharding.subgroups[d - rank] == SubgroupKind::replicated;
    if (d >= rank && !is_copies && sharding.subgroups[d - rank] != SubgroupKind::unreduced)
      return std::nullopt;
    result.sizes.push_back(is_copies ? 1 : sharding.tile_dims[d]);
    places *= result.sizes.back();
  }
  const auto count = static_cast<Extent>(sharding.devices.size());
  result.first.assign(static_cast<std::size_t>(places), count);
  for (Extent position = 0; position < count; ++position) {
    Extent place = 0, rest = position, stride = 1;
    for (std::size_t d = result.sizes.size(); d-- > 0;) {
      if (result.sizes[d] != 1) place += rest % sharding.tile_dims[d] * stride;
      rest /= sharding.tile_dims[d];
      stride *= result.sizes[d];
    }
    result.place_of.push_back(place);
    Device& least = result.first[static_cast<std::size_t>(place)];
    least = std::min(least, sharding.devices[static_cast<std::size_t>(position)]);
  }
  return result;
}

// Whether each of these devices, by position, holds the tile that `sharding` gives it.
TESSERA_INLINE bool are_placed(const std::vector<Device>& devices, const Tiles& tiles,
                               DynamicSharding sharding, const DynamicMesh& mesh) {
  for (std::size_t position = 0; position < devices.size(); ++position) {
    const Device device = devices[position];
    if (device < 0 || device >= mesh.device_count()) return false;
    const Coordinates at = coordinates_of(mesh, device);
    Extent rest = tiles.place_of[position], step = tiles.count();
    for (std::size_t d = 0; d < sharding.rank(); ++d) {
      step /= tiles.sizes[d];
      if (rest / step != tile_index(sharding, mesh, d, at)) return false;
      rest %= step;
    }
  }
  return true;
}

}  // namespace detail

TESSERA_INLINE std::optional<DynamicSharding> from_hlo(const HloSharding& text,
                                                       const DynamicMesh& mesh, std::size_t rank) {
  using Kind = HloSharding::Kind;
  DynamicSharding result = DynamicSharding::replicated(rank);
  if (text.kind == Kind::replicated) return result;
  if (text.kind == Kind::unreduced) {
    for (Axis axis = 0; axis < mesh.rank(); ++axis)
      if (mesh.extent(axis) > 1) result = result.with_partial(axis, Reduction::sum);
    return result;
  }
  const auto count = static_cast<Extent>(text.devices.size());
  if (text.kind != Kind::tiled || count != mesh.device_count()) return std::nullopt;
  if (text.tile_dims.size() != rank + text.subgroups.size()) return std::nullopt;
  const std::optional<detail::Tiles> tiles = detail::tiles_of(text);
  if (!tiles) return std::nullopt;
  Extent stride = tiles->count();
  for (std::size_t d = 0; d < tiles->sizes.size(); ++d) {
    stride /= tiles->sizes[d];
    const auto axes = detail::axes_along(tiles->first, stride, tiles->sizes[d], mesh);
    if (!axes) return std::nullopt;
    for (const Axis axis : *axes) {
      if (!result.is_replicated(axis)) return std::nullopt;
      result = d < rank ? result.with_split(d, axis) : result.with_partial(axis, Reduction::sum);
    }
  }
  if (!detail::are_placed(text.devices, *tiles, result, mesh)) return std::nullopt;
  return result;
}

TESSERA_INLINE std::string to_string(const HloSharding& sharding) {
  using Kind = HloSharding::Kind;
  switch (sharding.kind) {
    case Kind::replicated: return "{replicated}";
    case Kind::manual: return "{manual}";
    case Kind::unreduced: return "{unreduced}";
    case Kind::unknown: return "{unknown}";
    case Kind::maximal: return "{maximal device=" + joined(sharding.devices, ",") + '}';
    case Kind::tiled: break;
  }
  std::string text = "{devices=[" + joined(sharding.tile_dims, ",") + ']' +
                     joined(sharding.devices, ",");
  if (sharding.subgroups.size() == 1 && sharding.subgroups[0] == SubgroupKind::replicated) {
    text += " last_tile_dim_replicate";
  } else if (!sharding.subgroups.empty()) {
    text += " last_tile_dims={";
    text += joined(sharding.subgroups, ", ", [](SubgroupKind kind) { return to_string(kind); });
    text += '}';
  }
  return text + '}';
}

TESSERA_INLINE std::string hlo_text(DynamicSharding sharding, const DynamicMesh& mesh) {
  return to_string(to_hlo(sharding, mesh));
}

}  // namespace tessera::notation
