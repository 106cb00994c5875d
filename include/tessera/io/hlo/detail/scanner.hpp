// SPDX-License-Identifier: Apache-2.0
//
// Reads HLO text piece by piece: space, names, numbers, and whole values kept as text.  Every
// method either consumes what it promises or throws InputError with line, column and the text at
// fault.
//
// Newlines are plain space in HLO, and the meaning of a piece depends on its place, so there is no
// token stream: the reader asks for what the grammar expects next.  Shapes, literals and attribute
// values have files of their own, which are functions over a Scanner.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo::detail {

class Scanner {
 public:
  // How deep shapes, literals, operands and attributes may nest; no real program comes near.
  static constexpr int max_nesting = 200;

  // Skips a byte order mark.  Both arguments must outlive the scanner.
  Scanner(std::string_view text, const std::string& source)
      : text_(text), source_(source), at_(text.starts_with("\xef\xbb\xbf") ? 3 : 0) {}

  std::size_t at() const noexcept { return at_; }
  void go_to(std::size_t at) noexcept { at_ = at; }
  std::string_view text() const noexcept { return text_; }
  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }

  [[noreturn]] void fail_at(std::size_t at, const std::string& message) const;
  // "expected ..., found ...", at the current place.
  [[noreturn]] void fail(const std::string& expected) const;

  // --- Space and single characters ---------------------------------------------------------------

  bool at_comment() const noexcept {
    return here() == '/' && at_ + 1 < text_.size() &&
           (text_[at_ + 1] == '/' || text_[at_ + 1] == '*');
  }
  void skip_space();
  // The next character after space; NUL at the end.
  char peek() {
    skip_space();
    return here();
  }
  // The next character, space included; NUL at the end.
  char here() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word);
  // Takes the character only where no space stands before it.
  bool take_here(char c) noexcept {
    if (here() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c, const char* after);

  // --- Names and numbers -------------------------------------------------------------------------

  static constexpr bool is_name_start(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }
  static constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
  static constexpr bool is_name_part(char c) noexcept {
    return is_name_start(c) || is_digit(c) || c == '.' || c == '-';
  }

  // The identifier that begins here, without consuming it; empty where there is none.
  std::string_view peek_identifier();
  std::string_view identifier(const char* what);
  // The name of a value or computation, with or without '%'.  XLA wants a letter first; other
  // compilers number their values, which is accepted after '%'.
  std::string_view name(const char* what);
  std::int64_t integer(const char* what);

  // --- Whole pieces, kept as text ----------------------------------------------------------------

  // A string in double or single quotes, which are consumed.
  void quoted();
  // A bracketed piece with all that it contains; brackets in strings and comments do not count.
  void balanced();
  // Any attribute's value: a string, or characters and bracketed pieces without space.
  Extract value();

 private:
  // Just past the name that begins at `end`.
  std::size_t end_of_name(std::size_t end) const;

  std::string_view text_;
  const std::string& source_;
  std::size_t at_;
};

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/scanner.ipp"
#endif
