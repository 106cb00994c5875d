// SPDX-License-Identifier: Apache-2.0
//
// What a device says when it calls its communicator: enough for the others to see whether they are
// in the same call, and for an error to name it.
//
// A Call is a plain value, so that it can go ahead of the data between ranks as it is.
#pragma once
#include <algorithm>
#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/core/text.hpp"
#include "tessera/graph/element_type.hpp"
#include "tessera/mesh/mesh.hpp"
#include "tessera/sharding/reduction.hpp"

namespace Eigen {  // which this header does not need
struct half;
struct bfloat16;
}  // namespace Eigen

namespace tessera::executor {

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
inline constexpr std::size_t call_kinds = 9;

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

// The devices that take part in one call, in the order that blocks and reductions follow.
using Group = std::span<const Device>;

// Tells apart what one device sends another; 0 and up.
using Tag = int;

// One arrow of a permute.
struct SourceTarget {
  Device source = 0;
  Device target = 0;

  friend constexpr bool operator==(const SourceTarget&, const SourceTarget&) noexcept = default;
};

// --- Elements ------------------------------------------------------------------------------------

namespace detail {

// `opaque` where T is nothing that a tensor holds.
template<class T>
constexpr graph::ElementType element_type() noexcept {
  using graph::ElementType;
  if constexpr (std::is_same_v<T, bool>) return ElementType::pred;
  if constexpr (std::is_same_v<T, Eigen::half>) return ElementType::f16;
  if constexpr (std::is_same_v<T, Eigen::bfloat16>) return ElementType::bf16;
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

}  // namespace detail

// What a communicator moves and reduces.
template<class T>
concept Element = detail::element_type<T>()
!= graph::ElementType::opaque;

template<Element T>
inline constexpr graph::ElementType element_type_of = detail::element_type<T>();

// --- Calls ---------------------------------------------------------------------------------------

namespace detail {

constexpr std::uint64_t hash_bytes(std::string_view bytes) noexcept {
  std::uint64_t hash = bytes.size();
  for (const char byte : bytes) hash = mix_bits(hash ^ static_cast<unsigned char>(byte));
  return hash;
}

// A text that fits, or its beginning: what tells two apart is the hash of all of it.
template<std::size_t Capacity>
struct Name {
  std::uint64_t hash = 0;
  std::array<char, Capacity> text{};

  Name() = default;
  explicit Name(std::string_view full) : hash(hash_bytes(full)) {
    constexpr std::string_view more = "...";
    const bool fits = full.size() < Capacity;
    const std::size_t kept = fits ? full.size() : Capacity - 1 - more.size();
    std::copy_n(full.begin(), kept, text.begin());
    if (!fits) std::copy(more.begin(), more.end(), text.begin() + kept);
  }
  std::string_view view() const noexcept { return text.data(); }
  friend bool operator==(const Name&, const Name&) noexcept = default;
};

}  // namespace detail

struct Call {
  CallKind kind{};
  Reduction reduction = Reduction::none;  // of all_reduce and reduce_scatter
  graph::ElementType element = graph::ElementType::opaque;
  std::uint64_t count = 0;   // elements: of the blocks where there are several, else of the buffer
  Device partner = -1;       // the root of a broadcast; whom one sends to or receives from
  Tag tag = -1;              // of send and receive
  std::uint64_t routes = 0;  // a hash of a permute's arrows
  detail::Name<40> group;    // "0,1,2", in the group's order
  detail::Name<48> label;    // empty where the caller gave none

  friend bool operator==(const Call&, const Call&) noexcept = default;
};
static_assert(std::is_trivially_copyable_v<Call>);

// "all-reduce of 8 f32 by sum in {0,1} (dot.1)"
inline std::string to_string(const Call& call) {
  std::string text = to_string(call.kind);
  if (call.kind != CallKind::barrier)
    text += " of " + std::to_string(call.count) + ' ' + std::string(to_string(call.element));
  if (call.reduction != Reduction::none) text += std::string(" by ") + to_string(call.reduction);
  if (call.kind == CallKind::broadcast || call.kind == CallKind::receive) text += " from ";
  if (call.kind == CallKind::send) text += " to ";
  if (call.partner >= 0) text += std::to_string(call.partner);
  if (call.tag >= 0) text += " tagged " + std::to_string(call.tag);
  if (call.kind == CallKind::permute) {
    constexpr char digits[] = "0123456789abcdef";  // which arrows they are has no room in a line
    text += " by arrows #";
    for (int shift = 12; shift >= 0; shift -= 4) text += digits[call.routes >> shift & 15U];
  }
  if (!call.group.view().empty()) text += " in {" + std::string(call.group.view()) + '}';
  if (!call.label.view().empty()) text += " (" + std::string(call.label.view()) + ')';
  return text;
}

// Devices that do not agree on what they call, or wait for each other in a circle.
class CommunicationError : public Error {
 public:
  using Error::Error;
};

// What is wrong when two devices meet in different calls.
inline std::string mismatch_text(Device a, const Call& of_a, Device b, const Call& of_b) {
  if (b < a) return mismatch_text(b, of_b, a, of_a);
  const bool is_letter = of_a.kind == CallKind::send || of_b.kind == CallKind::send;
  return "mismatched calls: device " + std::to_string(a) + " calls " + to_string(of_a) +
         ", device " + std::to_string(b) + " calls " + to_string(of_b) +
         (is_letter ? "; what is received must be what was sent"
                    : "; all members of a group must make the same calls in the same order");
}

// That a device can not go on before another one does.
struct Wait {
  Device device = 0;
  Device awaited = 0;
  Call call;
};

// What is wrong when each device waits for the next one in the list, and the last one for the
// first, or for one that has returned.
inline std::string deadlock_text(std::vector<Wait> waits, bool has_last_returned) {
  if (!has_last_returned)  // a circle begins anywhere: with the same one for all who see it
    std::rotate(waits.begin(),
                std::min_element(waits.begin(), waits.end(),
                                 [](const Wait& a, const Wait& b) { return a.device < b.device; }),
                waits.end());
  std::string text = "deadlock: " + joined(waits, "; ", [](const Wait& wait) {
                       return "device " + std::to_string(wait.device) + " waits for device " +
                              std::to_string(wait.awaited) + " in " + to_string(wait.call);
                     });
  if (has_last_returned)
    text += "; device " + std::to_string(waits.back().awaited) + " has returned";
  return text;
}

}  // namespace tessera::executor
