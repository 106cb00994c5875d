// SPDX-License-Identifier: Apache-2.0
//
// Devices that are MPI's ranks: the same collectives as threads.hpp, the same numbers bit for bit.
//
//   int main(int argc, char** argv) {
//     const executor::MpiSession session(argc, argv);
//     executor::run_on_ranks([&](executor::MpiCommunicator& comm) { ... });
//   }
//   mpirun -n 8 ./program
//
// All that is asked of MPI is to carry bytes from rank to rank: in which order its own reductions
// combine, it does not say.  Everything that a device tells another begins with the Call that it is
// part of; what comes from one device comes in order.  So two devices that both wait for each other
// see at once whether they are in the same call, and a device that returns says so.
//
// That leaves circles of three and more.  Who has waited for a while asks those whom it waits for;
// they pass the question on to those they wait for, and if it comes back then nobody in the circle
// can go on (Chandy, Misra and Haas' algorithm, 1983).  Each question says how much had been heard
// from the device asked, so what is out of date can be told.
//
// A failure ends the whole run: its message is printed, and MPI ends all ranks.
#pragma once
#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1  // Open MPI's C++ classes are not wanted, and full of warnings
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <list>
#include <map>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tessera/executor/call.hpp"
#include "tessera/executor/collectives.hpp"
#include "tessera/executor/combine.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/failure.hpp"
#include "tessera/executor/traffic.hpp"

namespace tessera::executor {

// From here on MPI is there, until the end of the scope.
class MpiSession {
 public:
  MpiSession(int& argc, char**& argv) { MPI_Init(&argc, &argv); }
  MpiSession() { MPI_Init(nullptr, nullptr); }
  ~MpiSession() { MPI_Finalize(); }
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
};

namespace detail {

// What MPI's tags tell apart; the caller's are in the Call.
enum class Stream : int { calls, data, letters, questions };

// The messages of one exchange.  MPI counts in int, so large ones go in several pieces.
class Transfers {
 public:
  explicit Transfers(MPI_Comm comm) : comm_(comm) {}
  Transfers(Transfers&&) = default;
  Transfers& operator=(Transfers&&) = default;
  ~Transfers() { finish(); }

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

class MpiTransport {
 public:
  // `comm` is for this transport alone.
  MpiTransport(MPI_Comm comm, std::stop_token stop)
      : comm_(comm),
        stop_(std::move(stop)),
        rank_(asked(MPI_Comm_rank)),
        peers_(static_cast<std::size_t>(asked(MPI_Comm_size))) {}

  Device rank() const noexcept { return rank_; }
  Extent size() const noexcept { return static_cast<Extent>(peers_.size()); }

  struct GroupState {};
  GroupState join(Group) { return {}; }
  using Party = detail::Party<GroupState>;

