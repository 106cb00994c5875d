// SPDX-License-Identifier: Apache-2.0
//
// Devices that are MPI ranks: collectives as exchanges of blocks between ranks.
//
// MPI's own reductions are not used, since they promise no order of combination.
#pragma once
#include <cstddef>
#include <cstring>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include "tessera/executor/detail/communication/mpi_peers.hpp"
#include "tessera/executor/detail/communication/transport.hpp"

namespace tessera::executor::detail {

class MpiTransport final : public Transport {
 public:
  // `comm` is for this transport alone.
  MpiTransport(MPI_Comm comm, std::stop_token stop) : comm_(comm), peers_(comm, std::move(stop)) {}

  Device device() const noexcept override { return peers_.device(); }
  Extent size() const noexcept override { return peers_.size(); }
  GroupState* join(Group) override { return nullptr; }

  // This device makes no more calls.  Returns when all have said so.
  void leave() { peers_.leave(); }

  void all_reduce(const Party& party, const Call& call, Bytes inout, Combiner combiner) override {
    peers_.open(party, call);
    const auto block = [&](std::size_t i) {
      const std::size_t begin = block_begin(call.count, party.size(), i);
      const std::size_t end = block_begin(call.count, party.size(), i + 1);
      return inout.subspan(begin * combiner.element_bytes, (end - begin) * combiner.element_bytes);
    };
    const Bytes own = block(party.own);
    reduce(party, block, own, combiner);
    exchange(
        party, [&](std::size_t) { return own; }, block);
  }

  void all_gather(const Party& party, const Call& call, ConstBytes in, Bytes out) override {
    peers_.open(party, call);
    copy(out.data() + party.own * in.size(), in);
    exchange(
        party, [&](std::size_t) { return in; },
        [&](std::size_t i) { return out.subspan(i * in.size(), in.size()); });
  }

  void reduce_scatter(const Party& party, const Call& call, ConstBytes in, Bytes out,
                      Combiner combiner) override {
    peers_.open(party, call);
    reduce(
        party, [&](std::size_t i) { return in.subspan(i * out.size(), out.size()); }, out,
        combiner);
  }

  void all_to_all(const Party& party, const Call& call, ConstBytes in, Bytes out) override {
    peers_.open(party, call);
    const std::size_t block = in.size() / party.size();
    copy(out.data() + party.own * block, in.subspan(party.own * block, block));
    exchange(
        party, [&](std::size_t i) { return in.subspan(i * block, block); },
        [&](std::size_t i) { return out.subspan(i * block, block); });
  }

  void broadcast(const Party& party, const Call& call, std::size_t root, Bytes inout) override {
    peers_.open(party, call);
    MpiTransfers transfers(comm_);
    if (root != party.own) return transfers.receive(party.members[root], Stream::data, inout);
    for (const Device member : party.members)
      if (member != device()) transfers.send(member, Stream::data, inout);
  }

  void permute(const Party& party, const Call& call, PermuteEnds ends, ConstBytes in,
               Bytes out) override {
    peers_.open(party, call);
    MpiTransfers transfers(comm_);
    const auto is_other = [&](std::size_t i) { return i != PermuteEnds::none && i != party.own; };
    if (is_other(ends.source)) transfers.receive(party.members[ends.source], Stream::data, out);
    if (is_other(ends.target)) transfers.send(party.members[ends.target], Stream::data, in);
  }

  void barrier(const Party& party, const Call& call) override { peers_.open(party, call); }

  void send(const Call& call, ConstBytes data) override { peers_.send_message(call, data); }

  void receive(const Call& call, Bytes data) override {
    const std::vector<std::byte> received = peers_.receive_message(call);
    copy(data.data(), received);
  }

 private:
  static void copy(std::byte* to, ConstBytes from) {
    if (to != from.data() && !from.empty()) std::memcpy(to, from.data(), from.size());
  }

  // Sends to_send(i) to each other member i, and receives to_fill(i) from it.
  template<class ToSend, class ToFill>
  void exchange(const Party& party, ToSend&& to_send, ToFill&& to_fill) {
    MpiTransfers transfers(comm_);
    for_each_other(party, [&](std::size_t i, Device member) {
      transfers.receive(member, Stream::data, to_fill(i));
    });
    for_each_other(party, [&](std::size_t i, Device member) {
      transfers.send(member, Stream::data, to_send(i));
    });
  }

  // result = the members' blocks for this device, combined; block(i) is this device's for member i.
  template<class Block>
  void reduce(const Party& party, Block&& block, Bytes result, Combiner combiner) {
    const std::size_t size = result.size();
    std::vector<std::byte> blocks(size * party.size());
    exchange(party, block, [&](std::size_t i) { return Bytes(blocks).subspan(i * size, size); });
    copy(blocks.data() + party.own * size, block(party.own));
    std::vector<const std::byte*> operands;
    for (std::size_t i = 0; i < party.size(); ++i) operands.push_back(blocks.data() + i * size);
    combine_in_order(operands, result, combiner);
  }

  MPI_Comm comm_;
  MpiPeers peers_;
};

}  // namespace tessera::executor::detail
