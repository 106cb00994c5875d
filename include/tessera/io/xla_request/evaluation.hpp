// SPDX-License-Identifier: Apache-2.0
//
// Costs and violations of a choice of strategies for a request.
//
//   const RequestEvaluation found = evaluate(request, strategies);
//   found.is_feasible(), found.objective(), found.violations
//
// It shares no code with problem.hpp, so it can judge the solution of any solver, and is an
// independent check of ours.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/io/xla_request/request.hpp"

namespace tessera::io::xla {

/// A constraint of the request that a choice breaks.
struct Violation {
  enum class Kind : std::uint8_t {
    follower,        ///< nodes: the follower, and the node that it follows
    alias,           ///< nodes: the two
    forbidden_node,  ///< nodes: the one whose strategy is forbidden
    forbidden_edge,  ///< nodes: the two
    memory,          ///< nodes: the largest users there, `most_named` of them at most
  };
  static constexpr std::size_t most_named = 8;

  Kind kind = Kind::follower;
  std::size_t index = 0;  ///< of the follower or forbidden node, the alias, edge, or program point
  std::vector<RequestNode> nodes;
  Strategies strategies;  ///< of these nodes
  Wide excess = 0;        ///< bytes of memory over the budget
};

/// The costs of a choice, and the constraints that it breaks.
struct RequestEvaluation {
  /// Sums of the chosen costs that are not forbidden.
  double computation = 0, communication = 0, resharding = 0;
  Wide peak_memory = 0;               ///< in bytes, over all program points
  std::size_t peak_point = 0;         ///< the first point at which it is reached
  std::vector<Violation> violations;  ///< by kind, in the order of the request

  double objective() const noexcept { return computation + communication + resharding; }
  bool is_feasible() const noexcept { return violations.empty(); }
};

/// Evaluates a choice on the request itself.
/// @pre validate(request) does not throw
/// @throws InvalidArgument if the strategies are not of this request.
/// Complexity: O(nodes + edges + aliases + size of the liveness lists).
RequestEvaluation evaluate(const Request& request, const Strategies& strategies);

/// A violation as one sentence.
/// @pre the violation is of this request
std::string to_string(const Request& request, const Violation& violation);

}  // namespace tessera::io::xla

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/xla_request/evaluation.ipp"
#endif
