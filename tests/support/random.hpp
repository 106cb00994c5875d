// SPDX-License-Identifier: Apache-2.0
// Random values that one number replays: CAPTURE(seed) in every test that uses this.
#pragma once
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace tessera_test {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  // From low to high, both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    // Unsigned throughout: a range may be wider than its own type.
    const std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) +
                                1;
    const std::uint64_t offset = range == 0 ? engine_() : engine_() % range;
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + offset);
  }
  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(engine_() % limit); }
  // True once in `n` times.
  bool once_in(std::uint64_t n) { return engine_() % n == 0; }
  template<class T>
  const T& pick(const std::vector<T>& list) {
    return list[below(list.size())];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace tessera_test
