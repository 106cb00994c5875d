// SPDX-License-Identifier: Apache-2.0
// Transfers between stages, element by element: every device gets its shard, from a device that
// holds it, and nothing is sent to a host twice.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "support/random.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/pipeline/transfer.hpp"

namespace {
using namespace tessera;
using namespace tessera::pipeline;
using tessera_test::Random;

using Elements = std::set<Extent>;  // row-major numbers in the whole tensor

// The elements of a slice, in row-major order.
std::vector<Extent> elements_of(const Dims& dims, const Slice& slice) {
  std::vector<Extent> list{0};
  for (std::size_t dim = 0; dim < dims.size(); ++dim) {
    std::vector<Extent> longer;
    for (const Extent element : list)
      for (Extent at = slice[dim].begin; at < slice[dim].end; ++at)
        longer.push_back(element * dims[dim] + at);
    list = std::move(longer);
  }
  return list;
}

std::vector<Extent> elements_of(const Dims& dims, const Send& send) {
  const std::vector<Extent> block = elements_of(dims, send.block);
  return {block.begin() + send.elements.begin, block.begin() + send.elements.end};
}

std::map<Device, Elements> held(const Dims& dims, const PlacedSharding& placed) {
  std::map<Device, Elements> result;
  for (Device device = 0; device < placed.mesh.device_count(); ++device) {
    const auto list = elements_of(dims, slice_of(placed.sharding, placed.mesh, dims, device));
    result[placed.first + device] = Elements(list.begin(), list.end());
  }
  return result;
}

// What must cross at least: for every host all that its devices need and none of them holds.
Wide least_across(const std::map<Device, Elements>& source,
                  const std::map<Device, Elements>& target, Extent per_host) {
  std::map<Device, Elements> needed;
  for (const auto& [device, elements] : target)
    needed[device / per_host].insert(elements.begin(), elements.end());
  Wide count = 0;
  for (auto& [host, elements] : needed) {
    for (const auto& [device, others] : source)
      if (device / per_host == host)
        for (const Extent element : others) elements.erase(element);
    count += static_cast<Wide>(elements.size());
  }
  return count;
}

void check_transfer(const Dims& dims, const PlacedSharding& from, const PlacedSharding& to,
                    Extent per_host) {
  const Transfer transfer = transfer_between(dims, from, to, per_host);
  const std::map<Device, Elements> source = held(dims, from), target = held(dims, to);
  std::map<Device, Elements> has = source;  // after what crosses
  Wide crossed = 0;
  for (const Send& send : transfer.across) {
    REQUIRE(send.from / per_host != send.to / per_host);
    for (const Extent element : elements_of(dims, send)) {
      REQUIRE(source.at(send.from).count(element) == 1);
      REQUIRE(target.at(send.to).count(element) == 1);
      REQUIRE(has[send.to].insert(element).second);  // nobody is sent anything twice
      ++crossed;
    }
  }
  CHECK(crossed == transfer.elements_across);
  CHECK(crossed == least_across(source, target, per_host));
  std::map<Device, Elements> after = has;
  for (const Send& send : transfer.within) {
    REQUIRE(send.from / per_host == send.to / per_host);
    for (const Extent element : elements_of(dims, send)) {
      REQUIRE(has.at(send.from).count(element) == 1);
      REQUIRE(after[send.to].insert(element).second);
    }
  }
  for (const auto& [device, elements] : target)
    for (const Extent element : elements) REQUIRE(after[device].count(element) == 1);
}

DynamicSharding random_sharding(Random& random, const DynamicMesh& mesh, std::size_t rank) {
  DynamicSharding sharding = DynamicSharding::replicated(rank);
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
    if (rank > 0 && !random.once_in(3)) sharding = sharding.with_split(random.below(rank), axis);
  return sharding;
}

TEST_CASE("property: everyone gets what it should hold, and as little crosses as can") {
  const std::vector<DynamicMesh> meshes{{1},    {2},    {3},       {4},    {2, 2}, {2, 3},
                                        {2, 4}, {4, 2}, {2, 2, 2}, {8, 1}, {1, 8}};
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Dims dims;
    for (std::size_t dim = random.below(4); dim > 0; --dim) dims.push_back(random.between(0, 9));
    PlacedSharding from, to;
    from.mesh = random.pick(meshes);
    to.mesh = random.pick(meshes);
    to.first = from.mesh.device_count() + random.between(0, 4);
    from.sharding = random_sharding(random, from.mesh, dims.size());
    to.sharding = random_sharding(random, to.mesh, dims.size());
    check_transfer(dims, from, to, random.between(1, 8));
  }
}

