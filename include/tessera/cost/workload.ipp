// SPDX-License-Identifier: Apache-2.0
//
// Dividing what kernels read and write among their ops; fused attention; products that run as one.
#pragma once
#include <algorithm>
#include <cstddef>
#include <utility>

#include "tessera/cost/workload.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::cost {

TESSERA_INLINE bool is_product(const graph::Op& op) {
  return op.is_heavy && op.rule.operand_count() >= 2 && op.rule.result_count() == 1;
}

namespace detail {

TESSERA_INLINE Product whole_product(const graph::Op& op) {
  return product_of(op.rule, [&](std::size_t f) { return Wide(op.rule.factor(f).size); });
}

// --- What kernels read and write -----------------------------------------------------------------

// The tensors that each kernel has read so far, and whether it has an op that ends it.
struct KernelTraffic {
  const graph::Graph& graph;
  Fusion fusion;
  std::vector<std::vector<graph::Value>> read;
  std::vector<char> has_launched;
};

// Whether the kernel has the value already; from now on it does.
TESSERA_INLINE bool is_read(KernelTraffic& traffic, graph::Value value, graph::OpId kernel) {
  std::vector<graph::Value>& read = traffic.read[kernel];
  if (std::find(read.begin(), read.end(), value) != read.end()) return true;
  read.push_back(value);
  return false;
}

// The reads of a kernel for an op of it, or for one that it rematerializes.
TESSERA_INLINE void read_operands(KernelTraffic& traffic, std::vector<Workload>& loads,
                                  graph::OpId id, graph::OpId kernel) {
  const Fusion& fusion = traffic.fusion;
  for (std::size_t i = 0; i < traffic.graph.operand_count(id); ++i) {
    const graph::Value operand = traffic.graph.operand(id, i);
    const graph::OpId from = viewed_op(traffic.graph, operand.op);
    const graph::Value value{from, from == operand.op ? operand.result : 0};
    if (is_read(traffic, value, kernel)) continue;
    if (fusion.in_memory[from] != 0)
      ++loads[id].passes[i];
    else if (fusion.kernel[from] != kernel && fusion.is_elementwise[from] != 0)
      read_operands(traffic, loads, from, kernel);
  }
}

TESSERA_INLINE void add_op(KernelTraffic& traffic, std::vector<Workload>& loads, graph::OpId id) {
  const graph::Op& op = traffic.graph.op(id);
  const graph::OpId kernel = traffic.fusion.kernel[id];
  const bool is_written = traffic.fusion.in_memory[id] != 0;
  Workload& load = loads[id];
  load.is_product = is_product(op);
  load.element = traffic.graph.type_of(traffic.graph.operand(id, 0)).element;
  read_operands(traffic, loads, id, kernel);
  if (is_written)
    for (std::size_t t = op.rule.operand_count(); t < load.passes.size(); ++t) load.passes[t] = 1;
  if (load.is_product || (is_written && traffic.has_launched[kernel] == 0))
    traffic.has_launched[kernel] = load.launches = true;
}

// Ops that touch a part of a large operand only: the result's size counts, or the update's.
TESSERA_INLINE void count_only_what_is_touched(const graph::Op& op,
                                               std::vector<std::uint8_t>& passes) {
  const graph::OpcodeTraits& of_opcode = traits(op.opcode);
  const std::size_t result = op.rule.operand_count();
  const std::size_t update = of_opcode.update_operand;
  if (of_opcode.reads_part) {
    passes[result] = static_cast<std::uint8_t>(passes[result] + std::exchange(passes[0], 0));
  } else if (update != 0 && op.rule.result_count() == 1) {
    passes[0] = passes[result] = 0;
    passes[update] = 3;  // read, and its place read and written
  }
}

// --- Fused attention -----------------------------------------------------------------------------

// Scores without a buffer, and what they become.
struct AttentionScores {
  graph::OpId product = 0;
  std::vector<graph::OpId> derived;  // ops that are computed of them element by element
  std::vector<graph::OpId> readers;  // products that read them or what is derived of them
  bool are_masked = false;
};

// Whether a value is known before anything is computed.
TESSERA_INLINE bool is_constant(const graph::Graph& graph, graph::OpId id) {
  const graph::Op& op = graph.op(id);
  if (op.is_parameter || op.is_loop_state) return false;
  for (std::size_t i = 0; i < graph.operand_count(id); ++i)
    if (!is_constant(graph, graph.operand(id, i).op)) return false;
  return true;
}

TESSERA_INLINE void follow_scores(const graph::Graph& graph, graph::OpId id,
                                  AttentionScores& scores) {
  graph.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
    const graph::Op& op = graph.op(reader);
    auto& list = is_product(op) ? scores.readers : scores.derived;
    if (std::find(list.begin(), list.end(), reader) != list.end()) return;
    if (!is_product(op) && op.has_buffer && !is_view(op)) return;
    list.push_back(reader);
    if (is_product(op)) return;
    if (traits(op.opcode).selects && is_constant(graph, graph.operand(reader, 0).op))
      scores.are_masked = true;
    follow_scores(graph, reader, scores);
  });
}

