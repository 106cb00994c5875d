// SPDX-License-Identifier: Apache-2.0
//
// The rules of shardings as the compiler and exceptions know them.  The words are in rules.def.
#pragma once
#include "tessera/core/fault.hpp"

namespace tessera {

/// The rules that a sharding must obey, by the names in rules.def.
enum class ShardingRule : std::uint8_t {
  none,
#define TESSERA_RULE(name, words) name,
#include "tessera/sharding/rules.def"
};

/// A broken rule of shardings, and the exception that reports it.
using ShardingFault = Fault<ShardingRule>;
using InvalidSharding = Misuse<ShardingRule>;

/// The sentence that says a rule.
constexpr const char* sentence(ShardingRule rule) noexcept {
  // clang-format off
  switch (rule) {
#define TESSERA_RULE(name, words) case ShardingRule::name: return words;
#include "tessera/sharding/rules.def"
    case ShardingRule::none: break;
  }
  // clang-format on
  return "";
}

template<ShardingFault Found>
struct Reject<Found> {
#define TESSERA_RULE(name, words) static_assert(Found.rule != ShardingRule::name, words);
#include "tessera/sharding/rules.def"
  static constexpr bool passed = true;
};

}  // namespace tessera
