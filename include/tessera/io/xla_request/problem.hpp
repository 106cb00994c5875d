// SPDX-License-Identifier: Apache-2.0
//
// A request converted to a solver::Problem, and the solution converted back.
//
//   const RequestProblem made = make_problem(request);
//   const solver::Result result = solver::solve(made.problem);
//   const Strategies chosen = strategies_of(request, made.mapping, result.assignment);
//
// Nodes that must have the same strategy become one node, sets of live nodes become intervals, and
// costs become integers in units of a power of two.  The problem allows the same choices as the
// request, at the same costs except for the rounding of costs that no such unit makes integral.
#pragma once
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/io/xla_request/request.hpp"
#include "tessera/solver/problem.hpp"
#include "tessera/solver/result.hpp"

namespace tessera::io::xla {

/// Which node of the problem represents which nodes of the request.
struct RequestMapping {
  std::vector<solver::NodeId> node_of;  ///< by node of the request: the problem's node
  std::vector<RequestNode> leader_of;  ///< by node of the problem: the request's node at the end of
                                       ///< the chain of followers
};

/// A request as a solver::Problem, and how to convert back.
///
/// Costs are counted in units; units_per_cost units make a cost of 1.  It is a power of two, so
/// that only rounding to the nearest unit (halves away from zero) loses anything:
///   - the smallest of 1, 2, 4, ... that makes all costs integers; but no more than keeps the sum
///     of the largest costs of all nodes and edges below 2^54 units, which the solver counts in 64
///     bits.  If even 1 exceeds that, it is 1, and the solver counts in 128 bits
///   - less than 1 only if a single cost of the problem could otherwise reach 2^61
struct RequestProblem {
  solver::Problem problem;
  RequestMapping mapping;
  double units_per_cost = 1;
  /// The largest possible difference between the cost of a choice in the problem and in the
  /// request, in the request's unit; 0 if all costs are exact.  Hence
  ///   - to_cost(Result::lower_bound) - rounding_error is a lower bound for the request, and
  ///   - an optimal solution costs at most 2 * rounding_error more than the request's optimum.
  double rounding_error = 0;

  /// A cost of the problem in the request's unit.
  double to_cost(Wide units) const { return static_cast<double>(units) / units_per_cost; }
};

/// The problem whose feasible assignments are the request's allowed choices.  A node and all that
/// follow it, directly or through others, become one node; if they are live at different points,
/// additional nodes tied to that one use their memory.  Memory usage is part of the problem even if
/// the request has no budget, so that a limit can be set later.
/// @throws InvalidArgument as validate() does.
/// Complexity: linear in the size of the request and of the ties, times the logarithm of the
/// number of lifetimes in a group.
RequestProblem make_problem(const Request& request);

/// A solution of the problem, by node of the request.
/// @pre the mapping is this request's
/// @throws InvalidArgument if the assignment is not one of its problem.
Strategies strategies_of(const Request& request, const RequestMapping& mapping,
                         const solver::Assignment& assignment);

/// The inverse, for solver::Options::start.  A node that follows another one takes that node's
/// strategy, whatever was chosen for it.
/// @pre the mapping is this request's
/// @throws InvalidArgument if the strategies are not of this request.
solver::Assignment assignment_of(const Request& request, const RequestMapping& mapping,
                                 const Strategies& strategies);

}  // namespace tessera::io::xla

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/xla_request/problem.ipp"
#endif
