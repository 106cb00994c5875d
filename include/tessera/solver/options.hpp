// SPDX-License-Identifier: Apache-2.0
//
// The options of a solve.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/solver/problem.hpp"

namespace tessera::solver {

/// Ends a solve from outside.  Copies share one flag: keep one, give another to the solver, and
/// cancel from any thread.
class Cancellation {
 public:
  void cancel() const noexcept { flag_->store(true, std::memory_order_relaxed); }
  bool is_cancelled() const noexcept { return flag_->load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<bool>> flag_ = std::make_shared<std::atomic<bool>>(false);
};

/// The state of a solve.  Costs are of the whole problem.
struct Progress {
  double seconds = 0;       ///< since the solve began
  std::uint64_t nodes = 0;  ///< of the search tree
  bool has_incumbent = false;
  Wide incumbent = 0;      ///< the cheapest cost so far; meaningful when has_incumbent
  Wide lower_bound = 0;    ///< no assignment is cheaper
  const char* event = "";  ///< "presolved", "incumbent", "bound", "finished"
};

/// The saving in cost that one more unit of usage would give at a time: a Lagrange multiplier of
/// the usage limit.
struct ShadowPrice {
  std::int64_t time = 0;
  double price = 0;  ///< cost per unit of usage
};

struct Options {
  double time_limit = std::numeric_limits<double>::infinity();  ///< seconds of wall clock
  int threads = 1;         ///< 1 and up; with 1, the same seed gives the same answer
  std::uint64_t seed = 0;  ///< breaks ties in the search
  bool presolve = true;    ///< off: the search sees the problem as it is (tests compare the two)
  /// An assignment to begin with, such as the answer to a similar problem.  One that uses too much
  /// is made to fit first, if that is soon done.  Empty, or with a forbidden cost: none.
  Assignment start;
  /// Shadow prices to begin with, such as those of a similar problem's answer; times ascend.  They
  /// guide the search and prove nothing: any will do.
  std::vector<ShadowPrice> shadow_prices;
  std::uint64_t node_limit = std::numeric_limits<std::uint64_t>::max();  ///< of the search tree
  /// In kernel operations, of the search of a component by its first thread; 10^9 take a second or
  /// so.  Unlike time, they end the same search at the same place on every machine.
  double work_limit = std::numeric_limits<double>::infinity();
  /// The search ends once no assignment can be cheaper by more than this share of the cost: 0.001
  /// is a tenth of a percent.  0: only the cheapest will do.
  double gap_limit = 0;
  Cancellation cancellation;
  std::function<void(const Progress&)> on_progress;  ///< called from one thread at a time
  /// Receives a certificate of the lower bound, piece by piece (check.hpp verifies it).  Unset:
  /// none is written, which is faster.
  std::function<void(std::string_view)> on_proof;
};

}  // namespace tessera::solver
