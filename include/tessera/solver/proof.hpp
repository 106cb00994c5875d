// SPDX-License-Identifier: Apache-2.0
//
// Writes the certificate: every step that the solver takes toward a lower bound, as it takes it.
//
// solver/detail/certificate/README.md has the format and its steps; check.hpp verifies them.
#pragma once
#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/wide.hpp"

namespace tessera::solver {

class Proof {
 public:
  using Sink = std::function<void(std::string_view)>;

  explicit Proof(Sink sink) : sink_(std::move(sink)) {}
  Proof(const Proof&) = delete;
  Proof& operator=(const Proof&) = delete;
  ~Proof() { flush(); }

  // A step: its word, then its numbers; end() ends the line.
  Proof& step(std::string_view word) {
    text_ += word;
    return *this;
  }
  Proof& operator<<(std::string_view mark) {
    text_ += ' ';
    text_ += mark;
    return *this;
  }
  template<std::integral Integer>
  Proof& operator<<(Integer number) {
    text_ += ' ';
    text_ += std::to_string(number);
    return *this;
  }
  Proof& operator<<(Wide number) {
    text_ += ' ';
    text_ += tessera::to_string(number);
    return *this;
  }
  Proof& pair(std::uint64_t first, std::int64_t second) {
    text_ += ' ';
    text_ += std::to_string(first);
    text_ += ':';
    text_ += std::to_string(second);
    return *this;
  }
  void end() {
    text_ += '\n';
    constexpr std::size_t enough = 1 << 16;
    if (text_.size() > enough) flush();
  }

  // Runs of numbers, each as first-last.
  Proof& ranges(const std::vector<std::uint32_t>& numbers) {
    for (std::size_t i = 0; i < numbers.size();) {
      std::size_t last = i;
      while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
      text_ += ' ';
      text_ += std::to_string(numbers[i]);
      text_ += '-';
      text_ += std::to_string(numbers[last]);
      i = last + 1;
    }
    return *this;
  }

  void flush() {
    if (!text_.empty()) sink_(text_);
    text_.clear();
  }

 private:
  Sink sink_;
  std::string text_;
};

}  // namespace tessera::solver
