// SPDX-License-Identifier: Apache-2.0
//
// The logical device mesh: an n-dimensional grid of devices, one coordinate per axis.
//
// Devices are numbered row-major: the last axis varies fastest.  The number is what notations print
// and what a launcher calls a rank, and cost models give the last axis the fastest links.
//
// Mesh<2, 4> knows its extents as part of its type and is an empty class; Mesh<dynamic, 4> stores
// the one it does not know (as std::extents does); DynamicMesh does not even know its rank.  Code
// that needs no more than MeshLike serves all three.  What devices hold is sharding/'s concern, how
// fast their links are cost/'s.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>

#include "tessera/core/inline_vector.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/mesh/axis_set.hpp"
#include "tessera/mesh/detail/extents.hpp"
#include "tessera/mesh/extent.hpp"
#include "tessera/mesh/rules.hpp"

namespace tessera {

/// One coordinate per mesh axis.
using Coordinates = InlineVector<Extent, max_axes>;

/// All that a question about a mesh needs: Mesh<...> and DynamicMesh have it.
template<class M>
concept MeshLike = requires(const M& mesh, std::size_t axis) {
  { mesh.rank() } -> std::convertible_to<std::size_t>;
  { mesh.extent(axis) } -> std::same_as<Extent>;
  { mesh.device_count() } -> std::same_as<Extent>;
};

/// A mesh whose type alone says everything.
template<class M>
concept StaticMesh = MeshLike<M> && requires {
  requires M::is_static;
};

/// A mesh whose type fixes its rank, and each extent that is not `dynamic`.  Extents that break a
/// rule (mesh/rules.def) do not compile.
template<Extent... Extents>
class Mesh {
  static constexpr std::size_t rank_ = sizeof...(Extents);
  static constexpr Extent pattern_[rank_ + 1] = {Extents..., 0};  // + 1: rank 0 is a single device
  static_assert(Reject<detail::find_mesh_fault(pattern_, rank_)>::passed);

 public:
  static constexpr bool is_static = ((Extents != dynamic) && ...);

  constexpr Mesh() requires(is_static) = default;

  /// Takes every extent in axis order, the fixed ones included, so that a contradiction is reported
  /// rather than dropped.  Throws InvalidMesh.
  constexpr explicit Mesh(std::initializer_list<Extent> extents) {
    const Extent* given = extents.begin();
    if (extents.size() != rank_) refuse(given, extents.size(), {MeshRule::wrong_rank});
    if (const MeshFault fault = fault_of(given)) refuse(given, rank_, fault);
    for (std::size_t axis = 0, slot = 0; axis < rank_; ++axis)
      if (pattern_[axis] == dynamic) stored_.set(slot++, given[axis]);
  }

  static constexpr std::size_t rank() noexcept { return rank_; }

  /// @pre axis < rank()
  constexpr Extent extent(std::size_t axis) const noexcept {
    if (pattern_[axis] != dynamic) return pattern_[axis];
    std::size_t slot = 0;
    for (std::size_t before = 0; before < axis; ++before) slot += pattern_[before] == dynamic;
    return stored_.get(slot);
  }

  /// As extent(axis), but an axis that the mesh does not have fails to compile.
  template<std::size_t Axis>
  constexpr Extent extent() const noexcept {
    constexpr MeshFault fault = Axis < rank_ ? MeshFault{}
                                             : MeshFault{MeshRule::no_such_axis, Axis};
    static_assert(Reject<fault>::passed);
    return extent(Axis);
  }

  /// The product of all extents.
  constexpr Extent device_count() const noexcept {
    Extent count = 1;
    for (std::size_t axis = 0; axis < rank_; ++axis) count *= extent(axis);
    return count;
  }

  friend constexpr bool operator==(const Mesh& a, const Mesh& b) noexcept {
    for (std::size_t axis = 0; axis < rank_; ++axis)
      if (a.extent(axis) != b.extent(axis)) return false;
    return true;
  }

 private:
  static constexpr MeshFault fault_of(const Extent* given) noexcept {
    for (std::size_t axis = 0; axis < rank_; ++axis) {
      const auto at = static_cast<std::int64_t>(axis);
      if (given[axis] == dynamic) return {MeshRule::axis_without_devices, at, given[axis]};
      if (pattern_[axis] != dynamic && pattern_[axis] != given[axis])
        return {MeshRule::extent_contradicts_type, at, given[axis], pattern_[axis]};
    }
    return detail::find_mesh_fault(given, rank_);
  }
  [[noreturn]] static void refuse(const Extent* given, std::size_t count, MeshFault fault) {
    throw InvalidMesh(detail::mesh_text(given, count, fault), fault);
  }

