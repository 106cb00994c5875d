// SPDX-License-Identifier: Apache-2.0
//
// Devices that are threads of one process.
//
//   const std::vector<executor::Traffic> traffic = executor::run_on_threads(
//       mesh.device_count(), [&](executor::ThreadCommunicator& comm) { ... });
//
// In a collective every member posts what it calls and where its data is, and reads the others'
// data where it lies.  Members of a group meet by counting arrivals: one atomic addition each, and
// no locks but where a group is seen for the first time.  Who has to wait sleeps until its bell is
// rung, since there may be far more devices than cores.
//
// When a device fails, all others are stopped at their next call, or in the one they wait in; but
// where a group has met, its members finish the call, since some may be reading the others' data.
// And when all devices wait or have returned, and nothing that any of them waits for has happened,
// then nothing will ever happen: whoever comes last finds that out (Fabric::find_deadlock) and says
// who waits for whom in what call.  So neither a forgotten nor a mismatched call hangs.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/call.hpp"
#include "tessera/executor/collectives.hpp"
#include "tessera/executor/combine.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/failure.hpp"
#include "tessera/executor/traffic.hpp"

namespace tessera::executor {

namespace detail {

// Counts what has happened, and wraps around: a target is reached when it is no longer ahead.
using Counter = std::atomic<std::uint32_t>;
inline bool is_past(std::uint32_t count, std::uint32_t target) noexcept {
  return static_cast<std::int32_t>(count - target) >= 0;
}
inline bool has_reached(const Counter& counter, std::uint32_t target) noexcept {
  return is_past(counter.load(), target);
}

// What one member of a group shows the others while they are in a call together.  Written by its
// owner before it arrives, read by others after.
struct alignas(64) Post {
  Call call;
  const std::byte* data = nullptr;
  std::uint32_t arrivals = 0;  // the owner's own, up to now
};

// Where the members of one group meet: first to open a call, then within it and to close it.
struct Meeting {
  explicit Meeting(Group group) : members(group.begin(), group.end()), posts(group.size()) {}

  std::vector<Device> members;
  std::vector<Post> posts;  // by member
  // Twice the arrivals of all members together, plus one if a member has given up before all had
  // come to open a call.  From then on nobody may take part in another one: that member's data is
  // not there any more.
  Counter arrived{0};

  static bool is_given_up(std::uint32_t arrived) noexcept { return arrived % 2 != 0; }
  // Whether this member may leave a call that the others have not all come to.
  bool give_up(std::uint32_t target) noexcept {
    std::uint32_t now = arrived.load();
    do {
      if (is_given_up(now)) return true;
      if (is_past(now, target)) return false;
    } while (!arrived.compare_exchange_weak(now, now + 1));
    return true;
  }
};

struct Letter {
  Device from = 0;
  Call call;
  std::vector<std::byte> data;
  Letter* next = nullptr;  // the one posted before
};

// What one device has in shared memory.
struct alignas(64) Station {
  Counter bell{0};  // its device sleeps on it, and looks around when it has changed

  // Letters to this device, latest first, and how many were ever posted.
  std::atomic<Letter*> inbox{nullptr};
  Counter posted{0};

  // What the device waits for: odd from the moment it says so until it goes on.  `meeting` is null
  // while it waits for a letter.
  Counter epoch{0};
  std::atomic<const Counter*> awaited{nullptr};
  std::atomic<std::uint32_t> target{0};
  const Meeting* meeting = nullptr;
  Call call;  // while it waits for a letter
  bool has_returned = false;

  ~Station() {
    for (Letter* letter = inbox.load(); letter != nullptr;) {
      const std::unique_ptr<Letter> owned(letter);
      letter = letter->next;
    }
  }
};

// What the devices of one run share.
class Fabric {
 public:
  explicit Fabric(Extent devices) : stations_(static_cast<std::size_t>(devices)) {}

  Extent size() const noexcept { return static_cast<Extent>(stations_.size()); }
  Station& station(Device device) noexcept { return stations_[static_cast<std::size_t>(device)]; }

  Meeting& meeting_of(Group group) {
    const std::scoped_lock lock(mutex_);
    const auto found = meetings_.find(group);
    if (found != meetings_.end()) return *found->second;
    std::vector<Device> key(group.begin(), group.end());
    return *meetings_.emplace(std::move(key), std::make_unique<Meeting>(group)).first->second;
  }

