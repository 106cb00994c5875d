// SPDX-License-Identifier: Apache-2.0
//
// The other ranks of an MPI run, as one device sees them: what it has told them, what it has heard
// from them, and whether it waits for them in vain.
//
// Everything that a device tells another one begins with the Call that it is part of, and what
// comes from one device comes in order.  So two devices that wait for each other see at once
// whether they are in the same call, and a device that returns says so.
//
// That leaves cycles of three and more.  A device that has waited for a while sends a probe to the
// devices it waits for; they pass it on to those they wait for, and if it comes back to its sender,
// then no device in the cycle can go on (Chandy, Misra and Haas, 1983).  Each probe says how much
// its sender has heard from the device it is sent to, so that outdated probes are recognised.
#pragma once
#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1  // Open MPI's C++ classes are not needed, and cause many warnings
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tessera/executor/detail/communication/call.hpp"
#include "tessera/executor/detail/communication/transport.hpp"
#include "tessera/executor/errors.hpp"

namespace tessera::executor::detail {

// Told apart by MPI's tags; the caller's tags are in the Call.
enum class Stream : int { calls, data, messages, probes };

// The non-blocking sends and receives of one exchange.  MPI counts in int, so large buffers go in
// several pieces.
class MpiTransfers {
 public:
  explicit MpiTransfers(MPI_Comm comm) : comm_(comm) {}
  MpiTransfers(MpiTransfers&&) = default;
  MpiTransfers& operator=(MpiTransfers&&) = default;
  ~MpiTransfers() { finish(); }

  // The bytes must stay where they are until it is finished.
  void send(Device to, Stream stream, ConstBytes bytes) {
    for_each_piece(bytes.size(), [&](std::size_t begin, int size) {
      MPI_Isend(bytes.data() + begin, size, MPI_BYTE, static_cast<int>(to),
                static_cast<int>(stream), comm_, &requests_.emplace_back());
    });
  }
  void receive(Device from, Stream stream, Bytes bytes) {
    for_each_piece(bytes.size(), [&](std::size_t begin, int size) {
      MPI_Irecv(bytes.data() + begin, size, MPI_BYTE, static_cast<int>(from),
                static_cast<int>(stream), comm_, &requests_.emplace_back());
    });
  }

  bool is_finished() {
    int flag = 0;
    MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &flag, MPI_STATUSES_IGNORE);
    return flag != 0;
  }
  void finish() {
    MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE);
    requests_.clear();
  }

 private:
  template<class Visit>
  static void for_each_piece(std::size_t bytes, Visit&& visit) {
    constexpr std::size_t limit = std::size_t{1} << 30U;
    for (std::size_t begin = 0; begin < bytes; begin += limit)
      visit(begin, static_cast<int>(std::min(limit, bytes - begin)));
  }

  MPI_Comm comm_;
  std::vector<MPI_Request> requests_;
};

// Calls visit(i, device) for every other member of a group, beginning with the next one, so that
// the members do not all turn to the same one first.
template<class Visit>
void for_each_other(const Party& party, Visit&& visit) {
  for (std::size_t step = 1; step < party.size(); ++step) {
    const std::size_t i = (party.own + step) % party.size();
    visit(i, party.members[i]);
  }
}

class MpiPeers {
 public:
  // `comm` is for this object and its transport alone.
  MpiPeers(MPI_Comm comm, std::stop_token stop)
      : comm_(comm),
        stop_(std::move(stop)),
        device_(asked(MPI_Comm_rank)),
        peers_(static_cast<std::size_t>(asked(MPI_Comm_size))) {}

  Device device() const noexcept { return device_; }
  Extent size() const noexcept { return static_cast<Extent>(peers_.size()); }

  // Returns when all members are in the same call.
  void open(const Party& party, const Call& call) {
    throw_if_cancelled();
    for_each_other(party, [&](std::size_t, Device member) { tell(member, call); });
    wait(call, [&] { return missing_in(party, call); });
    const auto call_of = [&](std::size_t i) -> const Call& {
      return i == party.own ? call : peer(party.members[i]).calls.front();
    };
    for (std::size_t i = 1; i < party.size(); ++i)
      if (!(call_of(i) == call_of(0)))
        fail(mismatch_text(party.members[0], call_of(0), party.members[i], call_of(i)));
    for_each_other(party, [&](std::size_t, Device member) { peer(member).calls.pop_front(); });
  }

