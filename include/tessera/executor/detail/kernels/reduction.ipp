// SPDX-License-Identifier: Apache-2.0
//
// One loop for each reduction and element type, found by a table; all else is compiled once.
#pragma once
#include "tessera/executor/detail/kernels/reduction.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/detail/kernels/combine.hpp"
#include "tessera/executor/detail/kernels/elementwise.hpp"
#include "tessera/executor/detail/kernels/storage.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::executor::detail {

// The neutral element of a reduction.
template<class T>
T identity_of(Reduction reduction, ElementType element) {
  using Limits = std::numeric_limits<std::conditional_t<std::is_integral_v<T>, T, float>>;
  constexpr bool is_integer = std::is_integral_v<T>;
  switch (reduction) {
    case Reduction::product: return static_cast<T>(1);
    case Reduction::max: return static_cast<T>(is_integer ? Limits::lowest() : -Limits::infinity());
    case Reduction::min:
      if (element == ElementType::pred) return static_cast<T>(1);
      return static_cast<T>(is_integer ? Limits::max() : Limits::infinity());
    case Reduction::logical_and:
      if constexpr (is_integer)
        if (element != ElementType::pred) return static_cast<T>(~T(0));
      return static_cast<T>(1);
    default: return static_cast<T>(0);
  }
}

TESSERA_INLINE void fill_with_identity(Reduction reduction, Tensor& tensor) {
  with_storage(tensor.element(), [&]<class T>(std::type_identity<T>) {
    std::fill_n(tensor.data<T>(), tensor.size(), identity_of<T>(reduction, tensor.element()));
  });
}

TESSERA_INLINE void fill(Tensor& tensor, const Tensor& scalar) {
  with_width(tensor.element(), [&]<class T>(std::type_identity<T>) {
    std::fill_n(tensor.data<T>(), tensor.size(), *scalar.data<T>());
  });
}

// --- Loops ---------------------------------------------------------------------------------------

// Reads elements from `source` on, and combines them with what `target` points at, both along a
// loop.
using ReductionLoop = void (*)(const std::byte* source, std::byte* target, const Loop& loop);

// Of two accumulators.  None is an assignment: the later one.
template<Reduction R, class A>
constexpr A accumulated(A a, A b) noexcept {
  if constexpr (R == Reduction::none)
    return b;
  else
    return combined<R>(a, b);
}

// Elements into elements.
template<Reduction R, class T>
void combine_loop(const std::byte* source, std::byte* target, const Loop& loop) {
  using A = Accumulator<T>;
  const T* const from = reinterpret_cast<const T*>(source);
  T* const to = reinterpret_cast<T*>(target);
  const Loop along = loop;
  for (Extent i = 0; i < along.count; ++i) {
    T& place = to[i * along.to_stride];
    place = static_cast<T>(
        accumulated<R>(static_cast<A>(place), static_cast<A>(from[i * along.from_stride])));
  }
}

// Elements into accumulators.
template<Reduction R, class T>
void accumulate_loop(const std::byte* source, std::byte* target, const Loop& loop) {
  using A = Accumulator<T>;
  const T* const from = reinterpret_cast<const T*>(source);
  A* const to = reinterpret_cast<A*>(target);
  const Loop along = loop;
  if (along.to_stride == 0) {
    A sum = *to;
    for (Extent i = 0; i < along.count; ++i)
      sum = accumulated<R>(sum, static_cast<A>(from[i * along.from_stride]));
    *to = sum;
    return;
  }
  for (Extent i = 0; i < along.count; ++i) {
    A& sum = to[i * along.to_stride];
    sum = accumulated<R>(sum, static_cast<A>(from[i * along.from_stride]));
  }
}

struct ReductionLoops {
  ReductionLoop combine = nullptr, accumulate = nullptr;
};

