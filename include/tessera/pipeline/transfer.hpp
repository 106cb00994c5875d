// SPDX-License-Identifier: Apache-2.0
//
// What a stage hands to the next one: a tensor, from its sharding on one submesh to another
// sharding on another submesh.
//
// Links between hosts are slow, those within a host are fast.  So a part of the tensor that several
// devices of a host need comes to that host once: cut into as many pieces as devices need it, each
// device receives one, and then they exchange the pieces among themselves (Alpa's local
// all-gather). That is the least that can cross.  Where several devices hold a part, the one that
// has sent least so far sends.  What a host holds already, when two stages share it, does not cross
// at all.
//
// The tensor is cut by the borders of both shardings into blocks, so that a device holds all of a
// block or nothing of it.  A piece is a run of a block's elements, in row-major order.
#pragma once
#include <algorithm>
#include <cstddef>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/dynamic_sharding.hpp"
#include "tessera/sharding/local.hpp"

namespace tessera::pipeline {

// A sharding on a submesh whose devices, in the mesh's order, are those from `first` on.
struct Placed {
  DynamicMesh mesh;
  DynamicSharding sharding;
  Device first = 0;
};

// One message.  `elements`: which of the block's, counted in row-major order.
struct Send {
  Device from = 0, to = 0;
  Slice block;
  Range elements;
};

struct Transfer {
  std::vector<Send> across;  // between hosts, all at once
  std::vector<Send> within;  // in a host, after that
  Wide elements_across = 0;  // the sum of what crosses
};

namespace detail {

// Where a dim is cut, by either sharding; the first cut is 0 and the last one the dim's end.
using Cuts = std::vector<Extent>;

// The blocks of a tensor, who holds each and who needs it.
class Blocks {
 public:
  Blocks(const Dims& dims, const Placed& source, const Placed& target) : cuts_(dims.size()) {
    for (std::size_t dim = 0; dim < dims.size(); ++dim) cuts_[dim] = {0, dims[dim]};
    for (const Placed* placed : {&source, &target}) {
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
  void note(const Dims& dims, const Placed& placed, std::vector<std::vector<Device>>& lists) const {
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
  TransferPlanner(const Blocks& blocks, Extent per_host) : blocks_(blocks), per_host_(per_host) {}

  Transfer run() {
    // Blocks that few devices hold go first: the others can still choose.
    std::vector<std::size_t> order;
    for (std::size_t block = 0; block < blocks_.size(); ++block) order.push_back(block);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return blocks_.holders(a).size() < blocks_.holders(b).size();
    });
    for (const std::size_t block : order) hand_over(block);
    return std::move(transfer_);
  }

 private:
  using Hosts = std::map<Device, std::vector<Device>>;

  Hosts by_host(const std::vector<Device>& devices) const {
    Hosts hosts;
    for (const Device device : devices) hosts[device / per_host_].push_back(device);
    return hosts;
  }

  void hand_over(std::size_t block) {
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

  const Blocks& blocks_;
  Extent per_host_;
  Transfer transfer_;
  std::map<Device, Wide> sent_across_, sent_within_;
};

}  // namespace detail

// Which device sends what to which, so that every device of `target` holds what its sharding says.
// Throws std::invalid_argument for partial results, which are to be finished first; InvalidSharding
// for a sharding that is none of such a tensor.  @pre per_host >= 1
inline Transfer transfer_between(const Dims& dims, const Placed& source, const Placed& target,
                                 Extent per_host) {
  for (const Placed* placed : {&source, &target})
    if (!placed->sharding.partial_axes().empty())
      throw std::invalid_argument("transfer: sharding " + tessera::to_string(placed->sharding) +
                                  " holds partial results; reduce them before they are sent");
  element_count(dims);  // throws where that does not fit in 64 bits
  const detail::Blocks blocks(dims, source, target);
  return detail::TransferPlanner(blocks, per_host).run();
}

// How fast a cluster's links are, in one direction; bytes per second, picoseconds.
struct Links {
  Extent per_host = 1;               // devices
  std::int64_t within = 0;           // each device's, to others of its host
  std::int64_t across = 0;           // each device's, to other hosts
  std::int64_t across_per_host = 0;  // all of a host's devices together
  Cost start_within = 0, start_across = 0;
};

namespace detail {

// The most that anyone in `loads` has to carry.
inline Wide largest(const std::map<Device, Wide>& loads) {
  Wide most = 0;
  for (const auto& [device, load] : loads) most = std::max(most, load);
  return most;
}

// Picoseconds for so many bytes, rounded up; infinite where they do not fit.  @pre speed >= 1
inline Cost carrying_time(Wide bytes, std::int64_t speed) {
  constexpr Wide second = 1'000'000'000'000;
  if (bytes > (Wide{1} << 80U)) return infinite;
  return static_cast<Cost>(std::min<Wide>((bytes * second + speed - 1) / speed, infinite));
}

}  // namespace detail

// How long a transfer takes: first what crosses, then what stays within hosts, each as long as the
// device, or the host, that has the most to send or to receive.  @pre the speeds are at least 1
inline Cost transfer_time(const Transfer& transfer, std::int64_t bytes_per_element,
                          const Links& links) {
  using Loads = std::map<Device, Wide>;
  const auto bytes = [&](const Send& send) {
    return Wide(send.elements.size()) * bytes_per_element;
  };
  Loads out, in, host_out, host_in, within_out, within_in;
  for (const Send& send : transfer.across) {
    out[send.from] += bytes(send);
    in[send.to] += bytes(send);
    host_out[send.from / links.per_host] += bytes(send);
    host_in[send.to / links.per_host] += bytes(send);
  }
  for (const Send& send : transfer.within) {
    within_out[send.from] += bytes(send);
    within_in[send.to] += bytes(send);
  }
  const auto time = [](const Loads& a, const Loads& b, std::int64_t speed) {
    return detail::carrying_time(std::max(detail::largest(a), detail::largest(b)), speed);
  };
  Cost total = 0;
  if (!transfer.across.empty())
    total = saturating_add(
        links.start_across,
        std::max(time(out, in, links.across), time(host_out, host_in, links.across_per_host)));
  if (!transfer.within.empty())
    total = saturating_add(
        total, saturating_add(links.start_within, time(within_out, within_in, links.within)));
  return total;
}

}  // namespace tessera::pipeline
