// SPDX-License-Identifier: Apache-2.0
//
// The prices of a real cluster: picoseconds of communication and of work.
//
//   const cost::Cluster cluster = cost::find_cluster("dgx-h100-eos:16");
//   const cost::ClusterModel model(cluster, mesh);
//
// A collective takes its start and the best algorithm's time (collective.hpp), less what is said to
// be hidden behind work; an op the time of its share of the work on one device (roofline.hpp). Both
// have a price, so nothing need be made to spread: it spreads where that pays.
//
// People write microseconds.  What is hidden is a share of every collective, rounded up: a model
// that adds up prices can not know what else runs at the time, so it is for the caller to state one
// that his runtime reaches.
#pragma once
#include <optional>
#include <string>

#include "tessera/core/error.hpp"
#include "tessera/core/inline_vector.hpp"
#include "tessera/cost/cluster.hpp"
#include "tessera/cost/collective.hpp"
#include "tessera/cost/model.hpp"
#include "tessera/cost/roofline.hpp"

namespace tessera::cost {

class ClusterModel {
 public:
  // Throws InvalidArgument where mesh and cluster differ in size, or where hidden_percent is
  // none from 0 to 100.
  template<MeshLike M>
  ClusterModel(const Cluster& cluster, const M& mesh, int hidden_percent = 0)
      : device_(cluster.device), start_(cluster.collective_start), shown_(100 - hidden_percent) {
    if (hidden_percent < 0 || hidden_percent > 100)
      throw InvalidArgument("of communication " + std::to_string(hidden_percent) +
                                  "% can not be hidden; say 0 to 100");
    for (std::size_t axis = 0; axis < mesh.rank(); ++axis)
      groups_.push_back(group_of(cluster, mesh, AxisSet{axis}));
  }

  std::size_t axis_count() const noexcept { return groups_.size(); }

  // Throws Overflow where it takes longer than a day, InvalidArgument where the
  // mesh has no such axis, or one of another size.
  Cost price(StepKind kind, Axis axis, Extent devices, const Message& message) const {
    if (!is_collective(kind) || devices == 1) return 0;
    if (axis >= groups_.size() || groups_[axis].size != devices)
      throw InvalidArgument("cluster model: it is of another mesh, without an axis " +
                                  std::to_string(axis) + " of " + std::to_string(devices) +
                                  " devices");
    return price(collective_of(kind), groups_[axis], message);
  }

  // In any group of the cluster, one over several axes included (group_of).
  Cost price(Collective collective, const Group& group, const Message& message) const {
    if (group.size == 1) return 0;
    const Wide time = Wide(start_) + best_of(collective, group, message).time;
    return checked_time((time * shown_ + 99) / 100);
  }

  // Products of two matrices are from now on computed in this type, attention's as before: training
  // in FP8.  Operands are cast by kernels of their own, which read them and write them again.
  void multiply_in(graph::ElementType element) noexcept { products_ = element; }

  // Throws Overflow where it takes longer than a day.
  Cost work_price(const Work& work) const {
    if (!products_ || work.product.batch != 1 || work.is_fused) return time_of(work, device_);
    Work product = work, cast;
    product.element = *products_;
    const Product& p = work.product;
    cast.bytes = (p.rows + p.columns) * p.depth *
                 (graph::bytes_of(work.element) + graph::bytes_of(*products_));
    return time_of(product, device_) + time_of(cast, device_);
  }

  const Accelerator& device() const noexcept { return device_; }

  static Cost denominator() noexcept { return microsecond; }
  static const char* unit() noexcept { return "us"; }
  static bool spreads_heavy_ops() noexcept { return false; }

 private:
  static Collective collective_of(StepKind kind) noexcept {
    switch (kind) {
      case StepKind::all_gather: return Collective::all_gather;
      case StepKind::all_reduce: return Collective::all_reduce;
      case StepKind::reduce_scatter: return Collective::reduce_scatter;
      case StepKind::halo_exchange: return Collective::permute;
      default: return Collective::all_to_all;
    }
  }

  Accelerator device_;
  Cost start_ = 0;
  std::optional<graph::ElementType> products_;  // what all are computed in; each its own if none
  int shown_ = 100;                             // hundredths of communication that nothing hides
  InlineVector<Group, max_axes> groups_;        // of each mesh axis
};

static_assert(CostModel<ClusterModel> && PricesWork<ClusterModel>);

}  // namespace tessera::cost
