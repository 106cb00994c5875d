// SPDX-License-Identifier: Apache-2.0
//
// What a device's calls moved: how often, and how many bytes.
//
// Two measures, both counted where the data is at hand.  `message` is what a plan calls the bytes
// of a collective and cost/collective.hpp calls S: the whole buffer of the group.  `sent` is what
// leaves this device by the algorithm that runs: each member sends each other member what is for
// it, once.  A ring sends as much.  For n members:
//
//                     message                            sent by one member
//   all-gather        the buffer that comes out          (n-1)/n message
//   reduce-scatter    the buffer that goes in            (n-1)/n message
//   all-reduce        the buffer                         2 (n-1)/n message
//   all-to-all        all members' buffers together      (n-1)/n^2 message
//   broadcast         the buffer                         (n-1) message by the root, else none
//   permute           the buffer                         message, but by who sends to no other
//   send              the buffer                         message
//   receive, barrier  none                               none
//
// Where n does not divide the elements of an all-reduce, the members' blocks differ by an element,
// and so do the bytes they send.  Over all members the sum is exact always: bytes_in_group() gives
// it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "tessera/core/wide.hpp"
#include "tessera/executor/call.hpp"

namespace tessera::executor {

struct Tally {
  std::uint64_t calls = 0;
  std::uint64_t message = 0;  // bytes
  std::uint64_t sent = 0;     // bytes

  Tally& operator+=(const Tally& other) noexcept {
    calls += other.calls;
    message += other.message;
    sent += other.sent;
    return *this;
  }
  friend bool operator==(const Tally&, const Tally&) noexcept = default;
};

// Of one device.
class Traffic {
 public:
  const Tally& of(CallKind kind) const noexcept { return by_kind_[static_cast<std::size_t>(kind)]; }
  // Of the calls that were given this label; none where there were none.
  Tally of(std::string_view label) const {
    const auto found = by_label_.find(label);
    return found == by_label_.end() ? Tally{} : found->second;
  }

  void add(CallKind kind, std::string_view label, const Tally& tally) {
    by_kind_[static_cast<std::size_t>(kind)] += tally;
    if (label.empty()) return;
    const auto found = by_label_.find(label);
    if (found == by_label_.end())
      by_label_.emplace(label, tally);
    else
      found->second += tally;
  }

 private:
  std::array<Tally, call_kinds> by_kind_{};
  std::map<std::string, Tally, std::less<>> by_label_;
};

// What the members of a group send in one call, all together; as the table above has it.
// @pre kind is a collective but not a permute, members >= 1, members divides message for all-to-all
constexpr Wide bytes_in_group(CallKind kind, Extent members, Wide message) noexcept {
  switch (kind) {
    case CallKind::all_gather:
    case CallKind::reduce_scatter:
    case CallKind::broadcast: return (members - 1) * message;
    case CallKind::all_reduce: return 2 * (members - 1) * message;
    case CallKind::all_to_all: return (members - 1) * (message / members);
    default: return 0;
  }
}

}  // namespace tessera::executor
