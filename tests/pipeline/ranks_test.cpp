// SPDX-License-Identifier: Apache-2.0
// Ranks: Megatron's published example, groups against their definition, stages that differ.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "support/random.hpp"
#include "tessera/pipeline/ranks.hpp"

namespace {
using namespace tessera;
using namespace tessera::pipeline;
using tessera_test::Random;

TEST_CASE("Megatron's own example: 16 ranks, tensor 2, 4 stages") {
  const Ranks ranks = megatron_ranks({.tensor = 2, .data = 2, .stages = 4});
  CHECK(ranks.count() == 16);
  CHECK(ranks.groups({Role::data}) ==
        Groups{{0, 2}, {1, 3}, {4, 6}, {5, 7}, {8, 10}, {9, 11}, {12, 14}, {13, 15}});
  CHECK(ranks.groups({Role::tensor}) ==
        Groups{{0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}, {10, 11}, {12, 13}, {14, 15}});
  CHECK(ranks.groups({Role::stage}) ==
        Groups{{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15}});
  CHECK(ranks.coordinate(6, Role::stage) == 1);
  CHECK(ranks.coordinate(6, Role::data) == 1);
  CHECK(ranks.coordinate(6, Role::tensor) == 0);
  CHECK(ranks.coordinate(6, Role::expert) == 0);
}

TEST_CASE("experts: the ranks of a stage, split otherwise") {
  const MegatronDegrees degrees{.tensor = 2, .data = 4, .stages = 2, .expert = 4};
  const Ranks experts = megatron_expert_ranks(degrees);
  CHECK(experts.groups({Role::expert}) ==
        Groups{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9, 10, 11}, {12, 13, 14, 15}});
  CHECK(experts.groups({Role::data})[0] == Group{0, 4});
  CHECK(megatron_groups(degrees).back().groups[3] == Group{3, 11});
  CHECK_THROWS_WITH(megatron_expert_ranks({.tensor = 2, .data = 2, .expert = 3}),
                    "ranks: 4 ranks can not be split over 3 experts, 1 ways each, and 1 stages");
  // With data outermost, two stages of eight ranks come out differently for experts of four.
  CHECK_THROWS_AS(
      megatron_expert_ranks({.tensor = 1, .data = 4, .stages = 2, .expert = 4}, "tp-cp-ep-pp-dp"),
      tessera::InvalidArgument);
}

// Groups by their definition: ranks are together when they agree in every other role.
Groups groups_by_definition(const Ranks& ranks, const Roles& roles) {
  Groups result;
  std::set<Device> done;
  for (Device rank = 0; rank < ranks.count(); ++rank) {
    if (done.count(rank) != 0) continue;
    result.emplace_back();
    for (Device other = rank; other < ranks.count(); ++other) {
      bool agree = true;
      for (const Role role : all_roles)
        if (std::find(roles.begin(), roles.end(), role) == roles.end())
          agree = agree && ranks.coordinate(rank, role) == ranks.coordinate(other, role);
      if (!agree) continue;
      result.back().push_back(other);
      done.insert(other);
    }
  }
  return result;
}

TEST_CASE("property: groups are what they are defined to be, in any order of roles") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const auto degree = [&] { return Extent{1} << random.below(3); };
    const MegatronDegrees degrees{
        .tensor = degree(), .context = degree(), .data = degree(), .stages = degree()};
    std::vector<std::string> names{"tp", "cp", "ep", "dp", "pp"};
    std::string order;
    while (!names.empty()) {
      const std::size_t at = random.below(names.size());
      order += (order.empty() ? "" : "-") + names[at];
      names.erase(names.begin() + static_cast<std::ptrdiff_t>(at));
    }
    CAPTURE(order);
    const Ranks ranks = megatron_ranks(degrees, order);
    CHECK(ranks.count() == degrees.tensor * degrees.context * degrees.data * degrees.stages);
    for (unsigned set = 0; set < 32; ++set) {
      Roles roles;
      for (std::size_t i = 0; i < all_roles.size(); ++i)
        if ((set >> i & 1U) != 0) roles.push_back(all_roles[i]);
      REQUIRE(ranks.groups(roles) == groups_by_definition(ranks, roles));
    }
  }
}

TEST_CASE("like stages in a row are Megatron's order") {
  const MegatronDegrees degrees{.tensor = 4, .data = 2, .stages = 3};
  const Ranks megatron = megatron_ranks(degrees);
  std::vector<RankBlock> stages;
  for (Device first = 0; first < 24; first += 8)
    stages.push_back({first, DynamicMesh{2, 4}, {Role::data, Role::tensor}});
  const Ranks ours = Ranks::of_stages(stages);
  for (Device rank = 0; rank < 24; ++rank)
    for (const Role role : all_roles)
      CHECK(ours.coordinate(rank, role) == megatron.coordinate(rank, role));
  for (const Roles& roles : {Roles{Role::data}, Roles{Role::tensor}, Roles{Role::stage},
                             Roles{Role::tensor, Role::stage}})
    CHECK(ours.groups(roles) == megatron.groups(roles));
  CHECK(ours.neighbours() == megatron.neighbours());
}

TEST_CASE("stages may differ, and lie in another order than they run") {
  const Ranks ranks = Ranks::of_stages(
      {{4, DynamicMesh{2, 2}, {Role::data, Role::tensor}}, {0, DynamicMesh{4}, {Role::tensor}}});
  CHECK(ranks.count() == 8);
  CHECK(ranks.coordinate(0, Role::stage) == 1);
  CHECK(ranks.coordinate(7, Role::data) == 1);
  CHECK(ranks.groups({Role::tensor}) == Groups{{0, 1, 2, 3}, {4, 5}, {6, 7}});
  CHECK(ranks.groups({Role::data}) == Groups{{0}, {1}, {2}, {3}, {4, 6}, {5, 7}});
  CHECK(ranks.neighbours() == Groups{{0, 1, 2, 3, 4, 5, 6, 7}});
  const Ranks swapped =
      Ranks::of_stages({{2, DynamicMesh{2}, {Role::tensor}}, {0, DynamicMesh{2}, {Role::tensor}}});
  CHECK(swapped.groups({Role::stage}) == Groups{{0, 2}, {1, 3}});
  CHECK_THROWS_WITH(
      ranks.groups({Role::stage}),
      "ranks: stage 1 has another mesh than the first one, so there are no groups over stages");
}

TEST_CASE("an invalid numbering is refused by name") {
  CHECK_THROWS_WITH(
      megatron_ranks({}, "tp-xp"),
      "rank order 'tp-xp': 'xp' is none of tp, cp, ep, dp, pp, or stands there twice");
  CHECK_THROWS_WITH(
      megatron_ranks({}, "tp-tp"),
      "rank order 'tp-tp': 'tp' is none of tp, cp, ep, dp, pp, or stands there twice");
  CHECK_THROWS_WITH(megatron_ranks({.tensor = 2}, "dp-pp"),
                    "rank order: tp has a degree above 1, but no place in the order");
  CHECK_THROWS_AS(megatron_ranks({.tensor = 0}), InvalidMesh);
  CHECK_THROWS_WITH(megatron_ranks({}).coordinate(1, Role::data), "ranks: there is no rank 1 of 1");
  CHECK_THROWS_WITH(Ranks::of_stages({{1, DynamicMesh{2}, {Role::data}}}),
                    "ranks: stage 0 begins at rank 1; the next free rank is 0");
  CHECK_THROWS_WITH(Ranks::of_stages({{0, DynamicMesh{2}, {}}}),
                    "ranks: the mesh 2 has 0 roles; give one for each axis");
}

}  // namespace
