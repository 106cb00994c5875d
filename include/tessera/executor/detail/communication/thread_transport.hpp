// SPDX-License-Identifier: Apache-2.0
//
// Devices that are threads of one process: members of a group read each other's data where it lies.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tessera/executor/detail/communication/fabric.hpp"
#include "tessera/executor/detail/communication/transport.hpp"

namespace tessera::executor::detail {

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(Fabric& fabric, Device device) : fabric_(&fabric), device_(device) {}

  Device device() const noexcept override { return device_; }
  Extent size() const noexcept override { return fabric_->size(); }
  GroupState* join(Group group) override { return &fabric_->meeting_of(group); }

  void all_reduce(const Party& party, const Call& call, Bytes inout, Combiner combiner) override {
    open(party, call, inout.data());
    const std::size_t n = party.size(), unit = combiner.element_bytes;
    const auto begin = [&](std::size_t i) { return unit * block_begin(call.count, n, i); };
    // Each member reduces one block in place: no other member reads that block of its buffer.
    const std::size_t own = begin(party.own);
    reduce(party, own, inout.subspan(own, begin(party.own + 1) - own), combiner);
    meet(party);
    for (std::size_t i = 0; i < n; ++i)
      if (i != party.own)
        copy(inout.data() + begin(i), data(party, i) + begin(i), begin(i + 1) - begin(i));
    meet(party);
  }

  void all_gather(const Party& party, const Call& call, ConstBytes in, Bytes out) override {
    open(party, call, in.data());
    for (std::size_t i = 0; i < party.size(); ++i)
      copy(out.data() + i * in.size(), data(party, i), in.size());
    meet(party);
  }

  void reduce_scatter(const Party& party, const Call& call, ConstBytes in, Bytes out,
                      Combiner combiner) override {
    open(party, call, in.data());
    reduce(party, party.own * out.size(), out, combiner);
    meet(party);
  }

  void all_to_all(const Party& party, const Call& call, ConstBytes in, Bytes out) override {
    open(party, call, in.data());
    const std::size_t block = in.size() / party.size();
    for (std::size_t i = 0; i < party.size(); ++i)
      copy(out.data() + i * block, data(party, i) + party.own * block, block);
    meet(party);
  }

  void broadcast(const Party& party, const Call& call, std::size_t root, Bytes inout) override {
    open(party, call, inout.data());
    if (root != party.own) copy(inout.data(), data(party, root), inout.size());
    meet(party);
  }

  void permute(const Party& party, const Call& call, PermuteEnds ends, ConstBytes in,
               Bytes out) override {
    open(party, call, in.data());
    if (ends.source != PermuteEnds::none && ends.source != party.own)
      copy(out.data(), data(party, ends.source), out.size());
    meet(party);
  }

  void barrier(const Party& party, const Call& call) override {
    open(party, call, nullptr);
    meet(party);
  }

  void send(const Call& call, ConstBytes data) override {
    throw_if_stopped();
    Station& to = fabric_->station(call.partner);
    Message* const message =
        new Message{device_, call, {data.begin(), data.end()}, to.inbox.load()};
    while (!to.inbox.compare_exchange_weak(message->next, message)) {
    }
    to.posted.fetch_add(1);
    fabric_->ring(call.partner);
  }

  void receive(const Call& call, Bytes data) override {
    throw_if_stopped();
    auto& queue = unread_[{call.partner, call.tag}];
    while (queue.empty()) collect_messages(call);
    const std::unique_ptr<Message> message = std::move(queue.front());
    queue.pop_front();
    if (message->call.count != call.count || message->call.element != call.element)
      fail(mismatch_text(device_, call, message->from, message->call));
    copy(data.data(), message->data.data(), data.size());
  }

