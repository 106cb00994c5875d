// SPDX-License-Identifier: Apache-2.0
//
// Reductions element by element: into[i] = into[i] op from[i].
//
// Integers wrap around as HLO's do, `and` and `or` of integers go bit by bit, and a NaN wins over
// any number in max and min.
#pragma once
#include <complex>
#include <cstddef>
#include <span>
#include <type_traits>

#include "tessera/core/inline.hpp"
#include "tessera/graph/element_type.hpp"
#include "tessera/sharding/reduction.hpp"

namespace tessera::executor::detail {

template<class T>
inline constexpr bool is_complex_number = false;
template<class T>
inline constexpr bool is_complex_number<std::complex<T>> = true;

template<class T>
constexpr bool can_reduce(Reduction reduction) noexcept {
  switch (reduction) {
    case Reduction::sum:
    case Reduction::product: return !std::is_same_v<T, bool>;
    case Reduction::max:
    case Reduction::min: return !is_complex_number<T>;
    case Reduction::logical_and:
    case Reduction::logical_or: return std::is_integral_v<T>;
    case Reduction::none: break;
  }
  return false;
}

// Of two elements.  @pre can_reduce<T>(R)
template<Reduction R, class T>
constexpr T combined(T a, T b) noexcept {
  if constexpr (R == Reduction::max) return a < b || b != b ? b : a;
  if constexpr (R == Reduction::min) return b < a || b != b ? b : a;
  if constexpr (std::is_integral_v<T>) {
    // As unsigned, and of no less than an int: small types would be promoted to a signed one.
    using Word = std::conditional_t<
        (sizeof(T) < sizeof(unsigned)), unsigned,
        std::make_unsigned_t<std::conditional_t<std::is_same_v<T, bool>, unsigned char, T>>>;
    const Word x = static_cast<Word>(a), y = static_cast<Word>(b);
    if constexpr (R == Reduction::sum) return static_cast<T>(x + y);
    if constexpr (R == Reduction::product) return static_cast<T>(x * y);
    if constexpr (R == Reduction::logical_and) return static_cast<T>(x & y);
    if constexpr (R == Reduction::logical_or) return static_cast<T>(x | y);
  } else {
    if constexpr (R == Reduction::sum) return static_cast<T>(a + b);
    if constexpr (R == Reduction::product) return static_cast<T>(a * b);
  }
}

// How the elements of a buffer are combined.
struct Combiner {
  void (*combine)(void* into, const void* from, std::size_t count) = nullptr;
  std::size_t element_bytes = 1;
};

// `combine` is null where such elements can not be reduced so.
Combiner find_combiner(graph::ElementType element, Reduction reduction) noexcept;

// result = the operands, combined in their order.  The result may be one of them.
void combine_in_order(std::span<const std::byte* const> operands, std::span<std::byte> result,
                      Combiner combiner);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/kernels/combine.ipp"
#endif
