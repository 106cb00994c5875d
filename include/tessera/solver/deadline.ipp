// SPDX-License-Identifier: Apache-2.0
//
// Deadline's function bodies.
#pragma once
#include "tessera/solver/deadline.hpp"

#include <algorithm>
#include <chrono>

namespace tessera::solver {

namespace detail {

inline std::int64_t steady_nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace detail

TESSERA_INLINE Deadline::Deadline(const Options& options)
    : start_(detail::steady_nanoseconds()),
      cancellation_(options.cancellation),
      limit_(options.time_limit) {}

TESSERA_INLINE Deadline::Deadline(const Deadline& whole, std::int64_t start)
    : start_(start), cancellation_(whole.cancellation_), limit_(whole.limit_) {}

TESSERA_INLINE Deadline Deadline::part() const { return Deadline(*this, start_); }

[[gnu::noinline]] TESSERA_INLINE double Deadline::seconds() const {
  return static_cast<double>(detail::steady_nanoseconds() - start_) * 1e-9;
}
TESSERA_INLINE double Deadline::seconds_left() const { return std::max(0.0, limit_ - seconds()); }
[[gnu::noinline]] TESSERA_INLINE bool Deadline::is_over() const {
  return ended_.is_cancelled() || cancellation_.is_cancelled() || seconds() >= limit_;
}

}  // namespace tessera::solver
