// SPDX-License-Identifier: Apache-2.0
//
// The end of the time allowed.
#pragma once
#include <cstdint>

#include "tessera/core/inline.hpp"
#include "tessera/solver/options.hpp"

namespace tessera::solver {

/// The end of the time that Options allow, counted from its construction, or of the work when it is
/// cancelled.  Asked often and from any thread.
class Deadline {
 public:
  explicit Deadline(const Options& options);

  /// For a part of the work: over when the whole is, or when end() says that the part is done.
  Deadline part() const;
  void end() const noexcept { ended_.cancel(); }

  double seconds() const;  ///< since it was constructed
  /// Of the time limit: what may be given to a solve that is a part of the work.
  double seconds_left() const;
  bool is_over() const;

 private:
  Deadline(const Deadline& whole, std::int64_t start);

  std::int64_t start_;  // nanoseconds of a steady clock
  Cancellation cancellation_, ended_;
  double limit_;
};

}  // namespace tessera::solver

#ifdef TESSERA_HEADER_ONLY
#include "tessera/solver/deadline.ipp"
#endif
