// SPDX-License-Identifier: Apache-2.0
//
// Sanitizers make runs many times as long, and look for other mistakes than a wrong optimum: under
// them, property tests try a share of what they try otherwise.
#pragma once
#include <algorithm>
#include <cstdint>

namespace tessera_test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool is_sanitized = true;
#elif defined(__has_feature)
inline constexpr bool is_sanitized = __has_feature(address_sanitizer) ||
                                     __has_feature(thread_sanitizer);
#else
inline constexpr bool is_sanitized = false;
#endif

// How many of so many seeds to try.
constexpr std::uint64_t share_of(std::uint64_t seeds) {
  constexpr std::uint64_t least = 3;
  return is_sanitized ? std::max(std::min(seeds, least), seeds / 8) : seeds;
}

}  // namespace tessera_test
