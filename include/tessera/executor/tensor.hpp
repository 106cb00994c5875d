// SPDX-License-Identifier: Apache-2.0
//
// A tensor with its numbers: an element type, dims, and a buffer that it owns.
//
// Elements lie row-major, and are stored as wide as their type says: truth values and eight-bit
// integers in a byte, bf16 and f16 in two bytes (they are computed with as float), so that the
// bytes held and the bytes sent are those that a plan counts.  Element types of less than a byte,
// complex numbers and tokens can not be computed with.
//
// A device holds parts of tensors: a TensorPart is a tensor and the slice of the whole that it is.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/errors.hpp"
#include "tessera/graph/tensor.hpp"
#include "tessera/sharding/local.hpp"

namespace tessera::executor {

using graph::ElementType;
using graph::TensorType;

/// A tensor with its numbers.
class Tensor {
 public:
  Tensor() = default;
  /// All zeros.  Throws Overflow where its size does not fit in 64 bits, and std::bad_alloc.
  explicit Tensor(const TensorType& type)
      : type_(type), bytes_(static_cast<std::size_t>(byte_count(type))) {}
  Tensor(ElementType element, const Dims& dims) : Tensor(TensorType{element, dims}) {}

  const TensorType& type() const noexcept { return type_; }
  ElementType element() const noexcept { return type_.element; }
  const Dims& dims() const noexcept { return type_.dims; }
  /// The number of elements.
  std::size_t size() const { return static_cast<std::size_t>(element_count(type_.dims)); }
  std::size_t byte_size() const noexcept { return bytes_.size(); }

  std::byte* bytes() noexcept { return bytes_.data(); }
  const std::byte* bytes() const noexcept { return bytes_.data(); }
  /// The elements, row-major.  @pre T is the type that elements of element() are stored as: float
  /// for f32, std::uint8_t for pred, std::int32_t for s32, ...
  template<class T>
  T* data() noexcept {
    return reinterpret_cast<T*>(bytes_.data());
  }
  template<class T>
  const T* data() const noexcept {
    return reinterpret_cast<const T*>(bytes_.data());
  }

  /// Element i as a number, to compare and to print; 64-bit integers may be rounded.  Throws
  /// Unsupported for an element type that can not be computed with.  @pre i < size()
  double number(std::size_t i) const;
  void set_number(std::size_t i, double value);

  /// The same elements in the same order under other dims.  @pre of as many elements
  Tensor reshaped(const Dims& dims) && {
    type_.dims = dims;
    return std::move(*this);
  }

  /// Bit for bit.
  friend bool operator==(const Tensor& a, const Tensor& b) {
    return a.type_ == b.type_ &&
           (a.bytes_.empty() || std::memcmp(a.bytes(), b.bytes(), a.byte_size()) == 0);
  }

 private:
  TensorType type_;
  std::vector<std::byte> bytes_;
};

/// The dims of a slice.
Dims dims_of(const Slice& slice);
/// The slice that is all of a tensor.
Slice whole_slice(const Dims& dims);
/// The intersection of two slices of one tensor; empty ranges where they are disjoint.
Slice intersection(const Slice& a, const Slice& b);

/// A part of a tensor, for reading.  @pre tensor->dims() == dims_of(slice)
struct TensorView {
  const Tensor* tensor = nullptr;
  Slice slice;
  Dims whole;  ///< the dims of the tensor that it is a part of

  ElementType element() const noexcept { return tensor->element(); }
};

/// All of a tensor, which must outlive the view.
inline TensorView whole_view(const Tensor& tensor) {
  return {&tensor, whole_slice(tensor.dims()), tensor.dims()};
}

/// A part of a tensor, which holds its elements.
struct TensorPart {
  Tensor tensor;
  Slice slice;
  Dims whole;  ///< the dims of the tensor that it is a part of

  TensorPart() = default;
  /// All zeros.
  TensorPart(const TensorType& whole_type, const Slice& part)
      : tensor(whole_type.element, dims_of(part)), slice(part), whole(whole_type.dims) {}
  TensorPart(Tensor held, const Slice& part, const Dims& whole_dims)
      : tensor(std::move(held)), slice(part), whole(whole_dims) {}

  TensorView view() const noexcept { return {&tensor, slice, whole}; }
};

/// The memory that one device held, in bytes: `now` and `peak` of the buffers that the plan counts.
struct HeldMemory {
  Extent now = 0, peak = 0;
  Extent others = 0, peak_in_all = 0;  ///< besides those buffers; and the peak of both together

  void add(Extent bytes) {
    now += bytes;
    peak = std::max(peak, now);
    note(0);
  }
  void add_other(Extent bytes) {
    others += bytes;
    note(0);
  }
  /// Copies that an op holds while it runs, on top of what is held now.
  void note(Extent copies) { peak_in_all = std::max(peak_in_all, now + others + copies); }
};

}  // namespace tessera::executor

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/tensor.ipp"
#endif
