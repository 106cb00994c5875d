// SPDX-License-Identifier: Apache-2.0
//
// The form of sharding rules, as the compiler and exceptions check it.  rules.def has the
// sentences.
#pragma once
#include "tessera/core/fault.hpp"

namespace tessera {

namespace graph {

enum class RuleForm : std::uint8_t {
  none,
#define TESSERA_RULE(name, words) name,
#include "tessera/graph/rules.def"
};

using RuleFault = Fault<RuleForm>;
using InvalidRule = Misuse<RuleForm>;

constexpr const char* sentence(RuleForm rule) noexcept {
  // clang-format off
  switch (rule) {
#define TESSERA_RULE(name, words) case RuleForm::name: return words;
#include "tessera/graph/rules.def"
    case RuleForm::none: break;
  }
  // clang-format on
  return "";
}

}  // namespace graph

template<graph::RuleFault Found>
struct Reject<Found> {
#define TESSERA_RULE(name, words) static_assert(Found.rule != graph::RuleForm::name, words);
#include "tessera/graph/rules.def"
  static constexpr bool passed = true;
};

}  // namespace tessera
