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
#include <algorithm>
#include <cstdint>
#include <limits>

#include "tessera/core/wide.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/cost/model.hpp"
#include "tessera/cost/time.hpp"

namespace tessera::cost {

enum class Collective : std::uint8_t {
  all_gather,
  reduce_scatter,
  all_reduce,
  all_to_all,
  broadcast,  // or a reduction to one
  permute,    // each sends its buffer to one other: to the next, in the order of the group
};

enum class Algorithm : std::uint8_t { ring, doubling, tree, hierarchical, torus, in_switch };

inline constexpr Algorithm all_algorithms[] = {Algorithm::ring,  Algorithm::doubling,
                                               Algorithm::tree,  Algorithm::hierarchical,
                                               Algorithm::torus, Algorithm::in_switch};

constexpr const char* to_string(Algorithm algorithm) noexcept {
  switch (algorithm) {
    case Algorithm::ring: return "ring";
    case Algorithm::doubling: return "doubling";
    case Algorithm::tree: return "tree";
    case Algorithm::hierarchical: return "hierarchical";
    case Algorithm::torus: return "torus";
    case Algorithm::in_switch: return "in-switch";
  }
  return "";
}

namespace detail {

constexpr Extent ceil_log2(Extent n) noexcept {
  Extent rounds = 0;
  while ((Extent{1} << rounds) < n) ++rounds;
  return rounds;
}

// The algorithms for one group and one message.
class Timing {
 public:
  Timing(const Group& group, const Message& message) : group_(group), message_(message) {
    for (const Hop& hop : group.hops) is_on_torus_ = is_on_torus_ || hop.wiring == Wiring::ring;
  }

  // Infinite where the algorithm can not do this, or not here.
  Cost of(Collective collective, Algorithm algorithm) const {
    switch (collective) {
      case Collective::all_gather:
      case Collective::reduce_scatter: return gather(algorithm);
      case Collective::all_reduce: return reduce(algorithm);
      case Collective::all_to_all: return exchange(algorithm);
      case Collective::broadcast: return spread(algorithm);
      case Collective::permute: return algorithm == Algorithm::ring ? permute() : infinite;
    }
    return infinite;
  }

 private:
  // --- All-gather, and reduce-scatter, its mirror image ------------------------------------------

  // On a torus one ring after another, or all at once, is what there is to choose from.
  Cost gather(Algorithm algorithm) const {
    if (is_on_torus_ && (algorithm == Algorithm::ring || algorithm == Algorithm::doubling))
      return infinite;
    switch (algorithm) {
      case Algorithm::ring: return ring_latency() + flat(group_.size - 1, group_.size);
      case Algorithm::doubling: return doubling_latency() + flat(group_.size - 1, group_.size);
      case Algorithm::hierarchical: return level_by_level();
      case Algorithm::torus: return torus();
      default: return infinite;
    }
  }

  Cost reduce(Algorithm algorithm) const {
    if (algorithm == Algorithm::tree)
      return is_on_torus_ ? infinite : 2 * doubling_latency() + flat(2, 1);
    if (algorithm == Algorithm::in_switch) return in_switch();
    const Cost half = gather(algorithm);
    return is_finite(half) ? 2 * half : infinite;
  }

  // Every member but the last one's neighbours waits for what has come through all links before:
  // of the links of a ring through n members, so many are of each level.
  Cost ring_latency() const {
    Cost total = 0;
    for (const Hop& hop : group_.hops)
      total += (hop.fan - 1) * (group_.size / (hop.below * hop.fan)) * hop.latency;
    return total;
  }
  Cost doubling_latency() const {
    Cost total = 0;
    for (const Hop& hop : group_.hops) total += rounds(hop) * hop.latency;
    return total;
  }
  static Extent rounds(const Hop& hop) {
    if (hop.wiring == Wiring::peers) return 1;  // to all of them at once
    if (hop.wiring == Wiring::ring) return steps(hop);
    return ceil_log2(hop.fan);
  }
  // How far it is to the farthest member.
  static Extent steps(const Hop& hop) { return hop.is_closed ? hop.fan / 2 : hop.fan - 1; }

  // S * numerator / denominator, out of every unit on its way through the narrowest level.
  Cost flat(Extent numerator, Extent denominator) const {
    Rate narrowest = std::numeric_limits<Rate>::max();
    for (const Hop& hop : group_.hops) narrowest = std::min(narrowest, hop.unit_throughput());
    return time(message_.bytes, numerator, denominator, narrowest);
  }

