// SPDX-License-Identifier: Apache-2.0
//
// The times of collectives, algorithm by algorithm.  `infinite` means that the algorithm can not do
// this, or not here.
#pragma once
#include <algorithm>
#include <limits>

#include "tessera/core/wide.hpp"
#include "tessera/cost/collective.hpp"
#include "tessera/cost/time.hpp"

namespace tessera::cost {

TESSERA_INLINE const char* to_string(Algorithm algorithm) noexcept {
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

// The time in which numerator / denominator of a message passes at a rate.
TESSERA_INLINE Cost time_of_share(const Message& message, Extent numerator, Extent denominator,
                                  Rate rate) {
  return time_at(message.bytes, numerator, Wide(denominator) * message.divided_by, rate);
}

// --- Latencies -----------------------------------------------------------------------------------

constexpr Extent ceil_log2(Extent n) noexcept {
  Extent rounds = 0;
  while ((Extent{1} << rounds) < n) ++rounds;
  return rounds;
}

// How many units away the farthest one of a ring is.
TESSERA_INLINE Extent farthest(const GroupLevel& level) {
  return level.is_closed ? level.fan_out / 2 : level.fan_out - 1;
}

// Messages one after another until every unit of the level has heard of every other.
TESSERA_INLINE Extent rounds(const GroupLevel& level) {
  if (level.wiring == Wiring::peers) return 1;  // to all of them at once
  if (level.wiring == Wiring::ring) return farthest(level);
  return ceil_log2(level.fan_out);
}

// Every member but the last one's neighbours waits for the data that comes through all links
// before: of the links of a ring through all members, so many are of each level.
TESSERA_INLINE Cost ring_latency(const GroupTopology& group) {
  Cost total = 0;
  for (const GroupLevel& level : group.levels)
    total += (level.fan_out - 1) * (group.size / (level.members_per_unit * level.fan_out)) *
             level.latency;
  return total;
}

TESSERA_INLINE Cost doubling_latency(const GroupTopology& group) {
  Cost total = 0;
  for (const GroupLevel& level : group.levels) total += rounds(level) * level.latency;
  return total;
}

// --- All-gather, and reduce-scatter, its mirror image --------------------------------------------

// S * numerator / denominator, out of every unit on its way through the narrowest level.
TESSERA_INLINE Cost through_narrowest(const GroupTopology& group, const Message& message,
                                      Extent numerator, Extent denominator) {
  Rate narrowest = std::numeric_limits<Rate>::max();
  for (const GroupLevel& level : group.levels)
    narrowest = std::min(narrowest, level.unit_throughput());
  return time_of_share(message, numerator, denominator, narrowest);
}

TESSERA_INLINE Cost gather_in_level(const GroupLevel& level, const Message& message) {
  const Extent denominator = level.fan_out * level.members_per_unit;
  if (level.wiring != Wiring::ring)
    return rounds(level) * level.latency +
           time_of_share(message, level.fan_out - 1, denominator, level.throughput());
  // Each step passes one member's part on by both links; a message takes its latency at least.
  const Cost step = time_of_share(message, 1, denominator, level.bandwidth);
  return checked_time(Wide(farthest(level)) * std::max(step, level.latency));
}

// Outermost first, on what one member has; then inwards, on what has come together.
TESSERA_INLINE Cost gather_by_levels(const GroupTopology& group, const Message& message) {
  Wide total = 0;
  for (const GroupLevel& level : group.levels) total += gather_in_level(level, message);
  return checked_time(total);
}

// The rings by all their links together, then level by level.
TESSERA_INLINE Cost gather_in_torus(const GroupTopology& group, const Message& message) {
  std::size_t rings = 0;
  Rate throughput = 0;
  Cost latency = 0;
  for (const GroupLevel& level : group.levels)
    if (level.wiring == Wiring::ring) {
      ++rings;
      throughput += level.throughput();
      latency += farthest(level) * level.latency;
    }
  if (rings < 2) return infinite;
  Wide total = std::max(latency, time_of_share(message, 1, 1, throughput));
  for (const GroupLevel& level : group.levels)
    if (level.wiring != Wiring::ring) total += gather_in_level(level, message);
  return checked_time(total);
}

TESSERA_INLINE bool is_on_torus(const GroupTopology& group) {
  return std::any_of(group.levels.begin(), group.levels.end(),
                     [](const GroupLevel& level) { return level.wiring == Wiring::ring; });
}

// On a torus one ring after another, or all at once, is what there is to choose from.
TESSERA_INLINE Cost gather_time(Algorithm algorithm, const GroupTopology& group,
                                const Message& message) {
  const bool is_flat = algorithm == Algorithm::ring || algorithm == Algorithm::doubling;
  if (is_flat && is_on_torus(group)) return infinite;
  switch (algorithm) {
    case Algorithm::ring:
      return ring_latency(group) + through_narrowest(group, message, group.size - 1, group.size);
    case Algorithm::doubling:
      return doubling_latency(group) +
             through_narrowest(group, message, group.size - 1, group.size);
    case Algorithm::hierarchical: return gather_by_levels(group, message);
    case Algorithm::torus: return gather_in_torus(group, message);
    default: return infinite;
  }
}

// --- All-reduce ----------------------------------------------------------------------------------

// n sends up and one down for each part, where others need two by n: S (1 + 1/n).
TESSERA_INLINE Cost reduce_in_switch(const GroupTopology& group, const Message& message) {
  if (group.levels.size() != 1 || !group.levels[0].reduces_in_switch) return infinite;
  const GroupLevel& level = group.levels[0];
  return 2 * level.latency +
         time_of_share(message, level.fan_out + 1, level.fan_out, level.throughput());
}

TESSERA_INLINE Cost all_reduce_time(Algorithm algorithm, const GroupTopology& group,
                                    const Message& message) {
  if (algorithm == Algorithm::tree)
    return is_on_torus(group)
               ? infinite
               : 2 * doubling_latency(group) + through_narrowest(group, message, 2, 1);
  if (algorithm == Algorithm::in_switch) return reduce_in_switch(group, message);
  const Cost half = gather_time(algorithm, group, message);
  return is_finite(half) ? 2 * half : infinite;
}

// --- All-to-all ----------------------------------------------------------------------------------

// Data goes a quarter of the way round on average.
TESSERA_INLINE Cost exchange_around(const GroupLevel& ring, Extent size, const Message& message) {
  return std::max(farthest(ring) * ring.latency,
                  time_of_share(message, ring.fan_out, 4 * size, ring.throughput()));
}

// Either every member to every other directly, all levels busy at once (ring); or level by level
// (hierarchical), with fewer messages, and bytes that travel more than once.  Each member sends
// S / n, and the fraction of it that leaves the unit into the level.
TESSERA_INLINE Cost exchange_time(Algorithm algorithm, const GroupTopology& group,
                                  const Message& message) {
  Cost latency = 0, slowest = 0;
  Wide sum = 0;
  for (const GroupLevel& level : group.levels) {
    const auto into = [&](Extent numerator, Extent denominator) {
      return time_of_share(message, numerator, denominator * group.size, level.throughput());
    };
    if (level.wiring == Wiring::ring) {
      const Cost around = exchange_around(level, group.size, message);
      slowest = std::max(slowest, around);
      sum += around;
    } else {
      latency += (level.fan_out - 1) * level.members_per_unit * level.latency;
      slowest = std::max(slowest, into(group.size - level.members_per_unit, group.size));
      sum += (level.fan_out - 1) * level.latency + into(level.fan_out - 1, level.fan_out);
    }
  }
  if (algorithm == Algorithm::ring) return latency + slowest;
  return algorithm == Algorithm::hierarchical ? checked_time(sum) : infinite;
}

// --- Broadcast and permute -----------------------------------------------------------------------

TESSERA_INLINE Cost broadcast_time(Algorithm algorithm, const GroupTopology& group,
                                   const Message& message) {
  if (algorithm == Algorithm::ring)
    return ring_latency(group) + through_narrowest(group, message, 1, 1);
  if (algorithm == Algorithm::tree)
    return doubling_latency(group) + through_narrowest(group, message, 1, 1);
  return infinite;
}

// By one link each, however many there are.
TESSERA_INLINE Cost permute_time(const GroupTopology& group, const Message& message) {
  Cost latency = 0, slowest = 0;
  for (const GroupLevel& level : group.levels) {
    latency = std::max(latency, level.latency);
    const Rate link = level.wiring == Wiring::peers ? level.bandwidth / (level.fan_out - 1)
                                                    : level.bandwidth;
    slowest = std::max(slowest, time_of_share(message, 1, 1, std::max<Rate>(1, link)));
  }
  return latency + slowest;
}

}  // namespace detail

TESSERA_INLINE Cost time_of(Collective collective, Algorithm algorithm, const GroupTopology& group,
                            const Message& message) {
  if (group.size == 1) return 0;
  switch (collective) {
    case Collective::all_gather:
    case Collective::reduce_scatter: return detail::gather_time(algorithm, group, message);
    case Collective::all_reduce: return detail::all_reduce_time(algorithm, group, message);
    case Collective::all_to_all: return detail::exchange_time(algorithm, group, message);
    case Collective::broadcast: return detail::broadcast_time(algorithm, group, message);
    case Collective::permute:
      return algorithm == Algorithm::ring ? detail::permute_time(group, message) : infinite;
  }
  return infinite;
}

TESSERA_INLINE TimedCollective best_of(Collective collective, const GroupTopology& group,
                                       const Message& message) {
  TimedCollective best{Algorithm::ring, infinite};
  for (const Algorithm algorithm : all_algorithms)
    if (const Cost time = time_of(collective, algorithm, group, message); time < best.time)
      best = {algorithm, time};
  return best;
}

}  // namespace tessera::cost
