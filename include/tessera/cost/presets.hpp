// SPDX-License-Identifier: Apache-2.0
//
// Clusters that papers and vendors describe, by name, in any number of devices.
//
//   const cost::Cluster cluster = cost::find_cluster("dgx-a100-80gb-selene:64");
//
// Figures are the sources' own: bytes one way (headlines for NVLink add both directions, headlines
// for networks are in bits), dense arithmetic, memory as printed.  What nobody measured is taken
// from a neighbour and said so.  What all share:
//
// - Latencies are NCCL's own constants for large messages (its tuning.cc): 8.4 us before a
//   collective begins, 3.4 us per NVLink hop, 14 us per network hop, or what the network is known
//   to take where that is more.  A ring of 2, 4 and 8 then gathers next to nothing in 12, 19 and 32
//   us, where H100s were measured at 8, 17 and 30.  A hop of a TPU's torus takes 1 us (the JAX
//   scaling book).
// - What collectives reach of a link: 78% of an A100's NVLink (235 of 300 GB/s measured), 77% of an
//   H100's (345 of 450), 83% of a V100's; 82% of a network port (41 of 50 GB/s for H100s over RoCE,
//   at every size from 2 to 32 nodes); of a torus what the scaling book prints, which is measured.
//   Omni-Path leaves its protocol to the host and gives NCCL 27% of a port: 16 nodes of Jean Zay
//   reduced 55 Gb/s at best, 108 Gb/s on the bus, of 400 (BigScience, experiments/bandwidth).
// - A kernel's launch takes 7 us: AutoParallel's floor, and where the curve of cuBLAS begins
//   (roofline.hpp).  For TPUs none is published.
#pragma once
#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string>
#include <string_view>

#include "tessera/core/error.hpp"
#include "tessera/cost/cluster.hpp"

