// SPDX-License-Identifier: Apache-2.0
// Small dense tensors of integers, to run ops on: the judge of rules.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

#include "support/random.hpp"
#include "tessera/sharding.hpp"

namespace tessera_test {

using tessera::Dims;
using tessera::Extent;

struct Dense {
  Dims dims;
  std::vector<std::int64_t> data;

  explicit Dense(const Dims& d) : dims(d), data(static_cast<std::size_t>(element_count(d)), 0) {}

  std::size_t index(const std::vector<Extent>& at) const {
    Extent index = 0;
    for (std::size_t d = 0; d < dims.size(); ++d) index = index * dims[d] + at[d];
    return static_cast<std::size_t>(index);
  }
  std::int64_t& operator()(const std::vector<Extent>& at) { return data[index(at)]; }
  std::int64_t operator()(const std::vector<Extent>& at) const { return data[index(at)]; }
  friend bool operator==(const Dense&, const Dense&) = default;
};

// Calls visit(coordinates) for every element, row-major.
inline void for_each_element(const Dims& dims,
                             const std::function<void(const std::vector<Extent>&)>& visit) {
  std::vector<Extent> at(dims.size(), 0);
  for (Extent left = element_count(dims); left > 0; --left) {
    visit(at);
    for (std::size_t d = dims.size(); d-- > 0;) {
      if (++at[d] < dims[d]) break;
      at[d] = 0;
    }
  }
}

inline Dense random_dense(Random& random, const Dims& dims) {
  Dense tensor(dims);
  for (auto& value : tensor.data) value = random.between(-9, 9);
  return tensor;
}

// A part of a tensor, asked for by the coordinates of the whole.
struct Piece {
  Dense data;
  tessera::Slice slice;
  Dims whole;

  bool holds(const std::vector<Extent>& at) const {
    for (std::size_t d = 0; d < at.size(); ++d)
      if (at[d] < slice[d].begin || at[d] >= slice[d].end) return false;
    return true;
  }
  // Throws std::out_of_range where the element is elsewhere.
  std::int64_t operator()(const std::vector<Extent>& at) const {
    if (!holds(at)) throw std::out_of_range("an element that the device does not hold");
    std::vector<Extent> local = at;
    for (std::size_t d = 0; d < local.size(); ++d) local[d] -= slice[d].begin;
    return data(local);
  }
  // The element, or zero where it is elsewhere.
  std::int64_t value_or_zero(const std::vector<Extent>& at) const {
    return holds(at) ? (*this)(at) : 0;
  }
};

inline Dims dims_of(const tessera::Slice& slice) {
  Dims dims;
  for (const tessera::Range& range : slice) dims.push_back(range.size());
  return dims;
}

// Calls visit(coordinates in the whole) for every element of a slice of it.
inline void for_each_element(const tessera::Slice& slice,
                             const std::function<void(const std::vector<Extent>&)>& visit) {
  for_each_element(dims_of(slice), [&](const std::vector<Extent>& at) {
    std::vector<Extent> global = at;
    for (std::size_t d = 0; d < global.size(); ++d) global[d] += slice[d].begin;
    visit(global);
  });
}

inline Piece cut(const Dense& whole, const tessera::Slice& slice) {
  Piece piece{Dense(dims_of(slice)), slice, whole.dims};
  std::size_t next = 0;
  for_each_element(slice, [&](const auto& at) { piece.data.data[next++] = whole(at); });
  return piece;
}

inline tessera::Slice whole_slice(const Dims& dims) {
  tessera::Slice slice;
  for (const Extent size : dims) slice.push_back({0, size});
  return slice;
}

// Two parts of a partial result put together.
inline std::int64_t combined(tessera::Reduction reduction, std::int64_t a, std::int64_t b) {
  if (reduction == tessera::Reduction::max) return std::max(a, b);
  if (reduction == tessera::Reduction::min) return std::min(a, b);
  return a + b;
}

// What the devices hold of a tensor.  Where it is partial, those along the partial axes hold random
// parts of it: `shares[p]` for the p-th combination of partial coordinates.
class Sharded {
 public:
  template<tessera::MeshLike M>
  Sharded(Random& random, const Dense& whole, tessera::DynamicSharding sharding, const M& mesh) {
    const Extent parts = extent_of(mesh, sharding.partial_axes());
    const tessera::Reduction reduction = sharding.reduction();
    std::vector<Dense> shares(static_cast<std::size_t>(parts), Dense(whole.dims));
    for (std::size_t i = 0; i < whole.data.size(); ++i) {
      std::int64_t rest = whole.data[i];
      const std::size_t keeper = random.below(shares.size());
      for (std::size_t p = 0; p < shares.size(); ++p) {
        if (p == keeper) continue;
        if (reduction == tessera::Reduction::max)
          shares[p].data[i] = rest - random.between(0, 5);
        else if (reduction == tessera::Reduction::min)
          shares[p].data[i] = rest + random.between(0, 5);
        else
          shares[p].data[i] = random.between(-5, 5);
      }
      if (reduction == tessera::Reduction::sum)
        for (std::size_t p = 0; p < shares.size(); ++p)
          if (p != keeper) rest -= shares[p].data[i];
      shares[keeper].data[i] = rest;
    }
    for (tessera::Device device = 0; device < mesh.device_count(); ++device) {
      shares_.push_back(shares[part_of(sharding, mesh, device)]);
      slices_.push_back(slice_of(sharding, mesh, whole.dims, device));
    }
  }

  // What a device holds, or in the dims of which ranges are given, those.
  Piece piece(std::size_t device, const std::vector<tessera::Range>& ranges = {}) const {
    tessera::Slice slice = slices_[device];
    for (std::size_t d = 0; d < ranges.size(); ++d) {
      const Extent size = shares_[device].dims[d];
      slice[d] = {std::clamp<Extent>(ranges[d].begin, 0, size),
                  std::clamp<Extent>(ranges[d].end, 0, size)};
    }
    return cut(shares_[device], slice);
  }

  // Which combination of partial coordinates a device has.
  template<tessera::MeshLike M>
  static std::size_t part_of(tessera::DynamicSharding sharding, const M& mesh,
                             tessera::Device device) {
    const tessera::Coordinates at = coordinates_of(mesh, device);
    Extent part = 0;
    for (const tessera::Axis axis : sharding.partial_axes().to_list())
      part = part * mesh.extent(axis) + at[axis];
    return static_cast<std::size_t>(part);
  }

 private:
  std::vector<Dense> shares_;           // by device
  std::vector<tessera::Slice> slices_;  // by device
};

}  // namespace tessera_test