// Without loops where such elements can not be reduced so.
template<class T>
ReductionLoops reduction_loops(Reduction reduction) {
  ReductionLoops found;
  const auto try_one = [&]<Reduction R>(std::integral_constant<Reduction, R>) {
    if constexpr (R == Reduction::none || can_reduce<Accumulator<T>>(R))
      if (reduction == R) found = {&combine_loop<R, T>, &accumulate_loop<R, T>};
  };
  using enum Reduction;
  try_one(std::integral_constant<Reduction, sum>());
  try_one(std::integral_constant<Reduction, product>());
  try_one(std::integral_constant<Reduction, max>());
  try_one(std::integral_constant<Reduction, min>());
  try_one(std::integral_constant<Reduction, logical_and>());
  try_one(std::integral_constant<Reduction, logical_or>());
  try_one(std::integral_constant<Reduction, none>());
  return found;
}

// Throws Unsupported where such elements can not be reduced so.
inline ReductionLoops loops_for(Reduction reduction, ElementType element) {
  const ReductionLoops found = with_storage(
      element, [&]<class T>(std::type_identity<T>) { return reduction_loops<T>(reduction); });
  if (found.combine == nullptr)
    throw Unsupported("elements of type " + std::string(graph::to_string(element)) +
                      " have no reduction by " + to_string(reduction));
  return found;
}

inline const std::byte* element_at(const Tensor& tensor, std::ptrdiff_t i) {
  return tensor.bytes() + i * graph::bytes_of(tensor.element());
}
inline std::byte* element_at(Tensor& tensor, std::ptrdiff_t i) {
  return tensor.bytes() + i * graph::bytes_of(tensor.element());
}

// One accumulator for each element of a result.
class Accumulators {
 public:
  Accumulators(Reduction reduction, const Tensor& initial, std::size_t count)
      : element_(initial.element()),
        loop_(loops_for(reduction, element_).accumulate),
        bytes_(count * width) {
    with_storage(element_, [&]<class T>(std::type_identity<T>) {
      using A = Accumulator<T>;
      std::fill_n(reinterpret_cast<A*>(bytes_.data()), count, static_cast<A>(*initial.data<T>()));
    });
  }

  // Elements of x into accumulators, along these loops.
  void add(const Tensor& x, const Loops& loops) { add(x, loops, 0); }
  // All into one of them.
  void add(const Tensor& x, const Loops& loops, std::size_t into) {
    for (InnerLoops at(loops); !at.is_done(); at.next())
      loop_(element_at(x, at.from()),
            bytes_.data() + (static_cast<std::ptrdiff_t>(into) + at.to()) * width, at.loop());
  }

  void store(Tensor& result) const {
    with_storage(element_, [&]<class T>(std::type_identity<T>) {
      const auto* const from = reinterpret_cast<const Accumulator<T>*>(bytes_.data());
      T* const to = result.data<T>();
      for (std::size_t i = 0; i < result.size(); ++i) to[i] = static_cast<T>(from[i]);
    });
  }

 private:
  static constexpr std::ptrdiff_t width = 8;  // bytes of every type of accumulators

  ElementType element_;
  ReductionLoop loop_;
  std::vector<std::byte> bytes_;
};

// --- Whole dims ----------------------------------------------------------------------------------

TESSERA_INLINE void combine(Reduction reduction, const TensorView& from, TensorPart& to,
                            std::span<const Walk> walks) {
  const Loops loops = loops_of(walks, from.slice, to.slice);
  if (loops.empty()) return;
  const ReductionLoop loop = loops_for(reduction, from.element()).combine;
  for (InnerLoops at(loops); !at.is_done(); at.next())
    loop(element_at(*from.tensor, at.from()), element_at(to.tensor, at.to()), at.loop());
}

TESSERA_INLINE void run_reduce(const graph::Reducing& how, const TensorView& x,
                               const Tensor& initial, TensorPart& result) {
  std::vector<Walk> walks, reduced;
  std::size_t kept = 0;
  for (std::size_t d = 0; d < x.whole.size(); ++d) {
    const bool is_reduced = graph::contains(how.dims, d);
    Walk walk{x.slice[d], d};
    if (!is_reduced) walk.to = kept++;
    (is_reduced ? reduced : walks).push_back(walk);
  }
  walks.insert(walks.end(), reduced.begin(), reduced.end());
  Accumulators sums(how.reduction, initial, result.tensor.size());
  sums.add(*x.tensor, loops_of(walks, x.slice, result.slice));
  sums.store(result.tensor);
}

