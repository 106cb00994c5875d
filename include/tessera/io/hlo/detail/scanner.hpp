// SPDX-License-Identifier: Apache-2.0
//
// Reads HLO text piece by piece: names, numbers, shapes, attribute values.  Every method either
// consumes what it promises or throws InputError with line, column and the text at fault.
//
// Newlines are plain space in HLO, and what a piece is depends on where it stands, so there is no
// token stream: the parser (reader.hpp) asks for what the grammar expects next.
#pragma once
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/number.hpp"
#include "tessera/io/hlo/module.hpp"
#include "tessera/notation/hlo_sharding.hpp"

namespace tessera::io::hlo::detail {

class Scanner {
 public:
  // What shapes, literals, operands and attributes may nest; no real program comes near.
  static constexpr int max_nesting = 200;

  // A byte order mark is passed over.
  Scanner(std::string_view text, const std::string& source)
      : text_(text), source_(source), at_(text.starts_with("\xef\xbb\xbf") ? 3 : 0) {}

  std::size_t at() const noexcept { return at_; }
  void go_to(std::size_t at) noexcept { at_ = at; }
  std::string_view text() const noexcept { return text_; }
  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }

  [[noreturn]] void fail_at(std::size_t at, const std::string& message) const {
    throw InputError(source_, position_of(text_, at), message);
  }
  [[noreturn]] void fail(const std::string& expected) const {
    const std::string found = at_ == text_.size() ? "the end of the text"
                                                  : excerpt(text_.substr(at_));
    fail_at(at_, "expected " + expected + ", found " + found);
  }

  // --- Space and single characters ---------------------------------------------------------------

  bool at_comment() const noexcept {
    return here() == '/' && at_ + 1 < text_.size() &&
           (text_[at_ + 1] == '/' || text_[at_ + 1] == '*');
  }