  [[no_unique_address]] detail::StoredExtents<(0U + ... + (Extents == dynamic))> stored_{};
};

/// A mesh whose rank and extents are known at run time only.  Any Mesh<...> converts to it.
class DynamicMesh {
 public:
  constexpr DynamicMesh() = default;  ///< no axes: a single device
  /// Throws InvalidMesh.
  constexpr DynamicMesh(std::initializer_list<Extent> extents)
      : DynamicMesh(std::span<const Extent>(extents.begin(), extents.size())) {}
  constexpr explicit DynamicMesh(std::span<const Extent> extents) {
    MeshFault fault = detail::find_mesh_fault(extents.data(), extents.size());
    for (std::size_t axis = 0; axis < extents.size() && !fault; ++axis)
      if (extents[axis] == dynamic)
        fault = {MeshRule::axis_without_devices, static_cast<std::int64_t>(axis), dynamic};
    if (fault) throw InvalidMesh(detail::mesh_text(extents.data(), extents.size(), fault), fault);
    for (const Extent extent : extents) extents_.push_back(extent);
  }

  template<Extent... Extents>
  constexpr DynamicMesh(const Mesh<Extents...>& mesh) {  // NOLINT: implicit, it loses no check
    for (std::size_t axis = 0; axis < mesh.rank(); ++axis) extents_.push_back(mesh.extent(axis));
  }

  constexpr std::size_t rank() const noexcept { return extents_.size(); }
  constexpr Extent extent(std::size_t axis) const noexcept { return extents_[axis]; }
  constexpr Extent device_count() const noexcept {
    Extent count = 1;
    for (const Extent extent : extents_) count *= extent;
    return count;
  }

  friend constexpr bool operator==(const DynamicMesh&, const DynamicMesh&) = default;

 private:
  InlineVector<Extent, max_axes> extents_;
};

/// The same mesh as a value, whatever form it came in.
template<MeshLike M>
constexpr DynamicMesh to_dynamic(const M& mesh) {
  InlineVector<Extent, max_axes> extents;
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis) extents.push_back(mesh.extent(axis));
  return DynamicMesh(std::span<const Extent>(extents.data(), extents.size()));
}
constexpr const DynamicMesh& to_dynamic(const DynamicMesh& mesh) noexcept { return mesh; }

/// "2x4"; "()" where there are no axes.
std::string to_string(const DynamicMesh& mesh);
template<MeshLike M>
std::string to_string(const M& mesh) {
  return to_string(to_dynamic(mesh));
}

/// The checked way back from values to a type.  Throws InvalidMesh where the type says otherwise.
template<class To>
constexpr To mesh_cast(const DynamicMesh& mesh) {
  if (mesh.rank() != To::rank())
    throw InvalidMesh("mesh " + to_string(mesh), MeshFault{MeshRule::wrong_rank});
  return [&]<std::size_t... Axes>(std::index_sequence<Axes...>) {
    return To({mesh.extent(Axes)...});
  }
  (std::make_index_sequence<To::rank()>{});
}

// --- Questions that any mesh answers -------------------------------------------------------------

/// The set of all axes of a mesh.
template<MeshLike M>
constexpr AxisSet all_axes(const M& mesh) noexcept {
  return AxisSet::first(mesh.rank());
}

/// The number of devices along `axes`.  @pre the mesh has every one of them
template<MeshLike M>
constexpr Extent extent_of(const M& mesh, AxisSet axes) noexcept {
  Extent product = 1;
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
    if (axes.contains(axis)) product *= mesh.extent(axis);
  return product;
}

/// How far apart in device numbers two neighbours along `axis` are.  @pre axis < mesh.rank()
template<MeshLike M>
constexpr Extent stride_of(const M& mesh, std::size_t axis) noexcept {
  Extent stride = 1;
  for (std::size_t after = axis + 1; after < mesh.rank(); ++after) stride *= mesh.extent(after);
  return stride;
}

namespace detail {

// Throws InvalidMesh, naming the mesh and the axis or device.
[[noreturn]] void refuse(const DynamicMesh& mesh, MeshFault fault);

}  // namespace detail

/// The coordinates of a device, one per axis.  Throws InvalidMesh where the mesh has no such
/// device.
template<MeshLike M>
constexpr Coordinates coordinates_of(const M& mesh, Device device) {
  if (device < 0 || device >= mesh.device_count())
    detail::refuse(to_dynamic(mesh), {MeshRule::no_such_device, device});
  Coordinates coordinates(mesh.rank(), 0);
  for (std::size_t axis = mesh.rank(); axis-- > 0;) {
    coordinates[axis] = device % mesh.extent(axis);
    device /= mesh.extent(axis);
  }
  return coordinates;
}

/// The inverse of coordinates_of.  @pre one coordinate per axis, each within its extent
template<MeshLike M>
constexpr Device device_at(const M& mesh, const Coordinates& coordinates) noexcept {
  Device device = 0;
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
    device = device * mesh.extent(axis) + coordinates[axis];
  return device;
}

template<MeshLike M>
constexpr std::uint64_t hash_value(const M& mesh) noexcept {
  std::uint64_t hash = mesh.rank();
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
    hash = mix_bits(hash ^ static_cast<std::uint64_t>(mesh.extent(axis)));
  return hash;
}

}  // namespace tessera

#ifdef TESSERA_HEADER_ONLY
#include "tessera/mesh/mesh.ipp"
#endif