  void send_message(const Call& call, ConstBytes data) {
    throw_if_cancelled();
    tell(call.partner, call);
    post(call.partner, Stream::messages, data);
    look_around();
  }

  std::vector<std::byte> receive_message(const Call& call) {
    throw_if_cancelled();
    std::list<Message>& queue = peer(call.partner).messages;
    const auto find = [&] {
      return std::find_if(queue.begin(), queue.end(),
                          [&](const Message& message) { return message.call.tag == call.tag; });
    };
    wait(call,
         [&] { return find() == queue.end() ? std::vector{call.partner} : std::vector<Device>{}; });
    const auto message = find();
    message->parcel.transfers.finish();
    if (message->call.count != call.count || message->call.element != call.element)
      fail(mismatch_text(device_, call, call.partner, message->call));
    std::vector<std::byte> bytes = std::move(message->parcel.bytes);
    queue.erase(message);
    return bytes;
  }

  // This device makes no more calls.  Returns when all have said so.
  void leave() {
    while (!sending_.empty()) look_around();
    Call farewell;
    farewell.kind = CallKind::barrier;
    farewell.partner = returned;
    for (Device device = 0; device < size(); ++device)
      if (device != device_) tell(device, farewell);
    const auto is_here = [&](const Peer& peer) {
      return &peer != &this->peer(device_) && !peer.has_returned;
    };
    while (std::any_of(peers_.begin(), peers_.end(), is_here) || !sending_.empty()) look_around();
  }

 private:
  static constexpr Device returned = -2;  // a farewell's partner

  // Bytes on their way, from or to this device.
  struct Parcel {
    explicit Parcel(MPI_Comm comm) : transfers(comm) {}
    std::vector<std::byte> bytes;
    MpiTransfers transfers;
  };
  struct Message {
    Message(const Call& its, MPI_Comm comm) : call(its), parcel(comm) {}
    Call call;
    Parcel parcel;
  };
  struct Peer {
    std::deque<Call> calls;  // of groups that this device is in too, and which it has not made yet
    std::list<Message> messages;
    std::uint64_t told = 0, heard = 0;  // calls, messages and farewells
    bool has_returned = false;
  };

  int asked(int (*question)(MPI_Comm, int*)) const {
    int answer = 0;
    question(comm_, &answer);
    return answer;
  }
  Peer& peer(Device device) { return peers_[static_cast<std::size_t>(device)]; }

  [[noreturn]] static void fail(const std::string& text) { throw CommunicationError(text); }
  void throw_if_cancelled() const {
    if (stop_.stop_requested()) throw Cancelled();
  }

  // --- Telling and hearing -----------------------------------------------------------------------

  void tell(Device to, const Call& call) {
    ++peer(to).told;
    post(to, Stream::calls, std::as_bytes(std::span(&call, 1)));
  }
  void post(Device to, Stream stream, ConstBytes bytes) {
    Parcel& parcel = sending_.emplace_back(comm_);
    parcel.bytes.assign(bytes.begin(), bytes.end());
    parcel.transfers.send(to, stream, parcel.bytes);
  }

  // Takes what has come, and forgets what has been sent.  Returns whether anything had come.
  bool look_around() {
    std::erase_if(sending_, [](Parcel& parcel) { return parcel.transfers.is_finished(); });
    // A call that has come may end a wait, so calls are taken before probes are answered.
    return take(Stream::calls, [&](Device from, ConstBytes bytes) { hear(from, bytes); }) ||
           take(Stream::probes, [&](Device from, ConstBytes bytes) { answer(from, bytes); });
  }

  // Calls visit(from, bytes) for all that has come.  Returns whether anything had.
  template<class Visit>
  bool take(Stream stream, Visit&& visit) {
    for (bool has_come = false;; has_come = true) {
      int flag = 0;
      MPI_Message message{};
      MPI_Status status{};
      MPI_Improbe(MPI_ANY_SOURCE, static_cast<int>(stream), comm_, &flag, &message, &status);
      if (flag == 0) return has_come;
      int size = 0;
      MPI_Get_count(&status, MPI_BYTE, &size);
      std::vector<std::byte> bytes(static_cast<std::size_t>(size));
      MPI_Mrecv(bytes.data(), size, MPI_BYTE, &message, MPI_STATUS_IGNORE);
      visit(status.MPI_SOURCE, bytes);
    }
  }

