// SPDX-License-Identifier: Apache-2.0
//
// What the ops of a program ask of memory and of arithmetic, whatever the strategies.
//
// A product or convolution is heavy (graph::Op); everything else is as fast as memory.  What is
// fused with what, and so never reaches memory, is fusion.hpp's concern; here the reading and
// writing of each kernel is dealt out to its ops.  How many bytes that is on one device is a matter
// of the strategy.
//
// Fused attention is two products around scores without a buffer.  Its scores are computed a second
// time for the backward pass, which reads them too; and of scores that a mask known beforehand
// hides, causal ones, it leaves out half.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/cost/fusion.hpp"
#include "tessera/cost/work.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::cost {

struct Workload {
  bool is_product = false;
  bool launches = false;  // whether a kernel ends in it
  graph::ElementType element = graph::ElementType::f32;
  Merged merged = {};
  bool is_fused = false;             // a product inside fused attention
  std::uint8_t halves = 2;           // of the product that are computed, each time it is
  std::vector<std::uint8_t> passes;  // by tensor of the rule: how often it is read or written

  friend bool operator==(const Workload&, const Workload&) = default;
};

namespace detail {

// Ops that touch a part of a large operand only: of which the result, or the update, is the size.
inline void count_only_what_is_touched(const graph::Op& op, std::vector<std::uint8_t>& passes) {
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

inline bool adds(const graph::Op& op) { return traits(op.opcode).combines == Reduction::sum; }

// Whether it multiplies matrices, or convolves.
inline bool is_product(const graph::Op& op) {
  return op.is_heavy && op.rule.operand_count() >= 2 && op.rule.result_count() == 1;
}

// Deals out what kernels read and write.
class WorkloadFinder {
 public:
  explicit WorkloadFinder(const graph::Graph& graph)
      : graph_(graph),
        fusion_(fusion_of(graph)),
        loads_(graph.op_count()),
        read_(graph.op_count()),
        has_launched_(graph.op_count(), 0) {}

  std::vector<Workload> run() {
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      loads_[id].passes.assign(graph_.op(id).rule.tensor_count(), 0);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      if (!is_given(graph_.op(id)) && !is_view(graph_.op(id))) add(id);
    find_fused_attention();
    find_merged_products();
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      count_only_what_is_touched(graph_.op(id), loads_[id].passes);
    return std::move(loads_);
  }

 private:
  void add(graph::OpId id) {
    const graph::Op& op = graph_.op(id);
    const graph::OpId kernel = fusion_.kernel[id];
    Workload& load = loads_[id];
    load.is_product = is_product(op);
    load.element = graph_.type_of(graph_.operand(id, 0)).element;
    read_operands(id, kernel);
    if (fusion_.in_memory[id] != 0)
      for (std::size_t t = op.rule.operand_count(); t < load.passes.size(); ++t) load.passes[t] = 1;
    if (load.is_product || (fusion_.in_memory[id] != 0 && has_launched_[kernel] == 0))
      has_launched_[kernel] = load.launches = true;
  }

  // What a kernel needs for an op of it, or for one that it computes again.
  void read_operands(graph::OpId id, graph::OpId kernel) {
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i) {
      const graph::Value shown = graph_.operand(id, i);
      const graph::OpId from = shown_by(graph_, shown.op);
      const graph::Value value{from, from == shown.op ? shown.result : 0};
      if (is_read(value, kernel)) continue;
      if (fusion_.in_memory[from] != 0)
        ++loads_[id].passes[i];
      else if (fusion_.kernel[from] != kernel && fusion_.is_elementwise[from] != 0)
        read_operands(from, kernel);
    }
  }
  // Whether the kernel has it already; from now on it does.
  bool is_read(graph::Value value, graph::OpId kernel) {
    std::vector<graph::Value>& read = read_[kernel];
    if (std::find(read.begin(), read.end(), value) != read.end()) return true;
    read.push_back(value);
    return false;
  }

  // --- Fused attention ---------------------------------------------------------------------------

  struct Scores {
    graph::OpId product = 0;
    std::vector<graph::OpId> seen, readers;  // what is made of them element by element, and of that
    bool are_masked = false;
  };

  void find_fused_attention() {
    std::vector<Scores> all;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      if (is_product(graph_.op(id)) && !graph_.op(id).has_buffer) {
        all.push_back({id, {}, {}, false});
        follow(id, all.back());
      }
    for (std::size_t s = 0; s < all.size(); ++s) {
      if (all[s].readers.empty()) continue;
      // Where a later kernel makes something of these scores and of its own, it has them again.
      bool runs_again = false;
      for (std::size_t later = s + 1; later < all.size() && !runs_again; ++later)
        runs_again = shares_reader(all[s], all[later]);
      const std::uint8_t halves = all[s].are_masked ? 1 : 2;
      for (const graph::OpId reader : all[s].readers) {
        loads_[reader].halves = halves;
        loads_[reader].is_fused = true;
      }
      loads_[all[s].product].is_fused = true;
      loads_[all[s].product].halves = static_cast<std::uint8_t>(runs_again ? 2 * halves : halves);
    }
  }
  void follow(graph::OpId id, Scores& scores) const {
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
      const graph::Op& op = graph_.op(reader);
      auto& list = is_product(op) ? scores.readers : scores.seen;
      if (std::find(list.begin(), list.end(), reader) != list.end()) return;
      if (!is_product(op) && op.has_buffer && !is_view(op)) return;
      list.push_back(reader);
      if (is_product(op)) return;
      if (traits(op.opcode).selects && is_made_up(graph_.operand(reader, 0).op))
        scores.are_masked = true;
      follow(reader, scores);
    });
  }
  static bool shares_reader(const Scores& a, const Scores& b) {
    return std::any_of(a.readers.begin(), a.readers.end(), [&](graph::OpId reader) {
      return std::find(b.readers.begin(), b.readers.end(), reader) != b.readers.end();
    });
  }
  // Whether it is known before anything is computed.
  bool is_made_up(graph::OpId id) const {
    const graph::Op& op = graph_.op(id);
    if (op.is_parameter || op.is_loop_state) return false;
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
      if (!is_made_up(graph_.operand(id, i).op)) return false;
    return true;
  }

  // --- Products that run as one ------------------------------------------------------------------

  // Of the same kind, so that what they do not share can stand side by side: queries, keys and
  // values of one input, and what their derivatives add up to.
  void find_merged_products() {
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      std::vector<std::vector<graph::OpId>> readers(2);  // as the first operand, and as the second
      for_each_reader(id, [&](graph::OpId reader, const graph::Use& use) {
        if (use.operand < 2 && can_merge(reader)) readers[use.operand].push_back(reader);
      });
      merge_alike(readers[0], &Merged::columns);
      merge_alike(readers[1], &Merged::rows);
      if (adds(graph_.op(id)) && !is_added_on(id)) merge_alike(added_up(id), &Merged::depth);
    }
  }
  bool can_merge(graph::OpId id) const {
    return is_product(graph_.op(id)) && traits(graph_.op(id).opcode).is_matrix_product &&
           loads_[id].halves == 2;
  }
  template<class Visit>
  void for_each_reader(graph::OpId id, Visit&& visit) const {
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use& use) {
      is_view(graph_.op(reader)) ? for_each_reader(reader, visit) : visit(reader, use);
    });
  }
  // Those of one shape that do not wait for each other.
  void merge_alike(const std::vector<graph::OpId>& products, std::uint8_t Merged::*dim) {
    for (const graph::OpId id : products) {
      std::size_t count = 0;
      for (const graph::OpId other : products)
        count += id == other || (are_alike(id, other) &&
                                 !depends(std::max(id, other), std::min(id, other)))
                     ? 1
                     : 0;
      loads_[id].merged.*dim = static_cast<std::uint8_t>(std::min<std::size_t>(count, 8));
    }
  }
  bool are_alike(graph::OpId a, graph::OpId b) const {
    return graph_.op(a).rule.tensor_count() == graph_.op(b).rule.tensor_count() &&
           graph_.op(a).results == graph_.op(b).results &&
           product_of_whole(a) == product_of_whole(b);
  }
  bool depends(graph::OpId later, graph::OpId earlier) const {
    std::vector<graph::OpId> seen{later};
    for (std::size_t next = 0; next < seen.size(); ++next)
      for (std::size_t i = 0; i < graph_.operand_count(seen[next]); ++i) {
        const graph::OpId from = graph_.operand(seen[next], i).op;
        if (from == earlier) return true;
        if (from > earlier && from < later &&
            std::find(seen.begin(), seen.end(), from) == seen.end())
          seen.push_back(from);
      }
    return false;
  }
  Product product_of_whole(graph::OpId id) const {
    const graph::Rule& rule = graph_.op(id).rule;
    return product_of(rule, [&](std::size_t f) { return Wide(rule.factor(f).size); });
  }
  // Whether a sum is itself only added to something.
  bool is_added_on(graph::OpId id) const {
    bool is_added = false;
    for_each_reader(id, [&](graph::OpId reader, const graph::Use&) {
      is_added = is_added || adds(graph_.op(reader));
    });
    return is_added;
  }
  std::vector<graph::OpId> added_up(graph::OpId id) const {
    std::vector<graph::OpId> products;
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i) {
      const graph::OpId from = shown_by(graph_, graph_.operand(id, i).op);
      if (adds(graph_.op(from)) && fusion_.in_memory[from] == 0)
        for (const graph::OpId product : added_up(from)) products.push_back(product);
      else if (can_merge(from))
        products.push_back(from);
    }
    return products;
  }

  const graph::Graph& graph_;
  Fusion fusion_;
  std::vector<Workload> loads_;
  std::vector<std::vector<graph::Value>> read_;  // by kernel
  std::vector<char> has_launched_;               // by kernel
};

}  // namespace detail

using detail::is_product;

// What every op asks of memory, by op.  O(ops and uses) but for kernels, each by what it reads
// squared
inline std::vector<Workload> workloads_of(const graph::Graph& graph) {
  return detail::WorkloadFinder(graph).run();
}

// The whole op's, as if one device did it all; 0 for what is no product.
inline Wide flops_of(const graph::Op& op) {
  if (!is_product(op)) return 0;
  return product_of(op.rule, [&](std::size_t f) { return Wide(op.rule.factor(f).size); }).flops();
}

}  // namespace tessera::cost
