// SPDX-License-Identifier: Apache-2.0
//
// Moving elements: the one loop behind every op that computes nothing, and behind reductions.
//
// Broadcasts, transposes, slices, paddings, concatenations, and the packing of what is sent are all
// the same: an index runs over a range, and with it one coordinate of what is read and one of what
// is written, each by a step of its own.  A Walk describes one such index.  Coordinates are those
// of the whole tensors, so that a device that holds parts need not think of offsets, and indices
// that lead out of either part are left out.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/executor/tensor.hpp"

namespace tessera::executor::detail {

inline constexpr std::size_t no_dim = max_dims;

// Index i of a range reads coordinate from_begin + i from_step of dim `from`, and writes coordinate
// to_begin + i to_step of dim `to`; no_dim where it moves through none.
struct Walk {
  Range range;
  std::size_t from = no_dim;
  std::size_t to = no_dim;
  Extent from_begin = 0, from_step = 1;
  Extent to_begin = 0, to_step = 1;
};

// A walk as a loop: the number of iterations, and the elements from one to the next.
struct Loop {
  Extent count = 0;
  std::ptrdiff_t from_stride = 0, to_stride = 0;
};
struct Loops {
  InlineVector<Loop, 2 * max_dims> loops;  // outer ones first
  std::size_t from = 0, to = 0;            // the elements to begin at
  bool is_complete = true;                 // no index was left out because its element is missing

  bool empty() const noexcept {
    return std::any_of(loops.begin(), loops.end(), [](const Loop& l) { return l.count == 0; });
  }
};

// Row-major.
Dims strides_of(const Dims& dims);

// The indices i of `range` for which begin + i step lies in `allowed`.  @pre step != 0
Range clipped(Range range, Extent begin, Extent step, Range allowed) noexcept;

// The loops of some walks between two parts.  Dims of either that no walk moves through must be of
// one element.  O(walks)
Loops loops_of(std::span<const Walk> walks, const Slice& from, const Slice& to);

// Goes through the innermost loops, one after the other:
//
//   for (InnerLoops at(loops); !at.is_done(); at.next()) ... at.from(), at.to(), at.loop()
class InnerLoops {
 public:
  explicit InnerLoops(const Loops& loops);

  bool is_done() const noexcept { return is_done_; }
  void next() noexcept;
  // The elements that the loop begins at.
  std::ptrdiff_t from() const noexcept { return from_; }
  std::ptrdiff_t to() const noexcept { return to_; }
  const Loop& loop() const noexcept { return loops_.back(); }

 private:
  InlineVector<Loop, 2 * max_dims> loops_;  // never empty; neighbours that continue are merged
  std::array<Extent, 2 * max_dims> at_{};   // by loop, but for the innermost
  std::ptrdiff_t from_ = 0, to_ = 0;
  bool is_done_ = false;
};

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

// Copies elements of this type as they are.
void copy_elements(ElementType element, const Loops& loops, const std::byte* from, std::byte* to);

// Whether elements that are written must all be there to be read.
enum class Missing : std::uint8_t {
  is_an_error,  // InternalError: the rule, or the sharding, is wrong
  is_left_out,  // other devices have them, or none: the target keeps its elements
};

// Copies what the walks say.  @pre both have the same element type
void move(const TensorView& from, TensorPart& to, std::span<const Walk> walks,
          Missing missing = Missing::is_an_error);

// One walk for each dim of a region, the same in what is read and what is written.
std::vector<Walk> walks_over(const Slice& region);

// Copies the elements that both have.
void copy_common(const TensorView& from, TensorPart& to);

// A slice of a part.  @pre part.slice contains it
TensorPart cut(const TensorView& part, const Slice& slice);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/kernels/movement.ipp"
#endif