  void hear(Device from, ConstBytes bytes) {
    Call call;
    std::memcpy(&call, bytes.data(), sizeof call);
    Peer& sender = peer(from);
    ++sender.heard;
    if (call.partner == returned) {
      sender.has_returned = true;
    } else if (call.kind == CallKind::send) {
      Message& message = sender.messages.emplace_back(call, comm_);
      message.parcel.bytes.resize(call.count *
                                  static_cast<std::size_t>(graph::bytes_of(call.element)));
      message.parcel.transfers.receive(from, Stream::messages, message.parcel.bytes);
    } else {
      sender.calls.push_back(call);
    }
  }

  // --- Waiting -----------------------------------------------------------------------------------

  // The members that have made no call yet.  A call of another group that both are in is one call
  // too many, or one too few; then there is no need to wait for the other members.
  std::vector<Device> missing_in(const Party& party, const Call& call) {
    std::vector<Device> missing;
    for_each_other(party, [&](std::size_t, Device member) {
      if (peer(member).calls.empty()) return missing.push_back(member);
      const Call& other = peer(member).calls.front();
      if (!(other.group == call.group)) fail(mismatch_text(device_, call, member, other));
    });
    return missing;
  }

  // Returns when missing() is empty: the devices that this one still waits for.
  template<class Missing>
  void wait(const Call& call, Missing&& missing) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds patience(500);
    Clock::time_point next_probe = Clock::now() + patience;
    call_ = &call;
    first_probe_ = probes_sent_ + 1;
    for (;;) {
      missing_ = missing();
      if (missing_.empty()) break;
      for (const Device device : missing_)
        if (peer(device).has_returned) fail(deadlock_text({{device_, device, call}}, true));
      throw_if_cancelled();
      if (look_around()) continue;
      std::this_thread::yield();
      if (Clock::now() < next_probe) continue;
      next_probe = Clock::now() + patience;
      send_probe({device_, ++probes_sent_, 0}, {});
    }
    call_ = nullptr;
  }

  // --- Deadlocks ---------------------------------------------------------------------------------

  // Followed by the waits that it has travelled along.
  struct Probe {
    Device sender = 0;
    std::uint64_t number = 0;  // among the sender's probes
    std::uint64_t heard = 0;   // how much the device that passes it on has heard from its target
  };

  // To all devices that this one waits for.
  void send_probe(Probe probe, std::vector<Wait> waits) {
    waits.emplace_back();
    for (const Device device : missing_) {
      probe.heard = peer(device).heard;
      waits.back() = {device_, device, *call_};
      std::vector<std::byte> bytes(sizeof probe + waits.size() * sizeof(Wait));
      std::memcpy(bytes.data(), &probe, sizeof probe);
      std::memcpy(bytes.data() + sizeof probe, waits.data(), waits.size() * sizeof(Wait));
      post(device, Stream::probes, bytes);
    }
  }

  // A probe counts if the device it comes from still waits for this one, and this one waits itself.
  // If it has come back to its sender, all devices along its way wait at this moment: each of them
  // has waited since it passed the probe on, as the next one had not told it anything new when the
  // probe came there.
  void answer(Device from, ConstBytes bytes) {
    if (call_ == nullptr) return;
    Probe probe;
    std::memcpy(&probe, bytes.data(), sizeof probe);
    if (peer(from).told > probe.heard) return;
    std::vector<Wait> waits((bytes.size() - sizeof probe) / sizeof(Wait));
    std::memcpy(waits.data(), bytes.data() + sizeof probe, waits.size() * sizeof(Wait));
    if (probe.sender == device_) {
      if (probe.number >= first_probe_) fail(deadlock_text(std::move(waits), false));
    } else if (std::uint64_t& passed_on = passed_on_[probe.sender]; passed_on < probe.number) {
      passed_on = probe.number;
      send_probe(probe, std::move(waits));
    }
  }

  MPI_Comm comm_;
  std::stop_token stop_;
  Device device_;
  std::vector<Peer> peers_;
  std::list<Parcel> sending_;  // this device need not wait for them
  // The call that this device waits in, and for which devices; null while it does not wait.
  const Call* call_ = nullptr;
  std::vector<Device> missing_;
  std::uint64_t probes_sent_ = 0, first_probe_ = 0;  // in all; the first of this wait
  std::map<Device, std::uint64_t> passed_on_;        // the last one of each sender's probes
};

}  // namespace tessera::executor::detail