TESSERA_INLINE bool share_reader(const AttentionScores& a, const AttentionScores& b) {
  return std::any_of(a.readers.begin(), a.readers.end(), [&](graph::OpId reader) {
    return std::find(b.readers.begin(), b.readers.end(), reader) != b.readers.end();
  });
}

TESSERA_INLINE void find_fused_attention(const graph::Graph& graph, std::vector<Workload>& loads) {
  std::vector<AttentionScores> all;
  for (graph::OpId id = 0; id < graph.op_count(); ++id)
    if (is_product(graph.op(id)) && !graph.op(id).has_buffer) {
      all.push_back({id, {}, {}, false});
      follow_scores(graph, id, all.back());
    }
  for (std::size_t s = 0; s < all.size(); ++s) {
    if (all[s].readers.empty()) continue;
    // A later kernel that reads these scores together with its own computes them once more.
    bool is_rematerialized = false;
    for (std::size_t later = s + 1; later < all.size() && !is_rematerialized; ++later)
      is_rematerialized = share_reader(all[s], all[later]);
    const std::uint8_t halves = all[s].are_masked ? 1 : 2;
    for (const graph::OpId reader : all[s].readers) {
      loads[reader].halves = halves;
      loads[reader].is_fused = true;
    }
    Workload& product = loads[all[s].product];
    product.is_fused = true;
    product.halves = static_cast<std::uint8_t>(is_rematerialized ? 2 * halves : halves);
  }
}

// --- Products that run as one --------------------------------------------------------------------

// Calls visit(reader, use) for the ops that read a value, through views as well.
template<class Visit>
void for_each_use_through_views(const graph::Graph& graph, graph::OpId id, Visit&& visit) {
  graph.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
    is_view(graph.op(reader)) ? for_each_use_through_views(graph, reader, visit)
                              : visit(reader, use);
  });
}

TESSERA_INLINE bool can_merge(const graph::Op& op, const Workload& load) {
  return is_product(op) && traits(op.opcode).is_matrix_product && load.halves == 2;
}

TESSERA_INLINE bool depends(const graph::Graph& graph, graph::OpId later, graph::OpId earlier) {
  std::vector<graph::OpId> seen{later};
  for (std::size_t next = 0; next < seen.size(); ++next)
    for (std::size_t i = 0; i < graph.operand_count(seen[next]); ++i) {
      const graph::OpId from = graph.operand(seen[next], i).op;
      if (from == earlier) return true;
      if (from > earlier && from < later && std::find(seen.begin(), seen.end(), from) == seen.end())
        seen.push_back(from);
    }
  return false;
}

// Whether two products are of one shape, and do not wait for each other.
TESSERA_INLINE bool can_run_as_one(const graph::Graph& graph, graph::OpId a, graph::OpId b) {
  return graph.op(a).rule.tensor_count() == graph.op(b).rule.tensor_count() &&
         graph.op(a).results == graph.op(b).results &&
         whole_product(graph.op(a)) == whole_product(graph.op(b)) &&
         !depends(graph, std::max(a, b), std::min(a, b));
}

