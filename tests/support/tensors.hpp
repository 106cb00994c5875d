// SPDX-License-Identifier: Apache-2.0
// Small dense tensors of integers, to run ops on: the judge of rules.
#pragma once
#include <cstdint>
#include <functional>
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

// What a device holds of a tensor.  Where it is partial, the devices along the partial axes hold
// random summands of it: `shares[p]` for the p-th combination of partial coordinates.
class Sharded {
 public:
  template<tessera::MeshLike M>
  Sharded(Random& random, const Dense& whole, tessera::DynamicSharding sharding, const M& mesh) {
    const Extent parts = extent_of(mesh, sharding.partial_axes());
    std::vector<Dense> shares(static_cast<std::size_t>(parts), Dense(whole.dims));
    for (std::size_t i = 0; i < whole.data.size(); ++i) {
      std::int64_t rest = whole.data[i];
      for (std::size_t p = 1; p < shares.size(); ++p) {
        shares[p].data[i] = random.between(-5, 5);
        rest -= shares[p].data[i];
      }
      shares[0].data[i] = rest;
    }
    for (tessera::Device device = 0; device < mesh.device_count(); ++device)
      shards_.push_back(cut(shares[part_of(sharding, mesh, device)],
                            slice_of(sharding, mesh, whole.dims, device)));
  }

  const Dense& operator[](std::size_t device) const { return shards_[device]; }

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
  static Dense cut(const Dense& whole, const tessera::Slice& slice) {
    Dims dims;
    for (const tessera::Range& range : slice) dims.push_back(range.size());
    Dense result(dims);
    for_each_element(dims, [&](const std::vector<Extent>& at) {
      std::vector<Extent> from = at;
      for (std::size_t d = 0; d < from.size(); ++d) from[d] += slice[d].begin;
      result(at) = whole(from);
    });
    return result;
  }

  std::vector<Dense> shards_;
};

}  // namespace tessera_test
