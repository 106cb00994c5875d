// SPDX-License-Identifier: Apache-2.0
//
// Writes the certificate: every step that the solver takes toward a lower bound, as it takes it.
//
// solver/detail/certificate/README.md has the format and its steps; check.hpp verifies them.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/wide.hpp"

namespace tessera::solver::detail {

class Proof {
 public:
  using Sink = std::function<void(std::string_view)>;

  explicit Proof(Sink sink) : sink_(std::move(sink)) {}
  Proof(const Proof&) = delete;
  Proof& operator=(const Proof&) = delete;
  ~Proof() { flush(); }

  // A step: its word, then its numbers; end() ends the line.
  [[gnu::noinline, gnu::cold]] Proof& step(std::string_view word) {
    text_ += word;
    return *this;
  }
  [[gnu::noinline, gnu::cold]] Proof& operator<<(std::string_view mark) {
    text_ += ' ';
    text_ += mark;
    return *this;
  }
  [[gnu::noinline, gnu::cold]] Proof& operator<<(Wide number) {
    text_ += ' ';
    append(number);
    return *this;
  }
  [[gnu::noinline, gnu::cold]] Proof& pair(std::uint64_t first, std::int64_t second) {
    text_ += ' ';
    append(first);
    text_ += ':';
    append(second);
    return *this;
  }
  [[gnu::noinline, gnu::cold]] void end() {
    text_ += '\n';
    constexpr std::size_t enough = 1 << 16;
    if (text_.size() > enough) flush();
  }

  // Runs of numbers, each as first-last.
  [[gnu::noinline, gnu::cold]] Proof& ranges(const std::vector<std::uint32_t>& numbers) {
    for (std::size_t i = 0; i < numbers.size();) {
      std::size_t last = i;
      while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
      text_ += ' ';
      append(numbers[i]);
      text_ += '-';
      append(numbers[last]);
      i = last + 1;
    }
    return *this;
  }

  [[gnu::noinline, gnu::cold]] void flush() {
    if (!text_.empty()) sink_(text_);
    text_.clear();
  }

 private:
  void append(Wide number) {
    const auto narrow = static_cast<std::int64_t>(number);
    text_ += narrow == number ? std::to_string(narrow) : tessera::to_string(number);
  }

  Sink sink_;
  std::string text_;
};

}  // namespace tessera::solver::detail
