// SPDX-License-Identifier: Apache-2.0
//
// The steps of a plan, as one device takes them: from a tensor's sharding before a step to its
// sharding after it.
//
// Which elements go where follows from the shardings alone: a device sends another one the elements
// that it holds of those that the other is to hold.  Collectives take blocks of one size, so where
// shards are uneven, blocks are as large as the largest, and the rest of them is padding.  Padding
// is sent but is no payload: payloads are what a plan predicts, exactly.
#pragma once
#include <string_view>

#include "tessera/core/inline.hpp"
#include "tessera/executor/communicator.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/plan/plan.hpp"

namespace tessera::executor::detail {

// This device's place on a mesh whose devices follow on each other in the communicator's numbers:
// all devices of a plan, or those of a pipeline's stage.
struct MeshDevice {
  DynamicMesh mesh;
  Communicator& comm;
  Device first = 0;  // the mesh's device 0, in the communicator's numbers

  // On the mesh.
  Device device() const noexcept { return comm.device() - first; }
};

// This device's slice of a tensor, or another device's.
Slice slice_at(const MeshDevice& here, DynamicSharding sharding, const Dims& dims, Device device);
inline Slice slice_here(const MeshDevice& here, DynamicSharding sharding, const Dims& dims) {
  return slice_at(here, sharding, dims, here.device());
}

// The part in the sharding after the step.  Called on all devices of the mesh.
//
// Adds to `payload` the bytes without padding: for a halo exchange those that the device sends, for
// any other collective those of its operand.  `label` names the step to the communicator.  The rule
// is that of the op whose step it is; a halo exchange reads it.
TensorPart take_step(const MeshDevice& here, const plan::PlannedStep& step, const graph::Rule& rule,
                     const TensorView& part, std::string_view label, Extent& payload);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/running/exchange.ipp"
#endif
