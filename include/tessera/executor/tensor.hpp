// SPDX-License-Identifier: Apache-2.0
//
// A tensor with its numbers: an element type, dims, and one buffer that is its own.
//
// Elements lie row-major and are stored as wide as their type says: truth values and eight-bit
// integers in a byte, bf16 and f16 in two (and are computed with as float), so that bytes held and
// bytes sent are what a plan counts.  Which C++ type that is, with_storage() tells a generic
// lambda; element types of less than a byte, complex numbers and tokens have none.
//
// What a device holds is a Part: a tensor, and the slice of the whole that it is.
#pragma once
#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/graph/tensor.hpp"
#include "tessera/sharding/local.hpp"

namespace tessera::executor {

using graph::ElementType;
using graph::TensorType;

// What can not be run: an op that no kernel computes, an element type that has no storage.
class Unsupported : public Error {
 public:
  using Error::Error;
};

// Calls use(std::type_identity<T>()) with the type that elements are stored as.  Throws
// Unsupported.
template<class Use>
decltype(auto) with_storage(ElementType element, Use&& use) {
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
    case ElementType::f16: return use(std::type_identity<Eigen::half>());
    case ElementType::bf16: return use(std::type_identity<Eigen::bfloat16>());
    case ElementType::f32: return use(std::type_identity<float>());
    case ElementType::f64: return use(std::type_identity<double>());
    default: break;
  }
  throw Unsupported("elements of type " + std::string(graph::to_string(element)) +
                    " can not be computed with");
}

class Tensor {
 public:
  Tensor() = default;
  // All zeros.  Throws Overflow where it is too large, std::bad_alloc.
  explicit Tensor(const TensorType& type)
      : type_(type), bytes_(static_cast<std::size_t>(byte_count(type))) {}
  Tensor(ElementType element, const Dims& dims) : Tensor(TensorType{element, dims}) {}

  const TensorType& type() const noexcept { return type_; }
  ElementType element() const noexcept { return type_.element; }
  const Dims& dims() const noexcept { return type_.dims; }
  std::size_t size() const { return static_cast<std::size_t>(element_count(type_.dims)); }
  std::size_t byte_size() const noexcept { return bytes_.size(); }

  std::byte* bytes() noexcept { return bytes_.data(); }
  const std::byte* bytes() const noexcept { return bytes_.data(); }
  // @pre T is the storage of element()
  template<class T>
  T* data() noexcept {
    return reinterpret_cast<T*>(bytes_.data());
  }
  template<class T>
  const T* data() const noexcept {
    return reinterpret_cast<const T*>(bytes_.data());
  }

  // One element as a number, for comparing and printing; 64-bit integers may be rounded.
  double number(std::size_t i) const {
    return with_storage(element(), [&]<class T>(std::type_identity<T>) {
      return static_cast<double>(data<T>()[i]);
    });
  }
  void set_number(std::size_t i, double value) {
    with_storage(element(),
                 [&]<class T>(std::type_identity<T>) { data<T>()[i] = static_cast<T>(value); });
  }

  // The same elements in order under other dims.  @pre as many
  Tensor reshaped(const Dims& dims) && {
    type_.dims = dims;
    return std::move(*this);
  }

  // Bit for bit.
  friend bool operator==(const Tensor& a, const Tensor& b) {
    return a.type_ == b.type_ &&
           (a.bytes_.empty() || std::memcmp(a.bytes(), b.bytes(), a.byte_size()) == 0);
  }

 private:
  TensorType type_;
  std::vector<std::byte> bytes_;
};

// The dims of a slice.
inline Dims dims_of(const Slice& slice) {
  Dims dims;
  for (const Range& range : slice) dims.push_back(range.size());
  return dims;
}
// All of a tensor.
inline Slice whole_slice(const Dims& dims) {
  Slice slice;
  for (const Extent size : dims) slice.push_back({0, size});
  return slice;
}
// What two slices of one tensor have in common; empty ranges where they have nothing.
inline Slice intersection(const Slice& a, const Slice& b) {
  Slice both;
  for (std::size_t d = 0; d < a.size(); ++d) {
    const Extent begin = std::max(a[d].begin, b[d].begin);
    both.push_back({begin, std::max(begin, std::min(a[d].end, b[d].end))});
  }
  return both;
}

// A part of a tensor, for reading.  @pre tensor->dims() are the slice's
struct Part {
  const Tensor* tensor = nullptr;
  Slice slice;
  Dims whole;  // the dims of the tensor that it is a part of

  ElementType element() const noexcept { return tensor->element(); }
};

inline Part whole_part(const Tensor& tensor) {
  return {&tensor, whole_slice(tensor.dims()), tensor.dims()};
}

// A part of a tensor, to be computed.
struct OwnedPart {
  Tensor tensor;
  Slice slice;
  Dims whole;

  OwnedPart() = default;
  OwnedPart(const TensorType& whole_type, const Slice& part)
      : tensor(whole_type.element, dims_of(part)), slice(part), whole(whole_type.dims) {}
  OwnedPart(Tensor held, const Slice& part, const Dims& whole_dims)
      : tensor(std::move(held)), slice(part), whole(whole_dims) {}

  Part view() const noexcept { return {&tensor, slice, whole}; }
};

}  // namespace tessera::executor
