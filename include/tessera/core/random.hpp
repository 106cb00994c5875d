// SPDX-License-Identifier: Apache-2.0
//
// A small generator of the solver's own, so that a seed gives the same answer everywhere: the
// standard's distributions differ between libraries.
#pragma once
#include <cmath>
#include <cstdint>

#include "tessera/core/integer.hpp"

namespace tessera {

class RandomSource {
 public:
  explicit RandomSource(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {  // SplitMix64
    const std::uint64_t bits = mix_bits(state_);
    state_ += 0x9e3779b97f4a7c15U;
    return bits;
  }
  // In [0, count).  @pre count > 0
  std::uint32_t below(std::size_t count) {
    return static_cast<std::uint32_t>(next() % count);  // counts are small: no bias to speak of
  }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // in [0, 1)
  double normal() {                                                         // Box and Muller
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(6.283185307179586 * uniform());
  }

 private:
  std::uint64_t state_;
};

}  // namespace tessera