  // Outermost first, on what one member has; then inwards, on what has come together.
  Cost level_by_level() const {
    Wide total = 0;
    for (const Hop& hop : group_.hops) total += one_level(hop);
    return checked_time(total);
  }
  Cost one_level(const Hop& hop) const {
    if (hop.wiring != Wiring::ring)
      return rounds(hop) * hop.latency +
             time(message_.bytes, hop.fan - 1, hop.fan * hop.below, hop.throughput());
    // Each step passes one member's part on by both links; a message takes its latency at least.
    const Cost step = time(message_.bytes, 1, hop.fan * hop.below, hop.bandwidth);
    return checked_time(Wide(steps(hop)) * std::max(step, hop.latency));
  }

  // The rings by all their links together, then level by level.
  Cost torus() const {
    std::size_t rings = 0;
    Rate throughput = 0;
    Cost latency = 0;
    for (const Hop& hop : group_.hops)
      if (hop.wiring == Wiring::ring) {
        ++rings;
        throughput += hop.throughput();
        latency += steps(hop) * hop.latency;
      }
    if (rings < 2) return infinite;
    Wide total = std::max(latency, time(message_.bytes, 1, 1, throughput));
    for (const Hop& hop : group_.hops)
      if (hop.wiring != Wiring::ring) total += one_level(hop);
    return checked_time(total);
  }

  // n sends up and one down for each part, where others need two by n: S (1 + 1/n).
  Cost in_switch() const {
    if (group_.hops.size() != 1 || !group_.hops[0].reduces_in_switch) return infinite;
    const Hop& hop = group_.hops[0];
    return 2 * hop.latency + time(message_.bytes, hop.fan + 1, hop.fan, hop.throughput());
  }

  // --- All-to-all --------------------------------------------------------------------------------

  // Either everyone to everyone directly, all levels busy at once; or level by level, with fewer
  // messages, and bytes that travel more than once.
  Cost exchange(Algorithm algorithm) const {
    Cost latency = 0, slowest = 0;
    Wide sum = 0;
    for (const Hop& hop : group_.hops) {
      const bool is_ring = hop.wiring == Wiring::ring;
      if (!is_ring) latency += (hop.fan - 1) * hop.below * hop.latency;
      slowest = std::max(slowest,
                         is_ring ? around(hop) : into(hop, group_.size - hop.below, group_.size));
      sum += is_ring ? around(hop) : (hop.fan - 1) * hop.latency + into(hop, hop.fan - 1, hop.fan);
    }
    if (algorithm == Algorithm::ring) return latency + slowest;
    return algorithm == Algorithm::hierarchical ? checked_time(sum) : infinite;
  }

  // Each member sends S / n, and this part of it into the level.
  Cost into(const Hop& hop, Extent numerator, Extent denominator) const {
    return time(message_.bytes, numerator, denominator * group_.size, hop.throughput());
  }
  // What is sent goes a quarter of the way round on average.
  Cost around(const Hop& hop) const {
    return std::max(steps(hop) * hop.latency,
                    time(message_.bytes, hop.fan, 4 * group_.size, hop.throughput()));
  }

  // --- Broadcast and permute ---------------------------------------------------------------------

  Cost spread(Algorithm algorithm) const {
    if (algorithm == Algorithm::ring) return ring_latency() + flat(1, 1);
    if (algorithm == Algorithm::tree) return doubling_latency() + flat(1, 1);
    return infinite;
  }

  // By one link each, however many there are.
  Cost permute() const {
    Cost latency = 0, slowest = 0;
    for (const Hop& hop : group_.hops) {
      latency = std::max(latency, hop.latency);
      const Rate link = hop.wiring == Wiring::peers ? hop.bandwidth / (hop.fan - 1) : hop.bandwidth;
      slowest = std::max(slowest, time(message_.bytes, 1, 1, std::max<Rate>(1, link)));
    }
    return latency + slowest;
  }

  Cost time(Extent bytes, Extent numerator, Extent denominator, Rate rate) const {
    return time_at(bytes, numerator, Wide(denominator) * message_.divided_by, rate);
  }

  const Group& group_;
  const Message& message_;
  bool is_on_torus_ = false;
};

}  // namespace detail

// What one algorithm takes, without what comes before the first message; infinite where it can not
// do this collective in this group.  Throws Overflow where it takes longer than a day.
inline Cost time_of(Collective collective, Algorithm algorithm, const Group& group,
                    const Message& message) {
  if (group.size == 1) return 0;
  return detail::Timing(group, message).of(collective, algorithm);
}

struct TimedCollective {
  Algorithm algorithm = Algorithm::ring;
  Cost time = 0;  // picoseconds
};

// The best of them.
inline TimedCollective best_of(Collective collective, const Group& group, const Message& message) {
  TimedCollective best{Algorithm::ring, infinite};
  for (const Algorithm algorithm : all_algorithms)
    if (const Cost time = time_of(collective, algorithm, group, message); time < best.time)
      best = {algorithm, time};
  return best;
}

}  // namespace tessera::cost
