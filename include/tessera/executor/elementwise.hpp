// SPDX-License-Identifier: Apache-2.0
//
// Ops that compute each element of the result from the elements in its place.
//
// Elements are widened to one of four types to compute with (float, double, and integers of 64 bits
// with and without a sign), block by block, and narrowed again where they are stored.  So integers
// wrap around as their type does, and f16 and bf16 are rounded once per op.
//
// What an op means is said by HLO; where the two leave something open (a division of integers by
// zero), it is as XLA's CPU backend has it.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>

#include "tessera/executor/tensor.hpp"
#include "tessera/graph/attributes.hpp"
#include "tessera/graph/opcode.hpp"

namespace tessera::executor {

using graph::Opcode;

// Calls use(std::type_identity<C>()) with the type that such elements are computed in.  Throws
// Unsupported where there is none.
template<class Use>
decltype(auto) with_arithmetic(ElementType element, Use&& use) {
  return with_storage(element, [&]<class T>(std::type_identity<T>) -> decltype(auto) {
    if constexpr (std::is_same_v<T, double>)
      return use(std::type_identity<double>());
    else if constexpr (!std::is_integral_v<T>)
      return use(std::type_identity<float>());
    else if constexpr (std::is_signed_v<T>)
      return use(std::type_identity<std::int64_t>());
    else
      return use(std::type_identity<std::uint64_t>());
  });
}

namespace detail {

inline constexpr std::size_t block_size = 512;
template<class C>
using Block = std::array<C, block_size>;

// Whether elements stored as T are computed with as C.
template<class T, class C>
inline constexpr bool widens_to =
    std::is_integral_v<C> ? std::is_integral_v<T>&& std::is_signed_v<T> == std::is_signed_v<C>
                          : !std::is_integral_v<T> && (sizeof(T) == 8) == (sizeof(C) == 8);

// @pre with_arithmetic has C for the tensor's elements
template<class C>
void load(const Tensor& tensor, std::size_t begin, std::size_t count, C* to) {
  with_storage(tensor.element(), [&]<class T>(std::type_identity<T>) {
    if constexpr (widens_to<T, C>) {
      const T* const from = tensor.data<T>() + begin;
      for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<C>(from[i]);
    }
  });
}
template<class C>
void store(const C* from, std::size_t count, Tensor& tensor, std::size_t begin) {
  with_storage(tensor.element(), [&]<class T>(std::type_identity<T>) {
    if constexpr (widens_to<T, C>) {
      T* const to = tensor.data<T>() + begin;
      for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
    }
  });
}

// A tensor, or a scalar that goes with every element, block by block.
template<class C>
class Source {
 public:
  Source(const Tensor& tensor, std::size_t result_size)
      : tensor_(tensor), is_scalar_(tensor.size() == 1 && result_size != 1) {
    if (is_scalar_) {
      load<C>(tensor, 0, 1, block_.data());
      std::fill(block_.begin(), block_.end(), C(block_[0]));
    }
  }
  const C* at(std::size_t begin, std::size_t count) {
    if (!is_scalar_) load<C>(tensor_, begin, count, block_.data());
    return block_.data();
  }