// --- Examples ------------------------------------------------------------------------------------

const DynamicMesh eight{8};
const DynamicSharding whole = DynamicSharding::replicated(2);
const DynamicSharding rows = whole.with_split(0, 0), columns = whole.with_split(1, 0);

std::map<Device, Wide> sent(const std::vector<Send>& sends) {
  std::map<Device, Wide> result;
  for (const Send& send : sends) result[send.from] += send.elements.size();
  return result;
}

TEST_CASE("copies to copies: an eighth from each to each, then all to all within the host") {
  const Transfer transfer = transfer_between({64, 16}, {eight, whole, 0}, {eight, whole, 8}, 8);
  CHECK(transfer.elements_across == 1024);
  CHECK(transfer.across.size() == 8);
  for (const auto& [device, count] : sent(transfer.across)) CHECK(count == 128);
  for (const auto& [device, count] : sent(transfer.within)) CHECK(count == 128 * 7);
}

TEST_CASE("the same sharding on both: each sends to its twin, and nothing goes round") {
  const Transfer transfer = transfer_between({64, 16}, {eight, rows, 0}, {eight, rows, 8}, 8);
  CHECK(transfer.across.size() == 8);
  CHECK(transfer.within.empty());
  for (const Send& send : transfer.across) CHECK(send.to == send.from + 8);
}

TEST_CASE("rows to columns: everyone sends the same, and all of it crosses once") {
  const Transfer transfer = transfer_between({64, 16}, {eight, rows, 0}, {eight, columns, 8}, 8);
  CHECK(transfer.elements_across == 1024);
  for (const auto& [device, count] : sent(transfer.across)) CHECK(count == 128);
  CHECK(transfer.within.empty());
}

TEST_CASE("GPT-3: 50.3 MB cross a border of stages, 6.3 MB from each of eight ranks") {
  const Transfer transfer =
      transfer_between({2048, 12288}, {eight, whole, 0}, {eight, whole, 8}, 8);
  CHECK(transfer.elements_across * 2 == 50'331'648);
  for (const auto& [device, count] : sent(transfer.across)) CHECK(count * 2 == 6'291'456);
}

TEST_CASE("stages in one host send nothing across") {
  const DynamicMesh four{4};
  const Transfer transfer = transfer_between({64, 16}, {four, rows, 0}, {four, whole, 4}, 8);
  CHECK(transfer.across.empty());
  CHECK(sent(transfer.within).size() == 4);
}

TEST_CASE("a transfer takes as long as the busiest link, in both phases") {
  const Transfer transfer = transfer_between({64, 16}, {eight, whole, 0}, {eight, whole, 8}, 8);
  cost::Cluster cluster;
  cluster.levels.push_back({.name = "node", .fan_out = 8, .bandwidth = 1'000'000'000'000});
  cluster.levels.push_back({.name = "network", .fan_out = 2, .bandwidth = 100'000'000'000});
  // 128 elements of 2 bytes cross at a byte in 10 ps; then 7 times that at a byte in 1 ps.
  CHECK(transfer_time(transfer, 2, cluster) == 256 * 10 + 256 * 7);
  cluster.levels[1].achieved_percent = 50;
  CHECK(transfer_time(transfer, 2, cluster) == 256 * 20 + 256 * 7);
  cluster.levels[1].latency = 5;
  cluster.levels[0].latency = 3;
  cluster.collective_start = 100;
  CHECK(transfer_time(transfer, 2, cluster) == 256 * 20 + 256 * 7 + 8 + 2 * 100);
  // One link to each peer: 7 messages at once, each over its own.
  cluster.levels[0].wiring = cost::Wiring::peers;
  cluster.levels[0].peer_bandwidth = 100'000'000'000;
  CHECK(transfer_time(transfer, 2, cluster) == 256 * 20 + 256 * 10 + 8 + 2 * 100);
  CHECK(transfer_time({}, 2, cluster) == 0);
  cluster.levels.resize(1);
  CHECK_THROWS_WITH(transfer_time(transfer, 2, cluster),
                    "transfer: from device 0 to device 8, but cluster  has 8 devices");
}

TEST_CASE("partial sums are not sent") {
  const DynamicSharding partial = whole.with_partial(0, Reduction::sum);
  CHECK_THROWS_WITH(
      transfer_between({4, 4}, {eight, partial, 0}, {eight, whole, 8}, 8),
      "transfer: sharding [[], []] partial=sum[0] is a partial sum (unreduced); reduce "
      "it before it is sent");
  CHECK_THROWS_AS(transfer_between({4}, {eight, whole, 0}, {eight, rows, 8}, 8), InvalidSharding);
}

}  // namespace
