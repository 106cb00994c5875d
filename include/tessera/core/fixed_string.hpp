// SPDX-License-Identifier: Apache-2.0
//
// A string that can be a template argument: rule<"mk,kn->mn"> and its like.
#pragma once
#include <cstddef>
#include <string_view>

namespace tessera {

/// A string literal as a template argument.  Size counts the closing NUL, as the literal's type
/// does.
template<std::size_t Size>
struct FixedString {
  char text[Size]{};

  consteval FixedString(const char (&literal)[Size]) {  // NOLINT: implicit, so literals just work
    for (std::size_t i = 0; i < Size; ++i) text[i] = literal[i];
  }
  constexpr std::string_view view() const noexcept { return {text, Size - 1}; }
};

}  // namespace tessera
