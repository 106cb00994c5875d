// SPDX-License-Identifier: Apache-2.0
// Sharding: the type, the value, and that no question tells them apart.
#include <doctest/doctest.h>

#include <limits>
#include <type_traits>
#include <unordered_set>

#include "support/random.hpp"
#include "tessera/sharding.hpp"

namespace {
using namespace tessera;

using Cluster = Mesh<4, 8>;
using X = Sharding<Cluster, Split<0>, Whole, Split<1>>;
using Y = Sharding<Cluster, Split<0>, Whole, Whole, Partial<Sum, 1>>;
using Scalar = Sharding<Cluster>;

// --- Decided by the compiler ---------------------------------------------------------------------
static_assert(ShardingLike<X> && ShardingLike<DynamicSharding>);
static_assert(std::is_empty_v<X> && sizeof(DynamicSharding) == 8);
static_assert(std::is_trivially_copyable_v<DynamicSharding>);
static_assert(X::local_shape(shape<32, 1000, 4096>) == shape<8, 1000, 512>);
static_assert(Y::local_shape(shape<32, 1000, 4096>) == shape<8, 1000, 4096>);
static_assert(X::local_shape(shape<32, 1000, 4096, 7>) == shape<8, 1000, 512, 7>);  // rest is whole
static_assert(Scalar::local_shape(shape<>) == shape<>);
static_assert(X() == DynamicSharding(Cluster(), {{0}, {}, {1}}));
static_assert(Y() == DynamicSharding(Cluster(), {{0}, {}, {}}, {Reduction::sum, {1}}));
static_assert(!(X() == Sharding<Cluster, Split<0>, Split<1>, Whole>()));
static_assert(Sharding<Cluster, Split<0, 1>>::local_shape(shape<64>) == shape<2>);
static_assert(!(Sharding<Cluster, Split<0, 1>>() == Sharding<Cluster, Split<1, 0>>()));
static_assert(X::slice(shape<32, 1000, 4096>, 9)[0] == Range{8, 16});
static_assert(X::slice(shape<32, 1000, 4096>, 9)[2] == Range{512, 1024});
static_assert(hash_value(X()) == hash_value(DynamicSharding(Cluster(), {{0}, {}, {1}})));
static_assert(sharding_cast<X>(DynamicSharding(Cluster(), {{0}, {}, {1}})) == X());
// A mesh whose size is not known until run time still checks its axes.
static_assert(Sharding<Mesh<dynamic, 8>, Split<1>>::axes(0) == AxisList{1});

// The same axes on another mesh are no placement to compare with.
template<class A, class B>
concept Comparable = requires(A a, B b) {
  a == b;
};
static_assert(Comparable<Sharding<Mesh<2, 4>, Split<0>>, Sharding<Mesh<2, 4>, Split<1>>>);
static_assert(!Comparable<Sharding<Mesh<2, 4>, Split<0>>, Sharding<Mesh<4, 2>, Split<0>>>);

// Fourteen dims and eight axes fit.
static_assert(DynamicSharding(Mesh<2, 2, 2, 2, 2, 2, 2, 2>(),
                              {{7}, {6, 5}, {}, {4}, {3}, {2}, {}, {}, {}, {}, {}, {}, {}, {1, 0}})
                  .axes(13) == AxisList{1, 0});

// --- Decided by running --------------------------------------------------------------------------
TEST_CASE("a misuse is refused in the words a compiler would use") {
  const DynamicMesh mesh{2, 4};
  CHECK_THROWS_WITH(DynamicSharding(mesh, {{0}, {}, {0}}),
                    "sharding [[0], [], [0]] on mesh 2x4, axis 0: one mesh axis splits two tensor "
                    "dims; leave one of them whole, or refine the axis into two");
  CHECK_THROWS_WITH(DynamicSharding(mesh, {{0}, {}}, {Reduction::sum, {0}}),
                    "sharding [[0], []] partial=sum[0] on mesh 2x4, axis 0: a mesh axis both "
                    "splits a dim and is partial (unreduced); it can do only one of the two");
  const auto rule_broken = [](auto&& make) {
    try {
      make();
      return ShardingRule::none;
    } catch (const InvalidSharding& error) {
      CHECK(std::string(error.what()).find(sentence(error.fault().rule)) != std::string::npos);
      return error.fault().rule;
    }
  };
  CHECK(rule_broken([&] { DynamicSharding(mesh, {{2}}); }) == ShardingRule::no_such_axis);
  CHECK(rule_broken([&] { DynamicSharding(mesh, {{1, 1}}); }) == ShardingRule::axis_repeated);
  CHECK(rule_broken([&] {
          DynamicSharding(mesh, {{}}, {Reduction::sum, {1, 1}});
        }) == ShardingRule::partial_axis_repeated);
  CHECK(rule_broken([&] {
          DynamicSharding(mesh, {{}}, {Reduction::sum, {}});
        }) == ShardingRule::partial_without_axes);
  CHECK(rule_broken([&] {
          DynamicSharding(mesh, {{}}, {Reduction::none, {1}});
        }) == ShardingRule::partial_without_reduction);
  CHECK(rule_broken([&] {
          DynamicSharding(mesh, {{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}});
        }) == ShardingRule::too_many_dims);
  CHECK(rule_broken([&] {
          local_shape(DynamicSharding(mesh, {{0}, {}}), mesh, Dims{4});
        }) == ShardingRule::more_dims_than_tensor);
  CHECK(rule_broken([&] { local_shape(DynamicSharding(mesh, {{0}}), mesh, Dims{-4}); }) ==
        ShardingRule::negative_dim);
  CHECK(rule_broken([&] { sharding_cast<X>(DynamicSharding(mesh, {{0}})); }) ==
        ShardingRule::not_this_sharding);
  CHECK_THROWS_AS(slice_of(DynamicSharding(mesh, {{0}}), mesh, Dims{4}, 8), InvalidMesh);
}

TEST_CASE("a sharding made for another mesh is refused") {
  const DynamicMesh cube{2, 4, 2}, mesh{2, 4};
  const DynamicSharding split(cube, {{2}, {}}), partial(cube, {{}, {}}, {Reduction::sum, {0, 2}});
  CHECK_THROWS_WITH(local_shape(split, mesh, Dims{4, 4}),
                    "sharding [[2], []] on mesh 2x4, axis 2: a sharding names an axis that its "
                    "mesh does not have; axes are numbered from 0");
  CHECK_THROWS_AS(local_shape(partial, mesh, Dims{4, 4}), InvalidSharding);
  CHECK_THROWS_AS(slice_of(split, mesh, Dims{4, 4}, 0), InvalidSharding);
  CHECK(local_shape(split, cube, Dims{4, 4}) == Dims{2, 4});
}

TEST_CASE("slices of the largest dims do not overflow") {
  constexpr Extent most = std::numeric_limits<Extent>::max();
  const DynamicMesh two{2}, many{most / 2};
  const Extent tile = most / 2 + 1;
  CHECK(slice_of(DynamicSharding(two, {{0}}), two, Dims{most}, 0)[0] == Range{0, tile});
  CHECK(slice_of(DynamicSharding(two, {{0}}), two, Dims{most}, 1)[0] == Range{tile, most});
  CHECK(slice_of(DynamicSharding(many, {{0}}), many, Dims{most}, most / 2 - 1)[0].size() == 0);
}

TEST_CASE("shardings print as MLIR writes them") {
  CHECK(to_string(X()) == "[[0], [], [1]]");
  CHECK(to_string(Y()) == "[[0], [], []] partial=sum[1]");
  CHECK(to_string(Scalar()) == "[]");
  CHECK(to_string(Sharding<Cluster, Split<1, 0>, Whole>()) == "[[1, 0], []]");
  CHECK(to_string(Sharding<Cluster, Partial<Max, 0, 1>>()) == "[] partial=max[0, 1]");
}

TEST_CASE("dims that do not divide fall into equal tiles, the last ones short or empty") {
  const DynamicMesh mesh{2, 4};
  const DynamicSharding over_all(mesh, {{0, 1}});
  CHECK(local_shape(over_all, mesh, Dims{10}) == Dims{2});
  std::vector<Extent> sizes;
  for (Device device = 0; device < 8; ++device)
    sizes.push_back(slice_of(over_all, mesh, Dims{10}, device)[0].size());
  CHECK(sizes == std::vector<Extent>{2, 2, 2, 2, 2, 0, 0, 0});  // as XLA does
  CHECK(local_shape(over_all, mesh, Dims{0}) == Dims{0});
}

TEST_CASE("a sharding is edited one axis at a time") {
  const DynamicSharding whole = DynamicSharding::replicated(2);
  CHECK(whole.is_replicated());
  const DynamicSharding split = whole.with_split(1, 0).with_split(1, 2);
  CHECK(split.axes(1) == AxisList{0, 2});
  CHECK(split.is_minor_most(2));
  CHECK_FALSE(split.is_minor_most(0));
  CHECK(split.split_axes() == AxisSet{0, 2});
  CHECK(split.without(2).without(0) == whole);
  const DynamicSharding partial = whole.with_partial(3, Reduction::max);
  CHECK(partial.reduction() == Reduction::max);
  CHECK(partial.without(3) == whole);  // the reduction goes with the last partial axis
}

// A random sharding of `rank` dims; unit axes and all.
DynamicSharding random_sharding(tessera_test::Random& random, std::size_t rank,
                                const DynamicMesh& mesh) {
  DynamicSharding sharding = DynamicSharding::replicated(rank);
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis) {
    const std::size_t role = random.below(rank + 2);
    if (role < rank) sharding = sharding.with_split(role, axis);
    if (role == rank) sharding = sharding.with_partial(axis, Reduction::sum);
  }
  return sharding;
}

