// SPDX-License-Identifier: Apache-2.0
//
// Halos: the elements that a device needs of its neighbours' shards where a window slides along a
// split dim.
//
// A dim that a window slides along is cut into as many tiles as the slide.  A device then needs its
// own tile and a halo below and above it, which its neighbours send before the op runs: a halo
// exchange.  The widths follow from the window and the number of tiles; all devices exchange the
// widest halo that any of them needs.  Its price is the concern of cost/ and detail/pricing.hpp.
#pragma once
#include <algorithm>

#include "tessera/core/integer.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/sharding/local.hpp"

namespace tessera::strategy {

/// How many elements below and above a tile its device needs.
struct Halo {
  Extent low = 0;
  Extent high = 0;

  constexpr Extent width() const noexcept { return low + high; }
  friend constexpr bool operator==(const Halo&, const Halo&) noexcept = default;
};

namespace detail {

// The greatest q with q * b <= a.  @pre b > 0
constexpr Extent floor_div(Extent a, Extent b) noexcept { return a / b - (a % b < 0 ? 1 : 0); }

// Tile `index` of a dim in tiles of `tile`, clipped to its size.
constexpr Range tile_of(Extent size, Extent tile, Extent index) noexcept {
  const Extent begin = std::min(size, index * tile);
  return {begin, std::min(size, begin + tile)};
}

}  // namespace detail

/// The elements of a window factor that the indices `along` of its slide need, clipped to its size.
constexpr Range elements_needed(const graph::Factor& factor, Range along) noexcept {
  const graph::Window& window = factor.window;
  if (along.size() == 0) return {};
  const Extent first = along.begin * window.stride - window.low;
  const Extent last = (along.end - 1) * window.stride - window.low + window.reach - 1;
  const Extent begin = std::max<Extent>(0, -detail::floor_div(-first, window.dilation));
  const Extent end = std::min(factor.size, detail::floor_div(last, window.dilation) + 1);
  return begin < end ? Range{begin, end} : Range{};
}

/// The widest halo of a window factor's tiles, when it and its slide are cut into `tiles`.
/// @pre factor `f` is a window, all sizes are known; O(tiles)
template<graph::RuleLike R>
constexpr Halo halo_of(const R& rule, graph::FactorId f, Extent tiles) {
  const graph::Factor& factor = rule.factor(f);
  const Extent slide = rule.factor(factor.window.along).size;
  const Extent own = ceil_div(factor.size, tiles), step = ceil_div(slide, tiles);
  Halo halo;
  for (Extent tile = 0; tile < tiles; ++tile) {
    const Range needed = elements_needed(factor, detail::tile_of(slide, step, tile));
    if (needed.size() == 0) continue;
    halo.low = std::max(halo.low, tile * own - needed.begin);
    halo.high = std::max(halo.high, needed.end - (tile + 1) * own);
  }
  return halo;
}

/// Whether a factor may be cut into `tiles`: halos come from adjacent tiles only.
template<graph::RuleLike R>
constexpr bool halo_fits(const R& rule, graph::FactorId f, Extent tiles) {
  const graph::Factor& factor = rule.factor(f);
  if (factor.kind != graph::FactorKind::window) return true;
  const Halo halo = halo_of(rule, f, tiles);
  return std::max(halo.low, halo.high) <= ceil_div(factor.size, tiles);
}

}  // namespace tessera::strategy
