// SPDX-License-Identifier: Apache-2.0
// Submeshes: the paper's theorem by trying everything, packing against brute force, views.
#include <doctest/doctest.h>

#include <functional>
#include <numeric>

#include "support/random.hpp"
#include "tessera/pipeline/submesh.hpp"

namespace {
using namespace tessera;
using namespace tessera::pipeline;

// Whether every device of the cluster is in exactly one submesh, and none straddles hosts.
bool tiles(const Submesh& cluster, const Submeshes& submeshes, const Placement& placement) {
  std::vector<int> owners(static_cast<std::size_t>(cluster.devices()), 0);
  for (std::size_t i = 0; i < submeshes.size(); ++i) {
    const Device begin = placement[i], end = begin + submeshes[i].devices();
    if (begin < 0 || end > cluster.devices()) return false;
    const bool is_part = submeshes[i].per_host < cluster.per_host;
    if (is_part && begin / cluster.per_host != (end - 1) / cluster.per_host) return false;
    if (!is_part && begin % cluster.per_host != 0) return false;
    for (Device device = begin; device < end; ++device) ++owners[static_cast<std::size_t>(device)];
  }
  return std::all_of(owners.begin(), owners.end(), [](int count) { return count == 1; });
}

// Calls visit(Submeshes) for every choice of `shapes` that has so many devices, shapes in order.
template<class Visit>
void for_each_choice(const Submeshes& shapes, Extent devices, Visit&& visit) {
  Submeshes chosen;
  const std::function<void(std::size_t, Extent)> choose = [&](std::size_t from, Extent left) {
    if (left == 0) return visit(chosen);
    for (std::size_t shape = from; shape < shapes.size(); ++shape) {
      if (shapes[shape].devices() > left) continue;
      chosen.push_back(shapes[shape]);
      choose(shape, left - shapes[shape].devices());
      chosen.pop_back();
    }
  };
  choose(0, devices);
}

TEST_CASE("the paper's theorem: whatever uses all devices can be placed, in any order") {
  std::size_t choices = 0;
  for (const Submesh& cluster : {Submesh{1, 1}, Submesh{5, 1}, Submesh{4, 2}, Submesh{4, 4},
                                 Submesh{3, 8}, Submesh{6, 8}, Submesh{3, 16}}) {
    CAPTURE(to_string(cluster));
    tessera_test::Random random(choices);
    for_each_choice(paper_submeshes(cluster), cluster.devices(), [&](Submeshes submeshes) {
      ++choices;
      for (int order = 0; order < 3; ++order) {
        const auto placement = place(cluster, submeshes);
        REQUIRE(placement.has_value());
        REQUIRE(tiles(cluster, submeshes, *placement));
        if (order == 0)
          std::reverse(submeshes.begin(), submeshes.end());
        else
          for (std::size_t i = submeshes.size(); i > 1; --i)
            std::swap(submeshes[i - 1], submeshes[random.below(i)]);
      }
    });
  }
  CHECK(choices > 1000);
}

TEST_CASE("property: with parts of any size, a placement is found where there is one") {
  // Brute force: every part tries every host.
  const auto can_be_packed = [](const Submesh& cluster, const Submeshes& submeshes) {
    std::vector<Extent> parts;
    Extent hosts = cluster.hosts;
    for (const Submesh& submesh : submeshes)
      if (submesh.per_host < cluster.per_host)
        parts.push_back(submesh.per_host);
      else
        hosts -= submesh.hosts;
    std::vector<Extent> left(static_cast<std::size_t>(hosts), cluster.per_host);
    const std::function<bool(std::size_t)> pack = [&](std::size_t part) {
      if (part == parts.size()) return true;
      for (Extent& host : left) {
        if (host < parts[part]) continue;
        host -= parts[part];
        const bool is_packed = pack(part + 1);
        host += parts[part];
        if (is_packed) return true;
      }
      return false;
    };
    return pack(0);
  };
  std::size_t placed = 0, refused = 0;
  for (const Submesh& cluster : {Submesh{2, 3}, Submesh{3, 4}, Submesh{2, 6}, Submesh{3, 6}}) {
    CAPTURE(to_string(cluster));
    for_each_choice(all_submeshes(cluster), cluster.devices(), [&](const Submeshes& submeshes) {
      const auto placement = place(cluster, submeshes);
      REQUIRE(placement.has_value() == can_be_packed(cluster, submeshes));
      if (placement) REQUIRE(tiles(cluster, submeshes, *placement));
      ++(placement ? placed : refused);
    });
  }
  CHECK(placed > 100);
  CHECK(refused > 20);
}

TEST_CASE("stages stay in order where their order can be placed") {
  const Submesh cluster{2, 8};
  CHECK(*place(cluster, {{1, 4}, {1, 4}, {1, 8}}) == Placement{0, 4, 8});
  CHECK(*place(cluster, {{1, 2}, {1, 4}, {1, 2}, {1, 8}}) == Placement{0, 2, 6, 8});
  CHECK(*place(cluster, {{1, 4}, {1, 8}, {1, 4}}) == Placement{8, 0, 12});
}

TEST_CASE("the shapes there are") {
  CHECK(paper_submeshes({3, 4}) == Submeshes{{1, 1}, {1, 2}, {1, 4}, {2, 4}, {3, 4}});
  CHECK(paper_submeshes({2, 1}) == Submeshes{{1, 1}, {2, 1}});
  CHECK(all_submeshes({2, 4}) == Submeshes{{1, 1}, {1, 2}, {1, 3}, {1, 4}, {2, 4}});
  // Alpa's eight hosts of eight devices, and sixteen layers: 136 runs of layers, 1496 pairs.
  CHECK(16 * 17 / 2 * paper_submeshes({8, 8}).size() == 1496);
}

TEST_CASE("a submesh is seen as every mesh with as many devices") {
  std::string text;
  for (const DynamicMesh& view : logical_views({2, 8})) text += tessera::to_string(view) + ' ';
  CHECK(text == "1x16 2x8 4x4 8x2 16x1 ");
  CHECK(logical_views({1, 12}, 3).size() == 18);
  CHECK(logical_views({1, 1}).size() == 1);
}

TEST_CASE("what is no part of the cluster is refused by name") {
  CHECK_THROWS_WITH(place({2, 8}, {{2, 4}, {1, 8}}),
                    "submesh 2x4 of a cluster 2x8: must be part of one host, or a number of whole "
                    "hosts");
  CHECK_THROWS_WITH(
      place({2, 8}, {{1, 8}}),
      "placement: the submeshes have 8 devices, the cluster has 16; they must use every device "
      "once");
}

}  // namespace
