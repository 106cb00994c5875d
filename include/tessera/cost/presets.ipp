// SPDX-License-Identifier: Apache-2.0
//
// The table of presets, and how many devices of one are laid out.
#pragma once
#include <algorithm>
#include <charconv>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"
#include "tessera/cost/devices.hpp"
#include "tessera/cost/presets.hpp"

namespace tessera::cost {
namespace detail {

using namespace devices;  // NOLINT: the table below would be twice as wide

inline constexpr HostLinks
    // Eight in a hybrid cube: six links of 25 GB/s each, to four of the seven others.  The other
    // pairs have no link; a mesh in powers of two makes no group of them.
    nvlink2_cube{Wiring::peers, 150 * giga, 25 * giga, 83},
    // Four, with two of the six links to each other one.
    nvlink2_four{Wiring::peers, 150 * giga, 50 * giga, 83},
    nvlink2_switch{Wiring::switched, 150 * giga, 0, 83},
    nvlink3{Wiring::switched, 300 * giga, 0, 78},
    nvlink4{Wiring::switched, 450 * giga, 0, 77, true},
    nvlink4_h800{Wiring::switched, 200 * giga, 0, 80, true},  // 160 effective, its users count
    nvlink5{Wiring::switched, 900 * giga, 0, 77, true},       // as measured for NVLink 4
    // Seven links, one to each peer; efficiency as of NVLink.
    xgmi{Wiring::peers, 448 * giga, 64 * giga, 78}, alone{};

inline constexpr Rate gbit = giga / 8;  // bytes of a gigabit

inline constexpr Preset presets[] = {
    // Alpa (OSDI'22) section 8: 25 Gb/s for a host, not for a device.
    {"alpa-p3.16xlarge", &v100_16, 8, 64, nvlink2_cube, {1, 25 * gbit, 30 * microsecond}},
    // DS3Lab/Decentralized_FM_alpha, results/gpt3_xl_fp16.md: 10 Gb/s, 0.1 ms as measured.
    {"aws-p3.2xlarge-x64", &v100_16, 1, 64, alone, {1, 10 * gbit, 100 * microsecond}},
    // NVIDIA DGX-1 datasheet: 4 x EDR.
    {"dgx-1-v100", &v100_32, 8, 992, nvlink2_cube, {4, 100 * gbit, 1500 * nanosecond}},
    // NVIDIA DGX-2 datasheet: 12 NVSwitches, 8 x EDR.
    {"dgx-2", &v100_32, 16, 1536, nvlink2_switch, {8, 100 * gbit, 1500 * nanosecond}},
    // BigScience, jz/hpc-specs.md: four GPUs, Omni-Path.
    {"jean-zay-v100", &v100_32, 4, 1044, nvlink2_four, {4, 100 * gbit, 2 * microsecond, 27}},
    // Narayanan et al., SC'21, section 5: 8 x HDR200 for compute, full fat tree.
    {"dgx-a100-80gb-selene", &a100_80, 8, 4480, nvlink3, {8, 200 * gbit, 1500 * nanosecond}},
    // stas00/ml-engineering, network: the same with the smaller memory.
    {"dgx-a100-40gb", &a100_40, 8, 2240, nvlink3, {8, 200 * gbit, 1500 * nanosecond}},
    // Black et al. 2022, GPT-NeoX-20B: 12 hosts, 4 x HDR.
    {"a100-40gb-hdr", &a100_40, 8, 96, nvlink3, {4, 200 * gbit, 1500 * nanosecond}},
    // stas00/ml-engineering, network: EFA, 4 x 100 Gb/s.
    {"aws-p4d", &a100_40, 8, 4000, nvlink3, {4, 100 * gbit, 20 * microsecond}},
    // BigScience, train/tr11-176B-ml: 4 Omni-Path links for eight GPUs.
    {"jean-zay-a100", &a100_80, 8, 416, nvlink3, {4, 100 * gbit, 2 * microsecond, 27}},
    // mosaicml/llm-foundry, benchmark README: 1600 Gb/s between hosts.
    {"mosaic-a100-80gb-1600gbps", &a100_80, 8, 128, nvlink3, {8, 200 * gbit, 5 * microsecond}},
    {"mosaic-a100-40gb-1600gbps", &a100_40, 8, 128, nvlink3, {8, 200 * gbit, 5 * microsecond}},
    // PyTorch FSDP blog, March 2024 (IBM Vela): 400 Gb/s for a host.
    {"a100-80gb-400gbps", &a100_80, 8, 128, nvlink3, {4, 100 * gbit, 5 * microsecond}},
    // stas00/ml-engineering, accelerator; what joins the hosts is not published.
    {"a100-80gb-unspecified-fabric", &a100_80, 8, 2048, nvlink3, {}},
    // Jiang et al., NSDI'24, sections 3.6 and 6: 8 x 200 Gb/s, Clos without oversubscription.
    {"megascale-ampere", &a100_80, 8, 12288, nvlink3, {8, 200 * gbit, 5 * microsecond}},
    // stas00/ml-engineering and the Megatron-LM README: 8 x NDR400.
    {"dgx-h100-eos", &h100, 8, 10752, nvlink4, {8, 400 * gbit, 2 * microsecond}},
    // Llama 3, section 3.3.1: RoCE; pods of 3072 with all bandwidth, a seventh between pods.
    {"meta-llama3-h100-roce", &h100, 8, 24576, nvlink4, {8, 400 * gbit, 5 * microsecond}, 3072, 7},
    // torchtitan, benchmarks/llama3_h100_202412_torchtitan.md.
    {"grand-teton-h100-hbm2e", &h100_hbm2e, 8, 512, nvlink4, {8, 400 * gbit, 5 * microsecond}},
    // mosaicml/llm-foundry, benchmark README; the network is not stated there.
    {"mosaic-h100-80gb", &h100, 8, 512, nvlink4, {8, 400 * gbit, 0}},
    // PyTorch FSDP blog, March 2024: 800 Gb/s for a host.
    {"h100-80gb-800gbps", &h100, 8, 96, nvlink4, {8, 100 * gbit, 0}},
    // stas00/ml-engineering, network: EFA v2, 32 x 100 Gb/s.
    {"aws-p5", &h100, 8, 20000, nvlink4, {32, 100 * gbit, 15 * microsecond}},
    // DeepSeek-V3 report, section 3.1: 2048 H800 with half the NVLink.
    {"deepseek-h800", &h800, 8, 2048, nvlink4_h800, {8, 400 * gbit, 0}},
    // stas00/ml-engineering, accelerator and network pages, for these six.
    {"dgx-h200", &h200, 8, 0, nvlink4, {8, 400 * gbit, 2 * microsecond}},
    {"dgx-b200", &b200, 8, 0, nvlink5, {8, 400 * gbit, 2 * microsecond}},
    {"dgx-b300", &b300, 8, 0, nvlink5, {8, 800 * gbit, 0}},
    {"gb200-nvl72", &gb200, 72, 0, nvlink5, {72, 400 * gbit, 2 * microsecond}},
    {"gb300-nvl72", &gb300, 72, 0, nvlink5, {72, 800 * gbit, 0}},
    {"mi300x-8", &mi300x, 8, 0, xgmi, {8, 400 * gbit, 0}},
    // The JAX scaling book, tpus.md: tables of chips and links.  A host's 25 GB/s join pods; v3's
    // links are Google's figure, 656 Gb/s.  An axis of v4 and v5p closes in multiples of four, of
    // the others where it is whole.
    {"tpu-v3-pod", &tpu_v3, 8, 0, {}, {1, 25 * giga, 0}, 0, 1, {{1, 32, 32}, 82 * giga, 32}},
    {"tpu-v4-pod", &tpu_v4, 4, 0, {}, {1, 25 * giga, 0}, 0, 1, {{16, 16, 16}, 45 * giga, 4}},
    {"tpu-v5e-pod", &tpu_v5e, 8, 0, {}, {1, 25 * giga, 0}, 0, 1, {{1, 16, 16}, 45 * giga, 16}},
    {"tpu-v5p-pod", &tpu_v5p, 4, 0, {}, {1, 25 * giga, 0}, 0, 1, {{16, 20, 28}, 90 * giga, 4}},
    {"tpu-v6e-pod", &tpu_v6e, 8, 0, {}, {1, 25 * giga, 0}, 0, 1, {{1, 16, 16}, 90 * giga, 16}},
};

inline constexpr Cost nvlink_hop = 3'400 * nanosecond, network_hop = 14 * microsecond,
                      torus_hop = 1 * microsecond, gpu_collective_start = 8'400 * nanosecond;
inline constexpr int network_percent = 82;

[[noreturn]] TESSERA_INLINE void refuse(const Preset& preset, Extent devices,
                                        const std::string& why) {
  throw InvalidArgument("cluster " + std::string(preset.name) + " of " + std::to_string(devices) +
                        " devices: " + why);
}

TESSERA_INLINE void add_level(Cluster& cluster, const LinkLevel& level) {
  if (level.fan_out > 1) cluster.levels.push_back(level);
}

// As few units of at most `most` as all can have equally many in.
TESSERA_INLINE Extent fewest_units(Extent count, Extent most) {
  Extent units = ceil_div(count, most);
  while (count % units != 0) ++units;
  return units;
}

// --- Hosts, and pods of hosts --------------------------------------------------------------------

TESSERA_INLINE Extent host_count(const Preset& preset, Extent devices) {
  const Extent hosts = fewest_units(devices, preset.host_devices);
  if (hosts > 1 && preset.network.nics == 0)
    refuse(preset, devices,
           "what joins its hosts is not published; plan for up to " +
               std::to_string(preset.host_devices));
  if (preset.max_devices != 0 && hosts * preset.host_devices > preset.max_devices)
    refuse(preset, devices,
           "spread evenly they need " + std::to_string(hosts) + " hosts, and it has " +
               std::to_string(preset.max_devices / preset.host_devices));
  return hosts;
}

// A device has its share of its host's ports, and no more of them than there are for it.
TESSERA_INLINE LinkLevel network_level(const Preset& preset, Extent in_host) {
  const Network& network = preset.network;
  const Extent own = std::max<Extent>(1, network.nics / preset.host_devices);
  LinkLevel level;
  level.name = "network";
  level.bandwidth = std::min(network.nics * network.nic_rate / in_host, own * network.nic_rate);
  level.latency = std::max(network.latency, network_hop);
  level.achieved_percent = network.achieved_percent == 0 ? network_percent
                                                         : network.achieved_percent;
  return level;
}

TESSERA_INLINE void add_network(Cluster& cluster, const Preset& preset, Extent hosts,
                                Extent in_host) {
  const Extent pod_hosts = preset.pod_devices == 0 ? hosts
                                                   : preset.pod_devices / preset.host_devices;
  const Extent pods = hosts == 1 ? 1 : fewest_units(hosts, pod_hosts);
  LinkLevel network = network_level(preset, in_host);
  network.fan_out = hosts / pods;
  add_level(cluster, network);
  network.name = "pods";
  network.fan_out = pods;
  network.bandwidth /= preset.oversubscription;
  add_level(cluster, network);
}

TESSERA_INLINE void add_hosts(Cluster& cluster, const Preset& preset, Extent devices) {
  const Extent hosts = host_count(preset, devices);
  const Extent in_host = devices / hosts;
  const HostLinks& links = preset.host;
  add_level(cluster, {"host", in_host, links.wiring, links.bandwidth, links.peer_bandwidth,
                      nvlink_hop, links.achieved_percent, false, links.reduces_in_switch});
  add_network(cluster, preset, hosts, in_host);
  cluster.collective_start = gpu_collective_start;
}

// --- Tori ----------------------------------------------------------------------------------------

// The dims of the part of a torus with so many devices that is most like a cube; all 0 where no
// part has so many.
TESSERA_INLINE std::array<Extent, 3> find_slice(const Torus& torus, Extent count) {
  std::array<Extent, 3> best{};
  Extent least = 0;
  for (Extent a = 1; a <= torus.dims[0] && a * a * a <= count; ++a)
    for (Extent b = a; b <= torus.dims[1] && a * b * b <= count; ++b) {
      const Extent c = count / (a * b);
      if (a * b * c != count || c > torus.dims[2]) continue;
      if (least != 0 && a + b + c >= least) continue;
      least = a + b + c;
      best = {a, b, c};
    }
  return best;
}

TESSERA_INLINE void add_torus(Cluster& cluster, const Preset& preset, Extent devices) {
  const Torus& torus = preset.torus;
  const Extent pods = ceil_div(devices, torus.device_count());
  const std::array<Extent, 3> dims = devices % pods == 0 ? find_slice(torus, devices / pods)
                                                         : std::array<Extent, 3>{};
  if (dims[0] == 0)
    refuse(preset, devices,
           pods == 1 ? "they make up no part of its torus"
                     : "they make up no " + std::to_string(pods) + " equal parts of its torus");
  for (std::size_t d = dims.size(); d-- > 0;) {
    const bool is_closed = dims[d] > 2 && dims[d] % torus.closes_at == 0;
    add_level(cluster,
              {"torus", dims[d], Wiring::ring, torus.link_bandwidth, 0, torus_hop, 100, is_closed});
  }
  LinkLevel between = network_level(preset, std::min(preset.host_devices, devices / pods));
  between.name = "pods";
  between.fan_out = pods;
  add_level(cluster, between);
}

}  // namespace detail

TESSERA_INLINE std::span<const Preset> presets() noexcept { return detail::presets; }

TESSERA_INLINE const Preset* find_preset(std::string_view name) noexcept {
  for (const Preset& preset : detail::presets)
    if (preset.name == name) return &preset;
  return nullptr;
}

TESSERA_INLINE Cluster make_cluster(const Preset& preset, Extent devices) {
  if (devices < 1) detail::refuse(preset, devices, "a cluster has one device at least");
  if (devices > 1'000'000) detail::refuse(preset, devices, "a million is the most");
  if (preset.max_devices != 0 && devices > preset.max_devices)
    detail::refuse(preset, devices, "it has " + std::to_string(preset.max_devices) + " devices");
  Cluster cluster;
  cluster.name = std::string(preset.name) + ':' + std::to_string(devices);
  cluster.device = *preset.device;
  preset.torus.device_count() > 0 ? detail::add_torus(cluster, preset, devices)
                                  : detail::add_hosts(cluster, preset, devices);
  return cluster;
}

TESSERA_INLINE Cluster find_cluster(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const std::string_view name = text.substr(0, colon);
  const Preset* const preset = find_preset(name);
  if (preset == nullptr)
    throw InvalidArgument(
        "no cluster is called " + excerpt(name) + "; there are " +
        joined(detail::presets, ", ", [](const Preset& each) { return each.name; }));
  Extent devices = 0;
  const std::string_view count = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), devices);
  if (error != std::errc() || end != count.data() + count.size())
    throw InvalidArgument(excerpt(text) + " does not say how many devices; write " +
                          std::string(name) + ":8");
  return make_cluster(*preset, devices);
}

}  // namespace tessera::cost
