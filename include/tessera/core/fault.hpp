// SPDX-License-Identifier: Apache-2.0
//
// One judge, two messengers: a misuse is found by one constexpr function and reported in the same
// words by the compiler (where types show it) or by an exception (where values do).
//
// A folder that has rules lists them once, in a file rules.def, as TESSERA_RULE(name, sentence).
// Its header rules.hpp reads that list three times: into an enum class whose first member is
// `none`, into sentence(rule), and into a specialisation of Reject, whose instantiation fails to
// compile with the sentence as the error's first line.  (A list in its own file, because C++20
// takes only a literal as the message of a static_assert, and the compiler then points at the rule
// itself.)
#pragma once
#include <cstdint>
#include <string>

#include "tessera/core/error.hpp"

namespace tessera {

/// Which rule is broken, and the numbers that say where.  Their meaning depends on the rule (an
/// axis, a dim, a size); -1 where a rule needs fewer.  As a template argument, they show in the
/// compiler's notes.
template<class Rule>
struct Fault {
  Rule rule{};
  std::int64_t first = -1;
  std::int64_t second = -1;
  std::int64_t third = -1;

  constexpr explicit operator bool() const noexcept { return rule != Rule{}; }
  friend constexpr bool operator==(const Fault&, const Fault&) = default;
};

/// static_assert(Reject<fault>::passed): compiles when no rule is broken.
template<auto Found>
struct Reject;

/// A caller's mistake, in the same words a compile error would use: "<where>: <sentence>".
template<class Rule>
class Misuse : public InvalidArgument {
 public:
  Misuse(const std::string& where, Fault<Rule> fault)
      : InvalidArgument(where + ": " + sentence(fault.rule)), fault_(fault) {}
  const Fault<Rule>& fault() const noexcept { return fault_; }

 private:
  Fault<Rule> fault_;
};

}  // namespace tessera