  void ring(Device device) noexcept {
    Counter& bell = station(device).bell;
    bell.fetch_add(1);
    bell.notify_one();
  }

  bool is_stopped() const noexcept { return is_stopped_.load(); }

  // The first failure is the run's; all others follow from it.
  void stop(Device device, std::exception_ptr failure) noexcept {
    if (!has_failed_.exchange(true)) failure_ = {device, std::move(failure)};
    is_stopped_.store(true);
    for (Device d = 0; d < size(); ++d) ring(d);
  }
  // @pre all devices have ended
  const DeviceException& failure() const noexcept { return failure_; }

  // Returns when `counter` has reached `target`, which whoever raises it tells by ring(me), or when
  // the run is stopped.  What `me` waits in stands in its station.
  void wait(Device me, const Counter& counter, std::uint32_t target) {
    for (int turn = 0; turn < 8; ++turn) {
      if (has_reached(counter, target)) return;
      std::this_thread::yield();
    }
    Station& own = station(me);
    own.awaited.store(&counter);
    own.target.store(target);
    own.epoch.fetch_add(1);
    if (idle_.fetch_add(1) + 1 == stations_.size()) find_deadlock();
    for (;;) {
      const std::uint32_t heard = own.bell.load();
      if (is_stopped_.load() || has_reached(counter, target)) break;
      own.bell.wait(heard);
    }
    idle_.fetch_sub(1);
    own.epoch.fetch_add(1);
  }

  // The device makes no more calls.
  void leave(Device me) {
    Station& own = station(me);
    own.has_returned = true;
    own.awaited.store(nullptr);
    own.epoch.fetch_add(1);
    if (idle_.fetch_add(1) + 1 == stations_.size()) find_deadlock();
  }

 private:
  // Called when all devices seem to wait or to have returned.  They all do so at one moment if none
  // has moved on (epoch) while we looked whether what they wait for has happened: the first to move
  // on would have been seen to be able to.
  void find_deadlock() {
    std::vector<std::uint32_t> epochs;
    for (const Station& station : stations_) epochs.push_back(station.epoch.load());
    bool does_any_wait = false;
    for (std::size_t d = 0; d < stations_.size(); ++d) {
      if (epochs[d] % 2 == 0) return;
      const Counter* const awaited = stations_[d].awaited.load();
      if (awaited == nullptr) continue;
      does_any_wait = true;
      if (has_reached(*awaited, stations_[d].target.load())) return;
    }
    for (std::size_t d = 0; d < stations_.size(); ++d)
      if (stations_[d].epoch.load() != epochs[d]) return;
    if (!does_any_wait || has_failed_.load()) return;
    stop(-1, std::make_exception_ptr(CommunicationError(deadlock())));
  }

  // Follows who waits for whom, from the first device that waits, to a device that has returned or
  // that was met before.  @pre all devices wait or have returned
  std::string deadlock() {
    Device at = 0;
    while (station(at).has_returned) ++at;
    std::vector<bool> is_met(stations_.size(), false);
    std::vector<Wait> waits;
    while (!station(at).has_returned && !is_met[static_cast<std::size_t>(at)]) {
      is_met[static_cast<std::size_t>(at)] = true;
      waits.push_back(wait_of(at));
      at = waits.back().awaited;
    }
    const auto is_at = [at](const Wait& wait) { return wait.device == at; };
    // What leads to a circle is no part of it, nor to one that waits for one that has returned.
    waits.erase(waits.begin(), station(at).has_returned
                                   ? waits.end() - 1
                                   : std::find_if(waits.begin(), waits.end(), is_at));
    return deadlock_text(std::move(waits), station(at).has_returned);
  }
  // For the first one, where it waits for several.  @pre `device` waits
  Wait wait_of(Device device) {
    const Station& own = station(device);
    if (own.meeting == nullptr) return {device, own.call.partner, own.call};
    const Meeting& meeting = *own.meeting;
    std::size_t here = 0, missing = 0;
    while (meeting.members[here] != device) ++here;
    while (meeting.posts[missing].arrivals >= meeting.posts[here].arrivals) ++missing;
    return {device, meeting.members[missing], meeting.posts[here].call};
  }