  void skip_space() {
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
  // The next character after space; NUL at the end.
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  // The next character, space included.
  char here() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    skip_space();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  void expect(char c, const char* after) {
    if (!take(c)) fail(std::string("'") + c + "' " + after);
  }

  // --- Names and numbers -------------------------------------------------------------------------

  static bool is_name_start(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  }
  static bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
  static bool is_name_part(char c) noexcept {
    return is_name_start(c) || is_digit(c) || c == '.' || c == '-';
  }

  // The identifier that begins here, without consuming it; empty where none does.
  std::string_view peek_identifier() {
    skip_space();
    std::size_t end = at_;
    if (end < text_.size() && is_name_start(text_[end]))
      while (end < text_.size() && is_name_part(text_[end]) && text_.substr(end, 2) != "->") ++end;
    return text_.substr(at_, end - at_);
  }
  std::string_view identifier(const char* what) {
    const std::string_view name = peek_identifier();
    if (name.empty()) fail(what);
    at_ += name.size();
    return name;
  }
  // The name of a value or computation, with or without '%'.  XLA wants a letter first; dumps of
  // other compilers number their values, which we let pass.
  std::string_view name(const char* what) {
    skip_space();
    const bool has_percent = here() == '%';
    if (has_percent) ++at_;
    std::size_t end = at_;
    if (end < text_.size() && (is_name_start(text_[end]) || (has_percent && is_digit(text_[end]))))
      while (end < text_.size() && is_name_part(text_[end]) && text_.substr(end, 2) != "->") ++end;
    if (end == at_) fail(what);
    const std::string_view found = text_.substr(at_, end - at_);
    at_ = end;
    return found;
  }
  std::int64_t integer(const char* what) {
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

  // --- Whole pieces, kept as text ----------------------------------------------------------------

  // A string in double or single quotes, which are consumed.
  void quoted() {
    const std::size_t begin = at_;
    const char quote = here();
    for (++at_; here() != quote; ++at_) {
      if (here() == '\\') ++at_;
      if (at_ >= text_.size()) fail_at(begin, "this string is never closed");
    }
    ++at_;
  }
  // A bracketed piece with everything inside, strings and comments respected.
  void balanced() {
    const std::size_t begin = at_;
    std::string open;
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
  // Any attribute's value: a string, or a run of characters and bracketed pieces without space.
  Extract value() {
    skip_space();
    const std::size_t begin = at_;
    if (here() == '"' || here() == '\'') {
      quoted();
    } else {
      while (at_ < text_.size() && !at_comment()) {
        const char c = text_[at_];
        if (c == '{' || c == '[' || c == '(')
          balanced();
        else if (c == ',' || c == '}' || c == ')' || c == ']' || c == ' ' || c == '\t' ||
                 c == '\n' || c == '\r')
          break;
        else
          ++at_;
      }
    }
    if (at_ == begin) fail("a value");
    return {begin, at_};
  }

  // --- Shapes ------------------------------------------------------------------------------------

  bool at_shape() {
    if (peek() == '(') return true;
    const std::string_view word = peek_identifier();
    if (word == "b" && text_.substr(at_ + 1, 1) == "(") return true;
    return !word.empty() && text_.substr(at_ + word.size(), 1) == "[";
  }

  Shape shape(int depth = 0) {
    skip_space();
    if (depth > max_nesting) fail_at(at_, "shapes nest too deeply");
    if (take('(')) return tuple_shape(depth);
    const std::size_t begin = at_;
    const std::string_view word = identifier("a shape");
    if (word == "b") {  // a buffer: its contents' shape is what counts
      expect('(', "after 'b'");
      Shape result = shape(depth + 1);
      expect(')', "after a buffer's shape");
      return result;
    }
    const auto element = graph::parse_element_type(word);
    if (!element) fail_at(begin, excerpt(word) + " is no element type");
    Shape result;
    result.array.element = *element;
    expect('[', "after an element type");
    if (!take(']')) {
      do dim(result);
      while (take(','));
      expect(']', "after the dims of a shape");
    }
    check_size(result, begin);
    if (here() == '{') layout(result);
    return result;
  }

  // --- Literals ----------------------------------------------------------------------------------

  // A constant's value, which must have the shape's structure.
  Extract literal(const Shape& shape) {
    skip_space();
    const std::size_t begin = at_;
    literal_of(shape, 0);
    return {begin, at_};
  }

 private:
  Shape tuple_shape(int depth) {
    Shape result;
    result.is_tuple = true;
    if (take(')')) return result;
    do result.elements.push_back(shape(depth + 1));
    while (take(','));
    expect(')', "after the elements of a tuple shape");
    return result;
  }

  void dim(Shape& shape) {
    skip_space();
    const std::size_t begin = at_;
    if (shape.array.dims.size() == max_dims)
      fail_at(begin, "a tensor of more than " + std::to_string(max_dims) + " dims");
    if (take('?')) {
      shape.is_unbounded = true;
      shape.array.dims.push_back(1);
      return;
    }
    take("<=");  // bounded: the bound is the size to plan for
    const std::int64_t size = integer("the size of a dim");
    if (size < 0) fail_at(begin, "a dim of negative size");
    shape.array.dims.push_back(size);
  }

  void check_size(const Shape& shape, std::size_t begin) const {
    try {
      byte_count(shape.array);
    } catch (const Overflow&) {
      fail_at(begin, "the size of this tensor does not fit in 64 bits");
    }
  }

  // A '{' after a shape is a layout only when an int, ':' or '}' follows; else it is a body.
  void layout(Shape& shape) {
    const std::size_t begin = at_;
    ++at_;
    const char next = peek();
    if (!is_digit(next) && next != ':' && next != '}') {
      at_ = begin;
      return;
    }
    std::vector<char> seen(shape.array.dims.size(), 0);
    auto& order = shape.minor_to_major;
    while (is_digit(peek())) {
      const std::size_t number_at = at_;
      const auto entry = static_cast<std::size_t>(integer("a dim of a layout"));
      if (entry >= seen.size() || seen[entry] != 0)
        fail_at(number_at, "a layout lists every dim of its shape once");
      seen[entry] = 1;
      order.push_back(static_cast<std::uint8_t>(entry));
      if (!take(',')) break;
    }
    const bool is_default = order.empty() && (peek() == '}' || peek() == ':');
    if (order.size() != seen.size() && !is_default)
      fail_at(begin, "the layout lists " + std::to_string(order.size()) +
                         " dims of a shape that has " + std::to_string(seen.size()));
    at_ = begin;
    balanced();  // tiles, memory spaces and the like are taken as they are
  }

  void literal_of(const Shape& shape, int depth) {
    if (depth > max_nesting) fail_at(at_, "literals nest too deeply");
    if (shape.is_tuple) {
      expect('(', "before the elements of a tuple literal");
      for (std::size_t i = 0; i < shape.elements.size(); ++i) {
        take(',');
        literal_of(shape.elements[i], depth + 1);
      }
      expect(')', "after the elements of a tuple literal");
      return;
    }
    if (element_count(shape.array.dims) > 0) {
      array_literal(shape.array, 0);
    } else if (peek() == '{') {
      balanced();  // braces around nothing, as many as there may be
    }
  }

  void array_literal(const TensorType& type, std::size_t dim) {
    if (dim == type.dims.size()) {
      scalar();
      return;
    }
    skip_space();
    const std::size_t begin = at_;
    expect('{', "in the literal of an array");
    if (take("...")) {  // a large constant, left out of the dump
      expect('}', "after an elided literal");
      return;
    }
    for (Extent i = 0; i < type.dims[dim]; ++i) {
      take(',');
      if (peek() == '}')
        fail_at(begin, "the literal has " + std::to_string(i) + " elements where " +
                           std::to_string(type.dims[dim]) + " are required");
      array_literal(type, dim + 1);
    }
    take(',');
    if (peek() != '}')
      fail("'}' after " + std::to_string(type.dims[dim]) + " elements of a literal");
    ++at_;
  }

  void scalar() {
    if (!take('(')) {
      number();
      return;
    }
    number();  // complex
    expect(',', "between the parts of a complex number");
    number();
    expect(')', "after a complex number");
  }

  void number() {
    skip_space();
    const std::size_t begin = at_;
    while (at_ < text_.size() && (is_name_part(here()) || here() == '+')) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    if ((word == "nan" || word == "-nan") && here() == '(') balanced();  // with its payload
    if (!is_scalar(word)) {
      at_ = begin;
      fail("a number");
    }
  }

  static bool is_scalar(std::string_view word) {
    if (word == "true" || word == "false") return true;
    const std::string_view unsigned_word =
        !word.empty() && (word[0] == '-' || word[0] == '+') ? word.substr(1) : word;
    if (unsigned_word == "inf" || unsigned_word == "nan") return true;
    double value = 0;
    const auto [end, error] =
        read_double(unsigned_word.data(), unsigned_word.data() + unsigned_word.size(), value);
    return error != std::errc::invalid_argument &&
           end == unsigned_word.data() + unsigned_word.size();
  }

  std::string_view text_;
  const std::string& source_;
  std::size_t at_;
};

}  // namespace tessera::io::hlo::detail