  void all_reduce(Party& party, const Call& call, Bytes inout, Combiner combiner) {
    open(party, call);
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

  void all_gather(Party& party, const Call& call, ConstBytes in, Bytes out) {
    open(party, call);
    copy(out.data() + party.own * in.size(), in);
    exchange(
        party, [&](std::size_t) { return in; },
        [&](std::size_t i) { return out.subspan(i * in.size(), in.size()); });
  }

  void reduce_scatter(Party& party, const Call& call, ConstBytes in, Bytes out, Combiner combiner) {
    open(party, call);
    reduce(
        party, [&](std::size_t i) { return in.subspan(i * out.size(), out.size()); }, out,
        combiner);
  }

  void all_to_all(Party& party, const Call& call, ConstBytes in, Bytes out) {
    open(party, call);
    const std::size_t block = in.size() / party.size();
    copy(out.data() + party.own * block, in.subspan(party.own * block, block));
    exchange(
        party, [&](std::size_t i) { return in.subspan(i * block, block); },
        [&](std::size_t i) { return out.subspan(i * block, block); });
  }

  void broadcast(Party& party, const Call& call, std::size_t root, Bytes inout) {
    open(party, call);
    Transfers transfers(comm_);
    if (root != party.own) return transfers.receive(party.members[root], Stream::data, inout);
    for (const Device member : party.members)
      if (member != rank_) transfers.send(member, Stream::data, inout);
  }

  void permute(Party& party, const Call& call, Role role, ConstBytes in, Bytes out) {
    open(party, call);
    Transfers transfers(comm_);
    const auto is_other = [&](std::size_t i) { return i != Role::nobody && i != party.own; };
    if (is_other(role.source)) transfers.receive(party.members[role.source], Stream::data, out);
    if (is_other(role.target)) transfers.send(party.members[role.target], Stream::data, in);
  }

  void barrier(Party& party, const Call& call) { open(party, call); }

  void send(const Call& call, ConstBytes data) {
    throw_if_cancelled();
    tell(call.partner, call);
    Parcel& parcel = sending_.emplace_back(comm_);
    parcel.bytes.assign(data.begin(), data.end());
    parcel.transfers.send(call.partner, Stream::letters, parcel.bytes);
    look_around();
  }

  void receive(const Call& call, Bytes data) {
    throw_if_cancelled();
    std::list<Letter>& queue = peer(call.partner).letters;
    const auto find = [&] {
      return std::find_if(queue.begin(), queue.end(),
                          [&](const Letter& letter) { return letter.call.tag == call.tag; });
    };
    wait(call,
         [&] { return find() == queue.end() ? std::vector{call.partner} : std::vector<Device>{}; });
    const auto letter = find();
    letter->parcel.transfers.finish();
    if (letter->call.count != call.count || letter->call.element != call.element)
      fail(mismatch_text(rank_, call, call.partner, letter->call));
    copy(data.data(), letter->parcel.bytes);
    queue.erase(letter);
  }

  // This device makes no more calls.  Returns when all have said so.
  void leave() {
    while (!sending_.empty()) look_around();
    Call farewell;
    farewell.kind = CallKind::barrier;
    farewell.partner = returned;
    for (Device device = 0; device < size(); ++device)
      if (device != rank_) tell(device, farewell);
    const auto is_here = [&](const Peer& peer) {
      return &peer != &this->peer(rank_) && !peer.has_returned;
    };
    while (std::any_of(peers_.begin(), peers_.end(), is_here) || !sending_.empty()) look_around();
  }

 private:
  static constexpr Device returned = -2;  // a farewell's partner

  // Bytes on their way, from or to here.
  struct Parcel {
    explicit Parcel(MPI_Comm comm) : transfers(comm) {}
    std::vector<std::byte> bytes;
    Transfers transfers;
  };
  struct Letter {
    Letter(const Call& its, MPI_Comm comm) : call(its), parcel(comm) {}
    Call call;
    Parcel parcel;
  };

  // What is known of another device.
  struct Peer {
    std::deque<Call> calls;  // of groups that this device is in too, and that it has not come to
    std::list<Letter> letters;
    std::uint64_t told = 0, heard = 0;  // calls, letters and farewells
    bool has_returned = false;
  };
  int asked(int (*question)(MPI_Comm, int*)) const {
    int answer = 0;
    question(comm_, &answer);
    return answer;
  }
  Peer& peer(Device device) { return peers_[static_cast<std::size_t>(device)]; }

  static void copy(std::byte* to, ConstBytes from) {
    if (to != from.data() && !from.empty()) std::memcpy(to, from.data(), from.size());
  }

  // --- Exchanging blocks -------------------------------------------------------------------------

  // Sends to_send(i) to each other member i, and receives to_fill(i) from it.
  template<class ToSend, class ToFill>
  void exchange(const Party& party, ToSend&& to_send, ToFill&& to_fill) {
    Transfers transfers(comm_);
    for_each_other(party, [&](std::size_t i, Device member) {
      transfers.receive(member, Stream::data, to_fill(i));
    });
    for_each_other(party, [&](std::size_t i, Device member) {
      transfers.send(member, Stream::data, to_send(i));
    });
  }
  // Beginning with the next one, so that not all turn to the same one first.
  template<class Visit>
  static void for_each_other(const Party& party, Visit&& visit) {
    for (std::size_t step = 1; step < party.size(); ++step) {
      const std::size_t i = (party.own + step) % party.size();
      visit(i, party.members[i]);
    }
  }

  // result = the members' blocks for this one, combined; block(i) is this one's for member i.
  template<class Block>
  void reduce(const Party& party, Block&& block, Bytes result, Combiner combiner) {
    const std::size_t size = result.size();
    std::vector<std::byte> others(size * party.size());
    exchange(party, block, [&](std::size_t i) { return Bytes(others).subspan(i * size, size); });
    copy(others.data() + party.own * size, block(party.own));
    combine_in_order(
        party.size(), [&](std::size_t i) { return others.data() + i * size; }, result, combiner);
  }

  // --- Coming together ---------------------------------------------------------------------------

  // Returns when all members are in the same call.
  void open(const Party& party, const Call& call) {
    throw_if_cancelled();
    for_each_other(party, [&](std::size_t, Device member) { tell(member, call); });
    // A call of another group that both are in is one too many, or one too few: no need to wait
    // for the rest of this group.
    const auto check = [&](Device member) {
      const Call& other = peer(member).calls.front();
      if (!(other.group == call.group)) fail(mismatch_text(rank_, call, member, other));
    };
    wait(call, [&] {
      std::vector<Device> missing;
      for_each_other(party, [&](std::size_t, Device member) {
        if (peer(member).calls.empty())
          missing.push_back(member);
        else
          check(member);
      });
      return missing;
    });
    const auto call_of = [&](std::size_t i) -> const Call& {
      return i == party.own ? call : peer(party.members[i]).calls.front();
    };
    for (std::size_t i = 1; i < party.size(); ++i)
      if (!(call_of(i) == call_of(0)))
        fail(mismatch_text(party.members[0], call_of(0), party.members[i], call_of(i)));
    for_each_other(party, [&](std::size_t, Device member) { peer(member).calls.pop_front(); });
  }

  [[noreturn]] static void fail(const std::string& text) { throw CommunicationError(text); }

  void throw_if_cancelled() const {
    if (stop_.stop_requested()) throw Cancelled();
  }

  void tell(Device to, const Call& call) {
    ++peer(to).told;
    post(to, Stream::calls, std::as_bytes(std::span(&call, 1)));
  }
  void post(Device to, Stream stream, ConstBytes bytes) {
    Parcel& parcel = sending_.emplace_back(comm_);
    parcel.bytes.assign(bytes.begin(), bytes.end());
    parcel.transfers.send(to, stream, parcel.bytes);
  }

  // Returns when missing() names no device any more.
  template<class Missing>
  void wait(const Call& call, Missing&& missing) {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds patience(500);
    Clock::time_point next_question = Clock::now() + patience;
    call_ = &call;
    first_question_ = questions_asked_ + 1;
    for (;;) {
      missing_ = missing();
      if (missing_.empty()) break;
      for (const Device device : missing_)
        if (peer(device).has_returned) fail(deadlock_text({{rank_, device, call}}, true));
      throw_if_cancelled();
      if (look_around()) continue;
      std::this_thread::yield();
      if (Clock::now() < next_question) continue;
      next_question = Clock::now() + patience;
      ask({rank_, ++questions_asked_, 0}, {});
    }
    call_ = nullptr;
  }

  // Takes what has come, and lets go of what has been sent.  Returns whether anything had come.
  bool look_around() {
    std::erase_if(sending_, [](Parcel& parcel) { return parcel.transfers.is_finished(); });
    // Who has heard something may wait for less than it did: it must look at that before it
    // answers.
    return take(Stream::calls, [&](Device from, ConstBytes bytes) { hear(from, bytes); }) ||
           take(Stream::questions, [&](Device from, ConstBytes bytes) { answer(from, bytes); });
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
      Letter& letter = sender.letters.emplace_back(call, comm_);
      letter.parcel.bytes.resize(call.count *
                                 static_cast<std::size_t>(graph::bytes_of(call.element)));
      letter.parcel.transfers.receive(from, Stream::letters, letter.parcel.bytes);
    } else {
      sender.calls.push_back(call);
    }
  }

