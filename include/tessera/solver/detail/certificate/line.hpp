// SPDX-License-Identifier: Apache-2.0
//
// One line of a certificate as words and numbers, and the fault that stops the checker.
//
// README.md lists the lines; steps.hpp verifies them.
#pragma once
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "tessera/core/error.hpp"
#include "tessera/core/wide.hpp"

namespace tessera::solver::detail::certificate {

// The reason why a certificate is rejected.
struct Fault : Error {
  using Error::Error;
};

inline void require(bool condition, const char* fault) {
  if (!condition) throw Fault(fault);
}

// Reads from left to right.  Every function throws Fault if the text is not what it expects.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {}

  bool at_end() {
    skip();
    return rest_.empty();
  }
  std::string_view word() {
    skip();
    const std::size_t end = std::min(rest_.find_first_of(" :-"), rest_.size());
    // A mark is a word by itself.
    const std::size_t length = rest_.empty() ? 0 : std::max<std::size_t>(end, 1);
    const std::string_view result = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return result;
  }
  bool take(char mark) {
    skip();
    if (rest_.empty() || rest_[0] != mark) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool is_next(char mark) {
    skip();
    return !rest_.empty() && rest_[0] == mark;
  }
  void expect(char mark) {
    if (!take(mark)) throw Fault(std::string("expected '") + mark + "'");
  }
  void expect_end() {
    if (!at_end()) throw Fault("there is more on the line than the step needs");
  }
  Wide number() {
    skip();
    const bool is_negative = !rest_.empty() && rest_[0] == '-';
    if (is_negative) rest_.remove_prefix(1);
    std::size_t digits = 0;
    Wide value = 0;
    while (digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9') {
      const int digit = rest_[digits++] - '0';
      if (value > (limit - digit) / 10) throw Fault("a number is too large");
      value = value * 10 + digit;
    }
    if (digits == 0) throw Fault("expected a number");
    rest_.remove_prefix(digits);
    return is_negative ? -value : value;
  }
  std::uint32_t index() {
    const Wide value = number();
    if (value < 0 || value > 0xfffffffe) throw Fault("a number is out of range");
    return static_cast<std::uint32_t>(value);
  }

  static constexpr Wide limit = Wide(1) << 120;  // of the absolute value of any number

 private:
  void skip() {
    while (!rest_.empty() && rest_[0] == ' ') rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

}  // namespace tessera::solver::detail::certificate
