// SPDX-License-Identifier: Apache-2.0
//
// Fusing ops into kernels: first each op's role, then the kernels, then what reaches memory.
#pragma once
#include <algorithm>
#include <boost/iterator/counting_iterator.hpp>
#include <boost/pending/disjoint_sets.hpp>
#include <cstdint>
#include <utility>

#include "tessera/cost/fusion.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::cost {

TESSERA_INLINE bool is_view(const graph::Op& op) {
  return op.rule.operand_count() > 0 && traits(op.opcode).is_view;
}

TESSERA_INLINE graph::OpId viewed_op(const graph::Graph& graph, graph::OpId id) {
  while (is_view(graph.op(id))) id = graph.operand(id, 0).op;
  return id;
}

namespace detail {

// --- Roles ---------------------------------------------------------------------------------------

enum class FusionRole : std::uint8_t {
  source,  // a parameter, a loop's state, or made without operands
  view,
  elementwise,    // each element of its result is made of few of its operands'
  row_reduction,  // reduces rows that stay on chip: ops that follow can be in the same kernel
  reduction,      // any other: the last op of a kernel
  standalone,     // a kernel by itself
};

TESSERA_INLINE bool is_source(const graph::Op& op) {
  return op.is_parameter || op.is_loop_state || op.rule.operand_count() == 0;
}

TESSERA_INLINE bool has_only_parallel_factors(const graph::Op& op) {
  for (std::size_t f = 0; f < op.rule.factor_count(); ++f)
    if (op.rule.factor(f).kind != graph::FactorKind::parallel) return false;
  return true;
}

// Whether the dims that are reduced come last, and are short together.
TESSERA_INLINE bool reduces_short_rows(const graph::Op& op) {
  Wide row = 1;
  bool is_in_row = true;
  for (std::size_t d = op.rule.rank(0); d-- > 0;)
    for (const graph::FactorId f : op.rule.dim(0, d)) {
      const graph::Factor& factor = op.rule.factor(f);
      const bool is_reduced = factor.kind == graph::FactorKind::reduction;
      if (is_reduced && !is_in_row) return false;
      is_in_row = is_in_row && is_reduced;
      if (is_reduced) row *= factor.size;
    }
  return row <= longest_row;
}

TESSERA_INLINE FusionRole role_of(const graph::Op& op) {
  if (is_source(op)) return FusionRole::source;
  if (is_view(op)) return FusionRole::view;
  if (op.is_heavy || op.results.size() != 1) return FusionRole::standalone;
  const bool relocates = traits(op.opcode).relocates;
  if (relocates || has_only_parallel_factors(op)) return FusionRole::elementwise;
  if (!traits(op.opcode).reduces) return FusionRole::standalone;
  return reduces_short_rows(op) ? FusionRole::row_reduction : FusionRole::reduction;
}

constexpr bool can_fuse(FusionRole role) noexcept {
  return role == FusionRole::elementwise || role == FusionRole::row_reduction ||
         role == FusionRole::reduction;
}

// Calls visit(reader) for the ops that read a value, through views as well.
template<class Visit>
void for_each_reader(const graph::Graph& graph, const std::vector<FusionRole>& roles,
                     graph::OpId id, Visit&& visit) {
  graph.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
    roles[reader] == FusionRole::view ? for_each_reader(graph, roles, reader, visit)
                                      : visit(reader);
  });
}

// --- Kernels -------------------------------------------------------------------------------------

// By op: how many kernels must have ended before it can run.
TESSERA_INLINE std::vector<std::size_t> kernels_before(const graph::Graph& graph,
                                                       const std::vector<FusionRole>& roles) {
  std::vector<std::size_t> before(graph.op_count(), 0);
  std::vector<std::size_t> ready(graph.op_count(), 0);  // before its result can be read
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    if (roles[id] == FusionRole::source) continue;
    for (std::size_t i = 0; i < graph.operand_count(id); ++i)
      if (const graph::OpId from = graph.operand(id, i).op; from < id)
        before[id] = std::max(before[id], ready[from]);
    const bool ends_kernel = roles[id] == FusionRole::standalone ||
                             roles[id] == FusionRole::reduction;
    ready[id] = before[id] + (ends_kernel ? 1 : 0);
  }
  return before;
}

// Kernels that grow together, as sets of ops.
using KernelSets = boost::disjoint_sets_with_storage<>;

// Whether reading a value can put the reader into a kernel.  Single numbers, which everything
// needs, do not.
TESSERA_INLINE bool can_join(const graph::Graph& graph, const std::vector<FusionRole>& roles,
                             graph::OpId value, graph::OpId reader) {
  return can_fuse(roles[reader]) && graph.op(value).results.size() == 1 &&
         element_count(graph.op(value).results[0].dims) > 1;
}

