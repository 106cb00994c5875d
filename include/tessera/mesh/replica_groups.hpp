// SPDX-License-Identifier: Apache-2.0
//
// The groups of devices that a collective over some mesh axes runs in.
//
// Two devices are in one group when they differ only in their coordinates along those axes.  Groups
// are ordered by their first device, and so are the devices in a group: row-major on both levels,
// which is the order HLO's replica_groups have.
#pragma once
#include <string>

#include "tessera/mesh/mesh.hpp"

namespace tessera {

/// The groups of a collective over some mesh axes.  A view: every device is computed
/// when asked for, and nothing is stored but the mesh.
template<MeshLike M>
class ReplicaGroups {
 public:
  /// Throws InvalidMesh where `axes` names an axis that the mesh does not have.
  constexpr ReplicaGroups(const M& mesh, AxisSet axes) : mesh_(mesh), axes_(axes) {
    const AxisSet unknown = axes - all_axes(mesh);
    if (!unknown.empty())
      detail::refuse(to_dynamic(mesh), {MeshRule::no_such_axis, unknown.to_list()[0]});
  }

  constexpr const M& mesh() const noexcept { return mesh_; }
  constexpr AxisSet axes() const noexcept { return axes_; }
  /// The number of devices in each group, and of groups.
  constexpr Extent group_size() const noexcept { return extent_of(mesh_, axes_); }
  constexpr Extent size() const noexcept { return mesh_.device_count() / group_size(); }

  /// @pre 0 <= group < size(), 0 <= member < group_size()
  constexpr Device device(Extent group, Extent member) const noexcept {
    Device device = 0;
    Extent stride = 1;
    for (std::size_t axis = mesh_.rank(); axis-- > 0;) {
      Extent& digits = axes_.contains(axis) ? member : group;
      device += digits % mesh_.extent(axis) * stride;
      digits /= mesh_.extent(axis);
      stride *= mesh_.extent(axis);
    }
    return device;
  }

 private:
  [[no_unique_address]] M mesh_;
  AxisSet axes_;
};

/// Throws InvalidMesh for an axis that the mesh does not have.
template<MeshLike M>
constexpr ReplicaGroups<M> replica_groups(const M& mesh, AxisSet axes) {
  return ReplicaGroups<M>(mesh, axes);
}

/// As above, but an axis that the mesh does not have fails to compile.
template<std::size_t... Axes, Extent... Extents>
constexpr ReplicaGroups<Mesh<Extents...>> replica_groups(const Mesh<Extents...>& mesh) {
  constexpr MeshFault fault = [] {
    MeshFault found;
    ((found = Axes >= sizeof...(Extents) && !found ? MeshFault{MeshRule::no_such_axis, Axes}
                                                   : found),
     ...);
    return found;
  }();
  static_assert(Reject<fault>::passed);
  return ReplicaGroups<Mesh<Extents...>>(mesh, AxisSet{Axes...});
}

/// As HLO writes them: "{{0,1},{2,3}}".
std::string to_string(const ReplicaGroups<DynamicMesh>& groups);
template<MeshLike M>
std::string to_string(const ReplicaGroups<M>& groups) {
  return to_string(replica_groups(to_dynamic(groups.mesh()), groups.axes()));
}

}  // namespace tessera

#ifdef TESSERA_HEADER_ONLY
#include "tessera/mesh/replica_groups.ipp"
#endif
