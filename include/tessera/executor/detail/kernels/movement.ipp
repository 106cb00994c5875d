// SPDX-License-Identifier: Apache-2.0
//
// Walks become loops, and loops copy elements.
#pragma once
#include "tessera/executor/detail/kernels/movement.hpp"

#include <cstring>

#include "tessera/core/error.hpp"
#include "tessera/executor/detail/kernels/storage.hpp"

namespace tessera::executor::detail {

TESSERA_INLINE Dims strides_of(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (std::size_t d = dims.size(); d-- > 1;) strides[d - 1] = strides[d] * dims[d];
  return strides;
}

constexpr Extent floor_division(Extent a, Extent b) noexcept {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

TESSERA_INLINE Range clipped(Range range, Extent begin, Extent step, Range allowed) noexcept {
  // Of begin + i step >= low and <= high.
  const Extent low = allowed.begin - begin, high = allowed.end - 1 - begin;
  const Extent first = step > 0 ? -floor_division(-low, step) : -floor_division(high, -step);
  const Extent last = step > 0 ? floor_division(high, step) : floor_division(-low, -step);
  const Range result{std::max(range.begin, first), std::min(range.end, last + 1)};
  return result.begin < result.end ? result : Range{range.begin, range.begin};
}

TESSERA_INLINE Loops loops_of(std::span<const Walk> walks, const Slice& from, const Slice& to) {
  const Dims from_strides = strides_of(dims_of(from)), to_strides = strides_of(dims_of(to));
  Loops result;
  Extent from_at = 0, to_at = 0;
  for (const Walk& walk : walks) {
    Range range = walk.range;
    if (walk.to != no_dim) range = clipped(range, walk.to_begin, walk.to_step, to[walk.to]);
    const Extent wanted = range.size();
    if (walk.from != no_dim)
      range = clipped(range, walk.from_begin, walk.from_step, from[walk.from]);
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

TESSERA_INLINE InnerLoops::InnerLoops(const Loops& loops)
    : from_(static_cast<std::ptrdiff_t>(loops.from)),
      to_(static_cast<std::ptrdiff_t>(loops.to)),
      is_done_(loops.empty()) {
  for (const Loop& inner : loops.loops) {
    if (!loops_.empty()) {
      Loop& outer = loops_.back();
      if (outer.from_stride == inner.from_stride * inner.count &&
          outer.to_stride == inner.to_stride * inner.count) {
        outer = {outer.count * inner.count, inner.from_stride, inner.to_stride};
        continue;
      }
    }
    loops_.push_back(inner);
  }
  if (loops_.empty()) loops_.push_back({1, 0, 0});
}

TESSERA_INLINE void InnerLoops::next() noexcept {
  for (std::size_t depth = loops_.size() - 1; depth-- > 0;) {
    const Loop& loop = loops_[depth];
    from_ += loop.from_stride;
    to_ += loop.to_stride;
    if (++at_[depth] < loop.count) return;
    at_[depth] = 0;
    from_ -= loop.count * loop.from_stride;
    to_ -= loop.count * loop.to_stride;
  }
  is_done_ = true;
}

template<class T>
void copy_elements_of(const Loops& loops, const T* source, T* target) {
  for (InnerLoops at(loops); !at.is_done(); at.next()) {
    const Loop loop = at.loop();
    const T* const from = source + at.from();
    T* const to = target + at.to();
    if (loop.from_stride == 1 && loop.to_stride == 1) {
      std::memcpy(to, from, static_cast<std::size_t>(loop.count) * sizeof(T));
      continue;
    }
    for (Extent i = 0; i < loop.count; ++i) to[i * loop.to_stride] = from[i * loop.from_stride];
  }
}

TESSERA_INLINE void copy_elements(ElementType element, const Loops& loops, const std::byte* from,
                                  std::byte* to) {
  if (loops.empty()) return;
  with_width(element, [&]<class T>(std::type_identity<T>) {
    copy_elements_of(loops, reinterpret_cast<const T*>(from), reinterpret_cast<T*>(to));
  });
}

TESSERA_INLINE void move(const TensorView& from, TensorPart& to, std::span<const Walk> walks,
                         Missing missing) {
  const Loops loops = loops_of(walks, from.slice, to.slice);
  if (!loops.is_complete && missing == Missing::is_an_error)
    throw InternalError("an element is read that the device does not hold");
  copy_elements(from.element(), loops, from.tensor->bytes(), to.tensor.bytes());
}

TESSERA_INLINE std::vector<Walk> walks_over(const Slice& region) {
  std::vector<Walk> walks;
  for (std::size_t d = 0; d < region.size(); ++d) {
    Walk walk{region[d]};
    walk.from = walk.to = d;
    walks.push_back(walk);
  }
  return walks;
}

TESSERA_INLINE void copy_common(const TensorView& from, TensorPart& to) {
  move(from, to, walks_over(intersection(from.slice, to.slice)));
}

TESSERA_INLINE TensorPart cut(const TensorView& part, const Slice& slice) {
  TensorPart result({part.element(), part.whole}, slice);
  move(part, result, walks_over(slice));
  return result;
}

}  // namespace tessera::executor::detail
