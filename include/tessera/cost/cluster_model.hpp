// SPDX-License-Identifier: Apache-2.0
//
// The prices of a real cluster: picoseconds of communication and of work.
//
//   const cost::Cluster cluster = cost::find_cluster("dgx-h100-eos:16");
//   const cost::ClusterModel model(cluster, mesh);
//
// A collective takes its start and the best algorithm's time (collective.hpp), less the share that
// the caller says is hidden behind work; an op takes the time of its share of the work on one
// device (roofline.hpp).  Both have a price, so no op need be made to spread: it spreads where that
// pays.
//
// People write microseconds.  The hidden share is the same for every collective, rounded up: a
// model that adds up prices can not know what else runs at the time, so the caller states a share
// that the runtime reaches.
#pragma once
#include <optional>

#include "tessera/core/inline_vector.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/cost/collective.hpp"
#include "tessera/cost/model.hpp"

namespace tessera::cost {

/// A cost model (cost::CostModel, cost::PricesWork) of a mesh on a cluster.
class ClusterModel {
 public:
  /// Throws InvalidArgument where mesh and cluster differ in size, or where hidden_percent is
  /// none from 0 to 100.
  ClusterModel(const Cluster& cluster, const DynamicMesh& mesh, int hidden_percent = 0);

  std::size_t axis_count() const noexcept { return groups_.size(); }

  /// Picoseconds of one collective step over a mesh axis of so many devices; 0 where devices
  /// exchange nothing.  Throws Overflow where it takes longer than a day, InvalidArgument where the
  /// mesh has no such axis, or one of another size.
  Cost price(StepKind kind, Axis axis, Extent devices, const Message& message) const;

  /// Picoseconds in any group of the cluster, one over several axes included (group_topology).
  Cost price(Collective collective, const GroupTopology& group, const Message& message) const;

  /// Products of two matrices are from now on computed in this type, attention's as before:
  /// training in FP8.  Operands are cast by kernels of their own, which read them and write them
  /// again.
  void multiply_in(graph::ElementType element) noexcept { products_ = element; }

  /// Picoseconds of one device.  Throws Overflow where it takes longer than a day.
  Cost work_price(const Work& work) const;

  const Accelerator& device() const noexcept { return device_; }

  static Cost denominator() noexcept { return microsecond; }
  static const char* unit() noexcept { return "us"; }
  static bool spreads_heavy_ops() noexcept { return false; }

 private:
  Accelerator device_;
  Cost start_ = 0;
  std::optional<graph::ElementType> products_;    // what all are computed in; each its own if none
  int visible_percent_ = 100;                     // of communication: what no work hides
  InlineVector<GroupTopology, max_axes> groups_;  // of each mesh axis
};

static_assert(CostModel<ClusterModel> && PricesWork<ClusterModel>);

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/cluster_model.ipp"
#endif