// --- By a computation ----------------------------------------------------------------------------

// The operand's elements at one place of the dims that are reduced.
inline Tensor slab_at(const TensorView& x, const std::vector<Extent>& dims, const Dims& place,
                      const TensorPart& result) {
  TensorPart slab({x.element(), result.whole}, result.slice);
  std::vector<Walk> walks;
  std::size_t kept = 0, reduced = 0;
  for (std::size_t d = 0; d < x.whole.size(); ++d) {
    Walk walk{{0, 1}, d};
    if (graph::contains(dims, d)) {
      walk.from_begin = place[reduced++];
    } else {
      walk.range = result.slice[kept];
      walk.to = kept++;
    }
    walks.push_back(walk);
  }
  move(x, slab, walks);
  return std::move(slab.tensor);
}

// One step of the computation, for all elements at once.
inline Tensor run_step(const graph::ScalarStep& step, const std::vector<Tensor>& values) {
  const graph::Opcode opcode = step.opcode;
  const auto operand = [&](std::size_t i) -> const Tensor& { return values.at(step.operands[i]); };
  const bool selects = opcode == graph::Opcode::select, compares = opcode == graph::Opcode::compare;
  const Tensor& model = operand(selects ? 1 : 0);
  Tensor result(compares ? ElementType::pred : model.element(), model.dims());
  if (selects)
    run_select(operand(0), operand(1), operand(2), result);
  else if (compares)
    run_compare(step.direction, operand(0), operand(1), result);
  else if (!(step.operands.size() == 1 ? run_unary(opcode, operand(0), result)
                                       : run_binary(opcode, operand(0), operand(1), result)))
    throw Unsupported("its computation has " + std::string(to_string(opcode)) +
                      ", for which there is no kernel");
  return result;
}

TESSERA_INLINE void run_reduce_by(const graph::ReducingBy& how,
                                  std::span<const TensorView> operands,
                                  std::span<TensorPart> results) {
  const std::size_t count = results.size();
  if (operands.size() != 2 * count || how.results.size() != count)
    throw Unsupported("its computation takes another number of operands");
  for (std::size_t r = 0; r < count; ++r) fill(results[r].tensor, *operands[count + r].tensor);
  Slice places;
  for (std::size_t d = 0; d < operands[0].whole.size(); ++d)
    if (graph::contains(how.dims, d)) places.push_back({0, operands[0].whole[d]});
  for_each_place(places, [&](const Dims& place) {
    std::vector<Tensor> values;
    for (const TensorPart& so_far : results) values.push_back(so_far.tensor);
    for (std::size_t r = 0; r < count; ++r)
      values.push_back(slab_at(operands[r], how.dims, place, results[r]));
    for (const graph::ScalarStep& step : how.steps) values.push_back(run_step(step, values));
    for (std::size_t r = 0; r < count; ++r) results[r].tensor = values.at(how.results[r]);
  });
}

// --- Windows -------------------------------------------------------------------------------------

// The elements of a dim that a window sees from a place, as a walk over its taps, whose reads are
// clipped to the tensor.
inline Walk taps_at(const graph::WindowDim& window, std::size_t dim, Extent place, Extent size) {
  Walk walk;
  walk.from = dim;
  if (window.lhs_dilate != 1)
    throw Unsupported("a window over a dilated operand can not be computed");
  walk.from_begin = place * window.stride - window.pad_low;
  walk.from_step = window.rhs_dilate;
  walk.range = clipped({0, window.size}, walk.from_begin, walk.from_step, {0, size});
  return walk;
}

inline std::vector<Walk> window_at(const std::vector<graph::WindowDim>& window, const Dims& place,
                                   const Dims& sizes) {
  std::vector<Walk> walks;
  for (std::size_t d = 0; d < place.size(); ++d)
    walks.push_back(taps_at(window[d], d, place[d], sizes[d]));
  return walks;
}

