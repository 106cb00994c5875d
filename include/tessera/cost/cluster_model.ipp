// SPDX-License-Identifier: Apache-2.0
//
// Prices of steps and of work on a cluster.
#pragma once
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/cost/cluster_model.hpp"
#include "tessera/cost/roofline.hpp"

namespace tessera::cost {
namespace detail {

TESSERA_INLINE Collective collective_of(StepKind kind) noexcept {
  switch (kind) {
    case StepKind::all_gather: return Collective::all_gather;
    case StepKind::all_reduce: return Collective::all_reduce;
    case StepKind::reduce_scatter: return Collective::reduce_scatter;
    case StepKind::halo_exchange: return Collective::permute;
    default: return Collective::all_to_all;
  }
}

}  // namespace detail

TESSERA_INLINE ClusterModel::ClusterModel(const Cluster& cluster, const DynamicMesh& mesh,
                                          int hidden_percent)
    : device_(cluster.device),
      start_(cluster.collective_start),
      visible_percent_(100 - hidden_percent) {
  if (hidden_percent < 0 || hidden_percent > 100)
    throw InvalidArgument("of communication " + std::to_string(hidden_percent) +
                          "% can not be hidden; say 0 to 100");
  for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
    groups_.push_back(group_topology(cluster, mesh, AxisSet{axis}));
}

TESSERA_INLINE Cost ClusterModel::price(StepKind kind, Axis axis, Extent devices,
                                        const Message& message) const {
  if (!is_collective(kind) || devices == 1) return 0;
  if (axis >= groups_.size() || groups_[axis].size != devices)
    throw InvalidArgument("cluster model: it is of another mesh, without an axis " +
                          std::to_string(axis) + " of " + std::to_string(devices) + " devices");
  return price(detail::collective_of(kind), groups_[axis], message);
}

TESSERA_INLINE Cost ClusterModel::price(Collective collective, const GroupTopology& group,
                                        const Message& message) const {
  if (group.size == 1) return 0;
  const Wide time = Wide(start_) + best_of(collective, group, message).time;
  return checked_time((time * visible_percent_ + 99) / 100);
}

TESSERA_INLINE Cost ClusterModel::work_price(const Work& work) const {
  if (!products_ || work.product.batch != 1 || work.is_fused) return time_of(work, device_);
  Work product = work, cast;
  product.element = *products_;
  const Product& p = work.product;
  cast.bytes = (p.rows + p.columns) * p.depth *
               (graph::bytes_of(work.element) + graph::bytes_of(*products_));
  return time_of(product, device_) + time_of(cast, device_);
}

}  // namespace tessera::cost
