// SPDX-License-Identifier: Apache-2.0
//
// Moving elements: the one loop behind every op that computes nothing, and behind reductions.
//
// Broadcasts, transposes, slices, paddings, concatenations, and the packing of what is sent are all
// the same: an index runs over a range, and with it one coordinate of what is read and one of what
// is written, each by a step of its own.  A Walk says so for one such index.  Coordinates are those
// of the whole tensors, so that a device that holds parts need not think of offsets, and indices
// that lead out of either part are left out.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/executor/tensor.hpp"

namespace tessera::executor {

inline constexpr std::size_t no_dim = max_dims;

// Index i of a range reads coordinate from_begin + i from_step of dim `from`, and writes coordinate
// to_begin + i to_step of dim `to`; no_dim where it moves through nothing there.
struct Walk {
  Range range;
  std::size_t from = no_dim;
  std::size_t to = no_dim;
  Extent from_begin = 0, from_step = 1;
  Extent to_begin = 0, to_step = 1;
};

// What is left of a walk, as loops count: so many steps, so many elements apart.
struct Loop {
  Extent count = 0;
  std::ptrdiff_t from_stride = 0, to_stride = 0;
};
struct Loops {
  InlineVector<Loop, 2 * max_dims> loops;  // outer ones first
  std::size_t from = 0, to = 0;            // the elements to begin at
  bool is_complete = true;                 // no index had to be left out for want of an element

