// SPDX-License-Identifier: Apache-2.0
//
// What is wrong with an input text, and where.
//
// Mistakes in a caller's code are core/fault.hpp's affair; this is for files and command lines.
#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tessera {

struct Position {
  std::size_t line = 1;    // 1 is the first
  std::size_t column = 1;  // in bytes, 1 is the first

  friend bool operator==(const Position&, const Position&) = default;
};

// The position of a byte offset.  Linear in offset: meant for errors, not for loops.
inline Position position_of(std::string_view text, std::size_t offset) {
  offset = std::min(offset, text.size());
  Position position;
  for (std::size_t i = 0; i < offset; ++i) {
    const bool newline = text[i] == '\n';
    position.line += newline;
    position.column = newline ? 1 : position.column + 1;
  }
  return position;
}

// Prints as "model.hlo:12:7: operand 'x' is not defined".
class InputError : public std::runtime_error {
 public:
  InputError(const std::string& source, Position position, const std::string& message)
      : std::runtime_error(source + ':' + std::to_string(position.line) + ':' +
                           std::to_string(position.column) + ": " + message),
        position_(position) {}
  // Where no single place is at fault: "--mesh: ...", "problem.json: ...".
  InputError(const std::string& source, const std::string& message)
      : std::runtime_error(source + ": " + message) {}

  const std::optional<Position>& position() const noexcept { return position_; }

 private:
  std::optional<Position> position_;
};

// Text from a file, made fit for an error message: short, on one line, printable.
inline std::string excerpt(std::string_view text, std::size_t limit = 40) {
  std::string shown = "'";
  for (std::size_t i = 0; i < text.size() && i < limit; ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c == '\n' || c == '\r') break;
    shown += c < 0x20 || c == 0x7f ? '?' : text[i];
  }
  return shown + (text.size() + 1 > shown.size() ? "...'" : "'");
}

}  // namespace tessera
