// SPDX-License-Identifier: Apache-2.0
//
// Clusters that papers and vendors describe, by name, in any number of devices.
//
//   const cost::Cluster cluster = cost::find_cluster("dgx-a100-80gb-selene:64");
//
// Figures are the sources' own: bytes one way (headlines for NVLink add both directions, headlines
// for networks are in bits), dense arithmetic, memory as printed.  A figure that was not
// measured is taken from a similar machine and said so.  What all share:
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
#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "tessera/cost/cluster.hpp"

namespace tessera::cost {

/// How the devices of one host are joined.
struct HostLinks {
  Wiring wiring = Wiring::switched;
  Rate bandwidth = 0;       ///< bytes per second of one device, one way
  Rate peer_bandwidth = 0;  ///< to one other device, where they are joined pair by pair
  int achieved_percent = 100;
  bool reduces_in_switch = false;
};

/// The network that joins the hosts.
struct Network {
  int nics = 0;              ///< of a host; 0: unknown, and one host is all there is
  Rate nic_rate = 0;         ///< bytes per second, one way
  Cost latency = 0;          ///< picoseconds, as the source or its vendor states; 0: not stated
  int achieved_percent = 0;  ///< of the ports' rate, as measured there; 0: as elsewhere
};

/// The dims of a torus, and how long an axis must be, or of what it must be a multiple, to close.
struct Torus {
  std::array<Extent, 3> dims{};  ///< ascending; 1 for a dim that it does not have
  Rate link_bandwidth = 0;       ///< bytes per second, one way
  Extent closes_at = 0;

  constexpr Extent device_count() const noexcept { return dims[0] * dims[1] * dims[2]; }
};

/// A machine that clusters of any number of devices are cut from.
struct Preset {
  std::string_view name;
  const Accelerator* device = nullptr;
  Extent host_devices = 1;
  Extent max_devices = 0;  ///< 0: not limited
  HostLinks host = {};
  Network network = {};
  /// Where hosts form pods within which they have all the bandwidth: a pod's devices, and how many
  /// times less there is between pods.
  Extent pod_devices = 0, oversubscription = 1;
  Torus torus = {};  ///< of a pod, instead of hosts; then `network` joins pods
};

/// All that are known.
std::span<const Preset> presets() noexcept;

/// Nothing where there is none of that name.
const Preset* find_preset(std::string_view name) noexcept;

/// So many devices of it, on as few hosts as can have equally many each.  Throws InvalidArgument
/// where it does not have so many.
Cluster make_cluster(const Preset& preset, Extent devices);

/// "dgx-a100-80gb-selene:64": a preset's name, and the number of devices.  Throws InvalidArgument.
Cluster find_cluster(std::string_view text);

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/presets.ipp"
#endif