  bool empty() const noexcept {
    return std::any_of(loops.begin(), loops.end(), [](const Loop& l) { return l.count == 0; });
  }
};

namespace detail {

inline Dims strides_of(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (std::size_t d = dims.size(); d-- > 1;) strides[d - 1] = strides[d] * dims[d];
  return strides;
}

constexpr Extent floor_division(Extent a, Extent b) noexcept {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

// The indices i of `range` for which begin + i step lies in `allowed`.  @pre step != 0
constexpr Range clipped(Range range, Extent begin, Extent step, Range allowed) noexcept {
  // Of begin + i step >= low and <= high.
  const Extent low = allowed.begin - begin, high = allowed.end - 1 - begin;
  const Extent first = step > 0 ? -floor_division(-low, step) : -floor_division(high, -step);
  const Extent last = step > 0 ? floor_division(high, step) : floor_division(-low, -step);
  const Range result{std::max(range.begin, first), std::min(range.end, last + 1)};
  return result.begin < result.end ? result : Range{range.begin, range.begin};
}

}  // namespace detail

// Calls visit(coordinates) for every place of a slice, row-major.
template<class Visit>
void for_each_place(const Slice& slice, Visit&& visit) {
  Dims at;
  for (const Range& range : slice) at.push_back(range.begin);
  for (Extent left = element_count(dims_of(slice)); left > 0; --left) {
    visit(std::as_const(at));
    for (std::size_t d = at.size(); d-- > 0;) {
      if (++at[d] < slice[d].end) break;
      at[d] = slice[d].begin;
    }
  }
}

// The loops of some walks between two parts.  Dims of either that no walk moves through must be of
// one element.  O(walks)
inline Loops loops_of(std::span<const Walk> walks, const Slice& from, const Slice& to) {
  const Dims from_strides = detail::strides_of(dims_of(from)),
             to_strides = detail::strides_of(dims_of(to));
  Loops result;
  Extent from_at = 0, to_at = 0;
  for (const Walk& walk : walks) {
    Range range = walk.range;
    if (walk.to != no_dim) range = detail::clipped(range, walk.to_begin, walk.to_step, to[walk.to]);
    const Extent wanted = range.size();
    if (walk.from != no_dim)
      range = detail::clipped(range, walk.from_begin, walk.from_step, from[walk.from]);
    if (range.size() != wanted) result.is_complete = false;
    Loop loop{range.size(), 0, 0};
    if (walk.from != no_dim) {
      loop.from_stride = walk.from_step * from_strides[walk.from];
      from_at += (walk.from_begin + range.begin * walk.from_step - from[walk.from].begin) *
                 from_strides[walk.from];
    }
    if (walk.to != no_dim) {
      loop.to_stride = walk.to_step * to_strides[walk.to];
      to_at += (walk.to_begin + range.begin * walk.to_step - to[walk.to].begin) *
               to_strides[walk.to];
    }
    if (loop.count != 1) result.loops.push_back(loop);
  }
  if (!result.empty()) {
    result.from = static_cast<std::size_t>(from_at);
    result.to = static_cast<std::size_t>(to_at);
  }
  return result;
}

namespace detail {

// Joins loops of which one continues where the other ends.
inline void merge(Loops& loops) {
  InlineVector<Loop, 2 * max_dims> merged;
  for (const Loop& inner : loops.loops) {
    if (!merged.empty()) {
      Loop& outer = merged.back();
      if (outer.from_stride == inner.from_stride * inner.count &&
          outer.to_stride == inner.to_stride * inner.count) {
        outer = {outer.count * inner.count, inner.from_stride, inner.to_stride};
        continue;
      }
    }
    merged.push_back(inner);
  }
  loops.loops = merged;
}

template<class Run>
void run_loops(const Loops& loops, std::size_t depth, const Run& run, std::ptrdiff_t from,
               std::ptrdiff_t to) {
  const Loop& loop = loops.loops[depth];
  if (depth + 1 == loops.loops.size()) return run(from, to, loop);
  for (Extent i = 0; i < loop.count; ++i, from += loop.from_stride, to += loop.to_stride)
    run_loops(loops, depth + 1, run, from, to);
}

}  // namespace detail

// Calls run(from, to, loop) for every innermost loop, with the elements that it begins at.
template<class Run>
void for_each_run(Loops loops, const Run& run) {
  if (loops.empty()) return;
  detail::merge(loops);
  if (loops.loops.empty()) loops.loops.push_back({1, 0, 0});
  detail::run_loops(loops, 0, run, static_cast<std::ptrdiff_t>(loops.from),
                    static_cast<std::ptrdiff_t>(loops.to));
}

namespace detail {

// Copies bits: all types of one width are one.
template<class T>
void copy_elements(const Loops& loops, const std::byte* from_bytes, std::byte* to_bytes) {
  const T* const source = reinterpret_cast<const T*>(from_bytes);
  T* const target = reinterpret_cast<T*>(to_bytes);
  for_each_run(loops, [&](std::ptrdiff_t from, std::ptrdiff_t to, const Loop& loop) {
    if (loop.from_stride == 1 && loop.to_stride == 1) {
      std::memcpy(target + to, source + from, static_cast<std::size_t>(loop.count) * sizeof(T));
      return;
    }
    for (Extent i = 0; i < loop.count; ++i)
      target[to + i * loop.to_stride] = source[from + i * loop.from_stride];
  });
}

inline void copy_elements(std::size_t width, const Loops& loops, const std::byte* from,
                          std::byte* to) {
  switch (width) {
    case 1: return copy_elements<std::uint8_t>(loops, from, to);
    case 2: return copy_elements<std::uint16_t>(loops, from, to);
    case 4: return copy_elements<std::uint32_t>(loops, from, to);
    case 8: return copy_elements<std::uint64_t>(loops, from, to);
    default: throw Unsupported("elements of " + std::to_string(width) + " bytes can not be moved");
  }
}

}  // namespace detail

// Whether elements that are written must all be there to be read.
enum class Missing : std::uint8_t {
  is_an_error,  // InternalError: the rule, or the sharding, is wrong
  is_left_out,  // others have them, or nobody: what is there stays
};

// Copies what the walks say.  @pre both have the same element type
inline void move(const Part& from, OwnedPart& to, std::span<const Walk> walks,
                 Missing missing = Missing::is_an_error) {
  const Loops loops = loops_of(walks, from.slice, to.slice);
  if (!loops.is_complete && missing == Missing::is_an_error)
    throw InternalError("an element is read that the device does not hold");
  if (loops.empty()) return;
  detail::copy_elements(static_cast<std::size_t>(graph::bytes_of(from.element())), loops,
                        from.tensor->bytes(), to.tensor.bytes());
}

// Walks that go through all dims of a region alike.
inline std::vector<Walk> walks_over(const Slice& region) {
  std::vector<Walk> walks;
  for (std::size_t d = 0; d < region.size(); ++d) {
    Walk walk{region[d]};
    walk.from = walk.to = d;
    walks.push_back(walk);
  }
  return walks;
}

// Copies the part of `to` that `from` has, if all is so.
inline void copy_common(const Part& from, OwnedPart& to) {
  move(from, to, walks_over(intersection(from.slice, to.slice)));
}

// A slice of what is there.  @pre part.slice contains it
inline OwnedPart cut(const Part& part, const Slice& slice) {
  OwnedPart result({part.element(), part.whole}, slice);
  move(part, result, walks_over(slice));
  return result;
}

}  // namespace tessera::executor
