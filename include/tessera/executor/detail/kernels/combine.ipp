// SPDX-License-Identifier: Apache-2.0
//
// One loop for each reduction and element type.
#pragma once
#include "tessera/executor/detail/kernels/combine.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "tessera/executor/detail/kernels/small_floats.hpp"

namespace tessera::executor::detail {

template<Reduction R, class T>
void combine_elements(void* into, const void* from, std::size_t count) {
  T* const to = static_cast<T*>(into);
  const T* const of = static_cast<const T*>(from);
  for (std::size_t i = 0; i < count; ++i) to[i] = combined<R>(to[i], of[i]);
}

template<class T>
Combiner combiner_for(Reduction reduction) noexcept {
  Combiner found{nullptr, sizeof(T)};
  const auto try_one = [&]<Reduction R>(std::integral_constant<Reduction, R>) {
    if constexpr (can_reduce<T>(R))
      if (reduction == R) found.combine = &combine_elements<R, T>;
  };
  using enum Reduction;
  try_one(std::integral_constant<Reduction, sum>());
  try_one(std::integral_constant<Reduction, product>());
  try_one(std::integral_constant<Reduction, max>());
  try_one(std::integral_constant<Reduction, min>());
  try_one(std::integral_constant<Reduction, logical_and>());
  try_one(std::integral_constant<Reduction, logical_or>());
  return found;
}

// Signed integers have the sums and products of unsigned ones, bit by bit.
template<class Signed>
Combiner signed_combiner(Reduction reduction) noexcept {
  switch (reduction) {
    case Reduction::max: return {&combine_elements<Reduction::max, Signed>, sizeof(Signed)};
    case Reduction::min: return {&combine_elements<Reduction::min, Signed>, sizeof(Signed)};
    default: return combiner_for<std::make_unsigned_t<Signed>>(reduction);
  }
}

TESSERA_INLINE Combiner find_combiner(graph::ElementType element, Reduction reduction) noexcept {
  using enum graph::ElementType;
  switch (element) {
    case pred:
      return can_reduce<bool>(reduction) ? combiner_for<std::uint8_t>(reduction) : Combiner{};
    case u8: return combiner_for<std::uint8_t>(reduction);
    case u16: return combiner_for<std::uint16_t>(reduction);
    case u32: return combiner_for<std::uint32_t>(reduction);
    case u64: return combiner_for<std::uint64_t>(reduction);
    case s8: return signed_combiner<std::int8_t>(reduction);
    case s16: return signed_combiner<std::int16_t>(reduction);
    case s32: return signed_combiner<std::int32_t>(reduction);
    case s64: return signed_combiner<std::int64_t>(reduction);
    case f16: return combiner_for<Half>(reduction);
    case bf16: return combiner_for<BFloat16>(reduction);
    case f32: return combiner_for<float>(reduction);
    case f64: return combiner_for<double>(reduction);
    case c64: return combiner_for<std::complex<float>>(reduction);
    case c128: return combiner_for<std::complex<double>>(reduction);
    default: return {};
  }
}

// Piece by piece, so that what is read again is still in the cache.
TESSERA_INLINE void combine_in_order(std::span<const std::byte* const> operands,
                                     std::span<std::byte> result, Combiner combiner) {
  alignas(64) std::array<std::byte, 4096> piece;
  for (std::size_t at = 0; at < result.size(); at += piece.size()) {
    const std::size_t bytes = std::min(piece.size(), result.size() - at);
    std::memcpy(piece.data(), operands[0] + at, bytes);
    for (const std::byte* const operand : operands.subspan(1))
      combiner.combine(piece.data(), operand + at, bytes / combiner.element_bytes);
    std::memcpy(result.data() + at, piece.data(), bytes);
  }
}

}  // namespace tessera::executor::detail