TESSERA_INLINE void join_operands(const graph::Graph& graph, const std::vector<FusionRole>& roles,
                                  const std::vector<std::size_t>& before, graph::OpId id,
                                  KernelSets& kernels) {
  if (!can_fuse(roles[id])) return;
  for (std::size_t i = 0; i < graph.operand_count(id); ++i) {
    const graph::OpId from = viewed_op(graph, graph.operand(id, i).op);
    const bool follows_on = can_fuse(roles[from]) && roles[from] != FusionRole::reduction &&
                            before[from] == before[id];
    if (follows_on && can_join(graph, roles, from, id)) kernels.union_set(from, id);
  }
}

// Those that read the same tensor, each element of it, and can run at the same time.
TESSERA_INLINE void join_readers(const graph::Graph& graph, const std::vector<FusionRole>& roles,
                                 const std::vector<std::size_t>& before, graph::OpId id,
                                 KernelSets& kernels) {
  if (roles[id] == FusionRole::source && !graph.op(id).is_parameter) return;
  std::vector<graph::OpId> readers;
  for_each_reader(graph, roles, id, [&](graph::OpId reader) {
    if (!can_join(graph, roles, id, reader) || traits(graph.op(reader).opcode).repeats) return;
    for (const graph::OpId other : readers)
      if (before[other] == before[reader]) return kernels.union_set(other, reader);
    readers.push_back(reader);
  });
}

// By op: the first op of its kernel.
TESSERA_INLINE std::vector<graph::OpId> kernels_of(const graph::Graph& graph,
                                                   const std::vector<FusionRole>& roles) {
  const std::vector<std::size_t> before = kernels_before(graph, roles);
  KernelSets kernels(graph.op_count());
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    join_operands(graph, roles, before, id, kernels);
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    join_readers(graph, roles, before, id, kernels);
  // Every op's parent becomes the first op of its set; that takes trees of one level.
  const boost::counting_iterator<graph::OpId> begin(0), end(graph.op_count());
  kernels.compress_sets(begin, end);
  kernels.normalize_sets(begin, end);
  return kernels.parents();
}

// --- What reaches memory -------------------------------------------------------------------------

// The program and its kernels, by op.
struct KernelPlan {
  const graph::Graph& graph;
  std::vector<FusionRole> roles;
  std::vector<graph::OpId> kernel;
  std::vector<char> is_output;
};

// The values in memory, or kept there if need be, of which a value can be computed element by
// element.
struct Leaves {
  std::vector<graph::OpId> ops;
  bool are_known = false;
};

// By op, as far as it is decided.
struct MemoryUse {
  std::vector<char> in_memory;
  std::vector<Leaves> leaves;
};

// Whether a value or a view of it is an output.
TESSERA_INLINE bool is_output_or_viewed_as_one(const KernelPlan& plan, graph::OpId id) {
  bool is_output = plan.is_output[id] != 0;
  plan.graph.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
    is_output = is_output || (plan.roles[reader] == FusionRole::view &&
                              is_output_or_viewed_as_one(plan, reader));
  });
  return is_output;
}

TESSERA_INLINE bool is_read_outside(const KernelPlan& plan, graph::OpId id) {
  if (!can_fuse(plan.roles[id])) return true;
  bool is_read = is_output_or_viewed_as_one(plan, id);
  for_each_reader(plan.graph, plan.roles, id, [&](graph::OpId reader) {
    is_read = is_read || !can_fuse(plan.roles[reader]) || plan.kernel[reader] != plan.kernel[id];
  });
  return is_read;
}

TESSERA_INLINE void add_leaf(const graph::Graph& graph, graph::OpId leaf, Leaves& leaves) {
  constexpr std::size_t most = 8;
  if (!graph.op(leaf).has_buffer) return;
  if (std::find(leaves.ops.begin(), leaves.ops.end(), leaf) != leaves.ops.end()) return;
  if (leaves.ops.size() == most)
    leaves.are_known = false;
  else
    leaves.ops.push_back(leaf);
}

TESSERA_INLINE Leaves leaves_of_operands(const KernelPlan& plan, MemoryUse& use, graph::OpId id);

TESSERA_INLINE void add_leaves(const KernelPlan& plan, MemoryUse& use, graph::OpId from,
                               Leaves& leaves) {
  const graph::Op& op = plan.graph.op(from);
  if (plan.roles[from] == FusionRole::view)
    return add_leaves(plan, use, plan.graph.operand(from, 0).op, leaves);
  if (plan.roles[from] == FusionRole::source && !op.is_parameter && !op.is_loop_state) return;
  if (use.in_memory[from] != 0 || plan.roles[from] != FusionRole::elementwise)
    return add_leaf(plan.graph, from, leaves);
  if (!use.leaves[from].are_known) use.leaves[from] = leaves_of_operands(plan, use, from);
  for (const graph::OpId leaf : use.leaves[from].ops) add_leaf(plan.graph, leaf, leaves);
  leaves.are_known = leaves.are_known && use.leaves[from].are_known;
}

