// SPDX-License-Identifier: Apache-2.0
// Notations: HLO's tile assignments and Alpa's symbols, and what is wrong with a bad text.
#include <doctest/doctest.h>

#include <string>

#include "support/random.hpp"
#include "tessera/notation.hpp"
#include "tessera/sharding/local.hpp"

namespace {
using namespace tessera;
using notation::HloSharding;

TEST_CASE("HLO's explicit form, for one placement of each kind on a 2x4 mesh") {
  const Mesh<2, 4> mesh;
  const auto text = [&](std::initializer_list<std::initializer_list<std::size_t>> dims,
                        PartialAxes partial = {}) {
    return notation::hlo_text(DynamicSharding(mesh, dims, partial), mesh);
  };
  CHECK(text({{}, {}}) == "{replicated}");
  CHECK(text({{0}, {}}) == "{devices=[2,1,4]0,1,2,3,4,5,6,7 last_tile_dim_replicate}");
  CHECK(text({{}, {1}}) == "{devices=[1,4,2]0,4,1,5,2,6,3,7 last_tile_dim_replicate}");
  CHECK(text({{0}, {1}}) == "{devices=[2,4]0,1,2,3,4,5,6,7}");
  CHECK(text({{1}, {0}}) == "{devices=[4,2]0,4,1,5,2,6,3,7}");
  CHECK(text({{0, 1}, {}}) == "{devices=[8,1]0,1,2,3,4,5,6,7}");
  CHECK(text({{1, 0}, {}}) == "{devices=[8,1]0,4,1,5,2,6,3,7}");
  CHECK(text({{0}, {}}, {Reduction::sum, {1}}) ==
        "{devices=[2,1,4]0,1,2,3,4,5,6,7 last_tile_dims={unreduced}}");
  CHECK(text({{}, {}}, {Reduction::sum, {0, 1}}) == "{unreduced}");
  CHECK(text({}) == "{replicated}");
}

TEST_CASE("axes of one device leave no trace") {
  const Mesh<1, 8> mesh;
  CHECK(notation::hlo_text(DynamicSharding(mesh, {{0}, {}}), mesh) == "{replicated}");
  CHECK(notation::hlo_text(DynamicSharding(mesh, {{0, 1}, {}}), mesh) ==
        "{devices=[8,1]0,1,2,3,4,5,6,7}");
}

TEST_CASE("property: what is printed is read back, and places every device where its slice is") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    const DynamicMesh mesh{random.between(1, 3), random.between(1, 4), random.between(1, 2)};
    DynamicSharding sharding = DynamicSharding::replicated(2);
    for (std::size_t axis = 0; axis < 3; ++axis)
      if (const std::size_t role = random.below(4); role < 2)
        sharding = sharding.with_split(role, axis);
      else if (role == 2)
        sharding = sharding.with_partial(axis, Reduction::sum);
    const HloSharding hlo = notation::to_hlo(sharding, mesh);
    const std::string text = notation::to_string(hlo);
    CAPTURE(text);
    const auto leaves = notation::parse_hlo_sharding(text);
    REQUIRE(leaves.size() == 1);
    CHECK(leaves[0] == hlo);
    if (hlo.kind != HloSharding::Kind::tiled) continue;
    // Tile (i, j) of the array holds the devices whose slice is the i-th by the j-th.
    Extent group = 1;
    for (std::size_t d = 2; d < hlo.tile_dims.size(); ++d) group *= hlo.tile_dims[d];
    for (std::size_t position = 0; position < hlo.devices.size(); ++position) {
      const Extent tile = static_cast<Extent>(position) / group;
      const Coordinates at = coordinates_of(mesh, hlo.devices[position]);
      CHECK(tile_index(sharding, mesh, 0, at) == tile / hlo.tile_dims[1]);
      CHECK(tile_index(sharding, mesh, 1, at) == tile % hlo.tile_dims[1]);
    }
  }
}

TEST_CASE("iota forms are unrolled") {
  const auto devices = [](const char* text) {
    return notation::parse_hlo_sharding(text)[0].devices;
  };
  CHECK(devices("{devices=[4,2]<=[2,4]T(1,0)}") == std::vector<Device>{0, 4, 1, 5, 2, 6, 3, 7});
  CHECK(devices("{devices=[4,1,2]<=[2,2,2]T(0,2,1) last_tile_dim_replicate}") ==
        std::vector<Device>{0, 2, 1, 3, 4, 6, 5, 7});
  CHECK(devices("{devices=[2,8]<=[2,4,2]T(0,2,1)}") ==
        std::vector<Device>{0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15});
}

TEST_CASE("valid texts of every kind are accepted") {
  for (const char* text :
       {"{replicated}", "{manual}", "{unreduced}", "{unknown}", "{maximal device=3}", "{}",
        "{{replicated}, {devices=[2,2]<=[4]}, {maximal device=0}}",
        "{{replicated}, /*index=1*/{replicated}}", "{devices=[2,2]<=[4] shard_as 7}",
        "{devices=[4]0,1,2,3 metadata={op_name=\"w}\" source_line=7}}",
        "{replicated metadata={{op_name=\"a\"}, {op_name=\"b\"}}}",
        "{devices=[1,2,2]0,1,2,3 last_tile_dims={manual, replicated}}",
        "{mesh[x=2,y=4], [{x}, {y:(1)2, ?}]}"}) {
    CAPTURE(text);
    CHECK_NOTHROW(notation::parse_hlo_sharding(text));
  }
  CHECK(notation::parse_hlo_sharding("{}").empty());
  CHECK(notation::parse_hlo_sharding("{{replicated}, {manual}}").size() == 2);
}