  std::vector<Station> stations_;
  std::atomic<std::size_t> idle_{0};  // devices that wait or have returned
  std::atomic<bool> is_stopped_{false}, has_failed_{false};
  DeviceException failure_;

  std::mutex mutex_;  // guards what follows
  std::map<std::vector<Device>, std::unique_ptr<Meeting>, DevicesLess> meetings_;
};

class ThreadTransport {
 public:
  ThreadTransport(Fabric& fabric, Device rank) : fabric_(&fabric), rank_(rank) {}

  Device rank() const noexcept { return rank_; }
  Extent size() const noexcept { return fabric_->size(); }

  using GroupState = Meeting*;
  GroupState join(Group group) { return &fabric_->meeting_of(group); }
  using Party = detail::Party<GroupState>;

  void all_reduce(Party& party, const Call& call, Bytes inout, Combiner combiner) {
    open(party, call, inout.data());
    const std::size_t n = party.size(), unit = combiner.element_bytes;
    const auto begin = [&](std::size_t i) { return unit * block_begin(call.count, n, i); };
    // Each member reduces one block, in place: nobody else reads that block of its buffer.
    const std::size_t own = begin(party.own);
    reduce(party, own, inout.subspan(own, begin(party.own + 1) - own), combiner);
    meet(party);
    for (std::size_t i = 0; i < n; ++i)
      if (i != party.own)
        copy(inout.data() + begin(i), data(party, i) + begin(i), begin(i + 1) - begin(i));
    meet(party);
  }

  void all_gather(Party& party, const Call& call, ConstBytes in, Bytes out) {
    open(party, call, in.data());
    for (std::size_t i = 0; i < party.size(); ++i)
      copy(out.data() + i * in.size(), data(party, i), in.size());
    meet(party);
  }

  void reduce_scatter(Party& party, const Call& call, ConstBytes in, Bytes out, Combiner combiner) {
    open(party, call, in.data());
    reduce(party, party.own * out.size(), out, combiner);
    meet(party);
  }

  void all_to_all(Party& party, const Call& call, ConstBytes in, Bytes out) {
    open(party, call, in.data());
    const std::size_t block = in.size() / party.size();
    for (std::size_t i = 0; i < party.size(); ++i)
      copy(out.data() + i * block, data(party, i) + party.own * block, block);
    meet(party);
  }

  void broadcast(Party& party, const Call& call, std::size_t root, Bytes inout) {
    open(party, call, inout.data());
    if (root != party.own) copy(inout.data(), data(party, root), inout.size());
    meet(party);
  }

  void permute(Party& party, const Call& call, Role role, ConstBytes in, Bytes out) {
    open(party, call, in.data());
    if (role.source != Role::nobody && role.source != party.own)
      copy(out.data(), data(party, role.source), out.size());
    meet(party);
  }

  void barrier(Party& party, const Call& call) {
    open(party, call, nullptr);
    meet(party);
  }

  void send(const Call& call, ConstBytes data) {
    throw_if_stopped();
    Station& to = fabric_->station(call.partner);
    Letter* const letter = new Letter{rank_, call, {data.begin(), data.end()}, to.inbox.load()};
    while (!to.inbox.compare_exchange_weak(letter->next, letter)) {
    }
    to.posted.fetch_add(1);
    fabric_->ring(call.partner);
  }

  void receive(const Call& call, Bytes data) {
    throw_if_stopped();
    auto& queue = unread_[{call.partner, call.tag}];
    while (queue.empty()) collect_letters(call);
    const std::unique_ptr<Letter> letter = std::move(queue.front());
    queue.pop_front();
    if (letter->call.count != call.count || letter->call.element != call.element)
      fail(mismatch_text(rank_, call, letter->from, letter->call));
    copy(data.data(), letter->data.data(), data.size());
  }

 private:
  static void copy(std::byte* to, const std::byte* from, std::size_t count) {
    if (to != from && count != 0) std::memcpy(to, from, count);
  }
  static const std::byte* data(const Party& party, std::size_t member) {
    return party.state->posts[member].data;
  }

  // --- Meeting -----------------------------------------------------------------------------------

