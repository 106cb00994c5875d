// SPDX-License-Identifier: Apache-2.0
//
// A sum of doubles whose rounding error is summed beside it (Neumaier).
#pragma once
#include <cmath>

namespace tessera::io::xla::detail {

class CompensatedSum {
 public:
  void add(double x) {
    const double next = total_ + x;
    lost_ += std::abs(total_) >= std::abs(x) ? (total_ - next) + x : (x - next) + total_;
    total_ = next;
  }
  double value() const { return total_ + lost_; }

 private:
  double total_ = 0, lost_ = 0;
};

}  // namespace tessera::io::xla::detail
