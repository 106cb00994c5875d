// SPDX-License-Identifier: Apache-2.0
//
// The memory that the devices of a run share where devices are threads: where groups meet, where
// messages wait, and who sleeps.
//
// Members of a group meet by counting arrivals: one atomic addition each.  The only lock is taken
// when a group is seen for the first time.  A device that has to wait sleeps until its bell is
// rung, since there may be far more devices than cores.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tessera/executor/detail/communication/call.hpp"
#include "tessera/executor/detail/communication/failure.hpp"
#include "tessera/executor/detail/communication/transport.hpp"

namespace tessera::executor::detail {

// Counts what has happened, and wraps around: a target is reached when it is no longer ahead.
using Counter = std::atomic<std::uint32_t>;
inline bool is_past(std::uint32_t count, std::uint32_t target) noexcept {
  return static_cast<std::int32_t>(count - target) >= 0;
}
inline bool has_reached(const Counter& counter, std::uint32_t target) noexcept {
  return is_past(counter.load(), target);
}

// The data that one member of a group shows the others while they are in a call together.  Written
// by its owner before it arrives, read by others after.
struct alignas(64) Post {
  Call call;
  const std::byte* data = nullptr;
  std::uint32_t arrivals = 0;  // the owner's own, up to now
};

// Where the members of one group meet: first to open a call, then within it and to close it.
struct Meeting : GroupState {
  explicit Meeting(Group group) : members(group.begin(), group.end()), posts(group.size()) {}

  std::vector<Device> members;
  std::vector<Post> posts;  // by member
  // Twice the arrivals of all members together, plus one if a member has given up before all had
  // come to open a call.  From then on no member may take part in another call: the data of the one
  // that gave up is gone.
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

struct Message {
  Device from = 0;
  Call call;
  std::vector<std::byte> data;
  Message* next = nullptr;  // the one posted before
};

// One device's place in the shared memory.
struct alignas(64) Station {
  Counter bell{0};  // the device sleeps on it, and looks at what it waits for when it has changed

  // Messages to this device, latest first, and how many were ever posted.
  std::atomic<Message*> inbox{nullptr};
  Counter posted{0};

  // Odd from the moment the device says what it waits for until it goes on.
  Counter epoch{0};
  // The counter that it waits for, and the value.  `meeting` is null while it waits for a message.
  std::atomic<const Counter*> awaited{nullptr};
  std::atomic<std::uint32_t> target{0};
  const Meeting* meeting = nullptr;
  Call call;  // while it waits for a message
  bool has_returned = false;

  ~Station() {
    for (Message* message = inbox.load(); message != nullptr;) {
      const std::unique_ptr<Message> owned(message);
      message = message->next;
    }
  }
};

// All that the devices of one run share.
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

  // Ends the run.  The first failure is the run's; all later ones follow from it.
  void stop(Device device, std::exception_ptr failure) noexcept {
    if (!has_failed_.exchange(true)) failure_ = {device, std::move(failure)};
    is_stopped_.store(true);
    for (Device d = 0; d < size(); ++d) ring(d);
  }
  // @pre all devices have ended
  const DeviceException& failure() const noexcept { return failure_; }

  // Returns when `counter` has reached `target`, or when the run is stopped.  The device that
  // raises the counter that far calls ring(me).  The station of `me` says in which call it waits.
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
  // Called when all devices seem to wait or to have returned.  They all do so at one moment if no
  // epoch has changed while we checked that none of the awaited counters has reached its target:
  // the first device to go on would have been seen to be able to.
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

  // Follows the waits from the first device that waits to a device that has returned, or that was
  // met before.  @pre all devices wait or have returned
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
    // Reports the cycle without what leads to it; or the last wait, for the device that has
    // returned.
    waits.erase(waits.begin(), station(at).has_returned
                                   ? waits.end() - 1
                                   : std::find_if(waits.begin(), waits.end(), is_at));
    return deadlock_text(std::move(waits), station(at).has_returned);
  }
  // For the first missing member, where it waits for several.  @pre `device` waits
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

}  // namespace tessera::executor::detail