TEST_CASE("property: shards cover the tensor, and replicas hold the same slice") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    const DynamicMesh mesh{random.between(1, 4), random.between(1, 3), random.between(1, 3)};
    const Dims dims{random.between(0, 9), random.between(1, 7)};
    const DynamicSharding sharding = random_sharding(random, 2, mesh);
    CAPTURE(to_string(sharding));
    std::vector<int> covered(static_cast<std::size_t>(element_count(dims)), 0);
    for (Device device = 0; device < mesh.device_count(); ++device) {
      const Slice slice = slice_of(sharding, mesh, dims, device);
      for (Extent i = slice[0].begin; i < slice[0].end; ++i)
        for (Extent j = slice[1].begin; j < slice[1].end; ++j)
          ++covered[static_cast<std::size_t>(i * dims[1] + j)];
      const Dims local = local_shape(sharding, mesh, dims);
      CHECK(slice[0].size() <= local[0]);
      CHECK(slice[1].size() <= local[1]);
    }
    const Extent copies = mesh.device_count() / extent_of(mesh, sharding.split_axes());
    for (const int count : covered) CHECK(count == copies);
  }
}

// Static twins of shardings on Mesh<2, 3, 2>, to be held against values written the same way.
template<class... Parts>
using OnSmall = Sharding<Mesh<2, 3, 2>, Parts...>;

