// SPDX-License-Identifier: Apache-2.0
//
// The texts of errors.
#pragma once
#include "tessera/core/error.hpp"

namespace tessera {

TESSERA_INLINE std::string excerpt(std::string_view text, std::size_t limit) {
  std::string shown = "'";
  for (std::size_t i = 0; i < text.size() && i < limit; ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == '\n' || c == '\r') break;
    shown += c < 0x20 || c == 0x7f ? '?' : text[i];
  }
  return shown + (text.size() + 1 > shown.size() ? "...'" : "'");
}

TESSERA_INLINE void Error::name_op(const std::string& name) {
  if (!op_.empty()) return;
  op_ = name;
  message_ = "op " + excerpt(name, 100) + ": " + message_;
}

TESSERA_INLINE InputError::InputError(const std::string& source, Position position,
                                      const std::string& message)
    : Error(source + ':' + std::to_string(position.line) + ':' + std::to_string(position.column) +
            ": " + message) {
  set_position(position);
}

TESSERA_INLINE InputError::InputError(const std::string& source, const std::string& message)
    : Error(source + ": " + message) {}

TESSERA_INLINE Position position_of(std::string_view text, std::size_t offset) {
  Position position;
  for (std::size_t i = 0; i < offset && i < text.size(); ++i) {
    const bool newline = text[i] == '\n';
    position.line += newline;
    position.column = newline ? 1 : position.column + 1;
  }
  return position;
}

}  // namespace tessera