TESSERA_INLINE void merge(const graph::Graph& graph, const std::vector<graph::OpId>& products,
                          std::uint8_t Merged::*dim, std::vector<Workload>& loads) {
  for (const graph::OpId id : products) {
    std::size_t count = 0;
    for (const graph::OpId other : products)
      count += id == other || can_run_as_one(graph, id, other) ? 1 : 0;
    loads[id].merged.*dim = static_cast<std::uint8_t>(std::min<std::size_t>(count, 8));
  }
}

TESSERA_INLINE bool adds(const graph::Op& op) {
  return traits(op.opcode).combines == Reduction::sum;
}

// Whether a sum is itself only a term of another sum.
TESSERA_INLINE bool is_term_of_sum(const graph::Graph& graph, graph::OpId id) {
  bool is_term = false;
  for_each_use_through_views(graph, id, [&](graph::OpId reader, const graph::Use&) {
    is_term = is_term || adds(graph.op(reader));
  });
  return is_term;
}

// The products that a sum, and the sums that are its terms, add up.
TESSERA_INLINE std::vector<graph::OpId> added_products(const graph::Graph& graph,
                                                       const Fusion& fusion,
                                                       const std::vector<Workload>& loads,
                                                       graph::OpId id) {
  std::vector<graph::OpId> products;
  for (std::size_t i = 0; i < graph.operand_count(id); ++i) {
    const graph::OpId from = viewed_op(graph, graph.operand(id, i).op);
    if (adds(graph.op(from)) && fusion.in_memory[from] == 0)
      for (const graph::OpId product : added_products(graph, fusion, loads, from))
        products.push_back(product);
    else if (can_merge(graph.op(from), loads[from]))
      products.push_back(from);
  }
  return products;
}

// Products of one shape, so that the operands that they do not share can stand side by side:
// queries, keys and values of one input, and the sums of their derivatives.
TESSERA_INLINE void find_merged_products(const graph::Graph& graph, const Fusion& fusion,
                                         std::vector<Workload>& loads) {
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    std::vector<std::vector<graph::OpId>> readers(2);  // as the first operand, and as the second
    for_each_use_through_views(graph, id, [&](graph::OpId reader, const graph::Use& use) {
      if (use.operand < 2 && can_merge(graph.op(reader), loads[reader]))
        readers[use.operand].push_back(reader);
    });
    merge(graph, readers[0], &Merged::columns, loads);
    merge(graph, readers[1], &Merged::rows, loads);
    if (adds(graph.op(id)) && !is_term_of_sum(graph, id))
      merge(graph, added_products(graph, fusion, loads, id), &Merged::depth, loads);
  }
}

}  // namespace detail

TESSERA_INLINE std::vector<Workload> workloads_of(const graph::Graph& graph) {
  const std::size_t count = graph.op_count();
  std::vector<Workload> loads(count);
  detail::KernelTraffic traffic{graph, fusion_of(graph),
                                std::vector<std::vector<graph::Value>>(count),
                                std::vector<char>(count, 0)};
  for (graph::OpId id = 0; id < count; ++id)
    loads[id].passes.assign(graph.op(id).rule.tensor_count(), 0);
  for (graph::OpId id = 0; id < count; ++id)
    if (!detail::is_source(graph.op(id)) && !is_view(graph.op(id)))
      detail::add_op(traffic, loads, id);
  detail::find_fused_attention(graph, loads);
  detail::find_merged_products(graph, traffic.fusion, loads);
  for (graph::OpId id = 0; id < count; ++id)
    detail::count_only_what_is_touched(graph.op(id), loads[id].passes);
  return loads;
}

TESSERA_INLINE Wide flops_of(const graph::Op& op) {
  return is_product(op) ? detail::whole_product(op).flops() : 0;
}

}  // namespace tessera::cost
