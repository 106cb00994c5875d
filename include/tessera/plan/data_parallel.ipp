// SPDX-License-Identifier: Apache-2.0
//
// The bodies of data_parallel.hpp.
#pragma once
#include "tessera/plan/data_parallel.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

#include "tessera/pipeline/layers.hpp"
#include "tessera/plan/memory.hpp"

namespace tessera::plan {

namespace detail {

// The first dim of the program's data; nothing where it has none, or they differ in it.
TESSERA_INLINE std::optional<Extent> batch_of(const graph::Graph& graph,
                                              const std::vector<MemoryKind>& kinds) {
  std::optional<Extent> batch;
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const Dims& dims = graph.op(id).results.empty() ? Dims() : graph.op(id).results[0].dims;
    if (!graph.op(id).is_parameter || kinds[id] != MemoryKind::input || dims.empty()) continue;
    if (batch && *batch != dims[0]) return std::nullopt;
    batch = dims[0];
  }
  return batch;
}

// The axes with most devices that divide a batch; of such sets the one with the first axes.
TESSERA_INLINE AxisList batch_axes(Extent batch, const DynamicMesh& mesh) {
  AxisList best;
  Extent most = 1;
  for (std::uint32_t set = 1; set < 1U << mesh.rank(); ++set) {
    AxisList axes;
    Extent devices = 1;
    for (Axis axis = 0; axis < mesh.rank(); ++axis) {
      if ((set >> axis & 1U) == 0) continue;
      axes.push_back(axis);
      devices *= mesh.extent(axis);
    }
    if (batch % devices != 0 || devices <= most) continue;
    best = axes;
    most = devices;
  }
  return best;
}

}  // namespace detail

TESSERA_INLINE std::vector<strategy::Annotation> data_parallel(const graph::Graph& graph,
                                                               const DynamicMesh& mesh) {
  std::vector<strategy::Annotation> result;
  const std::vector<MemoryKind> kinds = memory_kinds_of(graph);
  const std::optional<Extent> batch = detail::batch_of(graph, kinds);
  if (!batch || graph.aliases.empty()) return result;
  const AxisList axes = detail::batch_axes(*batch, mesh);
  const graph::OpId forward_end = pipeline::forward_end(graph);
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const graph::Op& op = graph.op(id);
    if (op.results.size() != 1) continue;
    const Dims& dims = op.results[0].dims;
    const bool is_held = kinds[id] == MemoryKind::weight || kinds[id] == MemoryKind::state;
    const bool is_gradient = op.is_heavy && kinds[id] == MemoryKind::gradient;
    const bool has_batch =
        !dims.empty() && dims[0] == *batch &&
        (op.is_parameter ? kinds[id] == MemoryKind::input : op.is_heavy && id < forward_end);
    if (!is_held && !is_gradient && !has_batch) continue;
    DynamicSharding sharding = DynamicSharding::replicated(dims.size());
    if (has_batch)
      for (const Axis axis : axes) sharding = sharding.with_split(0, axis);
    result.push_back({{id, 0}, sharding, 0, "data parallelism of " + op.name});
  }
  return result;
}

}  // namespace tessera::plan
