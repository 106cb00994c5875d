// SPDX-License-Identifier: Apache-2.0
//
// Reductions element by element: into[i] = into[i] op from[i].
//
// The order in which a group's buffers are combined is the communicator's concern; here an element
// meets its like.  Integers wrap around as HLO's do, `and` and `or` of integers go bit by bit, and
// a NaN wins over any number in max and min.
#pragma once
#include <algorithm>
#include <array>
#include <complex>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "tessera/core/error.hpp"
#include "tessera/executor/call.hpp"

namespace tessera::executor::detail {

// How the elements of a buffer are combined whose type is known no longer.
struct Combiner {
  void (*combine)(void* into, const void* from, std::size_t count) = nullptr;
  std::size_t element_bytes = 1;
};

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
    if constexpr (R == Reduction::sum) return a + b;
    if constexpr (R == Reduction::product) return a * b;
  }
}

template<Reduction R, class T>
void combine_elements(void* into, const void* from, std::size_t count) {
  T* const to = static_cast<T*>(into);
  const T* const of = static_cast<const T*>(from);
  for (std::size_t i = 0; i < count; ++i) to[i] = combined<R>(to[i], of[i]);
}

// Throws InvalidArgument where the call's elements can not be reduced so.
template<class T>
Combiner combiner_of(const Call& call) {
  const auto try_one = [&]<Reduction R>(Combiner& found) {
    if constexpr (can_reduce<T>(R))
      if (call.reduction == R) found.combine = &combine_elements<R, T>;
  };
  Combiner found{nullptr, sizeof(T)};
  [&]<Reduction... Rs>(std::integer_sequence<Reduction, Rs...>) {
    (try_one.template operator()<Rs>(found), ...);
  }
  (std::integer_sequence<Reduction, Reduction::sum, Reduction::product, Reduction::max,
                         Reduction::min, Reduction::logical_and, Reduction::logical_or>());
  if (found.combine == nullptr)
    throw InvalidArgument(to_string(call) + ": " + std::string(to_string(call.element)) +
                                " has no such reduction");
  return found;
}

// result = the n operands that operand_of(0), operand_of(1), ... point at, combined in that order.
// Piece by piece, so that what is read again is still in the cache; the result may be one of them.
template<class OperandOf>
void combine_in_order(std::size_t n, OperandOf&& operand_of, std::span<std::byte> result,
                      Combiner combiner) {
  alignas(64) std::array<std::byte, 4096> piece;
  for (std::size_t at = 0; at < result.size(); at += piece.size()) {
    const std::size_t bytes = std::min(piece.size(), result.size() - at);
    std::memcpy(piece.data(), operand_of(0) + at, bytes);
    for (std::size_t i = 1; i < n; ++i)
      combiner.combine(piece.data(), operand_of(i) + at, bytes / combiner.element_bytes);
    std::memcpy(result.data() + at, piece.data(), bytes);
  }
}

}  // namespace tessera::executor::detail