  // --- Deadlocks ---------------------------------------------------------------------------------

  // On its way it is followed by the waits that it went along.
  struct Question {
    Device asker = 0;
    std::uint64_t number = 0;  // of the asker's
    std::uint64_t heard = 0;   // how much its sender has heard from whom it is sent to
  };

  // Asks all whom this device waits for.
  void ask(Question question, std::vector<Wait> waits) {
    waits.emplace_back();
    for (const Device device : missing_) {
      question.heard = peer(device).heard;
      waits.back() = {rank_, device, *call_};
      std::vector<std::byte> bytes(sizeof question + waits.size() * sizeof(Wait));
      std::memcpy(bytes.data(), &question, sizeof question);
      std::memcpy(bytes.data() + sizeof question, waits.data(), waits.size() * sizeof(Wait));
      post(device, Stream::questions, bytes);
    }
  }

  // A question counts if its sender waits for this device still, and this one waits itself.  If it
  // has come back, all along its way wait at this moment: each has waited since it passed it on,
  // as the next one had not told it anything when the question came there.
  void answer(Device from, ConstBytes bytes) {
    if (call_ == nullptr) return;
    Question question;
    std::memcpy(&question, bytes.data(), sizeof question);
    if (peer(from).told > question.heard) return;
    std::vector<Wait> waits((bytes.size() - sizeof question) / sizeof(Wait));
    std::memcpy(waits.data(), bytes.data() + sizeof question, waits.size() * sizeof(Wait));
    if (question.asker == rank_) {
      if (question.number >= first_question_) fail(deadlock_text(std::move(waits), false));
    } else if (std::uint64_t& passed_on = passed_on_[question.asker]; passed_on < question.number) {
      passed_on = question.number;
      ask(question, std::move(waits));
    }
  }

