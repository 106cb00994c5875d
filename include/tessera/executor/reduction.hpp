// SPDX-License-Identifier: Apache-2.0
//
// Reductions: of whole dims, and of what windows see.
//
// A device reduces what it holds; its partial result is finished by a collective, and where there
// must be a value but nothing is held, that is the reduction's identity.  Floating-point sums are
// made in double, so that in which order they are made hardly shows.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/executor/combine.hpp"
#include "tessera/executor/elementwise.hpp"
#include "tessera/executor/movement.hpp"
#include "tessera/graph/attributes.hpp"

namespace tessera::executor {

namespace detail {

// The type that reductions of elements stored as T are made in.
template<class T>
using Accumulator =
    std::conditional_t<!std::is_integral_v<T>, double,
                       std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>;

// Calls use(f) with what combines two elements.  Throws Unsupported where they can not be.
template<class A, class Use>
void with_combination(Reduction reduction, Use&& use) {
  const auto use_known = [&]<Reduction R>(std::integral_constant<Reduction, R>) {
    if constexpr (can_reduce<A>(R))
      use([](A a, A b) { return combined<R>(a, b); });
    else
      throw Unsupported(std::string("numbers have no ") + to_string(R));
  };
  using enum Reduction;
  switch (reduction) {
    case sum: return use_known(std::integral_constant<Reduction, sum>());
    case product: return use_known(std::integral_constant<Reduction, product>());
    case max: return use_known(std::integral_constant<Reduction, max>());
    case min: return use_known(std::integral_constant<Reduction, min>());
    case logical_and: return use_known(std::integral_constant<Reduction, logical_and>());
    case logical_or: return use_known(std::integral_constant<Reduction, logical_or>());
    case none: return use([](A, A b) { return b; });  // an assignment: the later one
  }
}

}  // namespace detail

// What changes nothing when it is combined with another element.  @pre the reduction is not none
template<class T>
T identity_of(Reduction reduction, ElementType element) {
  switch (reduction) {
    case Reduction::product: return static_cast<T>(1);
    case Reduction::max:
      if constexpr (std::is_integral_v<T>) return std::numeric_limits<T>::lowest();
      return -std::numeric_limits<T>::infinity();
    case Reduction::min:
      if constexpr (std::is_integral_v<T>)
        return element == ElementType::pred ? static_cast<T>(1) : std::numeric_limits<T>::max();
      return std::numeric_limits<T>::infinity();
    case Reduction::logical_and:
      if constexpr (std::is_integral_v<T>)
        return element == ElementType::pred ? static_cast<T>(1) : static_cast<T>(~T(0));
      return static_cast<T>(1);
    default: return static_cast<T>(0);
  }
}

// With what changes nothing that it is combined with.
inline void fill_with_identity(Reduction reduction, Tensor& tensor) {
  with_storage(tensor.element(), [&]<class T>(std::type_identity<T>) {
    std::fill_n(tensor.data<T>(), tensor.size(), identity_of<T>(reduction, tensor.element()));
  });
}

// Fills a tensor with the element of a scalar.
inline void fill(Tensor& tensor, const Tensor& scalar) {
  with_storage(tensor.element(), [&]<class T>(std::type_identity<T>) {
    std::fill_n(tensor.data<T>(), tensor.size(), *scalar.data<T>());
  });
}

// Combines what the walks read into what they write.  @pre both have the same element type
inline void combine(Reduction reduction, const Part& from, OwnedPart& to,
                    std::span<const Walk> walks) {
  const Loops loops = loops_of(walks, from.slice, to.slice);
  if (loops.empty()) return;
  with_storage(from.element(), [&]<class T>(std::type_identity<T>) {
    using A = detail::Accumulator<T>;
    const T* const source = from.tensor->data<T>();
    T* const target = to.tensor.data<T>();
    detail::with_combination<A>(reduction, [&](auto combined) {
      for_each_run(loops, [&](std::ptrdiff_t at, std::ptrdiff_t into, const Loop& loop) {
        for (Extent i = 0; i < loop.count; ++i) {
          T& place = target[into + i * loop.to_stride];
          place = static_cast<T>(
              combined(static_cast<A>(place), static_cast<A>(source[at + i * loop.from_stride])));
        }
      });
    });
  });
}

// Of the dims that `how` names, what is held; the others are the result's.
inline void run_reduce(const graph::Reducing& how, const Part& x, const Tensor& initial,
                       OwnedPart& result) {
  std::vector<Walk> walks, summed;
  std::size_t kept = 0;
  for (std::size_t d = 0; d < x.whole.size(); ++d) {
    const bool is_reduced = graph::contains(how.dims, d);
    Walk walk{x.slice[d], d};
    if (!is_reduced) walk.to = kept++;
    (is_reduced ? summed : walks).push_back(walk);
  }
  walks.insert(walks.end(), summed.begin(), summed.end());
  const Loops loops = loops_of(walks, x.slice, result.slice);
  with_storage(x.element(), [&]<class T>(std::type_identity<T>) {
    using A = detail::Accumulator<T>;
    std::vector<A> sums(result.tensor.size(), static_cast<A>(*initial.data<T>()));
    const T* const source = x.tensor->data<T>();
    detail::with_combination<A>(how.reduction, [&](auto combined) {
      for_each_run(loops, [&](std::ptrdiff_t from, std::ptrdiff_t to, const Loop& loop) {
        if (loop.to_stride == 0) {
          A sum = sums[static_cast<std::size_t>(to)];
          for (Extent i = 0; i < loop.count; ++i)
            sum = combined(sum, static_cast<A>(source[from + i * loop.from_stride]));
          sums[static_cast<std::size_t>(to)] = sum;
          return;
        }
        for (Extent i = 0; i < loop.count; ++i) {
          A& sum = sums[static_cast<std::size_t>(to + i * loop.to_stride)];
          sum = combined(sum, static_cast<A>(source[from + i * loop.from_stride]));
        }
      });
    });
    T* const target = result.tensor.data<T>();
    for (std::size_t i = 0; i < sums.size(); ++i) target[i] = static_cast<T>(sums[i]);
  });
}

// --- By a computation ----------------------------------------------------------------------------

namespace detail {

// The operand's elements at one place of the dims that are reduced.
inline Tensor slab_at(const Part& x, const std::vector<Extent>& dims, const Dims& place,
                      const OwnedPart& result) {
  OwnedPart slab({x.element(), result.whole}, result.slice);
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

// Takes a step for all elements at once.
inline Tensor run_step(const graph::ScalarStep& step, const std::vector<Tensor>& values) {
  const auto operand = [&](std::size_t i) -> const Tensor& { return values.at(step.operands[i]); };
  const bool selects = step.opcode == Opcode::select, compares = step.opcode == Opcode::compare;
  const Tensor& like = operand(selects ? 1 : 0);
  Tensor result(compares ? ElementType::pred : like.element(), like.dims());
  if (selects)
    run_select(operand(0), operand(1), operand(2), result);
  else if (compares)
    run_compare(step.direction, operand(0), operand(1), result);
  else if (!(step.operands.size() == 1 ? run_unary(step.opcode, operand(0), result)
                                       : run_binary(step.opcode, operand(0), operand(1), result)))
    throw Unsupported("its computation has " + std::string(to_string(step.opcode)) +
                      ", for which there is no kernel");
  return result;
}

}  // namespace detail

// Of n operands and their n initial values, place by place in their order.
// @pre the dims that are reduced are whole
inline void run_reduce_by(const graph::ReducingBy& how, std::span<const Part> operands,
                          std::span<OwnedPart> results) {
  const std::size_t count = results.size();
  if (operands.size() != 2 * count || how.results.size() != count)
    throw Unsupported("its computation is none of so many operands");
  for (std::size_t r = 0; r < count; ++r) fill(results[r].tensor, *operands[count + r].tensor);
  Slice places;
  for (std::size_t d = 0; d < operands[0].whole.size(); ++d)
    if (graph::contains(how.dims, d)) places.push_back({0, operands[0].whole[d]});
  for_each_place(places, [&](const Dims& place) {
    std::vector<Tensor> values;
    for (const OwnedPart& so_far : results) values.push_back(so_far.tensor);
    for (std::size_t r = 0; r < count; ++r)
      values.push_back(detail::slab_at(operands[r], how.dims, place, results[r]));
    for (const graph::ScalarStep& step : how.steps)
      values.push_back(detail::run_step(step, values));
    for (std::size_t r = 0; r < count; ++r) results[r].tensor = values.at(how.results[r]);
  });
}

// --- Windows -------------------------------------------------------------------------------------

namespace detail {

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

// All that a device's windows see must be there.
inline Loops checked_window(const std::vector<Walk>& walks, const Slice& held) {
  const Loops loops = loops_of(walks, held, {});
  if (!loops.is_complete) throw InternalError("a window sees elements that are not held");
  return loops;
}

}  // namespace detail

// @pre the part has all that the windows of the result's slice see
inline void run_reduce_window(const graph::WindowReducing& how, const Part& x,
                              const Tensor& initial, OwnedPart& result) {
  with_storage(x.element(), [&]<class T>(std::type_identity<T>) {
    using A = detail::Accumulator<T>;
    const T* const source = x.tensor->data<T>();
    T* out = result.tensor.data<T>();
    detail::with_combination<A>(how.reduction, [&](auto combined) {
      for_each_place(result.slice, [&](const Dims& place) {
        A value = static_cast<A>(*initial.data<T>());
        const auto walks = detail::window_at(how.window, place, x.whole);
        for_each_run(detail::checked_window(walks, x.slice), [&](std::ptrdiff_t from,
                                                                 std::ptrdiff_t, const Loop& loop) {
          for (Extent i = 0; i < loop.count; ++i)
            value = combined(value, static_cast<A>(source[from + i * loop.from_stride]));
        });
        *out++ = static_cast<T>(value);
      });
    });
  });
}

// Of each source whose window touches the result's part, the chosen element takes it.
inline void run_select_and_scatter(const graph::WindowScattering& how, const Part& x,
                                   const Part& source, const Tensor& initial, OwnedPart& result) {
  fill(result.tensor, initial);
  const Dims out_strides = detail::strides_of(result.tensor.dims());
  with_storage(x.element(), [&]<class T>(std::type_identity<T>) {
    using A = detail::Accumulator<T>;
    const T* const values = x.tensor->data<T>();
    const T* from = source.tensor->data<T>();
    const Dims strides = detail::strides_of(x.tensor->dims());
    for_each_place(source.slice, [&](const Dims& place) {
      const T given = *from++;
      const auto walks = detail::window_at(how.window, place, x.whole);
      Slice seen;
      for (const Walk& walk : walks)
        seen.push_back({walk.from_begin + walk.range.begin * walk.from_step,
                        walk.from_begin + (walk.range.end - 1) * walk.from_step + 1});
      if (element_count(dims_of(intersection(seen, result.slice))) == 0) return;
      const Loops loops = detail::checked_window(walks, x.slice);
      std::ptrdiff_t chosen = -1;
      for_each_run(loops, [&](std::ptrdiff_t at, std::ptrdiff_t, const Loop& loop) {
        for (Extent i = 0; i < loop.count; ++i) {
          const std::ptrdiff_t here = at + i * loop.from_stride;
          if (chosen < 0 || !detail::holds(how.select, static_cast<A>(values[chosen]),
                                           static_cast<A>(values[here])))
            chosen = here;
        }
      });
      if (chosen < 0) return;
      Extent rest = chosen, to = 0;
      for (std::size_t d = 0; d < strides.size(); ++d) {
        const Extent at = rest / strides[d] + x.slice[d].begin;
        rest %= strides[d];
        if (at < result.slice[d].begin || at >= result.slice[d].end) return;
        to += (at - result.slice[d].begin) * out_strides[d];
      }
      T& taken = result.tensor.data<T>()[to];
      detail::with_combination<A>(how.scatter, [&](auto combined) {
        taken = static_cast<T>(combined(static_cast<A>(taken), static_cast<A>(given)));
      });
    });
  });
}

}  // namespace tessera::executor
