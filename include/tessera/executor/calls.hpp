// SPDX-License-Identifier: Apache-2.0
//
// The calls of a communicator: their kinds, the devices and elements they name, and the traffic of
// a device, which is how often it made each kind of call and how many bytes that moved.
//
// Traffic has two measures, and both are counted where the data is at hand.  `message` is the
// number of bytes that a plan predicts for a collective (S in cost/collective.hpp): the whole
// buffer of the group.  `sent` is the number of bytes that leave this device under the algorithm in
// use, in which each member sends each other member its block directly, once.  A ring sends the
// same number of bytes.  For n members:
//
//                     message                            sent by one member
//   all-gather        the result buffer                  (n-1)/n message
//   reduce-scatter    the operand buffer                 (n-1)/n message
//   all-reduce        the buffer                         2 (n-1)/n message
//   all-to-all        all members' buffers together      (n-1)/n^2 message
//   broadcast         the buffer                         (n-1) message by the root, else none
//   permute           the buffer                         message, or none without another target
//   send              the buffer                         message
//   receive, barrier  none                               none
//
// Where n does not divide the number of elements of an all-reduce, the members' blocks differ by
// one element, and so do the bytes they send.  The sum over all members is always exact:
// bytes_in_group() computes it.
#pragma once
#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "tessera/core/wide.hpp"
#include "tessera/graph/element_type.hpp"
#include "tessera/mesh/mesh.hpp"

namespace Eigen {  // not needed here: a user may send such elements
struct half;
struct bfloat16;
}  // namespace Eigen

namespace tessera::executor {

/// The kinds of calls.
enum class CallKind : std::uint8_t {
  all_reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  broadcast,
  permute,
  barrier,
  send,
  receive,
};
/// How many kinds there are.
inline constexpr std::size_t call_kinds = 9;

/// As "all-reduce".
constexpr const char* to_string(CallKind kind) noexcept {
  switch (kind) {
    case CallKind::all_reduce: return "all-reduce";
    case CallKind::all_gather: return "all-gather";
    case CallKind::reduce_scatter: return "reduce-scatter";
    case CallKind::all_to_all: return "all-to-all";
    case CallKind::broadcast: return "broadcast";
    case CallKind::permute: return "permute";
    case CallKind::barrier: return "barrier";
    case CallKind::send: return "send";
    case CallKind::receive: return "receive";
  }
  return "";
}

/// The devices that take part in one call, in the order in which blocks and reductions follow.
using Group = std::span<const Device>;

/// Tells the messages from one device to another apart; 0 or more.
using Tag = int;

/// One pair of a permute: the source's data goes to the target.
struct Route {
  Device source = 0;
  Device target = 0;

  friend constexpr bool operator==(const Route&, const Route&) noexcept = default;
};

namespace detail {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

struct Half;
struct BFloat16;

// `opaque` where T is not the type of an element.
template<class T>
constexpr graph::ElementType element_type() noexcept {
  using graph::ElementType;
  if constexpr (std::is_same_v<T, bool>) return ElementType::pred;
  if constexpr (std::is_same_v<T, Eigen::half> || std::is_same_v<T, Half>) return ElementType::f16;
  if constexpr (std::is_same_v<T, Eigen::bfloat16> || std::is_same_v<T, BFloat16>)
    return ElementType::bf16;
  if constexpr (std::is_same_v<T, float>) return ElementType::f32;
  if constexpr (std::is_same_v<T, double>) return ElementType::f64;
  if constexpr (std::is_same_v<T, std::complex<float>>) return ElementType::c64;
  if constexpr (std::is_same_v<T, std::complex<double>>) return ElementType::c128;
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    constexpr bool is_signed = std::is_signed_v<T>;
    switch (sizeof(T)) {
      case 1: return is_signed ? ElementType::s8 : ElementType::u8;
      case 2: return is_signed ? ElementType::s16 : ElementType::u16;
      case 4: return is_signed ? ElementType::s32 : ElementType::u32;
      case 8: return is_signed ? ElementType::s64 : ElementType::u64;
      default: break;
    }
  }
  return ElementType::opaque;
}

// detail::element_type<T>() != opaque, as a template argument: the form that formatters read.
template<class T>
inline constexpr bool is_element = element_type<T>() != graph::ElementType::opaque;

}  // namespace detail

/// A type whose values a communicator moves and reduces.
template<class T>
concept Element = detail::is_element<T>;

/// The element type of HLO that T is.
template<Element T>
inline constexpr graph::ElementType element_type_of = detail::element_type<T>();

/// Calls, counted.
struct Tally {
  std::uint64_t calls = 0;
  std::uint64_t message = 0;  ///< bytes, as a plan counts them
  std::uint64_t sent = 0;     ///< bytes that left the device

  Tally& operator+=(const Tally& other) noexcept {
    calls += other.calls;
    message += other.message;
    sent += other.sent;
    return *this;
  }
  friend bool operator==(const Tally&, const Tally&) noexcept = default;
};

/// The traffic of one device's calls.
class Traffic {
 public:
  /// Of all calls of one kind.  O(1)
  const Tally& of(CallKind kind) const noexcept { return by_kind_[static_cast<std::size_t>(kind)]; }
  /// Of the calls that were given this label; zeros where there were none.  O(log labels)
  Tally of(std::string_view label) const {
    const auto found = by_label_.find(label);
    return found == by_label_.end() ? Tally{} : found->second;
  }

  /// Counts one more call.  An empty label is none.
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

/// The bytes that all members of a group send in one collective, by the table above.
/// @pre kind is a collective other than a permute, members >= 1, and for an all-to-all `members`
/// divides `message`
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