namespace tessera::cost {

namespace devices {

inline constexpr Rate mega = 1'000'000, giga = 1000 * mega, tera = 1000 * giga;
inline constexpr Extent gibi = Extent{1} << 30;
inline constexpr Cost gpu_launch = 7 * microsecond;

// Peaks: stas00/ml-engineering, compute/accelerator (vendors' figures without sparsity); TPUs: the
// JAX scaling book.  Best products: the same page's scan of shapes ("MAMF"); of a V100, cuBLAS at
// 8192 as told in NVIDIA's forum, 101 of 112 TFLOP/s with the PCIe card's clock.
// In this order: fp64, fp32, tf32, bf16, fp16, fp8, int8; best bf16, best fp8; memory; launch.
// clang-format off
inline constexpr Accelerator v100_16{"V100 16GB",
    {7'800 * giga, 15'700 * giga, 0, 0, 125 * tera, 0, 0}, 112'700 * giga, 0,
    16 * gibi, 900 * giga, gpu_launch};
inline constexpr Accelerator v100_32{"V100 32GB",
    {7'800 * giga, 15'700 * giga, 0, 0, 125 * tera, 0, 0}, 112'700 * giga, 0,
    32 * gibi, 900 * giga, gpu_launch};
inline constexpr Accelerator a100_40{"A100 40GB",
    {19'500 * giga, 19'500 * giga, 156 * tera, 312 * tera, 312 * tera, 0, 0}, 271'200 * giga, 0,
    40 * giga, 1'555 * giga, gpu_launch};
inline constexpr Accelerator a100_80{"A100 80GB",
    {19'500 * giga, 19'500 * giga, 156 * tera, 312 * tera, 312 * tera, 0, 0}, 271'200 * giga, 0,
    80 * giga, 2'039 * giga, gpu_launch};
inline constexpr Accelerator h100{"H100 80GB",
    {67 * tera, 67 * tera, 494'500 * giga, 989 * tera, 989 * tera, 1'979 * tera, 0},
    794'500 * giga, 1'402'600 * giga, 80 * giga, 3'350 * giga, gpu_launch};
// Half a kilowatt instead of 0.7: its real peak is lower, and nobody has published it.
inline constexpr Accelerator h100_hbm2e{"H100 96GB HBM2e",
    {67 * tera, 67 * tera, 494'500 * giga, 989 * tera, 989 * tera, 1'979 * tera, 0}, 0, 0,
    96 * giga, 2'400 * giga, gpu_launch};
inline constexpr Accelerator h800{"H800 80GB",
    {1 * tera, 67 * tera, 494'500 * giga, 989 * tera, 989 * tera, 1'979 * tera, 0}, 0, 0,
    80 * giga, 3'350 * giga, gpu_launch};
inline constexpr Accelerator h200{"H200 141GB",
    {67 * tera, 67 * tera, 494'500 * giga, 989 * tera, 989 * tera, 1'979 * tera, 0},
    794'500 * giga, 1'453'400 * giga, 141 * giga, 4'800 * giga, gpu_launch};
inline constexpr Accelerator b200{"B200",
    {0, 80 * tera, 1'125 * tera, 2'250 * tera, 2'250 * tera, 4'500 * tera, 0},
    1'745 * tera, 3'432'500 * giga, 180 * giga, 8 * tera, gpu_launch};
inline constexpr Accelerator b300{"B300",
    {0, 80 * tera, 1'125 * tera, 2'250 * tera, 2'250 * tera, 4'500 * tera, 0},
    1'769 * tera, 3'353'300 * giga, 288 * giga, 8 * tera, gpu_launch};
inline constexpr Accelerator gb200{"GB200",
    {0, 80 * tera, 1'250 * tera, 2'500 * tera, 2'500 * tera, 5'000 * tera, 0},
    1'822 * tera, 3'615'600 * giga, 186 * giga, 8 * tera, gpu_launch};
inline constexpr Accelerator gb300{"GB300",
    {0, 80 * tera, 1'250 * tera, 2'500 * tera, 2'500 * tera, 5'000 * tera, 0}, 0, 0,
    288 * giga, 8 * tera, gpu_launch};
inline constexpr Accelerator mi300x{"MI300X",
    {163'400 * giga, 163'400 * giga, 653'700 * giga, 1'307'400 * giga, 1'307'400 * giga,
     2'614'900 * giga, 0}, 668'400 * giga, 0, 192 * giga, 5'300 * giga, gpu_launch};
inline constexpr Accelerator tpu_v3{"TPU v3",
    {0, 0, 0, 123 * tera, 0, 0, 0}, 0, 0, 32 * giga, 900 * giga, 0};
inline constexpr Accelerator tpu_v4{"TPU v4",
    {0, 0, 0, 275 * tera, 0, 0, 275 * tera}, 0, 0, 32 * giga, 1'200 * giga, 0};
inline constexpr Accelerator tpu_v5e{"TPU v5e",
    {0, 0, 0, 197 * tera, 0, 0, 394 * tera}, 0, 0, 16 * giga, 810 * giga, 0};
inline constexpr Accelerator tpu_v5p{"TPU v5p",
    {0, 0, 0, 459 * tera, 0, 0, 918 * tera}, 0, 0, 95 * giga, 2'765 * giga, 0};
inline constexpr Accelerator tpu_v6e{"TPU v6e",
    {0, 0, 0, 918 * tera, 0, 918 * tera, 1'836 * tera}, 0, 0, 32 * giga, 1'640 * giga, 0};
// clang-format on

}  // namespace devices

// How the devices of one node are joined.
struct NodeLinks {
  Wiring wiring = Wiring::switched;
  Rate bandwidth = 0;       // of one device, one way
  Rate peer_bandwidth = 0;  // to one other device, where they are joined pair by pair
  int achieved_percent = 100;
  bool reduces_in_switch = false;
};

// What joins the nodes.
struct Network {
  int nics = 0;              // of a node; 0: unknown, and one node is all there is
  Rate nic_rate = 0;         // bytes per second, one way
  Cost latency = 0;          // that the source or its vendor tells of; 0: none is told
  int achieved_percent = 0;  // of the ports' rate, as measured there; 0: as elsewhere
};

// The dims of a torus, and how long an axis must be, or of what it must be a multiple, to close.
struct Torus {
  std::array<Extent, 3> dims{};  // ascending; 1 for what there is not
  Rate link_bandwidth = 0;
  Extent closes_at = 0;

  constexpr Extent device_count() const noexcept { return dims[0] * dims[1] * dims[2]; }
};

struct Preset {
  std::string_view name;
  const Accelerator* device = nullptr;
  Extent node_devices = 1;
  Extent max_devices = 0;  // 0: not limited
  NodeLinks node = {};
  Network network = {};
  // Where nodes form pods within which they have all the bandwidth: a pod's devices, and how many
  // times less there is between pods.
  Extent pod_devices = 0, oversubscription = 1;
  Torus torus = {};  // of a pod, instead of nodes; then `network` joins pods
};

namespace detail {

using namespace devices;  // NOLINT: the table below would be twice as wide

inline constexpr NodeLinks
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
    // Alpa (OSDI'22) section 8: 25 Gb/s for a node, not for a device.
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
    // Black et al. 2022, GPT-NeoX-20B: 12 nodes, 4 x HDR.
    {"a100-40gb-hdr", &a100_40, 8, 96, nvlink3, {4, 200 * gbit, 1500 * nanosecond}},
    // stas00/ml-engineering, network: EFA, 4 x 100 Gb/s.
    {"aws-p4d", &a100_40, 8, 4000, nvlink3, {4, 100 * gbit, 20 * microsecond}},
    // BigScience, train/tr11-176B-ml: 4 Omni-Path links for eight GPUs.
    {"jean-zay-a100", &a100_80, 8, 416, nvlink3, {4, 100 * gbit, 2 * microsecond, 27}},
    // mosaicml/llm-foundry, benchmark README: 1600 Gb/s between nodes.
    {"mosaic-a100-80gb-1600gbps", &a100_80, 8, 128, nvlink3, {8, 200 * gbit, 5 * microsecond}},
    {"mosaic-a100-40gb-1600gbps", &a100_40, 8, 128, nvlink3, {8, 200 * gbit, 5 * microsecond}},
    // PyTorch FSDP blog, March 2024 (IBM Vela): 400 Gb/s for a node.
    {"a100-80gb-400gbps", &a100_80, 8, 128, nvlink3, {4, 100 * gbit, 5 * microsecond}},
    // stas00/ml-engineering, accelerator; what joins the nodes is not published.
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
    // PyTorch FSDP blog, March 2024: 800 Gb/s for a node.
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

// Lays out so many devices of a preset.
class ClusterBuilder {
 public:
  ClusterBuilder(const Preset& preset, Extent devices) : preset_(preset), devices_(devices) {}

  Cluster build() {
    if (devices_ < 1) refuse("a cluster has one device at least");
    if (devices_ > 1'000'000) refuse("a million is the most");
    if (preset_.max_devices != 0 && devices_ > preset_.max_devices)
      refuse("it has " + std::to_string(preset_.max_devices) + " devices");
    cluster_.name = std::string(preset_.name) + ':' + std::to_string(devices_);
    cluster_.device = *preset_.device;
    preset_.torus.device_count() > 0 ? add_torus() : add_nodes();
    return cluster_;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw InvalidArgument("cluster " + std::string(preset_.name) + " of " +
                                std::to_string(devices_) + " devices: " + why);
  }

  void add(const Level& level) {
    if (level.fan_out > 1) cluster_.levels.push_back(level);
  }

  // As few units of at most `most` as all can have equally many in.
  static Extent fewest_units(Extent count, Extent most) {
    Extent units = ceil_div(count, most);
    while (count % units != 0) ++units;
    return units;
  }

  // --- Nodes, and pods of nodes ------------------------------------------------------------------

  void add_nodes() {
    const Extent nodes = fewest_units(devices_, preset_.node_devices);
    if (nodes > 1 && preset_.network.nics == 0)
      refuse("what joins its nodes is not published; plan for up to " +
             std::to_string(preset_.node_devices));
    if (preset_.max_devices != 0 && nodes * preset_.node_devices > preset_.max_devices)
      refuse("spread evenly they need " + std::to_string(nodes) + " nodes, and it has " +
             std::to_string(preset_.max_devices / preset_.node_devices));
    const Extent in_node = devices_ / nodes;
    const NodeLinks& links = preset_.node;
    add({"node", in_node, links.wiring, links.bandwidth, links.peer_bandwidth, nvlink_hop,
         links.achieved_percent, false, links.reduces_in_switch});
    add_network(nodes, in_node);
    cluster_.collective_start = gpu_collective_start;
  }

  void add_network(Extent nodes, Extent in_node) {
    const Extent pod_nodes = preset_.pod_devices == 0 ? nodes
                                                      : preset_.pod_devices / preset_.node_devices;
    const Extent pods = nodes == 1 ? 1 : fewest_units(nodes, pod_nodes);
    Level network = network_level(in_node);
    network.fan_out = nodes / pods;
    add(network);
    network.name = "pods";
    network.fan_out = pods;
    network.bandwidth /= preset_.oversubscription;
    add(network);
  }

  // A device has its share of its node's ports, and no more of them than there are for it.
  Level network_level(Extent in_node) const {
    const Network& network = preset_.network;
    const Extent own = std::max<Extent>(1, network.nics / preset_.node_devices);
    Level level;
    level.name = "network";
    level.bandwidth = std::min(network.nics * network.nic_rate / in_node, own * network.nic_rate);
    level.latency = std::max(network.latency, network_hop);
    level.achieved_percent = network.achieved_percent == 0 ? network_percent
                                                           : network.achieved_percent;
    return level;
  }

  // --- Tori --------------------------------------------------------------------------------------

  void add_torus() {
    const Extent pods = ceil_div(devices_, preset_.torus.device_count());
    std::array<Extent, 3> dims{};
    if (devices_ % pods != 0 || !find_slice(devices_ / pods, dims))
      refuse(pods == 1 ? "they make up no part of its torus"
                       : "they make up no " + std::to_string(pods) + " equal parts of its torus");
    for (std::size_t d = dims.size(); d-- > 0;)
      add({"torus", dims[d], Wiring::ring, preset_.torus.link_bandwidth, 0, torus_hop, 100,
           closes(dims[d])});
    Level between = network_level(std::min(preset_.node_devices, devices_ / pods));
    between.name = "pods";
    between.fan_out = pods;
    add(between);
  }
  bool closes(Extent size) const { return size > 2 && size % preset_.torus.closes_at == 0; }

  // The part of a pod with so many devices that is most like a cube.
  bool find_slice(Extent count, std::array<Extent, 3>& best) const {
    const auto& dims = preset_.torus.dims;
    Extent least = 0;
    for (Extent a = 1; a <= dims[0] && a * a * a <= count; ++a)
      for (Extent b = a; b <= dims[1] && a * b * b <= count; ++b) {
        const Extent c = count / (a * b);
        if (a * b * c != count || c > dims[2]) continue;
        if (least != 0 && a + b + c >= least) continue;
        least = a + b + c;
        best = {a, b, c};
      }
    return least != 0;
  }

  const Preset& preset_;
  Extent devices_;
  Cluster cluster_;
};

}  // namespace detail

inline std::span<const Preset> presets() noexcept { return detail::presets; }

// Nothing where there is none of that name.
inline const Preset* find_preset(std::string_view name) noexcept {
  for (const Preset& preset : detail::presets)
    if (preset.name == name) return &preset;
  return nullptr;
}

// So many devices of it, in as few nodes as can have equally many each.  Throws
// InvalidArgument where it does not have so many.
inline Cluster make_cluster(const Preset& preset, Extent devices) {
  return detail::ClusterBuilder(preset, devices).build();
}

// "dgx-a100-80gb-selene:64": a preset's name, and the number of devices.  Throws
// InvalidArgument.
inline Cluster find_cluster(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const std::string_view name = text.substr(0, colon);
  const Preset* const preset = find_preset(name);
  if (preset == nullptr) {
    std::string known;
    for (const Preset& each : detail::presets)
      known += (known.empty() ? "" : ", ") + std::string(each.name);
    throw InvalidArgument("no cluster is called " + excerpt(name) + "; there are " + known);
  }
  Extent devices = 0;
  const std::string_view count = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), devices);
  if (error != std::errc() || end != count.data() + count.size())
    throw InvalidArgument(excerpt(text) + " does not say how many devices; write " +
                                std::string(name) + ":8");
  return make_cluster(*preset, devices);
}

}  // namespace tessera::cost
