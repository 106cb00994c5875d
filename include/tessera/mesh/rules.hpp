// SPDX-License-Identifier: Apache-2.0
//
// The rules of meshes as the compiler and exceptions know them.  The words are in rules.def.
#pragma once
#include "tessera/core/fault.hpp"

namespace tessera {

/// The rules that a mesh must obey, by the names in rules.def.
enum class MeshRule : std::uint8_t {
  none,
#define TESSERA_RULE(name, words) name,
#include "tessera/mesh/rules.def"
};

/// A broken rule of meshes, and the exception that reports it.
using MeshFault = Fault<MeshRule>;
using InvalidMesh = Misuse<MeshRule>;

/// The sentence that says a rule.
constexpr const char* sentence(MeshRule rule) noexcept {
  // clang-format off
  switch (rule) {
#define TESSERA_RULE(name, words) case MeshRule::name: return words;
#include "tessera/mesh/rules.def"
    case MeshRule::none: break;
  }
  // clang-format on
  return "";
}

template<MeshFault Found>
struct Reject<Found> {
#define TESSERA_RULE(name, words) static_assert(Found.rule != MeshRule::name, words);
#include "tessera/mesh/rules.def"
  static constexpr bool passed = true;
};

}  // namespace tessera
