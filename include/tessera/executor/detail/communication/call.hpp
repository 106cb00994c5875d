// SPDX-License-Identifier: Apache-2.0
//
// The description of one call of a communicator: enough for devices to see whether they are in the
// same call, and for an error to name it.
//
// A Call is a plain value, so that it can be sent ahead of the data between MPI ranks as it is.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/executor/calls.hpp"
#include "tessera/graph/element_type.hpp"
#include "tessera/sharding/reduction.hpp"

namespace tessera::executor::detail {

constexpr std::uint64_t hash_bytes(std::string_view bytes) noexcept {
  std::uint64_t hash = bytes.size();
  for (const char byte : bytes) hash = mix_bits(hash ^ static_cast<unsigned char>(byte));
  return hash;
}

// A text of any length in a fixed size: its beginning, and the hash of all of it, which tells two
// long texts apart.
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

struct Call {
  CallKind kind{};
  Reduction reduction = Reduction::none;  // of all_reduce and reduce_scatter
  graph::ElementType element = graph::ElementType::opaque;
  std::uint64_t count =
      0;                // elements of a block where there are several blocks, else of the buffer
  Device partner = -1;  // the root of a broadcast, the target of a send, the source of a receive
  Tag tag = -1;         // of send and receive
  std::uint64_t routes = 0;  // a hash of a permute's routes
  Name<40> group;            // "0,1,2", in the group's order
  Name<48> label;            // empty where the caller gave none

  friend bool operator==(const Call&, const Call&) noexcept = default;
};
static_assert(std::is_trivially_copyable_v<Call>);

// "all-reduce of 8 f32 by sum in {0,1} (dot.1)"
std::string to_string(const Call& call);

// One device waits for another one in a call.
struct Wait {
  Device device = 0;
  Device awaited = 0;
  Call call;
};

// The message for two devices that meet in different calls.
std::string mismatch_text(Device a, const Call& of_a, Device b, const Call& of_b);

// The message for a list of devices each of which waits for the next, while the last waits for the
// first, or has returned.
std::string deadlock_text(std::vector<Wait> waits, bool has_last_returned);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/communication/call.ipp"
#endif