  // Returns when all members have posted the same call: from then on their data may be read, until
  // the last meet(), which all of them must come to.
  void open(Party& party, const Call& call, const std::byte* data) {
    throw_if_stopped();
    Meeting& meeting = *party.state;
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

  // Returns when all members have come, which nothing keeps them from.  @pre the call is open
  void meet(Party& party) {
    const std::uint32_t target = arrive(party);
    // Once stopped, waiting is no more than looking again.
    while (!has_reached(party.state->arrived, target)) wait(*party.state, target);
  }

  // Returns what `arrived` will be when all have come.
  std::uint32_t arrive(Party& party) {
    Meeting& meeting = *party.state;
    const auto n = static_cast<std::uint32_t>(party.size());
    const std::uint32_t target = 2 * n * ++meeting.posts[party.own].arrivals;
    if (is_past(meeting.arrived.fetch_add(2) + 2, target))
      for (const Device member : party.members)
        if (member != rank_) fabric_->ring(member);
    return target;
  }
  void wait(const Meeting& meeting, std::uint32_t target) {
    fabric_->station(rank_).meeting = &meeting;
    fabric_->wait(rank_, meeting.arrived, target);
  }

  void throw_if_stopped() const {
    if (fabric_->is_stopped()) throw Stopped();
  }
  [[noreturn]] void fail(const std::string& text) {
    const CommunicationError error(text);
    fabric_->stop(rank_, std::make_exception_ptr(error));
    throw error;
  }

  // The members' bytes from `begin` on, combined.
  static void reduce(const Party& party, std::size_t begin, Bytes result, Combiner combiner) {
    combine_in_order(
        party.size(), [&](std::size_t i) { return data(party, i) + begin; }, result, combiner);
  }

  // --- Letters -----------------------------------------------------------------------------------

  // Takes all there are, or waits for one.
  void collect_letters(const Call& call) {
    Station& own = fabric_->station(rank_);
    Letter* latest = own.inbox.exchange(nullptr);
    if (latest == nullptr) {
      own.meeting = nullptr;
      own.call = call;
      fabric_->wait(rank_, own.posted, collected_ + 1);
      return throw_if_stopped();
    }
    std::vector<std::unique_ptr<Letter>> letters;
    for (; latest != nullptr; latest = letters.back()->next) letters.emplace_back(latest);
    collected_ += static_cast<std::uint32_t>(letters.size());
    for (auto letter = letters.rbegin(); letter != letters.rend(); ++letter)
      unread_[{(*letter)->from, (*letter)->call.tag}].push_back(std::move(*letter));
  }

  Fabric* fabric_;
  Device rank_;
  std::map<std::pair<Device, Tag>, std::deque<std::unique_ptr<Letter>>> unread_;
  std::uint32_t collected_ = 0;  // letters taken from the inbox
};

}  // namespace detail

using ThreadCommunicator = Collectives<detail::ThreadTransport>;
static_assert(Communicator<ThreadCommunicator>);

// Runs `body(ThreadCommunicator&)` on that many devices, a thread each, and returns what each of
// them moved when all have ended.  Throws what failure.hpp says, for the device that failed first,
// after all others have been stopped; Cancelled when `stop` was requested before all had ended.
// A device that makes no calls for a while notices neither until it does.
template<class Body>
std::vector<Traffic> run_on_threads(Extent devices, Body&& body, std::stop_token stop = {}) {
  if (devices < 1) throw InvalidArgument("a run needs one device at least");
  detail::Fabric fabric(devices);
  std::vector<Traffic> traffic(static_cast<std::size_t>(devices));
  const auto run_one = [&](Device device) {
    detail::ThreadTransport transport(fabric, device);
    ThreadCommunicator communicator(transport);
    try {
      body(communicator);
      fabric.leave(device);
    } catch (const Stopped&) {
    } catch (...) {
      fabric.stop(device, std::current_exception());
    }
    traffic[static_cast<std::size_t>(device)] = communicator.traffic();
  };
  {
    const std::stop_callback on_stop(
        stop, [&] { fabric.stop(-1, std::make_exception_ptr(Cancelled())); });
    std::vector<std::jthread> threads;
    try {
      for (Device device = 0; device < devices; ++device) threads.emplace_back(run_one, device);
    } catch (...) {  // no more threads to be had
      fabric.stop(-1, std::current_exception());
    }
  }
  rethrow(fabric.failure());
  return traffic;
}

}  // namespace tessera::executor
