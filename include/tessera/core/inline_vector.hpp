// SPDX-License-Identifier: Apache-2.0
//
// A sequence with a fixed capacity and no heap: what constant expressions and hot loops hold.
//
// Meshes have at most eight axes and tensors a handful of dims, so lists of them fit in the object
// that owns them.  InlineVector is std::vector's interface as far as Tessera needs it, usable in
// constant expressions.  Outgrowing the capacity throws, which in a constant expression is a
// compile error.
#pragma once
#include <cstddef>
#include <initializer_list>
#include <type_traits>

#include "tessera/core/error.hpp"

namespace tessera {

/// std::vector's interface on storage of a fixed capacity inside the object.  Outgrowing it throws
/// CapacityExceeded.
template<class T, std::size_t Capacity>
class InlineVector {
 public:
  using value_type = T;

  constexpr InlineVector() = default;
  constexpr InlineVector(std::initializer_list<T> values) {
    for (const T& value : values) push_back(value);
  }
  constexpr InlineVector(std::size_t count, const T& value) { resize(count, value); }

  static constexpr std::size_t capacity() noexcept { return Capacity; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }

  constexpr T* data() noexcept { return items_; }
  constexpr const T* data() const noexcept { return items_; }
  constexpr T* begin() noexcept { return items_; }
  constexpr T* end() noexcept { return items_ + size_; }
  constexpr const T* begin() const noexcept { return items_; }
  constexpr const T* end() const noexcept { return items_ + size_; }
  /// @pre index < size()
  constexpr T& operator[](std::size_t index) noexcept { return items_[index]; }
  constexpr const T& operator[](std::size_t index) const noexcept { return items_[index]; }
  constexpr T& back() noexcept { return items_[size_ - 1]; }  // @pre !empty()
  constexpr const T& back() const noexcept { return items_[size_ - 1]; }

  constexpr void push_back(const T& value) {
    if (size_ == Capacity) throw CapacityExceeded("InlineVector: the capacity is used up");
    items_[size_++] = value;
  }
  constexpr void pop_back() noexcept { --size_; }  // @pre !empty()
  constexpr void clear() noexcept { size_ = 0; }
  constexpr void resize(std::size_t count, const T& value = T{}) {
    while (size_ > count) pop_back();
    while (size_ < count) push_back(value);
  }

  friend constexpr bool operator==(const InlineVector& a, const InlineVector& b) {
    if (a.size_ != b.size_) return false;
    for (std::size_t i = 0; i < a.size_; ++i)
      if (!(a.items_[i] == b.items_[i])) return false;
    return true;
  }

 private:
  // A byte is enough for the counts we use, and keeps lists of axes as small as they look.
  using Count = std::conditional_t<(Capacity < 256), unsigned char, std::size_t>;
  T items_[Capacity == 0 ? 1 : Capacity]{};
  Count size_ = 0;
};

}  // namespace tessera