  MPI_Comm comm_;
  std::stop_token stop_;
  Device rank_;
  std::vector<Peer> peers_;
  std::list<Parcel> sending_;  // what this device need not wait for
  // What it waits in, and for whom; nothing while it does not wait.
  const Call* call_ = nullptr;
  std::vector<Device> missing_;
  std::uint64_t questions_asked_ = 0, first_question_ = 0;  // in all; the first of this wait
  std::map<Device, std::uint64_t> passed_on_;               // of each asker's questions, the last
};

}  // namespace detail

namespace detail {

[[noreturn]] inline void abort_run(MPI_Comm comm, const DeviceException& failure) {
  // What is not one device's own, several see: let the first speak for all.
  constexpr Device most = 10;
  if (!is_own(failure))
    std::this_thread::sleep_for(std::chrono::milliseconds(100) * std::min(failure.device, most));
  std::fprintf(stderr, "%s\n", text_of(failure).c_str());
  std::fflush(nullptr);
  MPI_Abort(comm, EXIT_FAILURE);
  std::abort();
}

}  // namespace detail

using MpiCommunicator = Collectives<detail::MpiTransport>;
static_assert(Communicator<MpiCommunicator>);

// Runs `body(MpiCommunicator&)` on every rank of `comm`, and returns what this one moved when all
// have ended.  Called by all ranks, in an MpiSession or between MPI_Init and MPI_Finalize.  When a
// device fails, or when `stop` is requested on its rank, what failure.hpp says goes to stderr and
// all ranks are ended (MPI_Abort).
template<class Body>
Traffic run_on_ranks(Body&& body, MPI_Comm comm = MPI_COMM_WORLD, std::stop_token stop = {}) {
  MPI_Comm own = MPI_COMM_NULL;
  MPI_Comm_dup(comm, &own);
  Traffic traffic;
  {
    detail::MpiTransport transport(own, std::move(stop));
    MpiCommunicator communicator(transport);
    try {
      body(communicator);
      transport.leave();
    } catch (...) {
      detail::abort_run(own, {transport.rank(), std::current_exception()});
    }
    traffic = communicator.traffic();
  }
  MPI_Comm_free(&own);
  return traffic;
}

}  // namespace tessera::executor