TEST_CASE("malformed texts are refused where they go wrong") {
  const std::pair<const char*, const char*> cases[] = {
      {"", "expected '{'"},
      {"{devices=[2,2]<=[2,2]}", "needs T(...)"},
      {"{devices=[2,2]<=[4]T(0)}", "takes no T(...)"},
      {"{devices=[2,2]0,1,2}", "3 devices for 4 tiles"},
      {"{devices=[2,2]0,1,1,3}", "device 1 is listed twice"},
      {"{devices=[2,2]<=[2,3]T(1,0)}", "6 devices for 4 tiles"},
      {"{devices=[2,2]<=[2,2]T(2,0)}", "out of range or twice"},
      {"{devices=[2,2]<=[2,2]T(0)}", "too few entries"},
      {"{devices=[1]0}", "more than one device"},
      {"{maximal device=0,1}", "unexpected ','"},
      {"{maximal}", "exactly one device"},
      {"{replicated device=0}", "only a maximal sharding"},
      {"{devices=[2,2],0,1,2,3}", "expected a number"},
      {"{devices=[2,1,2]0,1,2,3 last_tile_dims=replicated}", "expected '{'"},
      {"{last_tile_dim_replicate}", "there are no tiles"},
      {"{{replicated} {manual}}", "expected '}'"},
      {"{replicated manual}", "one kind only"},
      {"{devices=[99999999999999999999]0}", "does not fit in 64 bits"},
      {"{devices=[1000000,1000000]<=[1000000000000]}", "more than a million devices"},
      {"{devices=[0,2]0}", "not positive"},
      {"{replicated} {manual}", "unexpected text"},
      {"{nonsense}", "expected a part of a sharding"},
      {"{replicated metadata={op_name=\"x", "never closed"},
      {"{devices=[2]5,5}", "device 5 is listed twice"},
      {"{devices=[2,1,2]0,1,2,3 last_tile_dims={replicated manual}}", "expected '}'"},
      {"{devices=[2,1,2]0,1,2,3 last_tile_dims={replicated,}}", "expected a kind of subgroup"},
      {"{devices=[2,1,2]0,1,2,3 last_tile_dim_replicate last_tile_dims={manual}}", "named twice"},
      {"{devices=[2,1,2]0,1,2,3 last_tile_dim_replicate last_tile_dim_replicate}", "named twice"}};
  for (const auto& test : cases) {
    const char* const text = test.first;
    CAPTURE(text);
    try {
      notation::parse_hlo_sharding(text);
      FAIL("accepted");
    } catch (const notation::HloShardingError& error) {
      CHECK(std::string(error.what()).find(test.second) != std::string::npos);
      CHECK(error.offset() <= std::string(text).size());
    }
  }
}

TEST_CASE("the offset is that of the text at fault") {
  const auto offset_of = [](const std::string& text) {
    try {
      notation::parse_hlo_sharding(text);
      return text.size();
    } catch (const notation::HloShardingError& error) {
      return error.offset();
    }
  };
  CHECK(offset_of("{devices=[3]7,5,7}") == 16);
  CHECK(offset_of("{devices=[2,1,2]0,1,2,3 last_tile_dims={replicated manual}}") == 51);
  CHECK(offset_of("{devices=[2,2]0,1,2,3 last_tile_dim_replicate last_tile_dims={manual}}") == 46);
}

TEST_CASE("a long run of comments is skipped without recursion") {
  std::string text = "{{replicated},";
  for (int i = 0; i < 2'000'000; ++i) text += "/**/";
  CHECK(notation::parse_hlo_sharding(text + "{manual}}").size() == 2);
}

TEST_CASE("a sharding made for another mesh is not printed") {
  const DynamicMesh cube{2, 4, 2}, mesh{2, 4};
  CHECK_THROWS_AS(notation::to_hlo(DynamicSharding(cube, {{2}}), mesh), InvalidSharding);
  CHECK_THROWS_AS(notation::hlo_text(DynamicSharding(cube, {{}}, {Reduction::sum, {2}}), mesh),
                  InvalidSharding);
}

TEST_CASE("Alpa's symbols list axes major to minor") {
  const Mesh<2, 4> mesh;
  CHECK(notation::alpa_text(DynamicSharding(mesh, {{0}, {}})) == "S0R");
  CHECK(notation::alpa_text(DynamicSharding(mesh, {{}, {0, 1}})) == "RS01");
  CHECK(notation::alpa_text(DynamicSharding(mesh, {{1, 0}, {}})) == "S10R");
  CHECK(notation::alpa_text(DynamicSharding(mesh, {})) == "R");
  CHECK(notation::alpa_text(DynamicSharding(mesh, {{}, {}}, {Reduction::sum, {0, 1}})) ==
        "RR+sum[0, 1]");
}

}  // namespace
