// SPDX-License-Identifier: Apache-2.0
//
// The function bodies of transfer.hpp.
#pragma once
#include "tessera/pipeline/transfer.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/cost/time.hpp"

namespace tessera::pipeline {
namespace detail {

// Where a dim is cut, by either sharding; the first cut is 0 and the last one the dim's end.
using Cuts = std::vector<Extent>;

// The blocks of a tensor, with the devices that hold each and the devices that need it.
class TransferBlocks {
 public:
  TransferBlocks(const Dims& dims, const PlacedSharding& source, const PlacedSharding& target)
      : cuts_(dims.size()) {
    for (std::size_t dim = 0; dim < dims.size(); ++dim) cuts_[dim] = {0, dims[dim]};
    for (const PlacedSharding* placed : {&source, &target}) {
      const Dims tile = local_shape(placed->sharding, placed->mesh, dims);
      for (std::size_t dim = 0; dim < dims.size(); ++dim)
        for (Extent at = 0; dims[dim] - at > tile[dim];) cuts_[dim].push_back(at += tile[dim]);
    }
    std::size_t count = 1;
    for (Cuts& cuts : cuts_) {
      std::sort(cuts.begin(), cuts.end());
      cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
      count *= cuts.size() - 1;
    }
    holders_.resize(count);
    needers_.resize(count);
    note(dims, source, holders_);
    note(dims, target, needers_);
  }

  std::size_t size() const noexcept { return holders_.size(); }
  const std::vector<Device>& holders(std::size_t block) const noexcept { return holders_[block]; }
  const std::vector<Device>& needers(std::size_t block) const noexcept { return needers_[block]; }
  Slice slice(std::size_t block) const {
    Slice slice(cuts_.size(), Range{});
    for (std::size_t dim = cuts_.size(); dim-- > 0;) {
      const std::size_t count = cuts_[dim].size() - 1, at = block % count;
      slice[dim] = {cuts_[dim][at], cuts_[dim][at + 1]};
      block /= count;
    }
    return slice;
  }

 private:
  // Enters every device at the blocks of its slice.
  void note(const Dims& dims, const PlacedSharding& placed,
            std::vector<std::vector<Device>>& lists) const {
    for (Device device = 0; device < placed.mesh.device_count(); ++device) {
      const Slice slice = slice_of(placed.sharding, placed.mesh, dims, device);
      std::vector<std::size_t> blocks{0};
      for (std::size_t dim = 0; dim < dims.size(); ++dim) {
        const Cuts& cuts = cuts_[dim];
        const auto place = [&](Extent at) {
          return static_cast<std::size_t>(std::lower_bound(cuts.begin(), cuts.end(), at) -
                                          cuts.begin());
        };
        std::vector<std::size_t> longer;
        for (const std::size_t block : blocks)
          for (std::size_t at = place(slice[dim].begin); at < place(slice[dim].end); ++at)
            longer.push_back(block * (cuts.size() - 1) + at);
        blocks = std::move(longer);
      }
      for (const std::size_t block : blocks) lists[block].push_back(placed.first + device);
    }
  }

  std::vector<Cuts> cuts_;
  std::vector<std::vector<Device>> holders_, needers_;
};

class TransferPlanner {
 public:
  TransferPlanner(const TransferBlocks& blocks, Extent per_host)
      : blocks_(blocks), per_host_(per_host) {}

  Transfer run() {
    // Blocks that few devices hold go first: the others can still choose.
    std::vector<std::size_t> order;
    for (std::size_t block = 0; block < blocks_.size(); ++block) order.push_back(block);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return blocks_.holders(a).size() < blocks_.holders(b).size();
    });
    for (const std::size_t block : order) send_block(block);
    return std::move(transfer_);
  }

 private:
  using Hosts = std::map<Device, std::vector<Device>>;

  Hosts by_host(const std::vector<Device>& devices) const {
    Hosts hosts;
    for (const Device device : devices) hosts[device / per_host_].push_back(device);
    return hosts;
  }

  void send_block(std::size_t block) {
    const Slice slice = blocks_.slice(block);
    Extent elements = 1;
    for (const Range& range : slice) elements *= range.size();
    if (elements == 0) return;
    const Hosts holders = by_host(blocks_.holders(block));
    for (const auto& [host, needers] : by_host(blocks_.needers(block))) {
      const auto here = holders.find(host);
      if (here != holders.end())
        copy_within(slice, elements, here->second, needers);
      else
        bring(slice, elements, blocks_.holders(block), needers);
    }
  }

  // Every one of `needers` gets the block from one of `holders`, all in one host.
  void copy_within(const Slice& slice, Extent elements, const std::vector<Device>& holders,
                   const std::vector<Device>& needers) {
    for (const Device to : needers) {
      if (std::find(holders.begin(), holders.end(), to) != holders.end()) continue;
      const Device from = least_loaded(holders, sent_within_);
      sent_within_[from] += elements;
      transfer_.within.push_back({from, to, slice, {0, elements}});
    }
  }

