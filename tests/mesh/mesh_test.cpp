// SPDX-License-Identifier: Apache-2.0
// Mesh: static and dynamic twins agree, groups are HLO's, and a bad mesh is refused by name.
#include <doctest/doctest.h>

#include <limits>
#include <set>
#include <type_traits>

#include "support/random.hpp"
#include "tessera/mesh.hpp"

namespace {
using namespace tessera;

// --- Decided by the compiler ---------------------------------------------------------------------
static_assert(MeshLike<Mesh<2, 4>> && MeshLike<Mesh<dynamic, 4>> && MeshLike<DynamicMesh>);
static_assert(StaticMesh<Mesh<2, 4>> && !StaticMesh<Mesh<dynamic, 4>> && !StaticMesh<DynamicMesh>);
static_assert(std::is_empty_v<Mesh<2, 4>> && sizeof(Mesh<dynamic, 4>) == sizeof(Extent));
static_assert(Mesh<2, 4>().device_count() == 8 && Mesh<2, dynamic>({2, 4}).device_count() == 8);
static_assert(Mesh<>().device_count() == 1 && DynamicMesh().device_count() == 1);
static_assert(DynamicMesh(Mesh<2, 4>()) == DynamicMesh{2, 4});
static_assert(mesh_cast<Mesh<dynamic, 4>>(DynamicMesh{2, 4}).extent(0) == 2);
static_assert(Mesh<2, 4>().extent<1>() == 4);
static_assert(stride_of(Mesh<2, 3, 4>(), 0) == 12 && stride_of(Mesh<2, 3, 4>(), 2) == 1);
static_assert(coordinates_of(Mesh<2, 3, 4>(), 23) == Coordinates{1, 2, 3});
static_assert(device_at(Mesh<2, 3, 4>(), {1, 0, 2}) == 14);
static_assert(extent_of(Mesh<2, 3, 4>(), {0, 2}) == 8);
static_assert(hash_value(Mesh<2, 4>()) == hash_value(DynamicMesh{2, 4}));
static_assert(replica_groups<1>(Mesh<2, 4>()).device(1, 2) == 6);
static_assert(AxisSet{0, 2}.contains(2) && !AxisSet{0, 2}.contains(1));
static_assert((AxisSet{0, 1} - AxisSet{1}) == AxisSet{0} && (AxisSet{0} | AxisSet{2}).size() == 2);
static_assert(AxisSet{3, 1}.to_list() == AxisList{1, 3});
static_assert(AxisSet::first(8).size() == 8 && AxisSet::first(40).size() == 8);
static_assert(!AxisSet{0}.contains(64));

// A mesh of a user's own.
struct Ring {
  std::size_t rank() const { return 1; }
  Extent extent(std::size_t) const { return 5; }
  Extent device_count() const { return 5; }
};
static_assert(MeshLike<Ring>);

// --- Decided by running --------------------------------------------------------------------------
TEST_CASE("a mesh that breaks a rule is refused in the rule's words") {
  CHECK_THROWS_WITH((DynamicMesh{2, 0}),
                    "mesh 2x0, axis 1: a mesh axis needs at least one device; drop the axis, or "
                    "give it a size of 1 or more");
  CHECK_THROWS_WITH((DynamicMesh{1, 1, 1, 1, 1, 1, 1, 1, 1}),
                    "mesh 1x1x1x1x1x1x1x1x1: a mesh has at most eight axes; merge axes that are "
                    "always used together");
  CHECK_THROWS_WITH((Mesh<2, 4>({2, 3})),
                    "mesh 2x3, axis 1: the size given for a mesh axis is not the one its type "
                    "fixes; pass that size, or make the axis dynamic");
  constexpr Extent large = std::numeric_limits<Extent>::max();
  for (const auto& [fault, rule] : {std::pair(
                                        +[] { DynamicMesh{-1}; }, MeshRule::axis_without_devices),
                                    std::pair(
                                        +[] {
                                          DynamicMesh{large, 2};
                                        },
                                        MeshRule::too_many_devices),
                                    std::pair(
                                        +[] { Mesh<2, dynamic>({2}); }, MeshRule::wrong_rank),
                                    std::pair(
                                        +[] {
                                          Mesh<2, dynamic>({2, dynamic});
                                        },
                                        MeshRule::axis_without_devices),
                                    std::pair(
                                        +[] {
                                          mesh_cast<Mesh<2>>(DynamicMesh{2, 4});
                                        },
                                        MeshRule::wrong_rank),
                                    std::pair(
                                        +[] {
                                          mesh_cast<Mesh<2, 5>>(DynamicMesh{2, 4});
                                        },
                                        MeshRule::extent_contradicts_type),
                                    std::pair(
                                        +[] {
                                          coordinates_of(DynamicMesh{2, 4}, 8);
                                        },
                                        MeshRule::no_such_device),
                                    std::pair(
                                        +[] {
                                          replica_groups(DynamicMesh{2, 4}, {2});
                                        },
                                        MeshRule::no_such_axis)}) {
    try {
      fault();
      FAIL("accepted");
    } catch (const InvalidMesh& error) {
      CHECK(error.fault().rule == rule);
      CHECK(std::string(error.what()).find(sentence(rule)) != std::string::npos);
    }
  }
}

TEST_CASE("an axis that no mesh has is refused, not dropped") {
  for (const std::size_t axis : {std::size_t{8}, std::size_t{32}, std::size_t{64}}) {
    CHECK_THROWS_AS(AxisSet{axis}, InvalidMesh);
    AxisSet set{0, 7};
    CHECK_THROWS_AS(set.insert(axis), InvalidMesh);
    set.erase(axis);
    CHECK(set == AxisSet{0, 7});
  }
  CHECK_THROWS_WITH(AxisSet{8},
                    "axis 8 of a mesh of at most eight: the mesh has no such axis; axes are "
                    "numbered from 0");
}

TEST_CASE("a mesh of a user's own is asked, and named, like ours") {
  CHECK(coordinates_of(Ring(), 3) == Coordinates{3});
  CHECK_THROWS_WITH(coordinates_of(Ring(), 5),
                    "mesh 5, device 5: the mesh has no such device; devices are numbered from 0, "
                    "row-major");
  CHECK_THROWS_AS(replica_groups(Ring(), {1}), InvalidMesh);
}

TEST_CASE("a mesh without axes has a name too") {
  CHECK(to_string(DynamicMesh()) == "()");
  CHECK_THROWS_WITH(coordinates_of(Mesh<>(), 1),
                    "mesh (), device 1: the mesh has no such device; devices are numbered from 0, "
                    "row-major");
}

TEST_CASE("replica groups are listed as HLO lists them") {
  const DynamicMesh mesh{2, 4};
  CHECK(to_string(replica_groups(mesh, {1})) == "{{0,1,2,3},{4,5,6,7}}");
  CHECK(to_string(replica_groups(mesh, {0})) == "{{0,4},{1,5},{2,6},{3,7}}");
  CHECK(to_string(replica_groups(mesh, {0, 1})) == "{{0,1,2,3,4,5,6,7}}");
  CHECK(to_string(replica_groups(mesh, {})) == "{{0},{1},{2},{3},{4},{5},{6},{7}}");
  CHECK(to_string(mesh) == "2x4");
}

TEST_CASE("property: numbering devices and asking for their coordinates are inverse") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    std::vector<Extent> extents(random.below(5));
    for (Extent& extent : extents) extent = random.between(1, 5);
    const DynamicMesh mesh(extents);
    for (Device device = 0; device < mesh.device_count(); ++device)
      CHECK(device_at(mesh, coordinates_of(mesh, device)) == device);
  }
}