// Throws InternalError where the device lacks elements that its window sees.
inline Loops loops_of_window(const std::vector<Walk>& walks, const Slice& held) {
  const Loops loops = loops_of(walks, held, {});
  if (!loops.is_complete) throw InternalError("a window sees elements that are not held");
  return loops;
}

TESSERA_INLINE void run_reduce_window(const graph::WindowReducing& how, const TensorView& x,
                                      const Tensor& initial, TensorPart& result) {
  Accumulators sums(how.reduction, initial, result.tensor.size());
  std::size_t next = 0;
  for_each_place(result.slice, [&](const Dims& place) {
    const auto walks = window_at(how.window, place, x.whole);
    sums.add(*x.tensor, loops_of_window(walks, x.slice), next++);
  });
  sums.store(result.tensor);
}

template<class C>
bool holds(graph::Direction direction, C a, C b) noexcept {
  switch (direction) {
    case graph::Direction::eq: return a == b;
    case graph::Direction::ne: return a != b;
    case graph::Direction::ge: return a >= b;
    case graph::Direction::gt: return a > b;
    case graph::Direction::le: return a <= b;
    case graph::Direction::lt: return a < b;
  }
  return false;
}

// The element that no later one of the window replaces: one that the direction holds against.  -1
// for a window without elements.
inline std::ptrdiff_t chosen_in(const Loops& window, const Tensor& x, graph::Direction direction) {
  return with_storage(x.element(), [&]<class T>(std::type_identity<T>) {
    using A = Accumulator<T>;
    const T* const values = x.data<T>();
    std::ptrdiff_t chosen = -1;
    for (InnerLoops at(window); !at.is_done(); at.next())
      for (Extent i = 0; i < at.loop().count; ++i) {
        const std::ptrdiff_t here = at.from() + i * at.loop().from_stride;
        if (chosen < 0 ||
            !holds(direction, static_cast<A>(values[chosen]), static_cast<A>(values[here])))
          chosen = here;
      }
    return chosen;
  });
}

// Where an element of x lies in a part of the same tensor; -1 where the part lacks it.
inline std::ptrdiff_t place_in_part(std::ptrdiff_t element, const TensorView& x,
                                    const TensorPart& part) {
  const Dims strides = strides_of(x.tensor->dims()), part_strides = strides_of(part.tensor.dims());
  Extent rest = element, place = 0;
  for (std::size_t d = 0; d < strides.size(); ++d) {
    const Extent at = rest / strides[d] + x.slice[d].begin;
    rest %= strides[d];
    if (at < part.slice[d].begin || at >= part.slice[d].end) return -1;
    place += (at - part.slice[d].begin) * part_strides[d];
  }
  return place;
}

// The box around the elements that a window sees.
inline Slice seen_by(const std::vector<Walk>& window) {
  Slice seen;
  for (const Walk& walk : window)
    seen.push_back({walk.from_begin + walk.range.begin * walk.from_step,
                    walk.from_begin + (walk.range.end - 1) * walk.from_step + 1});
  return seen;
}

TESSERA_INLINE void run_select_and_scatter(const graph::WindowScattering& how, const TensorView& x,
                                           const TensorView& source, const Tensor& initial,
                                           TensorPart& result) {
  fill(result.tensor, initial);
  const ReductionLoop combine_one = loops_for(how.scatter, x.element()).combine;
  std::ptrdiff_t next = 0;
  for_each_place(source.slice, [&](const Dims& place) {
    const std::ptrdiff_t from = next++;
    const auto walks = window_at(how.window, place, x.whole);
    if (element_count(dims_of(intersection(seen_by(walks), result.slice))) == 0) return;
    const std::ptrdiff_t chosen = chosen_in(loops_of_window(walks, x.slice), *x.tensor, how.select);
    if (chosen < 0) return;
    const std::ptrdiff_t to = place_in_part(chosen, x, result);
    if (to < 0) return;
    combine_one(element_at(*source.tensor, from), element_at(result.tensor, to), {1, 0, 0});
  });
}

}  // namespace tessera::executor::detail
