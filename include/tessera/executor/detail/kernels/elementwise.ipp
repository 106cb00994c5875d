// SPDX-License-Identifier: Apache-2.0
//
// One small loop over a block for each op and arithmetic type, and the drivers that go through
// tensors by blocks.
#pragma once
#include "tessera/executor/detail/kernels/elementwise.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "tessera/executor/detail/kernels/storage.hpp"

namespace tessera::executor::detail {

// --- Blocks --------------------------------------------------------------------------------------

inline constexpr std::size_t block_size = 512;
template<class C>
using Block = std::array<C, block_size>;

// Widens elements.  @pre C is the arithmetic type of the tensor's elements
template<class C>
void load(const Tensor& tensor, std::size_t begin, std::size_t count, C* to) {
  with_storage(tensor.element(), [&]<class T>(std::type_identity<T>) {
    if constexpr (std::is_same_v<Arithmetic<T>, C>) {
      const T* const from = tensor.data<T>() + begin;
      for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<C>(from[i]);
    }
  });
}
// Narrows them.
template<class C>
void store(const C* from, std::size_t count, Tensor& tensor, std::size_t begin) {
  with_storage(tensor.element(), [&]<class T>(std::type_identity<T>) {
    if constexpr (std::is_same_v<Arithmetic<T>, C>) {
      T* const to = tensor.data<T>() + begin;
      for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
    }
  });
}

// A tensor block by block, or a scalar that goes with every element.
template<class C>
class Source {
 public:
  Source(const Tensor& tensor, std::size_t result_size)
      : tensor_(tensor), is_scalar_(tensor.size() == 1 && result_size != 1) {
    if (!is_scalar_) return;
    load<C>(tensor, 0, 1, block_.data());
    std::fill(block_.begin(), block_.end(), C(block_[0]));
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

// A loop over a block.  `width`: the bits that the operands' elements are stored in.
template<class C>
using UnaryLoop = void (*)(const C* in, C* out, std::size_t count, int width);
template<class C, class R = C>
using BinaryLoop = void (*)(const C* a, const C* b, R* out, std::size_t count, int width);

// The loop that applies a function without state to each element.
template<class C, class F>
constexpr UnaryLoop<C> each(F) {
  return [](const C* __restrict in, C* __restrict out, std::size_t count, int width) {
    for (std::size_t i = 0; i < count; ++i)
      if constexpr (std::is_invocable_v<F, C>)
        out[i] = F{}(in[i]);
      else
        out[i] = F{}(in[i], width);
    static_cast<void>(width);
  };
}
template<class C, class R = C, class F>
constexpr BinaryLoop<C, R> pairs(F) {
  return [](const C* a, const C* b, R* __restrict out, std::size_t count, int width) {
    for (std::size_t i = 0; i < count; ++i)
      if constexpr (std::is_invocable_v<F, C, C>)
        out[i] = F{}(a[i], b[i]);
      else
        out[i] = F{}(a[i], b[i], width);
    static_cast<void>(width);
  };
}

inline int bits_of_storage(ElementType element) {
  return static_cast<int>(graph::bytes_of(element)) * 8;
}

template<class C>
void map(const Tensor& x, Tensor& result, UnaryLoop<C> loop) {
  Source<C> from(x, result.size());
  Block<C> out;
  for_each_block(result.size(), [&](std::size_t begin, std::size_t count) {
    loop(from.at(begin, count), out.data(), count, bits_of_storage(x.element()));
    store<C>(out.data(), count, result, begin);
  });
}

// R is the type that the result is computed in.
template<class C, class R>
void map(const Tensor& x, const Tensor& y, Tensor& result, BinaryLoop<C, R> loop) {
  Source<C> left(x, result.size()), right(y, result.size());
  Block<R> out;
  for_each_block(result.size(), [&](std::size_t begin, std::size_t count) {
    const C* const a = left.at(begin, count);
    loop(a, right.at(begin, count), out.data(), count, bits_of_storage(x.element()));
    store<R>(out.data(), count, result, begin);
  });
}

// --- Unary ops: null where there is none ---------------------------------------------------------

template<class C>
UnaryLoop<C> unary_of_numbers(Opcode opcode) {
  switch (opcode) {
    case Opcode::exponential: return each<C>([](C v) { return std::exp(v); });
    case Opcode::exponential_minus_one: return each<C>([](C v) { return std::expm1(v); });
    case Opcode::log: return each<C>([](C v) { return std::log(v); });
    case Opcode::log_plus_one: return each<C>([](C v) { return std::log1p(v); });
    case Opcode::logistic: return each<C>([](C v) { return 1 / (1 + std::exp(-v)); });
    case Opcode::tanh: return each<C>([](C v) { return std::tanh(v); });
    case Opcode::sqrt: return each<C>([](C v) { return std::sqrt(v); });
    case Opcode::rsqrt: return each<C>([](C v) { return 1 / std::sqrt(v); });
    case Opcode::cbrt: return each<C>([](C v) { return std::cbrt(v); });
    case Opcode::sine: return each<C>([](C v) { return std::sin(v); });
    case Opcode::cosine: return each<C>([](C v) { return std::cos(v); });
    case Opcode::tan: return each<C>([](C v) { return std::tan(v); });
    case Opcode::asin: return each<C>([](C v) { return std::asin(v); });
    case Opcode::acos: return each<C>([](C v) { return std::acos(v); });
    case Opcode::sinh: return each<C>([](C v) { return std::sinh(v); });
    case Opcode::cosh: return each<C>([](C v) { return std::cosh(v); });
    case Opcode::asinh: return each<C>([](C v) { return std::asinh(v); });
    case Opcode::acosh: return each<C>([](C v) { return std::acosh(v); });
    case Opcode::atanh: return each<C>([](C v) { return std::atanh(v); });
    case Opcode::erf: return each<C>([](C v) { return std::erf(v); });
    case Opcode::ceil: return each<C>([](C v) { return std::ceil(v); });
    case Opcode::floor: return each<C>([](C v) { return std::floor(v); });
    case Opcode::round_nearest_afz: return each<C>([](C v) { return std::round(v); });
    case Opcode::round_nearest_even: return each<C>([](C v) { return std::nearbyint(v); });
    case Opcode::negate: return each<C>([](C v) { return -v; });
    case Opcode::abs: return each<C>([](C v) { return std::abs(v); });
    case Opcode::sign: return each<C>([](C v) { return v > 0 ? C(1) : v < 0 ? C(-1) : v; });
    default: return nullptr;
  }
}

// The bits of an integer as it is stored.
template<class C>
constexpr std::uint64_t stored_bits(C value, int width) noexcept {
  return static_cast<std::uint64_t>(value) & ~std::uint64_t{0} >> (64 - width);
}
template<class C>
constexpr C negated(C value) noexcept {
  return static_cast<C>(0 - static_cast<std::uint64_t>(value));
}

template<class C>
UnaryLoop<C> unary_of_integers(Opcode opcode, bool is_truth) {
  switch (opcode) {
    case Opcode::logical_not:
      return is_truth ? each<C>([](C v) { return v == 0 ? C(1) : C(0); })
                      : each<C>([](C v) { return static_cast<C>(~v); });
    case Opcode::negate: return each<C>([](C v) { return negated(v); });
    case Opcode::abs: return each<C>([](C v) { return v < 0 ? negated(v) : v; });
    case Opcode::sign:
      return each<C>([](C v) { return v > 0 ? C(1) : v < 0 ? static_cast<C>(-1) : v; });
    case Opcode::popcnt:
      return each<C>(
          [](C v, int width) { return static_cast<C>(std::popcount(stored_bits(v, width))); });
    case Opcode::count_leading_zeros:
      return each<C>([](C v, int width) {
        return static_cast<C>(std::countl_zero(stored_bits(v, width)) - (64 - width));
      });
    default: return nullptr;
  }
}

// --- Binary ops: null where there is none --------------------------------------------------------

template<class C>
BinaryLoop<C> binary_of_numbers(Opcode opcode) {
  switch (opcode) {
    case Opcode::add: return pairs<C>([](C a, C b) { return a + b; });
    case Opcode::subtract: return pairs<C>([](C a, C b) { return a - b; });
    case Opcode::multiply: return pairs<C>([](C a, C b) { return a * b; });
    case Opcode::divide: return pairs<C>([](C a, C b) { return a / b; });
    case Opcode::remainder: return pairs<C>([](C a, C b) { return std::fmod(a, b); });
    case Opcode::power: return pairs<C>([](C a, C b) { return std::pow(a, b); });
    case Opcode::atan2: return pairs<C>([](C a, C b) { return std::atan2(a, b); });
    // NaN stays NaN, whichever side it is on.
    case Opcode::maximum: return pairs<C>([](C a, C b) { return a > b || std::isnan(a) ? a : b; });
    case Opcode::minimum: return pairs<C>([](C a, C b) { return a < b || std::isnan(a) ? a : b; });
    default: return nullptr;
  }
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
C integer_quotient(C a, C b) {
  if (b == 0) return static_cast<C>(-1);
  if (b == static_cast<C>(-1) && std::is_signed_v<C>) return negated(a);
  return static_cast<C>(a / b);
}
template<class C>
C integer_remainder(C a, C b) {
  if (b == 0) return a;
  if (b == static_cast<C>(-1) && std::is_signed_v<C>) return C(0);
  return static_cast<C>(a % b);
}

template<class C>
C shifted_right(C a, C by, int width) {
  if (static_cast<std::uint64_t>(by) >= static_cast<std::uint64_t>(width)) return C(0);
  return static_cast<C>(stored_bits(a, width) >> static_cast<std::uint64_t>(by));
}
// Also elements without a sign have a sign bit here: their top bit.
template<class C>
C shifted_right_with_sign(C a, C by, int width) {
  const bool shifts_out = static_cast<std::uint64_t>(by) >= static_cast<std::uint64_t>(width);
  const auto value = static_cast<std::int64_t>(static_cast<std::uint64_t>(a) << (64 - width)) >>
                     (64 - width);
  return static_cast<C>(value >> (shifts_out ? 63 : static_cast<int>(by)));
}

template<class C>
BinaryLoop<C> shift_of_integers(Opcode opcode) {
  switch (opcode) {
    case Opcode::shift_left:
      return pairs<C>([](C a, C b, int width) {
        const auto by = static_cast<std::uint64_t>(b);
        return by >= static_cast<std::uint64_t>(width)
                   ? C(0)
                   : static_cast<C>(static_cast<std::uint64_t>(a) << by);
      });
    case Opcode::shift_right_logical:
      return pairs<C>([](C a, C b, int width) { return shifted_right(a, b, width); });
    case Opcode::shift_right_arithmetic:
      return pairs<C>([](C a, C b, int width) { return shifted_right_with_sign(a, b, width); });
    default: return nullptr;
  }
}

template<class C>
BinaryLoop<C> binary_of_integers(Opcode opcode, bool is_truth) {
  using Bits = std::uint64_t;
  if (is_truth && opcode == Opcode::add) opcode = Opcode::logical_or;
  if (is_truth && opcode == Opcode::multiply) opcode = Opcode::logical_and;
  switch (opcode) {
    case Opcode::add: return pairs<C>([](C a, C b) { return static_cast<C>(Bits(a) + Bits(b)); });
    case Opcode::subtract:
      return pairs<C>([](C a, C b) { return static_cast<C>(Bits(a) - Bits(b)); });
    case Opcode::multiply:
      return pairs<C>([](C a, C b) { return static_cast<C>(Bits(a) * Bits(b)); });
    case Opcode::divide: return pairs<C>([](C a, C b) { return integer_quotient(a, b); });
    case Opcode::remainder: return pairs<C>([](C a, C b) { return integer_remainder(a, b); });
    case Opcode::power: return pairs<C>([](C a, C b) { return integer_power(a, b); });
    case Opcode::maximum: return pairs<C>([](C a, C b) { return std::max(a, b); });
    case Opcode::minimum: return pairs<C>([](C a, C b) { return std::min(a, b); });
    case Opcode::logical_and: return pairs<C>([](C a, C b) { return static_cast<C>(a & b); });
    case Opcode::logical_or: return pairs<C>([](C a, C b) { return static_cast<C>(a | b); });
    case Opcode::logical_xor: return pairs<C>([](C a, C b) { return static_cast<C>(a ^ b); });
    default: return shift_of_integers<C>(opcode);
  }
}

TESSERA_INLINE bool run_unary(Opcode opcode, const Tensor& x, Tensor& result) {
  return with_arithmetic(x.element(), [&]<class C>(std::type_identity<C>) {
    UnaryLoop<C> loop = nullptr;
    if constexpr (std::is_integral_v<C>)
      loop = unary_of_integers<C>(opcode, x.element() == ElementType::pred);
    else
      loop = unary_of_numbers<C>(opcode);
    if (loop != nullptr) map(x, result, loop);
    return loop != nullptr;
  });
}

TESSERA_INLINE bool run_binary(Opcode opcode, const Tensor& x, const Tensor& y, Tensor& result) {
  return with_arithmetic(x.element(), [&]<class C>(std::type_identity<C>) {
    BinaryLoop<C> loop = nullptr;
    if constexpr (std::is_integral_v<C>)
      loop = binary_of_integers<C>(opcode, x.element() == ElementType::pred);
    else
      loop = binary_of_numbers<C>(opcode);
    if (loop != nullptr) map(x, y, result, loop);
    return loop != nullptr;
  });
}

// --- Truth values --------------------------------------------------------------------------------

template<class C>
BinaryLoop<C, std::uint64_t> comparison(graph::Direction direction) {
  using R = std::uint64_t;
  switch (direction) {
    case graph::Direction::eq: return pairs<C, R>([](C a, C b) { return R{a == b}; });
    case graph::Direction::ne: return pairs<C, R>([](C a, C b) { return R{a != b}; });
    case graph::Direction::ge: return pairs<C, R>([](C a, C b) { return R{a >= b}; });
    case graph::Direction::gt: return pairs<C, R>([](C a, C b) { return R{a > b}; });
    case graph::Direction::le: return pairs<C, R>([](C a, C b) { return R{a <= b}; });
    case graph::Direction::lt: return pairs<C, R>([](C a, C b) { return R{a < b}; });
  }
  return nullptr;
}

TESSERA_INLINE void run_compare(graph::Direction direction, const Tensor& x, const Tensor& y,
                                Tensor& result) {
  with_arithmetic(x.element(), [&]<class C>(std::type_identity<C>) {
    map(x, y, result, comparison<C>(direction));
  });
}

TESSERA_INLINE void run_is_finite(const Tensor& x, Tensor& result) {
  with_arithmetic(x.element(), [&]<class C>(std::type_identity<C>) {
    map(x, x, result, pairs<C, std::uint64_t>([](C a, C) {
          if constexpr (std::is_integral_v<C>)
            return std::uint64_t{1};
          else
            return std::uint64_t{std::isfinite(a)};
        }));
  });
}

// --- Conversions ---------------------------------------------------------------------------------

// The least and the largest integer of an element type.
template<class To>
struct IntegerLimits {
  To low = 0, high = 0;

  explicit IntegerLimits(ElementType element) {
    with_storage(element, [&]<class T>(std::type_identity<T>) {
      if constexpr (std::is_integral_v<T> && std::is_signed_v<T> == std::is_signed_v<To>) {
        low = std::numeric_limits<T>::min();
        high = std::numeric_limits<T>::max();
      }
    });
  }
};

// Truncates, and keeps to the limits; NaN becomes 0.
template<class To, class From>
To to_integer(From value, const IntegerLimits<To>& limits) {
  if (std::isnan(value)) return 0;
  if (value <= static_cast<From>(limits.low)) return limits.low;
  if (value >= static_cast<From>(limits.high)) return limits.high;
  return static_cast<To>(value);
}

// Between arithmetic types, a block at a time.
template<class From, class To>
void convert_block(const From* __restrict from, To* __restrict to, std::size_t count,
                   ElementType element) {
  if (element == ElementType::pred) {
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<To>(from[i] != From(0) ? 1 : 0);
  } else if constexpr (std::is_integral_v<To> && !std::is_integral_v<From>) {
    const IntegerLimits<To> limits(element);
    for (std::size_t i = 0; i < count; ++i) to[i] = to_integer(from[i], limits);
  } else {
    for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<To>(from[i]);
  }
}

TESSERA_INLINE void run_convert(const Tensor& x, Tensor& result) {
  const ElementType from = x.element(), to = result.element();
  if (from == to && from != ElementType::f16 && from != ElementType::bf16 &&
      from != ElementType::pred)
    return static_cast<void>(std::copy_n(x.bytes(), result.byte_size(), result.bytes()));
  if (to == ElementType::f32 && (from == ElementType::f16 || from == ElementType::bf16))
    return load(x, 0, x.size(), result.data<float>());
  if (from == ElementType::f32 && (to == ElementType::f16 || to == ElementType::bf16))
    return store(x.data<float>(), x.size(), result, 0);
  with_arithmetic(from, [&]<class From>(std::type_identity<From>) {
    with_arithmetic(to, [&]<class To>(std::type_identity<To>) {
      Block<From> in;
      Block<To> out;
      for_each_block(result.size(), [&](std::size_t begin, std::size_t count) {
        load(x, begin, count, in.data());
        convert_block(in.data(), out.data(), count, to);
        store(out.data(), count, result, begin);
      });
    });
  });
}

// --- The rest ------------------------------------------------------------------------------------

TESSERA_INLINE void run_select(const Tensor& choice, const Tensor& a, const Tensor& b,
                               Tensor& result) {
  with_width(result.element(), [&]<class T>(std::type_identity<T>) {
    const std::uint8_t* const first = choice.data<std::uint8_t>();
    const std::size_t step = choice.size() == 1 ? 0 : 1;
    for (std::size_t i = 0; i < result.size(); ++i)
      result.data<T>()[i] = first[i * step] != 0 ? a.data<T>()[i] : b.data<T>()[i];
  });
}

TESSERA_INLINE void run_clamp(const Tensor& low, const Tensor& x, const Tensor& high,
                              Tensor& result) {
  Tensor raised(result.type());
  run_binary(Opcode::maximum, x, low, raised);
  run_binary(Opcode::minimum, raised, high, result);
}

TESSERA_INLINE void run_iota(const Slice& part, std::size_t dim, Tensor& result) {
  const Dims dims = dims_of(part);
  std::size_t inner = 1;
  for (std::size_t d = dim + 1; d < dims.size(); ++d) inner *= static_cast<std::size_t>(dims[d]);
  const auto count = static_cast<std::size_t>(dims[dim]);
  with_storage(result.element(), [&]<class T>(std::type_identity<T>) {
    for (std::size_t i = 0; i < result.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i / inner % count) + part[dim].begin;
      if constexpr (std::is_integral_v<T>)
        result.data<T>()[i] = static_cast<T>(at);
      else
        result.data<T>()[i] = static_cast<T>(static_cast<float>(at));
    }
  });
}

}  // namespace tessera::executor::detail