template<class S>
void check_twin(const DynamicSharding& value) {
  const Mesh<2, 3, 2> mesh;
  const DynamicMesh dynamic_mesh = mesh;
  CHECK(value == S());
  CHECK(to_string(value) == to_string(S()));
  CHECK(hash_value(value) == hash_value(S()));
  CHECK(value.rank() == S::rank());
  CHECK(value.partial_axes() == S::partial_axes());
  CHECK(value.reduction() == S::reduction());
  for (std::size_t dim = 0; dim < S::rank(); ++dim) CHECK(value.axes(dim) == S::axes(dim));
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    const Dims dims{random.between(0, 13), random.between(0, 13)};
    CHECK(local_shape(value, dynamic_mesh, dims) == local_shape(S(), mesh, dims));
    for (Device device = 0; device < mesh.device_count(); ++device)
      CHECK(slice_of(value, dynamic_mesh, dims, device) == slice_of(S(), mesh, dims, device));
  }
}

TEST_CASE("property: a sharding type and a sharding value give equal answers") {
  const DynamicMesh mesh{2, 3, 2};
  check_twin<OnSmall<Whole, Whole>>(DynamicSharding(mesh, {{}, {}}));
  check_twin<OnSmall<Split<0>, Whole>>(DynamicSharding(mesh, {{0}, {}}));
  check_twin<OnSmall<Split<1>, Split<0>>>(DynamicSharding(mesh, {{1}, {0}}));
  check_twin<OnSmall<Split<0, 1>, Whole>>(DynamicSharding(mesh, {{0, 1}, {}}));
  check_twin<OnSmall<Split<1, 0>, Whole>>(DynamicSharding(mesh, {{1, 0}, {}}));
  check_twin<OnSmall<Whole, Split<2, 0, 1>>>(DynamicSharding(mesh, {{}, {2, 0, 1}}));
  check_twin<OnSmall<Split<0>, Split<2>, Partial<Sum, 1>>>(
      DynamicSharding(mesh, {{0}, {2}}, {Reduction::sum, {1}}));
  check_twin<OnSmall<Whole, Split<1>, Partial<Max, 0, 2>>>(
      DynamicSharding(mesh, {{}, {1}}, {Reduction::max, {2, 0}}));
  check_twin<OnSmall<>>(DynamicSharding(mesh, {}));
  check_twin<OnSmall<Partial<Min, 1>>>(DynamicSharding(mesh, {}, {Reduction::min, {1}}));
}

TEST_CASE("equal shardings hash equally, and most different ones differently") {
  const DynamicMesh mesh{2, 3, 2};
  std::unordered_set<std::uint64_t> hashes;
  std::unordered_set<DynamicSharding> shardings;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    tessera_test::Random random(seed);
    const DynamicSharding sharding = random_sharding(random, 1 + random.below(4), mesh);
    shardings.insert(sharding);
    hashes.insert(hash_value(sharding));
  }
  CHECK(hashes.size() == shardings.size());
}

}  // namespace
