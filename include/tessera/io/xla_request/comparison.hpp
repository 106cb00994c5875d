// SPDX-License-Identifier: Apache-2.0
//
// Two choices of strategies for one request, compared: why not the other one?
//
//   std::cout << to_string(request, compare(request, chosen, instead));
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/io/xla_request/evaluation.hpp"
#include "tessera/io/xla_request/request.hpp"

namespace tessera::io::xla {

/// One cost that differs between two choices.
struct Change {
  enum class Kind : std::uint8_t { computation, communication, resharding };

  Kind kind = Kind::computation;
  std::size_t index = 0;  ///< of the node; of the edge for resharding
  double amount = 0;      ///< the cost after the change minus the cost before
};

/// The differences between a choice and another one, `instead`.
struct Comparison {
  struct Side {
    Strategies strategies;
    RequestEvaluation evaluation;
  };

  Side chosen, instead;
  std::vector<Change> worse, better;  ///< in `instead`; largest first
  /// Those of `instead` that `chosen` does not have, or has with less excess memory.
  std::vector<Violation> new_violations;
  /// The sum of all changes, which is the difference between the objectives unless a cost is
  /// forbidden on either side.  Such a change has no amount, and is not listed.
  double difference = 0;
};

/// Compares two choices of strategies, cost by cost and violation by violation.
/// @pre validate(request) does not throw
/// @throws InvalidArgument if the strategies are not of this request.
/// Complexity: O(n log n) in the size of the request without its tables.
Comparison compare(const Request& request, const Strategies& chosen, const Strategies& instead);

/// A comparison as text for people, one line per entry, at most `most` of each list, followed by
/// how many more there are and their sum.  For example:
///
///     costs 9.5 more: 49.5 instead of 40
///     worse:
///       node dot.3: communication +12.5 (strategy 2 instead of 0)
///     better:
///       edge dot.3 -> add.7: resharding -3 (strategies 2 and 1 instead of 0 and 1)
///
/// @pre the comparison is of this request
std::string to_string(const Request& request, const Comparison& comparison, std::size_t most = 20);

}  // namespace tessera::io::xla

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/xla_request/comparison.ipp"
#endif