 private:
  static void copy(std::byte* to, const std::byte* from, std::size_t count) {
    if (to != from && count != 0) std::memcpy(to, from, count);
  }
  static Meeting& meeting_of(const Party& party) { return static_cast<Meeting&>(*party.state); }
  static const std::byte* data(const Party& party, std::size_t member) {
    return meeting_of(party).posts[member].data;
  }

  // --- Meeting -----------------------------------------------------------------------------------

  // Returns when all members have posted the same call: from then on their data may be read, until
  // the last meet(), which all of them must come to.
  void open(const Party& party, const Call& call, const std::byte* data) {
    throw_if_stopped();
    Meeting& meeting = meeting_of(party);
    Post& own = meeting.posts[party.own];
    own.call = call;
    own.data = data;
    const std::uint32_t target = arrive(party);
    while (!has_reached(meeting.arrived, target)) {
      wait(meeting, target);
      if (fabric_->is_stopped() && meeting.give_up(target)) throw Stopped();
    }
    if (Meeting::is_given_up(meeting.arrived.load())) throw Stopped();
    const Call& first = meeting.posts[0].call;
    for (std::size_t i = 1; i < party.size(); ++i)
      if (const Call& other = meeting.posts[i].call; !(other == first))
        fail(mismatch_text(party.members[0], first, party.members[i], other));
  }

  // Returns when all members have come, which they do even if the run is stopped meanwhile.
  // @pre the call is open
  void meet(const Party& party) {
    const std::uint32_t target = arrive(party);
    // Once the run is stopped, wait() returns at once, and this is a loop that polls.
    while (!has_reached(meeting_of(party).arrived, target)) wait(meeting_of(party), target);
  }

  // Returns what `arrived` will be when all have come.
  std::uint32_t arrive(const Party& party) {
    Meeting& meeting = meeting_of(party);
    const auto n = static_cast<std::uint32_t>(party.size());
    const std::uint32_t target = 2 * n * ++meeting.posts[party.own].arrivals;
    if (is_past(meeting.arrived.fetch_add(2) + 2, target))
      for (const Device member : party.members)
        if (member != device_) fabric_->ring(member);
    return target;
  }
  void wait(const Meeting& meeting, std::uint32_t target) {
    fabric_->station(device_).meeting = &meeting;
    fabric_->wait(device_, meeting.arrived, target);
  }

  void throw_if_stopped() const {
    if (fabric_->is_stopped()) throw Stopped();
  }
  [[noreturn]] void fail(const std::string& text) {
    const CommunicationError error(text);
    fabric_->stop(device_, std::make_exception_ptr(error));
    throw error;
  }

  // The members' bytes from `begin` on, combined.
  static void reduce(const Party& party, std::size_t begin, Bytes result, Combiner combiner) {
    std::vector<const std::byte*> operands;
    for (std::size_t i = 0; i < party.size(); ++i) operands.push_back(data(party, i) + begin);
    combine_in_order(operands, result, combiner);
  }

  // --- Messages
  // -----------------------------------------------------------------------------------

  // Takes all messages that have come, or waits for one.
  void collect_messages(const Call& call) {
    Station& own = fabric_->station(device_);
    Message* latest = own.inbox.exchange(nullptr);
    if (latest == nullptr) {
      own.meeting = nullptr;
      own.call = call;
      fabric_->wait(device_, own.posted, collected_ + 1);
      return throw_if_stopped();
    }
    std::vector<std::unique_ptr<Message>> messages;
    for (; latest != nullptr; latest = messages.back()->next) messages.emplace_back(latest);
    collected_ += static_cast<std::uint32_t>(messages.size());
    for (auto message = messages.rbegin(); message != messages.rend(); ++message)
      unread_[{(*message)->from, (*message)->call.tag}].push_back(std::move(*message));
  }

  Fabric* fabric_;
  Device device_;
  std::map<std::pair<Device, Tag>, std::deque<std::unique_ptr<Message>>> unread_;
  std::uint32_t collected_ = 0;  // messages taken from the inbox
};

}  // namespace tessera::executor::detail
