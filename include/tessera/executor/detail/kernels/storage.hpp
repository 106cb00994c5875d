// SPDX-License-Identifier: Apache-2.0
//
// The C++ types that elements are stored as, computed in, and summed up in.
#pragma once
#include <cstdint>
#include <string>
#include <type_traits>

#include "tessera/executor/detail/kernels/small_floats.hpp"
#include "tessera/executor/errors.hpp"
#include "tessera/graph/element_type.hpp"

namespace tessera::executor::detail {

// Calls use(std::type_identity<T>()) with the type that elements are stored as.  Throws
// Unsupported.
template<class Use>
decltype(auto) with_storage(graph::ElementType element, Use&& use) {
  using graph::ElementType;
  switch (element) {
    case ElementType::pred:
    case ElementType::u8: return use(std::type_identity<std::uint8_t>());
    case ElementType::s8: return use(std::type_identity<std::int8_t>());
    case ElementType::u16: return use(std::type_identity<std::uint16_t>());
    case ElementType::s16: return use(std::type_identity<std::int16_t>());
    case ElementType::u32: return use(std::type_identity<std::uint32_t>());
    case ElementType::s32: return use(std::type_identity<std::int32_t>());
    case ElementType::u64: return use(std::type_identity<std::uint64_t>());
    case ElementType::s64: return use(std::type_identity<std::int64_t>());
    case ElementType::f16: return use(std::type_identity<Half>());
    case ElementType::bf16: return use(std::type_identity<BFloat16>());
    case ElementType::f32: return use(std::type_identity<float>());
    case ElementType::f64: return use(std::type_identity<double>());
    default: break;
  }
  throw Unsupported("elements of type " + std::string(graph::to_string(element)) +
                    " can not be computed with");
}

// Calls use(std::type_identity<T>()) with an integer as wide as the elements, to move them with.
template<class Use>
decltype(auto) with_width(graph::ElementType element, Use&& use) {
  switch (graph::bytes_of(element)) {
    case 1: return use(std::type_identity<std::uint8_t>());
    case 2: return use(std::type_identity<std::uint16_t>());
    case 4: return use(std::type_identity<std::uint32_t>());
    case 8: return use(std::type_identity<std::uint64_t>());
    default: break;
  }
  throw Unsupported("elements of type " + std::string(graph::to_string(element)) +
                    " can not be moved");
}

// The type that elements stored as T are computed in.
template<class T>
using Arithmetic =
    std::conditional_t<std::is_integral_v<T>,
                       std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>,
                       std::conditional_t<std::is_same_v<T, double>, double, float>>;

// The type that reductions of elements stored as T are made in.
template<class T>
using Accumulator = std::conditional_t<std::is_integral_v<T>, Arithmetic<T>, double>;

// Calls use(std::type_identity<C>()) with the type that such elements are computed in.  Throws
// Unsupported where there is none.
template<class Use>
decltype(auto) with_arithmetic(graph::ElementType element, Use&& use) {
  using graph::ElementType;
  switch (element) {
    case ElementType::pred:
    case ElementType::u8:
    case ElementType::u16:
    case ElementType::u32:
    case ElementType::u64: return use(std::type_identity<std::uint64_t>());
    case ElementType::s8:
    case ElementType::s16:
    case ElementType::s32:
    case ElementType::s64: return use(std::type_identity<std::int64_t>());
    case ElementType::f16:
    case ElementType::bf16:
    case ElementType::f32: return use(std::type_identity<float>());
    case ElementType::f64: return use(std::type_identity<double>());
    default: break;
  }
  throw Unsupported("elements of type " + std::string(graph::to_string(element)) +
                    " can not be computed with");
}

}  // namespace tessera::executor::detail
