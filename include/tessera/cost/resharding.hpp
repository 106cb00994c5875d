// SPDX-License-Identifier: Apache-2.0
//
// The price of turning one sharding of a tensor into another: the shortest path over single steps.
//
// There is no table of special cases.  All-reduce, all-gather after reduce-scatter, a slice over a
// fast axis before a reduction over a slow one: each is found because it is cheapest.
#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "tessera/core/cost.hpp"
#include "tessera/core/inline.hpp"
#include "tessera/cost/priced_step.hpp"
#include "tessera/cost/prices.hpp"
#include "tessera/graph/tensor.hpp"
#include "tessera/sharding/reshard.hpp"

namespace tessera::cost {

namespace detail {
struct TensorPaths;
}

/// All shardings of a tensor of one size, and the prices between them.
class TensorResharding {
 public:
  /// Throws InvalidArgument where the model has no coefficients for some axis.
  template<CostModel Model>
  TensorResharding(const DynamicMesh& mesh, const Model& model, const Dims& dims,
                   Extent element_bytes)
      : TensorResharding(mesh, prices_of(model), dims, element_bytes) {}
  /// The same.  @pre `prices` is not null
  TensorResharding(const DynamicMesh& mesh, std::shared_ptr<const Prices> prices, const Dims& dims,
                   Extent element_bytes);
  ~TensorResharding();
  TensorResharding(const TensorResharding&) = delete;
  TensorResharding& operator=(const TensorResharding&) = delete;

  /// Of the whole tensor.
  Extent bytes() const noexcept;
  /// Memory per device: the bytes of the largest shard.
  Extent local_bytes(DynamicSharding sharding) const;

  /// The least price: 0 where the two place the tensor in the same way, `infinite` where the model
  /// forbids every path.  Throws InvalidArgument where the tensor can not have one of the shardings
  /// on this mesh (InvalidSharding where its rank or its axes are the reason), Overflow where the
  /// price does not fit in 64 bits, CapacityExceeded where no path is found among 2^19 shardings.
  Cost price(DynamicSharding from, DynamicSharding to);

  /// The steps of a cheapest path, slices and masks included.  Throws as price() does, and
  /// InvalidArgument where there is no path.
  std::vector<PricedStep> path(DynamicSharding from, DynamicSharding to);

 private:
  std::unique_ptr<detail::TensorPaths> paths_;
};

/// The reshardings of all tensors of a program; those of equal dims and element size share one.
class Resharding {
 public:
  /// Throws InvalidArgument where the model has no coefficients for some axis.
  template<CostModel Model>
  Resharding(const DynamicMesh& mesh, const Model& model) : Resharding(mesh, prices_of(model)) {}
  /// The same.  @pre `prices` is not null
  Resharding(const DynamicMesh& mesh, std::shared_ptr<const Prices> prices);

  /// Valid as long as this object lives.
  TensorResharding& of(const graph::TensorType& type);

  const DynamicMesh& mesh() const noexcept { return mesh_; }
  const Prices& prices() const noexcept { return *prices_; }

 private:
  DynamicMesh mesh_;
  std::shared_ptr<const Prices> prices_;
  std::map<std::vector<Extent>, std::unique_ptr<TensorResharding>> tensors_;
};

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/resharding.ipp"
#endif