TEST_CASE("property: the groups of any axes cover every device once, in order") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    std::vector<Extent> extents(1 + random.below(4));
    for (Extent& extent : extents) extent = random.between(1, 4);
    const DynamicMesh mesh(extents);
    const AxisSet axes =
        AxisSet::from_bits(static_cast<std::uint8_t>(random.below(std::size_t{1} << mesh.rank())));
    const auto groups = replica_groups(mesh, axes);
    CHECK(groups.size() * groups.group_size() == mesh.device_count());
    std::set<Device> seen;
    Device first_of_last = -1;
    for (Extent group = 0; group < groups.size(); ++group) {
      CHECK(groups.device(group, 0) > first_of_last);
      first_of_last = groups.device(group, 0);
      for (Extent member = 0; member < groups.group_size(); ++member) {
        const Device device = groups.device(group, member);
        CHECK(seen.insert(device).second);
        // Members differ from the first only along the group's axes.
        const Coordinates here = coordinates_of(mesh, device);
        const Coordinates there = coordinates_of(mesh, first_of_last);
        for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
          if (!axes.contains(axis)) CHECK(here[axis] == there[axis]);
      }
    }
  }
}

TEST_CASE("a refined mesh has the prime factors of the axes, in their places") {
  const RefinedMesh finer = refined(Mesh<4, 1, 6>());
  CHECK(finer.mesh == DynamicMesh{2, 2, 1, 2, 3});
  CHECK(finer.origins == AxisList{0, 0, 1, 2, 2});
  CHECK(refined(DynamicMesh{7}).mesh == DynamicMesh{7});
  CHECK(refined(DynamicMesh{9, 8}).mesh == DynamicMesh{3, 3, 2, 2, 2});
  CHECK(refined(DynamicMesh{}).mesh == DynamicMesh{});
  CHECK_THROWS_AS(refined(DynamicMesh{512}), InvalidMesh);
  static_assert(refined(Mesh<8>()).mesh.rank() == 3);
}

}  // namespace