TESSERA_INLINE Leaves leaves_of_operands(const KernelPlan& plan, MemoryUse& use, graph::OpId id) {
  Leaves leaves{{}, true};
  for (std::size_t i = 0; i < plan.graph.operand_count(id); ++i)
    add_leaves(plan, use, plan.graph.operand(id, i).op, leaves);
  return leaves;
}

// Bytes that computing a value again reads.  Leaves that are small beside the value count for
// nothing.
TESSERA_INLINE Wide bytes_read(const graph::Graph& graph, const Leaves& leaves,
                               const graph::TensorType& value) {
  const Wide bytes = byte_count(value);
  const Wide elements = element_count(value.dims);
  Wide read = 0;
  for (const graph::OpId leaf : leaves.ops) {
    const graph::TensorType& type = graph.op(leaf).results[0];
    const Wide touched = std::min(elements, Wide(element_count(type.dims)));
    const Wide leaf_bytes = (touched * bits_of(type.element) + 7) / 8;
    if (8 * leaf_bytes > bytes) read += leaf_bytes;
  }
  return read;
}

// Whether every reader rematerializes a value, reading no more bytes than the value has.  If so its
// leaves are kept in memory.
TESSERA_INLINE bool is_rematerialized(const KernelPlan& plan, MemoryUse& use, graph::OpId id) {
  if (is_output_or_viewed_as_one(plan, id)) return false;
  bool all_fuse = true;
  for_each_reader(plan.graph, plan.roles, id,
                  [&](graph::OpId reader) { all_fuse = all_fuse && can_fuse(plan.roles[reader]); });
  if (plan.roles[id] != FusionRole::elementwise || !all_fuse) return false;
  Leaves leaves = leaves_of_operands(plan, use, id);
  const graph::TensorType& type = plan.graph.op(id).results[0];
  if (!leaves.are_known || bytes_read(plan.graph, leaves, type) > Wide(byte_count(type)))
    return false;
  for (const graph::OpId leaf : leaves.ops) use.in_memory[leaf] = 1;
  use.leaves[id] = std::move(leaves);
  return true;
}

// An output that is a view is written where it is computed.
TESSERA_INLINE void write_output(const KernelPlan& plan, MemoryUse& use, graph::OpId id) {
  use.in_memory[id] = 1;
  if (plan.roles[id] == FusionRole::view) write_output(plan, use, plan.graph.operand(id, 0).op);
  use.leaves[id] = {{viewed_op(plan.graph, id)}, true};
}

TESSERA_INLINE void decide(const KernelPlan& plan, MemoryUse& use, graph::OpId id) {
  const graph::Op& op = plan.graph.op(id);
  char& reaches = use.in_memory[id];
  if (plan.roles[id] == FusionRole::view) {
    const graph::OpId viewed = plan.graph.operand(id, 0).op;
    reaches = use.in_memory[viewed];
    use.leaves[id] = use.leaves[viewed];
  } else if (plan.roles[id] == FusionRole::source) {
    reaches = op.rule.operand_count() > 0 || op.is_parameter ? 1 : 0;
  } else if (op.has_buffer) {
    reaches = is_read_outside(plan, id) && !is_rematerialized(plan, use, id) ? 1 : 0;
  }
  if (plan.is_output[id] != 0) write_output(plan, use, id);
  if (use.in_memory[id] != 0 && plan.roles[id] != FusionRole::view) use.leaves[id] = {{id}, true};
}

}  // namespace detail

TESSERA_INLINE Fusion fusion_of(const graph::Graph& graph) {
  const std::size_t count = graph.op_count();
  detail::KernelPlan plan{graph, {}, {}, std::vector<char>(count, 0)};
  for (const graph::Value output : graph.outputs) plan.is_output[output.op] = 1;
  Fusion fusion;
  for (graph::OpId id = 0; id < count; ++id) {
    plan.roles.push_back(detail::role_of(graph.op(id)));
    fusion.is_elementwise.push_back(plan.roles[id] == detail::FusionRole::elementwise ? 1 : 0);
  }
  plan.kernel = detail::kernels_of(graph, plan.roles);
  detail::MemoryUse use{std::vector<char>(count, 0), std::vector<detail::Leaves>(count)};
  for (graph::OpId id = 0; id < count; ++id) detail::decide(plan, use, id);
  fusion.in_memory = std::move(use.in_memory);
  fusion.kernel = std::move(plan.kernel);
  return fusion;
}

TESSERA_INLINE std::vector<char> ops_in_memory(const graph::Graph& graph) {
  return fusion_of(graph).in_memory;
}

}  // namespace tessera::cost