  // The block comes to a host once, in pieces, and the pieces go round.
  void bring(const Slice& slice, Extent elements, const std::vector<Device>& holders,
             const std::vector<Device>& needers) {
    const auto count = static_cast<Extent>(needers.size());
    for (Extent piece = 0; piece < count; ++piece) {
      const Range range{share(elements, piece, count), share(elements, piece + 1, count)};
      if (range.size() == 0) continue;
      const Device to = needers[static_cast<std::size_t>(piece)];
      const Device from = least_loaded(holders, sent_across_);
      sent_across_[from] += range.size();
      transfer_.across.push_back({from, to, slice, range});
      transfer_.elements_across += range.size();
      for (const Device other : needers)
        if (other != to) transfer_.within.push_back({to, other, slice, range});
      sent_within_[to] += range.size() * (count - 1);
    }
  }

  // Where the piece with this number begins, of `count` nearly equal ones.
  static Extent share(Extent elements, Extent piece, Extent count) {
    return static_cast<Extent>(Wide(elements) * piece / count);
  }
  static Device least_loaded(const std::vector<Device>& devices, std::map<Device, Wide>& loads) {
    return *std::min_element(devices.begin(), devices.end(), [&](Device a, Device b) {
      return std::pair(loads[a], a) < std::pair(loads[b], b);
    });
  }

  const TransferBlocks& blocks_;
  Extent per_host_;
  Transfer transfer_;
  std::map<Device, Wide> sent_across_, sent_within_;
};

// The sends of one phase, all at once: over each level of links, as long as the device that has the
// most to send or to receive there; where devices are joined pair by pair, the pair that has.
class PhaseTiming {
 public:
  PhaseTiming(const std::vector<Send>& sends, std::int64_t bytes_per_element,
              const cost::Cluster& cluster)
      : cluster_(cluster), loads_(cluster.levels.size()) {
    Extent size = 1;
    for (const cost::LinkLevel& level : cluster.levels) sizes_.push_back(size *= level.fan_out);
    for (const Send& send : sends) add(send, bytes_per_element);
  }

  // Picoseconds.
  Cost run() const {
    Cost slowest = 0;
    for (std::size_t level = 0; level < loads_.size(); ++level)
      if (!loads_[level].by_pair.empty()) slowest = std::max(slowest, time_of(level));
    return slowest == 0 ? 0 : saturating_add(cluster_.collective_start, slowest);
  }

 private:
  struct Loads {
    std::map<Device, Wide> out, in;
    std::map<std::pair<Device, Device>, Wide> by_pair;
  };

  void add(const Send& send, std::int64_t bytes_per_element) {
    std::size_t level = 0;
    while (level < sizes_.size() && send.from / sizes_[level] != send.to / sizes_[level]) ++level;
    if (level == sizes_.size())
      throw InvalidArgument("transfer: from device " + std::to_string(send.from) + " to device " +
                            std::to_string(send.to) + ", but cluster " + cluster_.name + " has " +
                            std::to_string(cluster_.device_count()) + " devices");
    const Wide bytes = Wide(send.elements.size()) * bytes_per_element;
    loads_[level].out[send.from] += bytes;
    loads_[level].in[send.to] += bytes;
    loads_[level].by_pair[{send.from, send.to}] += bytes;
  }

  Cost time_of(std::size_t level) const {
    const cost::LinkLevel& links = cluster_.levels[level];
    const Loads& loads = loads_[level];
    const auto time = [&](Wide bytes, cost::Rate rate) {
      return cost::time_at(bytes, 1, 1,
                           std::max<cost::Rate>(1, rate / 100 * links.achieved_percent));
    };
    Cost slowest = time(std::max(largest(loads.out), largest(loads.in)), links.bandwidth);
    if (links.wiring == cost::Wiring::peers)
      slowest = std::max(slowest, time(largest(loads.by_pair), links.peer_bandwidth));
    return saturating_add(links.latency, slowest);
  }

  // The most that anyone has to carry.
  template<class Carriers>
  static Wide largest(const Carriers& carriers) {
    Wide most = 0;
    for (const auto& [carrier, load] : carriers) most = std::max(most, load);
    return most;
  }

  const cost::Cluster& cluster_;
  std::vector<Extent> sizes_;  // of one unit of each level, in devices
  std::vector<Loads> loads_;   // by level
};

}  // namespace detail

TESSERA_INLINE Transfer transfer_between(const Dims& dims, const PlacedSharding& source,
                                         const PlacedSharding& target, Extent per_host) {
  for (const PlacedSharding* placed : {&source, &target})
    if (!placed->sharding.partial_axes().empty())
      throw InvalidArgument("transfer: sharding " + tessera::to_string(placed->sharding) +
                            " is a partial sum (unreduced); reduce it before it is sent");
  element_count(dims);  // throws where that does not fit in 64 bits
  const detail::TransferBlocks blocks(dims, source, target);
  return detail::TransferPlanner(blocks, per_host).run();
}

TESSERA_INLINE Cost transfer_time(const Transfer& transfer, std::int64_t bytes_per_element,
                                  const cost::Cluster& cluster) {
  return saturating_add(detail::PhaseTiming(transfer.across, bytes_per_element, cluster).run(),
                        detail::PhaseTiming(transfer.within, bytes_per_element, cluster).run());
}

}  // namespace tessera::pipeline
