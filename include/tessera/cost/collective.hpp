// SPDX-License-Identifier: Apache-2.0
//
// How long a collective takes in a group of devices: the best of the algorithms that libraries
// have.
//
//   ring          one ring through all members; each byte passes every link once
//   doubling      halving and doubling (the tree of all-gather and reduce-scatter): fewer messages
//   tree          for reductions to everyone, two trees at once (NCCL's)
//   hierarchical  one level after the other, so that slow links carry what is left after fast ones
//   torus         all dims of a torus at once, which is all their links together
//   in-switch     the switch adds up and sends back
//
// S is the whole buffer: what all-gather yields, reduce-scatter takes, all-reduce has on every
// device; for all-to-all, what all members send together.  Times are picoseconds.  A term that
// moves bytes is a fraction, evaluated exactly and rounded up; terms are then added.  So more bytes
// never take less time.
#pragma once
#include <cstdint>

#include "tessera/cost/cluster.hpp"
#include "tessera/cost/model.hpp"

namespace tessera::cost {

/// A collective operation of a group of devices.
enum class Collective : std::uint8_t {
  all_gather,
  reduce_scatter,
  all_reduce,
  all_to_all,
  broadcast,  ///< or a reduction to one
  permute,    ///< each sends its buffer to one other: to the next, in the order of the group
};

/// How a collective is done; the list is above.
enum class Algorithm : std::uint8_t { ring, doubling, tree, hierarchical, torus, in_switch };

/// Every algorithm.
inline constexpr Algorithm all_algorithms[] = {Algorithm::ring,  Algorithm::doubling,
                                               Algorithm::tree,  Algorithm::hierarchical,
                                               Algorithm::torus, Algorithm::in_switch};

const char* to_string(Algorithm algorithm) noexcept;

/// Picoseconds that one algorithm takes, without the start before the first message; infinite where
/// it can not do this collective in this group.  Throws Overflow where it takes longer than a day.
Cost time_of(Collective collective, Algorithm algorithm, const GroupTopology& group,
             const Message& message);

/// An algorithm and its time.
struct TimedCollective {
  Algorithm algorithm = Algorithm::ring;
  Cost time = 0;  ///< picoseconds
};

/// The algorithm that takes least time.  Throws what time_of() does.
TimedCollective best_of(Collective collective, const GroupTopology& group, const Message& message);

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/collective.ipp"
#endif
