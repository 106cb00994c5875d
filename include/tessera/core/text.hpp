// SPDX-License-Identifier: Apache-2.0
//
// Lists as text.
#pragma once
#include <string>

namespace tessera {

/// The entries of a list as to_text writes them, with a separator between any two.
template<class List, class ToText>
std::string joined(const List& list, const char* separator, ToText&& to_text) {
  std::string text;
  bool is_first = true;
  for (const auto& entry : list) {
    if (!is_first) text += separator;
    text += to_text(entry);
    is_first = false;
  }
  return text;
}

/// The numbers of a list, with a separator between any two.
template<class List>
std::string joined(const List& list, const char* separator) {
  return joined(list, separator, [](const auto& number) { return std::to_string(number); });
}

}  // namespace tessera