 private:
  const Tensor& tensor_;
  bool is_scalar_;
  Block<C> block_;
};

template<class Visit>
void for_each_block(std::size_t size, Visit&& visit) {
  for (std::size_t begin = 0; begin < size; begin += block_size)
    visit(begin, std::min(block_size, size - begin));
}

template<class C, class F>
void map(const Tensor& x, Tensor& result, F f) {
  Source<C> from(x, result.size());
  Block<C> out;
  for_each_block(result.size(), [&](std::size_t begin, std::size_t count) {
    const C* const in = from.at(begin, count);
    for (std::size_t i = 0; i < count; ++i) out[i] = f(in[i]);
    store<C>(out.data(), count, result, begin);
  });
}

// R is what the result is computed in.
template<class C, class R = C, class F>
void map(const Tensor& x, const Tensor& y, Tensor& result, F f) {
  Source<C> left(x, result.size()), right(y, result.size());
  Block<R> out;
  for_each_block(result.size(), [&](std::size_t begin, std::size_t count) {
    const C* const a = left.at(begin, count);
    const C* const b = right.at(begin, count);
    for (std::size_t i = 0; i < count; ++i) out[i] = f(a[i], b[i]);
    store<R>(out.data(), count, result, begin);
  });
}

constexpr bool is_truth(ElementType element) noexcept { return element == ElementType::pred; }
inline int bits_of_storage(ElementType element) { return static_cast<int>(bytes_of(element)) * 8; }

template<class C>
bool run_unary_of_numbers(Opcode opcode, const Tensor& x, Tensor& result) {
  const auto run = [&](auto f) {
    map<C>(x, result, f);
    return true;
  };
  if (opcode == Opcode::exponential) return run([](C v) { return std::exp(v); });
  if (opcode == Opcode::exponential_minus_one) return run([](C v) { return std::expm1(v); });
  if (opcode == Opcode::log) return run([](C v) { return std::log(v); });
  if (opcode == Opcode::log_plus_one) return run([](C v) { return std::log1p(v); });
  if (opcode == Opcode::logistic) return run([](C v) { return 1 / (1 + std::exp(-v)); });
  if (opcode == Opcode::tanh) return run([](C v) { return std::tanh(v); });
  if (opcode == Opcode::sqrt) return run([](C v) { return std::sqrt(v); });
  if (opcode == Opcode::rsqrt) return run([](C v) { return 1 / std::sqrt(v); });
  if (opcode == Opcode::cbrt) return run([](C v) { return std::cbrt(v); });
  if (opcode == Opcode::sine) return run([](C v) { return std::sin(v); });
  if (opcode == Opcode::cosine) return run([](C v) { return std::cos(v); });
  if (opcode == Opcode::tan) return run([](C v) { return std::tan(v); });
  if (opcode == Opcode::asin) return run([](C v) { return std::asin(v); });
  if (opcode == Opcode::acos) return run([](C v) { return std::acos(v); });
  if (opcode == Opcode::sinh) return run([](C v) { return std::sinh(v); });
  if (opcode == Opcode::cosh) return run([](C v) { return std::cosh(v); });
  if (opcode == Opcode::asinh) return run([](C v) { return std::asinh(v); });
  if (opcode == Opcode::acosh) return run([](C v) { return std::acosh(v); });
  if (opcode == Opcode::atanh) return run([](C v) { return std::atanh(v); });
  if (opcode == Opcode::erf) return run([](C v) { return std::erf(v); });
  if (opcode == Opcode::ceil) return run([](C v) { return std::ceil(v); });
  if (opcode == Opcode::floor) return run([](C v) { return std::floor(v); });
  if (opcode == Opcode::round_nearest_afz) return run([](C v) { return std::round(v); });
  if (opcode == Opcode::round_nearest_even) return run([](C v) { return std::nearbyint(v); });
  if (opcode == Opcode::negate) return run([](C v) { return -v; });
  if (opcode == Opcode::abs) return run([](C v) { return std::abs(v); });
  if (opcode == Opcode::sign) return run([](C v) { return v > 0 ? C(1) : v < 0 ? C(-1) : v; });
  return false;
}

template<class C>
bool run_unary_of_integers(Opcode opcode, const Tensor& x, Tensor& result) {
  const auto run = [&](auto f) {
    map<C>(x, result, f);
    return true;
  };
  const int width = bits_of_storage(x.element());
  const std::uint64_t mask = ~std::uint64_t{0} >> (64 - width);
  const auto bits = [mask](C v) { return static_cast<std::uint64_t>(v) & mask; };
  if (opcode == Opcode::logical_not && is_truth(x.element()))
    return run([](C v) { return v == 0 ? C(1) : C(0); });
  if (opcode == Opcode::logical_not) return run([](C v) { return static_cast<C>(~v); });
  if (opcode == Opcode::negate)
    return run([](C v) { return static_cast<C>(0 - static_cast<std::uint64_t>(v)); });
  if (opcode == Opcode::abs)
    return run([](C v) { return v < 0 ? static_cast<C>(0 - static_cast<std::uint64_t>(v)) : v; });
  if (opcode == Opcode::sign)
    return run([](C v) { return v > 0 ? C(1) : v < 0 ? static_cast<C>(-1) : v; });
  if (opcode == Opcode::popcnt)
    return run([=](C v) { return static_cast<C>(std::popcount(bits(v))); });
  if (opcode == Opcode::count_leading_zeros)
    return run([=](C v) { return static_cast<C>(std::countl_zero(bits(v)) - (64 - width)); });
  return false;
}

template<class C>
bool run_binary_of_numbers(Opcode opcode, const Tensor& x, const Tensor& y, Tensor& result) {
  const auto run = [&](auto f) {
    map<C>(x, y, result, f);
    return true;
  };
  if (opcode == Opcode::add) return run([](C a, C b) { return a + b; });
  if (opcode == Opcode::subtract) return run([](C a, C b) { return a - b; });
  if (opcode == Opcode::multiply) return run([](C a, C b) { return a * b; });
  if (opcode == Opcode::divide) return run([](C a, C b) { return a / b; });
  if (opcode == Opcode::remainder) return run([](C a, C b) { return std::fmod(a, b); });
  if (opcode == Opcode::power) return run([](C a, C b) { return std::pow(a, b); });
  if (opcode == Opcode::atan2) return run([](C a, C b) { return std::atan2(a, b); });
  // What is no number stays so, whichever side it is on.
  if (opcode == Opcode::maximum)
    return run([](C a, C b) { return a > b || std::isnan(a) ? a : b; });
  if (opcode == Opcode::minimum)
    return run([](C a, C b) { return a < b || std::isnan(a) ? a : b; });
  return false;
}

template<class C>
C integer_power(C base, C exponent) {
  if (exponent < 0)
    return base == 1                    ? C(1)
           : base == static_cast<C>(-1) ? (exponent % 2 == 0 ? C(1) : static_cast<C>(-1))
                                        : C(0);
  std::uint64_t result = 1, factor = static_cast<std::uint64_t>(base);
  for (auto rest = static_cast<std::uint64_t>(exponent); rest != 0; rest >>= 1U) {
    if ((rest & 1U) != 0) result *= factor;
    factor *= factor;
  }
  return static_cast<C>(result);
}

template<class C>
bool run_binary_of_integers(Opcode opcode, const Tensor& x, const Tensor& y, Tensor& result) {
  const auto run = [&](auto f) {
    map<C>(x, y, result, f);
    return true;
  };
  using Bits = std::uint64_t;
  const int width = bits_of_storage(x.element());
  const Bits mask = ~Bits{0} >> (64 - width);
  if (is_truth(x.element())) {  // sums and products of truth values
    if (opcode == Opcode::add) return run([](C a, C b) { return static_cast<C>(a | b); });
    if (opcode == Opcode::multiply) return run([](C a, C b) { return static_cast<C>(a & b); });
  }
  if (opcode == Opcode::add) return run([](C a, C b) { return static_cast<C>(Bits(a) + Bits(b)); });
  if (opcode == Opcode::subtract)
    return run([](C a, C b) { return static_cast<C>(Bits(a) - Bits(b)); });
  if (opcode == Opcode::multiply)
    return run([](C a, C b) { return static_cast<C>(Bits(a) * Bits(b)); });
  if (opcode == Opcode::divide)
    return run([](C a, C b) {
      if (b == 0) return static_cast<C>(-1);
      if (b == static_cast<C>(-1) && std::is_signed_v<C>) return static_cast<C>(0 - Bits(a));
      return static_cast<C>(a / b);
    });
  if (opcode == Opcode::remainder)
    return run([](C a, C b) {
      if (b == 0) return a;
      if (b == static_cast<C>(-1) && std::is_signed_v<C>) return C(0);
      return static_cast<C>(a % b);
    });
  if (opcode == Opcode::power) return run([](C a, C b) { return integer_power(a, b); });
  if (opcode == Opcode::maximum) return run([](C a, C b) { return std::max(a, b); });
  if (opcode == Opcode::minimum) return run([](C a, C b) { return std::min(a, b); });
  if (opcode == Opcode::logical_and) return run([](C a, C b) { return static_cast<C>(a & b); });
  if (opcode == Opcode::logical_or) return run([](C a, C b) { return static_cast<C>(a | b); });
  if (opcode == Opcode::logical_xor) return run([](C a, C b) { return static_cast<C>(a ^ b); });
  const auto shifts_out = [width](C by) { return Bits(by) >= static_cast<Bits>(width); };
  if (opcode == Opcode::shift_left)
    return run([=](C a, C b) { return shifts_out(b) ? C(0) : static_cast<C>(Bits(a) << Bits(b)); });
  if (opcode == Opcode::shift_right_logical)
    return run([=](C a, C b) {
      return shifts_out(b) ? C(0) : static_cast<C>((Bits(a) & mask) >> Bits(b));
    });
  if (opcode == Opcode::shift_right_arithmetic)
    return run([=](C a, C b) {
      // Of elements without a sign the top bit is one all the same.
      const auto value = static_cast<std::int64_t>(Bits(a) << (64 - width)) >> (64 - width);
      return static_cast<C>(value >> (shifts_out(b) ? 63 : static_cast<int>(b)));
    });
  return false;
}

// Truncates, and keeps to what the type has; what is no number becomes 0.
template<class To, class From>
To to_integer(From value) {
  if (std::isnan(value)) return 0;
  constexpr auto low = std::numeric_limits<To>::min(), high = std::numeric_limits<To>::max();
  if (value <= static_cast<From>(low)) return low;
  if (value >= static_cast<From>(high)) return high;
  return static_cast<To>(value);
}

template<class To, class From>
To converted(From value, bool to_truth) {
  if (to_truth) return static_cast<To>(static_cast<float>(value != From(0) ? 1 : 0));
  if constexpr (std::is_integral_v<To> && !std::is_integral_v<From>)
    return to_integer<To>(value);
  else
    return static_cast<To>(value);
}

}  // namespace detail

// Whether there is such an op of one operand; `result` has room for it.
inline bool run_unary(Opcode opcode, const Tensor& x, Tensor& result) {
  return with_arithmetic(x.element(), [&]<class C>(std::type_identity<C>) {
    if constexpr (std::is_integral_v<C>)
      return detail::run_unary_of_integers<C>(opcode, x, result);
    else
      return detail::run_unary_of_numbers<C>(opcode, x, result);
  });
}

// Of two operands, one of which may be a scalar.
inline bool run_binary(Opcode opcode, const Tensor& x, const Tensor& y, Tensor& result) {
  return with_arithmetic(x.element(), [&]<class C>(std::type_identity<C>) {
    if constexpr (std::is_integral_v<C>)
      return detail::run_binary_of_integers<C>(opcode, x, y, result);
    else
      return detail::run_binary_of_numbers<C>(opcode, x, y, result);
  });
}

namespace detail {

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

}  // namespace detail

// Truth values.  NaN is unequal to all, and neither less nor greater.
inline void run_compare(graph::Direction direction, const Tensor& x, const Tensor& y,
                        Tensor& result) {
  with_arithmetic(x.element(), [&]<class C>(std::type_identity<C>) {
    detail::map<C, std::uint64_t>(x, y, result, [direction](C a, C b) {
      return std::uint64_t{detail::holds(direction, a, b)};
    });
  });
}

inline void run_is_finite(const Tensor& x, Tensor& result) {
  with_arithmetic(x.element(), [&]<class C>(std::type_identity<C>) {
    detail::map<C, std::uint64_t>(x, x, result, [](C a, C) {
      if constexpr (std::is_integral_v<C>)
        return std::uint64_t{1};
      else
        return std::uint64_t{std::isfinite(a)};
    });
  });
}

// Also between element types that are computed in different types.
inline void run_convert(const Tensor& x, Tensor& result) {
  const bool to_truth = detail::is_truth(result.element());
  with_storage(x.element(), [&]<class From>(std::type_identity<From>) {
    with_storage(result.element(), [&]<class To>(std::type_identity<To>) {
      // By way of float where the type itself is narrower than that.
      using Number =
          std::conditional_t<sizeof(From) == 2 && !std::is_integral_v<From>, float, From>;
      using Target = std::conditional_t<sizeof(To) == 2 && !std::is_integral_v<To>, float, To>;
      const From* const from = x.data<From>();
      To* const to = result.data<To>();
      for (std::size_t i = 0; i < result.size(); ++i)
        to[i] = static_cast<To>(detail::converted<Target>(static_cast<Number>(from[i]), to_truth));
    });
  });
}

// choice[i] ? a[i] : b[i], where choice may be a scalar.
inline void run_select(const Tensor& choice, const Tensor& a, const Tensor& b, Tensor& result) {
  with_storage(result.element(), [&]<class T>(std::type_identity<T>) {
    const std::uint8_t* const first = choice.data<std::uint8_t>();
    const std::size_t step = choice.size() == 1 ? 0 : 1;
    for (std::size_t i = 0; i < result.size(); ++i)
      result.data<T>()[i] = first[i * step] != 0 ? a.data<T>()[i] : b.data<T>()[i];
  });
}

// low and high may be scalars.
inline void run_clamp(const Tensor& low, const Tensor& x, const Tensor& high, Tensor& result) {
  Tensor raised(result.type());
  run_binary(Opcode::maximum, x, low, raised);
  run_binary(Opcode::minimum, raised, high, result);
}

// 0, 1, 2 and so on along `dim`: of these, what a slice of the whole has.
inline void run_iota(const Slice& part, std::size_t dim, Tensor& result) {
  with_storage(result.element(), [&]<class T>(std::type_identity<T>) {
    const Dims dims = dims_of(part);
    std::size_t inner = 1;
    for (std::size_t d = dim + 1; d < dims.size(); ++d) inner *= static_cast<std::size_t>(dims[d]);
    const auto count = static_cast<std::size_t>(dims[dim]);
    for (std::size_t i = 0; i < result.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i / inner % count) + part[dim].begin;
      if constexpr (std::is_integral_v<T>)
        result.data<T>()[i] = static_cast<T>(at);
      else
        result.data<T>()[i] = static_cast<T>(static_cast<float>(at));
    }
  });
}

}  // namespace tessera::executor
