// SPDX-License-Identifier: Apache-2.0
// Clusters: where the devices of an axis sit, what collectives take there, and every preset.
#include <doctest/doctest.h>
#include <rapidjson/document.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/files.hpp"
#include "support/random.hpp"
#include "tessera/cost/collective.hpp"
#include "tessera/cost/presets.hpp"

namespace {
using namespace tessera;
using cost::Algorithm;
using cost::Cluster;
using cost::Collective;
using cost::GroupLevel;
using cost::GroupTopology;
using cost::Message;
using cost::Rate;
using cost::Wiring;

constexpr Rate GB = 1'000'000'000;

double milliseconds(Cost picoseconds) { return static_cast<double>(picoseconds) / 1e9; }
double microseconds(Cost picoseconds) { return static_cast<double>(picoseconds) / 1e6; }

// All links at their vendors' rates, and no latency: as people calculate on paper.
Cluster on_paper(Cluster cluster) {
  for (cost::LinkLevel& level : cluster.levels) {
    level.latency = 0;
    level.achieved_percent = 100;
  }
  cluster.collective_start = 0;
  return cluster;
}

GroupTopology one_level(Extent fan_out, Rate bandwidth, Cost latency = 0) {
  return {fan_out, {{fan_out, 1, Wiring::switched, bandwidth, latency, false, true}}};
}
GroupTopology two_levels(Extent hosts, Rate outer, Extent in_host, Rate inner) {
  return {hosts * in_host,
          {{in_host, 1, Wiring::switched, inner}, {hosts, in_host, Wiring::switched, outer}}};
}

// --- Worked examples -----------------------------------------------------------------------------

TEST_CASE("eight A100s reduce a GiB at link rate in 6.26 ms, and in 8.00 ms at what was measured") {
  const Message gib{Extent{1} << 30, 1};
  const GroupTopology paper = one_level(8, 300 * GB), measured = one_level(8, 235 * GB);
  CHECK(milliseconds(time_of(Collective::all_reduce, Algorithm::ring, paper, gib)) ==
        doctest::Approx(6.26).epsilon(0.001));
  CHECK(milliseconds(time_of(Collective::all_reduce, Algorithm::ring, measured, gib)) ==
        doctest::Approx(8.00).epsilon(0.001));
}

TEST_CASE("Alpa's testbed reduces a GB over 64 devices in 572 ms, level by level") {
  // 25 Gb/s are 3.125 GB/s for eight devices that all send.
  const GroupTopology group = two_levels(8, 3125 * GB / 1000 / 8, 8, 150 * GB);
  const Message gb{GB, 1};
  CHECK(milliseconds(time_of(Collective::all_reduce, Algorithm::hierarchical, group, gb)) ==
        doctest::Approx(571.7).epsilon(0.001));
  CHECK(milliseconds(time_of(Collective::all_reduce, Algorithm::ring, group, gb)) ==
        doctest::Approx(630).epsilon(0.001));
  CHECK(best_of(Collective::all_reduce, group, gb).algorithm == Algorithm::hierarchical);
  // No algorithm can beat this: every host's 2 * 7/8 through its one port.
  CHECK(milliseconds(best_of(Collective::all_reduce, group, gb).time) > 560);
  // The preset says the same of its groups.
  const Cluster cluster = on_paper(cost::find_cluster("alpa-p3.16xlarge:64"));
  for (const DynamicMesh& mesh : {DynamicMesh{64}, DynamicMesh{8, 8}}) {
    const GroupTopology found = group_topology(cluster, mesh, all_axes(mesh));
    CHECK(time_of(Collective::all_reduce, Algorithm::hierarchical, found, gb) ==
          time_of(Collective::all_reduce, Algorithm::hierarchical, group, gb));
  }
}

TEST_CASE("latencies of 64 devices, 5 us each") {
  const GroupTopology group = one_level(64, 300 * GB, 5 * cost::microsecond);
  const Message nothing{0, 1};
  const auto us = [&](Collective collective, Algorithm algorithm) {
    return microseconds(time_of(collective, algorithm, group, nothing));
  };
  CHECK(us(Collective::all_reduce, Algorithm::ring) == 630);
  CHECK(us(Collective::all_reduce, Algorithm::doubling) == 60);
  CHECK(us(Collective::all_reduce, Algorithm::tree) == 60);
  CHECK(us(Collective::all_gather, Algorithm::ring) == 315);
  CHECK(us(Collective::all_gather, Algorithm::doubling) == 30);
  CHECK(us(Collective::reduce_scatter, Algorithm::doubling) == 30);
}

TEST_CASE("a switch that adds up: 2.68 ms against the ring's 4.18") {
  const GroupTopology group = one_level(8, 450 * GB);
  const Message gib{Extent{1} << 30, 1};
  CHECK(milliseconds(time_of(Collective::all_reduce, Algorithm::in_switch, group, gib)) ==
        doctest::Approx(2.68).epsilon(0.002));
  CHECK(milliseconds(time_of(Collective::all_reduce, Algorithm::ring, group, gib)) ==
        doctest::Approx(4.18).epsilon(0.002));
  GroupTopology plain = group;
  plain.levels[0].reduces_in_switch = false;
  CHECK(time_of(Collective::all_reduce, Algorithm::in_switch, plain, gib) == infinite);
}

TEST_CASE("all-to-all and broadcast of 100 MB among eight") {
  const GroupTopology group = one_level(8, 300 * GB);
  // Each sends 100 MB, so the whole is eight times that.
  CHECK(milliseconds(best_of(Collective::all_to_all, group, {8 * GB / 10, 1}).time) ==
        doctest::Approx(0.29).epsilon(0.01));
  CHECK(milliseconds(best_of(Collective::broadcast, group, {GB / 10, 1}).time) ==
        doctest::Approx(0.33).epsilon(0.02));
}

TEST_CASE("Megatron's traffic: a layer of GPT-3 over eight devices") {
  const Message activations{Extent{2048} * 12288 * 2, 1};
  const auto four = [&](Rate bandwidth) {
    const GroupTopology group = one_level(8, bandwidth);
    return milliseconds(4 * time_of(Collective::all_reduce, Algorithm::ring, group, activations));
  };
  CHECK(four(150 * GB) == doctest::Approx(2.35).epsilon(0.002));
  CHECK(four(300 * GB) == doctest::Approx(1.17).epsilon(0.005));
}

TEST_CASE("a TPU's torus: a GB along sixteen chips of v5p takes 5.56 ms") {
  const GroupTopology axis{16, {{16, 1, Wiring::ring, 90 * GB, cost::microsecond, true}}};
  const auto gather = [&](Extent bytes) {
    return best_of(Collective::all_gather, axis, {bytes, 1}).time;
  };
  CHECK(milliseconds(gather(GB)) == doctest::Approx(5.56).epsilon(0.001));
  CHECK(milliseconds(best_of(Collective::all_reduce, axis, {GB, 1}).time) ==
        doctest::Approx(11.11).epsilon(0.001));
  CHECK(milliseconds(best_of(Collective::all_to_all, axis, {GB, 1}).time) ==
        doctest::Approx(5.56 / 4).epsilon(0.001));
  // Below 1.44 MB the hops are all that counts: eight of 1 us.
  CHECK(microseconds(gather(1'000'000)) == 8);
  CHECK(microseconds(gather(1'440'000)) == 8);
  CHECK(microseconds(gather(1'500'000)) > 8);
  // Two axes halve it, three make it a third.
  GroupTopology cube = axis;
  for (const int axes : {2, 3}) {
    cube.levels.push_back({16, cube.size, Wiring::ring, 90 * GB, cost::microsecond, true});
    cube.size *= 16;
    CHECK(best_of(Collective::all_gather, cube, {GB, 1}).algorithm == Algorithm::torus);
    CHECK(milliseconds(best_of(Collective::all_gather, cube, {GB, 1}).time) ==
          doctest::Approx(5.56 / axes).epsilon(0.001));
  }
}

// --- What was measured ---------------------------------------------------------------------------

TEST_CASE("full groups of H100s over RoCE: within a quarter of what was measured") {
  // Asymptotic algorithm bandwidth in GB/s: hosts, all-gather, reduce-scatter, all-reduce,
  // all-to-all (AutoParallel's profile, eight ranks per host).
  struct Row {
    Extent hosts;
    double gather, scatter, reduce, exchange;
  };
  constexpr Row rows[] = {{1, 386.1, 392.0, 211.7, 374.4}, {2, 322.6, 377.0, 193.1, 82.5},
                          {4, 328.1, 369.3, 187.7, 55.8},  {8, 305.0, 358.5, 171.4, 46.8},
                          {16, 286.1, 299.7, 130.0, 43.6}, {32, 263.9, 301.2, 129.8, 43.1}};
  const Message large{Extent{1} << 36, 1};
  for (const Row& row : rows) {
    const Extent devices = 8 * row.hosts;
    CAPTURE(devices);
    const Cluster cluster = make_cluster(*cost::find_preset("meta-llama3-h100-roce"), devices);
    GroupTopology group = group_topology(cluster, DynamicMesh{devices}, {0});
    for (GroupLevel& level : group.levels)
      level.reduces_in_switch = false;  // the profile shows none of it
    const auto bandwidth = [&](Collective collective, Extent bytes) {
      const double seconds = static_cast<double>(best_of(collective, group, large).time) / 1e12;
      return static_cast<double>(bytes) / 1e9 / seconds;
    };
    const auto is_near = [](double ours, double measured) {
      return ours > measured / 1.3 && ours < measured * 1.3;
    };
    const double gather = bandwidth(Collective::all_gather, large.bytes);
    const double scatter = bandwidth(Collective::reduce_scatter, large.bytes);
    const double reduce = bandwidth(Collective::all_reduce, large.bytes);
    const double exchange = bandwidth(Collective::all_to_all, large.bytes / devices);
    CAPTURE(gather);
    CAPTURE(scatter);
    CAPTURE(reduce);
    CAPTURE(exchange);
    CHECK(is_near(gather, row.gather));
    CHECK(is_near(scatter, row.scatter));
    CHECK(is_near(reduce, row.reduce));
    CHECK(is_near(exchange, row.exchange));
  }
}

TEST_CASE("a ring of H100s gathers next to nothing in about the time that was measured") {
  struct Row {
    Extent devices;
    double measured;  // microseconds
  };
  for (const Row& row : {Row{2, 8}, Row{4, 17}, Row{8, 30}}) {
    const Cluster cluster = make_cluster(*cost::find_preset("dgx-h100-eos"), row.devices);
    const GroupTopology group = group_topology(cluster, DynamicMesh{row.devices}, {0});
    const Cost ring = time_of(Collective::all_gather, Algorithm::ring, group, {0, 1});
    const double ours = microseconds(cluster.collective_start + ring);
    CAPTURE(ours);
    CHECK(ours > row.measured);
    CHECK(ours < row.measured + 4);
  }
}

TEST_CASE("one device of each host has one port's share, 41 of 50 GB/s") {
  const Cluster cluster = cost::find_cluster("meta-llama3-h100-roce:64");
  const GroupTopology group = group_topology(cluster, DynamicMesh{8, 8}, {0});
  CHECK(group.levels[0].throughput() == 41 * GB);  // measured: 40 to 46 from eight hosts up
}

TEST_CASE("16 hosts of Jean Zay reduce at 55 Gb/s over Omni-Path, of 400") {
  const Cluster cluster = cost::find_cluster("jean-zay-v100:64");
  const GroupTopology group = group_topology(cluster, DynamicMesh{64}, {0});
  const Cost time = time_of(Collective::all_reduce, Algorithm::ring, group, {4 * GB, 1});
  CHECK(4 * 8 * 1000 / milliseconds(time) == doctest::Approx(55.1).epsilon(0.02));
}

// --- Where devices sit ---------------------------------------------------------------------------

TEST_CASE("an axis inside a host, one across hosts, and both") {
  const Cluster cluster = on_paper(cost::find_cluster("dgx-a100-80gb-selene:32"));
  const GroupLevel inside{8, 1, Wiring::switched, 300 * GB},
      across{4, 1, Wiring::switched, 25 * GB};
  CHECK(group_topology(cluster, DynamicMesh{4, 8}, {1}) == GroupTopology{8, {inside}});
  CHECK(group_topology(cluster, DynamicMesh{4, 8}, {0}) == GroupTopology{4, {across}});
  GroupLevel all = across;
  all.members_per_unit = 8;
  CHECK(group_topology(cluster, DynamicMesh{4, 8}, {0, 1}) == GroupTopology{32, {inside, all}});
  CHECK(group_topology(cluster, DynamicMesh{32}, {0}) == GroupTopology{32, {inside, all}});
  // An axis that begins inside a host and goes on outside.
  const GroupTopology both = group_topology(cluster, DynamicMesh{2, 8, 2}, {1});
  CHECK(both.levels.size() == 2);
  CHECK(both.levels[0].fan_out == 4);
  CHECK(both.levels[1] == GroupLevel{2, 4, Wiring::switched, 25 * GB});
  CHECK(group_topology(cluster, DynamicMesh{4, 1, 8}, {1}) == GroupTopology{});
}

TEST_CASE("groups that do not line up with the hosts pay as if each device had one to itself") {
  const Cluster cluster = on_paper(cost::find_cluster("dgx-a100-80gb-selene:12"));  // 2 x 6
  CHECK(cluster.natural_mesh() == DynamicMesh{2, 6});
  const GroupTopology group = group_topology(cluster, DynamicMesh{3, 4}, {1});
  CHECK(group.levels.size() == 1);
  CHECK(group.levels[0].fan_out == 4);
  // Six devices share eight ports: each has one, a flow can have no more.
  CHECK(group.levels[0].bandwidth == 25 * GB);
  // Pairs do line up.
  CHECK(group_topology(cluster, DynamicMesh{6, 2}, {1}).levels[0].bandwidth == 300 * GB);
}

TEST_CASE("devices joined pair by pair use only the links they have to each other") {
  const Cluster cluster = on_paper(cost::find_cluster("mi300x-8:8"));
  CHECK(group_topology(cluster, DynamicMesh{4, 2}, {1}).levels[0].throughput() == 64 * GB);
  CHECK(group_topology(cluster, DynamicMesh{2, 4}, {1}).levels[0].throughput() == 192 * GB);
  CHECK(group_topology(cluster, DynamicMesh{8}, {0}).levels[0].throughput() == 448 * GB);
}

TEST_CASE("ports are shared by the devices of a host, and one device has no more than its own") {
  const auto port = [](const char* name) {
    const Cluster cluster = on_paper(cost::find_cluster(name));
    return cluster.levels[cluster.levels.size() - 1].bandwidth;
  };
  CHECK(port("a100-40gb-hdr:16") == 12'500'000'000);  // four of 25 GB/s for eight devices
  CHECK(port("a100-40gb-hdr:10") == 20 * GB);         // two hosts of five
  CHECK(port("a100-40gb-hdr:2") == 300 * GB);         // one host
  CHECK(port("a100-40gb-hdr:11") == 25 * GB);         // eleven hosts of one
  CHECK(port("aws-p5:16") == 50 * GB);                // four of 12.5 for each
}

TEST_CASE("pods: full bandwidth inside, a seventh between") {
  const Cluster cluster = on_paper(cost::find_cluster("meta-llama3-h100-roce:6144"));
  CHECK(cluster.natural_mesh() == DynamicMesh{2, 384, 8});
  CHECK(cluster.levels[1].bandwidth == 50 * GB);
  CHECK(cluster.levels[2].bandwidth == 50 * GB / 7);
}

TEST_CASE("a torus is cut as a cube, and closes where its axes are long enough") {
  CHECK(cost::find_cluster("tpu-v4-pod:64").natural_mesh() == DynamicMesh{4, 4, 4});
  CHECK(cost::find_cluster("tpu-v4-pod:32").natural_mesh() == DynamicMesh{2, 4, 4});
  CHECK(cost::find_cluster("tpu-v5e-pod:256").natural_mesh() == DynamicMesh{16, 16});
  CHECK(cost::find_cluster("tpu-v5p-pod:8960").natural_mesh() == DynamicMesh{16, 20, 28});
  CHECK(cost::find_cluster("tpu-v4-pod:1").natural_mesh() == DynamicMesh{1});
  // PaLM's two pods of 3072.
  const Cluster palm = cost::find_cluster("tpu-v4-pod:6144");
  CHECK(palm.natural_mesh() == DynamicMesh{2, 12, 16, 16});
  CHECK(on_paper(palm).levels[3].bandwidth == 6'250'000'000);
  const Cluster line = cost::find_cluster("tpu-v5e-pod:64");  // 8 x 8: only sixteen close
  CHECK(!group_topology(line, DynamicMesh{8, 8}, {1}).levels[0].is_closed);
  const Cluster cube = cost::find_cluster("tpu-v4-pod:64");
  const DynamicMesh mesh{4, 4, 4};
  CHECK(group_topology(cube, mesh, {1}).levels[0].is_closed);
  CHECK(group_topology(cube, mesh, {1}).levels[0].throughput() == 90 * GB);
  // Every second chip of a row: the ring stays closed, and two groups share its links.
  const GroupTopology half = group_topology(cube, DynamicMesh{16, 2, 2}, {1});
  CHECK(half.levels[0].is_closed);
  CHECK(half.levels[0].throughput() == 45 * GB);
  CHECK(!group_topology(cube, DynamicMesh{16, 2, 2}, {2}).levels[0].is_closed);
}

// --- Presets -------------------------------------------------------------------------------------

// The figures of each preset's source, and two all-reduces of a GB calculated from them by hand:
// over one host (of a TPU: over the longest axis of a whole pod) and between two hosts over one
// device of each.
struct Known {
  const char* name;
  Extent host_devices, max_devices;
  double peak_tera;  // bfloat16, or half precision where there is none
  Extent memory_bytes;
  double memory_giga;
  double node_ms, network_ms;  // 0: none
};
constexpr Known all_known[] = {
    {"alpa-p3.16xlarge", 8, 64, 125, 17179869184, 900, 11.6667, 2560},
    {"aws-p3.2xlarge-x64", 1, 64, 125, 17179869184, 900, 0, 800},
    {"dgx-1-v100", 8, 992, 125, 34359738368, 900, 11.6667, 160},
    {"dgx-2", 16, 1536, 125, 34359738368, 900, 12.5, 160},
    {"jean-zay-v100", 4, 1044, 125, 34359738368, 900, 10, 80},
    {"dgx-a100-80gb-selene", 8, 4480, 312, 80000000000, 2039, 5.8333, 40},
    {"dgx-a100-40gb", 8, 2240, 312, 40000000000, 1555, 5.8333, 40},
    {"a100-40gb-hdr", 8, 96, 312, 40000000000, 1555, 5.8333, 80},
    {"aws-p4d", 8, 4000, 312, 40000000000, 1555, 5.8333, 160},
    {"jean-zay-a100", 8, 416, 312, 80000000000, 2039, 5.8333, 160},
    {"mosaic-a100-80gb-1600gbps", 8, 128, 312, 80000000000, 2039, 5.8333, 40},
    {"mosaic-a100-40gb-1600gbps", 8, 128, 312, 40000000000, 1555, 5.8333, 40},
    {"a100-80gb-400gbps", 8, 128, 312, 80000000000, 2039, 5.8333, 160},
    {"a100-80gb-unspecified-fabric", 8, 2048, 312, 80000000000, 2039, 5.8333, 0},
    {"megascale-ampere", 8, 12288, 312, 80000000000, 2039, 5.8333, 40},
    {"dgx-h100-eos", 8, 10752, 989, 80000000000, 3350, 3.8889, 20},
    {"meta-llama3-h100-roce", 8, 24576, 989, 80000000000, 3350, 3.8889, 20},
    {"grand-teton-h100-hbm2e", 8, 512, 989, 96000000000, 2400, 3.8889, 20},
    {"mosaic-h100-80gb", 8, 512, 989, 80000000000, 3350, 3.8889, 20},
    {"h100-80gb-800gbps", 8, 96, 989, 80000000000, 3350, 3.8889, 80},
    {"aws-p5", 8, 20000, 989, 80000000000, 3350, 3.8889, 20},
    {"deepseek-h800", 8, 2048, 989, 80000000000, 3350, 8.75, 20},
    {"dgx-h200", 8, 0, 989, 141000000000, 4800, 3.8889, 20},
    {"dgx-b200", 8, 0, 2250, 180000000000, 8000, 1.9444, 20},
    {"dgx-b300", 8, 0, 2250, 288000000000, 8000, 1.9444, 10},
    {"gb200-nvl72", 72, 0, 2500, 186000000000, 8000, 2.1914, 20},
    {"gb300-nvl72", 72, 0, 2500, 288000000000, 8000, 2.1914, 10},
    {"mi300x-8", 8, 0, 1307.4, 192000000000, 5300, 3.9062, 20},
    {"tpu-v3-pod", 8, 1024, 123, 32000000000, 900, 12.1951, 0},
    {"tpu-v4-pod", 4, 4096, 275, 32000000000, 1200, 22.2222, 0},
    {"tpu-v5e-pod", 8, 256, 197, 16000000000, 810, 22.2222, 0},
    {"tpu-v5p-pod", 4, 8960, 459, 95000000000, 2765, 11.1111, 0},
    {"tpu-v6e-pod", 8, 256, 918, 32000000000, 1640, 11.1111, 0},
};

TEST_CASE("every preset is what its source says") {
  CHECK(std::size(all_known) == cost::presets().size());
  for (const Known& known : all_known) {
    const std::string name = known.name;
    CAPTURE(name);
    const cost::Preset* const preset = cost::find_preset(known.name);
    REQUIRE(preset != nullptr);
    const graph::ElementType half = preset->device->peak.bf16 != 0 ? graph::ElementType::bf16
                                                                   : graph::ElementType::f16;
    CHECK(static_cast<double>(preset->device->peak_rate(half)) ==
          doctest::Approx(known.peak_tera * 1e12));
    CHECK(preset->device->memory_bytes == known.memory_bytes);
    CHECK(static_cast<double>(preset->device->memory_bandwidth) ==
          doctest::Approx(known.memory_giga * 1e9));
    CHECK(preset->host_devices == known.host_devices);
    const bool is_torus = preset->torus.device_count() > 0;
    CHECK((is_torus ? preset->torus.device_count() : preset->max_devices) == known.max_devices);
    if (known.max_devices != 0)
      CHECK_NOTHROW(make_cluster(*preset, is_torus ? known.max_devices : 1));
    if (known.max_devices != 0 && !is_torus)
      CHECK_THROWS_AS(make_cluster(*preset, known.max_devices + 1), tessera::InvalidArgument);
  }
}

TEST_CASE("every preset takes as long as was reckoned by hand") {
  const auto all_reduce = [](const GroupTopology& group) {
    Cost least = infinite;  // without what a switch may add up
    for (const Algorithm algorithm : {Algorithm::ring, Algorithm::hierarchical})
      least = std::min(least, time_of(Collective::all_reduce, algorithm, group, {GB, 1}));
    return milliseconds(least);
  };
  for (const Known& known : all_known) {
    const std::string name = known.name;
    CAPTURE(name);
    const cost::Preset& preset = *cost::find_preset(known.name);
    if (preset.torus.device_count() > 0) {
      const Cluster pod = on_paper(make_cluster(preset, known.max_devices));
      const DynamicMesh mesh = pod.natural_mesh();
      const AxisSet last{mesh.rank() - 1};
      CHECK(all_reduce(group_topology(pod, mesh, last)) ==
            doctest::Approx(known.node_ms).epsilon(0.001));
      continue;
    }
    const Extent in_host = preset.host_devices;
    if (known.node_ms != 0) {
      const Cluster host = on_paper(make_cluster(preset, in_host));
      CHECK(all_reduce(group_topology(host, DynamicMesh{in_host}, {0})) ==
            doctest::Approx(known.node_ms).epsilon(0.001));
    }
    if (known.network_ms == 0) {
      CHECK_THROWS_AS(make_cluster(preset, 2 * in_host), tessera::InvalidArgument);
      continue;
    }
    const Cluster hosts = on_paper(make_cluster(preset, 2 * in_host));
    CHECK(all_reduce(group_topology(hosts, DynamicMesh{2, in_host}, {0})) ==
          doctest::Approx(known.network_ms).epsilon(0.001));
  }
}

// The figures once more, from the collection itself where it is at hand.
TEST_CASE("presets agree with the collected facts") {
  const auto path = tessera_test::shared_file("facts/clusters.json");
  if (!path) return;
  std::ifstream file(*path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  rapidjson::Document facts;
  facts.Parse(text.c_str());
  REQUIRE(!facts.HasParseError());
  const auto& list = facts["clusters"];
  CHECK(list.Size() == cost::presets().size());
  for (const auto& fact : list.GetArray()) {
    const std::string name = fact["id"].GetString();
    CAPTURE(name);
    const cost::Preset* const preset = cost::find_preset(name);
    REQUIRE(preset != nullptr);
    const auto same = [](Rate ours, const rapidjson::Value& theirs) {
      return theirs.IsNull() ? ours == 0 : static_cast<double>(ours) == theirs.GetDouble();
    };
    const auto& peak = fact["peak_flops_dense"];
    if (peak.HasMember("fp64")) CHECK(same(preset->device->peak.fp64, peak["fp64"]));
    CHECK(same(preset->device->peak.fp32, peak["fp32"]));
    CHECK(same(preset->device->peak.tf32, peak["tf32"]));
    CHECK(same(preset->device->peak.bf16, peak["bf16"]));
    CHECK(same(preset->device->peak.fp16, peak["fp16"]));
    CHECK(same(preset->device->peak.fp8, peak["fp8"]));
    CHECK(same(preset->device->memory_bytes, fact["hbm_bytes"]));
    CHECK(same(preset->device->memory_bandwidth, fact["hbm_bandwidth_Bps"]));
    CHECK(preset->host_devices == fact["devices_per_node"].GetInt64());
    if (const auto& host = fact["intra_node"]; !host.IsNull()) {
      if (host.HasMember("per_direction_bandwidth_Bps_per_link"))
        CHECK(same(preset->torus.link_bandwidth, host["per_direction_bandwidth_Bps_per_link"]));
      else
        CHECK(same(preset->host.bandwidth, host["per_direction_bandwidth_Bps_per_device"]));
    }
    if (const auto& network = fact["inter_node"]; !network.IsNull())
      CHECK(same(preset->network.nics * preset->network.nic_rate,
                 network["per_direction_bandwidth_Bps_per_node"]));
  }
}

TEST_CASE("clusters are asked for by name and number") {
  CHECK(cost::find_cluster("dgx-h200:16").device_count() == 16);
  CHECK(cost::find_cluster("gb200-nvl72:128").natural_mesh() == DynamicMesh{2, 64});
  CHECK_THROWS_WITH(cost::find_cluster("dgx-h200"),
                    "'dgx-h200' does not say how many devices; write dgx-h200:8");
  CHECK_THROWS_WITH(cost::find_cluster("dgx-h200:8x"),
                    "'dgx-h200:8x' does not say how many devices; write dgx-h200:8");
  CHECK_THROWS_WITH(cost::find_cluster("dgx-h200:0"),
                    "cluster dgx-h200 of 0 devices: a cluster has one device at least");
  CHECK_THROWS_WITH(cost::find_cluster("dgx-h200:999999999999999989"),
                    "cluster dgx-h200 of 999999999999999989 devices: a million is the most");
  CHECK_THROWS_WITH(cost::find_cluster("tpu-v4-pod:17"),
                    "cluster tpu-v4-pod of 17 devices: they make up no part of its torus");
  CHECK_THROWS_WITH(
      cost::find_cluster("tpu-v5e-pod:257"),
      "cluster tpu-v5e-pod of 257 devices: they make up no 2 equal parts of its torus");
  CHECK_THROWS_WITH(cost::find_cluster("alpa-p3.16xlarge:128"),
                    "cluster alpa-p3.16xlarge of 128 devices: it has 64 devices");
  CHECK_THROWS_WITH(cost::find_cluster("alpa-p3.16xlarge:11"),
                    "cluster alpa-p3.16xlarge of 11 devices: spread evenly they need 11 hosts, "
                    "and it has 8");
  const std::string unknown = [] {
    try {
      cost::find_cluster("dgx-z:8");
    } catch (const tessera::InvalidArgument& error) {
      return std::string(error.what());
    }
    return std::string();
  }();
  CHECK(unknown.starts_with("no cluster is called 'dgx-z'; there are alpa-p3.16xlarge, "));
  CHECK_THROWS_WITH(group_topology(cost::find_cluster("dgx-h200:8"), DynamicMesh{4}, {0}),
                    "mesh 4 has 4 devices, and cluster dgx-h200:8 has 8");
}

// --- Properties ----------------------------------------------------------------------------------

constexpr Collective collectives[] = {Collective::all_gather, Collective::reduce_scatter,
                                      Collective::all_reduce, Collective::all_to_all,
                                      Collective::broadcast,  Collective::permute};

TEST_CASE("property: the best is no worse than any, and more bytes never take less time") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    tessera_test::Random random(seed);
    const cost::Preset& preset = cost::presets()[random.below(cost::presets().size())];
    if (preset.name == "a100-80gb-unspecified-fabric") continue;
    const Cluster cluster = make_cluster(preset, Extent{1} << random.between(4, 6));
    const Extent first = Extent{1} << random.between(0, 3);
    const DynamicMesh mesh{first, cluster.device_count() / first / 2, 2};
    for (unsigned bits = 1; bits < 8; ++bits) {
      const GroupTopology group =
          group_topology(cluster, mesh, AxisSet::from_bits(static_cast<std::uint8_t>(bits)));
      CHECK(group.size == extent_of(mesh, AxisSet::from_bits(static_cast<std::uint8_t>(bits))));
      for (const Collective collective : collectives) {
        Cost before = 0;
        for (Extent bytes = 0; bytes < Extent{1} << 40; bytes = bytes * 3 + 1) {
          const Message message{bytes, random.between(1, 9)};
          const cost::TimedCollective best = best_of(collective, group, message);
          CHECK(is_finite(best.time));
          for (const Algorithm algorithm : cost::all_algorithms)
            CHECK(best.time <= time_of(collective, algorithm, group, message));
          const Cost whole = best_of(collective, group, {bytes, 1}).time;
          CHECK(whole >= before);
          CHECK(whole >= best.time);
          before = whole;
        }
      }
      // An all-reduce may always be done as two halves, a broadcast as an all-reduce of zeros.
      const Message message{Extent{1} << random.between(0, 36), 1};
      const auto best = [&](Collective collective) {
        return best_of(collective, group, message).time;
      };
      CHECK(best(Collective::all_reduce) <=
            best(Collective::reduce_scatter) + best(Collective::all_gather));
      // The data that each unit must let in through its links, whatever the algorithm.
      for (const GroupLevel& level : group.levels) {
        if (level.wiring == Wiring::ring) continue;  // there are other ways round
        const double share = 1 - 1 / static_cast<double>(level.fan_out);
        const double least = static_cast<double>(message.bytes) * share /
                             static_cast<double>(level.unit_throughput()) * 1e12;
        CHECK(static_cast<double>(best(Collective::all_gather)) >= 0.999 * least);
      }
    }
  }
}

TEST_CASE("times are exact, rounded up") {
  const GroupTopology group = one_level(2, 3);
  CHECK(time_of(Collective::all_gather, Algorithm::ring, group, {2, 1}) == 333'333'333'334);
  CHECK(time_of(Collective::all_gather, Algorithm::ring, group, {6, 1}) == 1'000'000'000'000);
  CHECK(time_of(Collective::all_gather, Algorithm::ring, group, {6, 7}) == 142'857'142'858);
  CHECK(time_of(Collective::all_gather, Algorithm::ring, GroupTopology{}, {6, 7}) == 0);
  CHECK_THROWS_AS(time_of(Collective::all_gather, Algorithm::ring, group,
                          {std::numeric_limits<Extent>::max(), 1}),
                  tessera::Overflow);
}

}  // namespace
