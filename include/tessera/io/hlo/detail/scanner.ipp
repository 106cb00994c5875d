// SPDX-License-Identifier: Apache-2.0
//
// The bodies of scanner.hpp.
#pragma once
#include "tessera/io/hlo/detail/scanner.hpp"

#include <charconv>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"

namespace tessera::io::hlo::detail {

TESSERA_INLINE void Scanner::fail_at(std::size_t at, const std::string& message) const {
  throw InputError(source_, position_of(text_, at), message);
}

TESSERA_INLINE void Scanner::fail(const std::string& expected) const {
  const std::string found = at_ == text_.size() ? "the end of the text"
                                                : excerpt(text_.substr(at_));
  fail_at(at_, "expected " + expected + ", found " + found);
}

TESSERA_INLINE void Scanner::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at_;
    } else if (text_.substr(at_, 2) == "//") {
      const std::size_t end = text_.find('\n', at_);
      at_ = end == std::string_view::npos ? text_.size() : end + 1;
    } else if (text_.substr(at_, 2) == "/*") {
      const std::size_t end = text_.find("*/", at_ + 2);
      if (end == std::string_view::npos) fail_at(at_, "this comment is never closed");
      at_ = end + 2;
    } else {
      break;
    }
  }
}

TESSERA_INLINE bool Scanner::take(std::string_view word) {
  skip_space();
  if (text_.substr(at_, word.size()) != word) return false;
  at_ += word.size();
  return true;
}

TESSERA_INLINE void Scanner::expect(char c, const char* after) {
  if (!take(c)) fail(std::string("'") + c + "' " + after);
}

TESSERA_INLINE std::size_t Scanner::end_of_name(std::size_t end) const {
  while (end < text_.size() && is_name_part(text_[end]) && text_.substr(end, 2) != "->") ++end;
  return end;
}

TESSERA_INLINE std::string_view Scanner::peek_identifier() {
  skip_space();
  const bool is_here = is_name_start(here());
  return text_.substr(at_, is_here ? end_of_name(at_) - at_ : 0);
}

TESSERA_INLINE std::string_view Scanner::identifier(const char* what) {
  const std::string_view name = peek_identifier();
  if (name.empty()) fail(what);
  at_ += name.size();
  return name;
}

TESSERA_INLINE std::string_view Scanner::name(const char* what) {
  skip_space();
  const bool has_percent = take_here('%');
  const bool is_here = is_name_start(here()) || (has_percent && is_digit(here()));
  const std::size_t begin = at_, end = is_here ? end_of_name(at_) : at_;
  if (end == begin) fail(what);
  at_ = end;
  return text_.substr(begin, end - begin);
}

TESSERA_INLINE std::int64_t Scanner::integer(const char* what) {
  skip_space();
  std::int64_t value = 0;
  const char* const begin = text_.data() + at_;
  const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
  if (error == std::errc::result_out_of_range) {
    std::size_t stop = at_ + 1;
    while (stop < text_.size() && is_digit(text_[stop])) ++stop;
    fail_at(at_, excerpt(text_.substr(at_, stop - at_)) + " does not fit in 64 bits");
  }
  if (error != std::errc()) fail(what);
  at_ += static_cast<std::size_t>(end - begin);
  return value;
}

TESSERA_INLINE void Scanner::quoted() {
  const std::size_t begin = at_;
  const char quote = here();
  for (++at_; here() != quote; ++at_) {
    if (here() == '\\') ++at_;
    if (at_ >= text_.size()) fail_at(begin, "this string is never closed");
  }
  ++at_;
}

TESSERA_INLINE void Scanner::balanced() {
  const std::size_t begin = at_;
  std::string open;  // the brackets that are to come, innermost last
  do {
    if (at_ >= text_.size()) fail_at(begin, "this bracket is never closed");
    if (at_comment()) {  // which may hold brackets of its own
      skip_space();
      continue;
    }
    const char c = text_[at_];
    if (c == '"' || (c == '\'' && at_ > begin && text_[at_ - 1] == '=')) {
      quoted();
      continue;
    }
    if (c == '{' || c == '[' || c == '(') {
      open += c == '{' ? '}' : c == '[' ? ']' : ')';
    } else if (c == '}' || c == ']' || c == ')') {
      if (open.back() != c) fail_at(at_, std::string("expected '") + open.back() + "' first");
      open.pop_back();
    }
    ++at_;
  } while (!open.empty());
}

TESSERA_INLINE Extract Scanner::value() {
  constexpr std::string_view after = ",})] \t\n\r";
  skip_space();
  const std::size_t begin = at_;
  if (here() == '"' || here() == '\'') {
    quoted();
  } else {
    while (at_ < text_.size() && !at_comment()) {
      const char c = text_[at_];
      if (c == '{' || c == '[' || c == '(')
        balanced();
      else if (after.find(c) != std::string_view::npos)
        break;
      else
        ++at_;
    }
  }
  if (at_ == begin) fail("a value");
  return {begin, at_};
}

}  // namespace tessera::io::hlo::detail
