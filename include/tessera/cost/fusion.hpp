// SPDX-License-Identifier: Apache-2.0
//
// Which ops run as one kernel, and which values therefore never reach memory.
//
// A product or convolution is a kernel by itself.  Around them compilers fuse what works element by
// element, and rows that are reduced and then read again (a softmax, a norm) while they fit on
// chip.  Here that is taken to be done wherever it can be: ops with equally many kernels before
// them, which follow on each other or read the same tensor, are one kernel.  So nothing waits for
// itself, and a kernel reads a tensor once however many of its ops do.
//
// What a later kernel reads is written, or computed there again where that takes no more reading:
// a product's bias, a cast or a norm's scale is never kept for the backward pass, the product and
// the row's mean are.
//
// An op without a buffer (graph::Op) is inside a kernel somebody wrote: fused attention, whose
// scores never leave the chip.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::cost {

// A row longer than this is read again instead of being kept: 128 KiB in f32, what an A100's or an
// H100's multiprocessor has for a kernel, or a little less.
inline constexpr Wide longest_row = 32'768;

struct Fusion {
  std::vector<char> in_memory;       // by op: whether its results reach memory
  std::vector<graph::OpId> kernel;   // by op: the first op of its kernel
  std::vector<char> is_elementwise;  // by op: whether it can be computed where it is read
};

namespace detail {

// The same bytes under another name.
inline bool is_view(const graph::Op& op) {
  return op.rule.operand_count() > 0 && traits(op.opcode).is_view;
}

// What is there without being computed.
inline bool is_given(const graph::Op& op) {
  return op.is_parameter || op.is_loop_state || op.rule.operand_count() == 0;
}

// The op that computed what a value shows.
inline graph::OpId shown_by(const graph::Graph& graph, graph::OpId id) {
  while (is_view(graph.op(id))) id = graph.operand(id, 0).op;
  return id;
}

class FusionFinder {
 public:
  explicit FusionFinder(const graph::Graph& graph)
      : graph_(graph),
        is_output_(graph.op_count(), 0),
        roles_(graph.op_count()),
        before_(graph.op_count(), 0),
        leaves_(graph.op_count()) {
    for (const graph::Value output : graph.outputs) is_output_[output.op] = 1;
    fusion_.in_memory.assign(graph.op_count(), 0);
    fusion_.kernel.resize(graph.op_count());
    std::iota(fusion_.kernel.begin(), fusion_.kernel.end(), graph::OpId{0});
    for (graph::OpId id = 0; id < graph.op_count(); ++id) {
      roles_[id] = role_of(graph.op(id));
      fusion_.is_elementwise.push_back(roles_[id] == Role::elementwise ? 1 : 0);
    }
  }

  Fusion run() {
    count_kernels_before();
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) join_operands(id);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) join_readers(id);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) fusion_.kernel[id] = find(id);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) decide(id);
    return std::move(fusion_);
  }

 private:
  enum class Role : std::uint8_t {
    given,  // a parameter, or made up from nothing
    view,
    elementwise,  // each element of its result is made of few of its operands'
    row,          // reduces rows that stay on chip: what follows can be in the same kernel
    reduction,    // any other: the last op of a kernel
    by_itself,
  };

  // --- Roles -------------------------------------------------------------------------------------

  static Role role_of(const graph::Op& op) {
    if (is_given(op)) return Role::given;
    if (is_view(op)) return Role::view;
    if (op.is_heavy || op.results.size() != 1) return Role::by_itself;
    const bool relocates = traits(op.opcode).relocates;
    if (relocates || has_only_parallel_factors(op)) return Role::elementwise;
    if (!traits(op.opcode).reduces) return Role::by_itself;
    return reduces_short_rows(op) ? Role::row : Role::reduction;
  }
  static bool has_only_parallel_factors(const graph::Op& op) {
    for (std::size_t f = 0; f < op.rule.factor_count(); ++f)
      if (op.rule.factor(f).kind != graph::FactorKind::parallel) return false;
    return true;
  }
  // Whether the dims that are reduced come last.
  static bool reduces_short_rows(const graph::Op& op) {
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

  bool fuses(graph::OpId id) const {
    return roles_[id] == Role::elementwise || roles_[id] == Role::row ||
           roles_[id] == Role::reduction;
  }

  // --- Kernels -----------------------------------------------------------------------------------

  // How many kernels must have ended before an op can run, and before its result can be read.
  void count_kernels_before() {
    std::vector<std::size_t> ready(graph_.op_count(), 0);
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      if (roles_[id] == Role::given) continue;
      for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
        if (const graph::OpId from = graph_.operand(id, i).op; from < id)
          before_[id] = std::max(before_[id], ready[from]);
      const bool ends_kernel = roles_[id] == Role::by_itself || roles_[id] == Role::reduction;
      ready[id] = before_[id] + (ends_kernel ? 1 : 0);
    }
  }

  graph::OpId find(graph::OpId id) {
    while (fusion_.kernel[id] != id) id = fusion_.kernel[id] = fusion_.kernel[fusion_.kernel[id]];
    return id;
  }
  void join(graph::OpId a, graph::OpId b) {
    a = find(a);
    b = find(b);
    fusion_.kernel[std::max(a, b)] = std::min(a, b);
  }
  // Numbers that everything needs join nothing.
  bool joins(graph::OpId value, graph::OpId reader) const {
    return fuses(reader) && graph_.op(value).results.size() == 1 &&
           element_count(graph_.op(value).results[0].dims) > 1;
  }
  void join_operands(graph::OpId id) {
    if (!fuses(id)) return;
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i) {
      const graph::OpId from = shown_by(graph_, graph_.operand(id, i).op);
      const bool follows_on = fuses(from) && roles_[from] != Role::reduction &&
                              before_[from] == before_[id];
      if (follows_on && joins(from, id)) join(from, id);
    }
  }
  // Those that read the same tensor, each element of it, and can run at the same time.
  void join_readers(graph::OpId id) {
    if (roles_[id] == Role::given && !graph_.op(id).is_parameter) return;
    std::vector<graph::OpId> readers;
    for_each_reader(id, [&](graph::OpId reader) {
      if (!joins(id, reader) || traits(graph_.op(reader).opcode).repeats) return;
      for (const graph::OpId other : readers)
        if (before_[other] == before_[reader]) return join(other, reader);
      readers.push_back(reader);
    });
  }

  // Who reads a value, through views as well.
  template<class Visit>
  void for_each_reader(graph::OpId id, Visit&& visit) const {
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
      roles_[reader] == Role::view ? for_each_reader(reader, visit) : visit(reader);
    });
  }

  // --- What reaches memory -----------------------------------------------------------------------

  void decide(graph::OpId id) {
    const graph::Op& op = graph_.op(id);
    char& reaches = fusion_.in_memory[id];
    if (roles_[id] == Role::view) {
      reaches = fusion_.in_memory[graph_.operand(id, 0).op];
      leaves_[id] = leaves_[graph_.operand(id, 0).op];
    } else if (roles_[id] == Role::given) {
      reaches = op.rule.operand_count() > 0 || op.is_parameter ? 1 : 0;
    } else if (op.has_buffer) {
      reaches = is_read_outside(id) && !is_computed_again(id) ? 1 : 0;
    }
    if (is_output_[id] != 0) reach_memory(id);
    if (fusion_.in_memory[id] != 0 && roles_[id] != Role::view) leaves_[id] = {{id}, true};
  }
  // An output that is a view is written where it is computed.
  void reach_memory(graph::OpId id) {
    fusion_.in_memory[id] = 1;
    if (roles_[id] == Role::view) reach_memory(graph_.operand(id, 0).op);
    leaves_[id] = {{shown_by(graph_, id)}, true};
  }

  bool is_read_outside(graph::OpId id) const {
    if (!fuses(id)) return true;
    bool is_read = is_shown_as_output(id);
    for_each_reader(id, [&](graph::OpId reader) {
      is_read = is_read || !fuses(reader) || fusion_.kernel[reader] != fusion_.kernel[id];
    });
    return is_read;
  }
  bool is_shown_as_output(graph::OpId id) const {
    bool is_output = is_output_[id] != 0;
    graph_.for_each_use(id, [&](graph::OpId reader, const graph::Use&) {
      is_output = is_output || (roles_[reader] == Role::view && is_shown_as_output(reader));
    });
    return is_output;
  }

  // Whether every reader can compute a value itself, of no more bytes than it has.  What it is made
  // of that is small beside it counts for nothing, and is kept.
  bool is_computed_again(graph::OpId id) {
    if (is_shown_as_output(id)) return false;
    bool all_fuse = true;
    for_each_reader(id, [&](graph::OpId reader) { all_fuse = all_fuse && fuses(reader); });
    if (roles_[id] != Role::elementwise || !all_fuse) return false;
    Leaves leaves{{}, true};
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
      add_leaves(graph_.operand(id, i).op, leaves);
    const Wide bytes = byte_count(graph_.op(id).results[0]);
    const Wide elements = element_count(graph_.op(id).results[0].dims);
    Wide read = 0;
    for (const graph::OpId leaf : leaves.ops) {
      const graph::TensorType& type = graph_.op(leaf).results[0];
      const Wide touched = std::min(elements, Wide(element_count(type.dims)));
      const Wide leaf_bytes = (touched * bits_of(type.element) + 7) / 8;
      if (8 * leaf_bytes > bytes) read += leaf_bytes;
    }
    if (!leaves.are_known || read > bytes) return false;
    for (const graph::OpId leaf : leaves.ops) fusion_.in_memory[leaf] = 1;
    leaves_[id] = std::move(leaves);
    return true;
  }

  // Of what in memory, or kept if need be, a value can be computed element by element.
  struct Leaves {
    std::vector<graph::OpId> ops;
    bool are_known = false;
  };
  void add_leaves(graph::OpId from, Leaves& leaves) {
    const graph::Op& op = graph_.op(from);
    if (roles_[from] == Role::view) return add_leaves(graph_.operand(from, 0).op, leaves);
    if (roles_[from] == Role::given && !op.is_parameter && !op.is_loop_state) return;
    if (fusion_.in_memory[from] == 0 && roles_[from] == Role::elementwise) {
      if (!leaves_[from].are_known) leaves_[from] = leaves_of_operands(from);
      for (const graph::OpId leaf : leaves_[from].ops) add_leaf(leaf, leaves);
      leaves.are_known = leaves.are_known && leaves_[from].are_known;
      return;
    }
    add_leaf(from, leaves);
  }
  Leaves leaves_of_operands(graph::OpId id) {
    Leaves leaves{{}, true};
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
      add_leaves(graph_.operand(id, i).op, leaves);
    return leaves;
  }
  void add_leaf(graph::OpId leaf, Leaves& leaves) const {
    constexpr std::size_t most = 8;
    if (!graph_.op(leaf).has_buffer) return;
    if (std::find(leaves.ops.begin(), leaves.ops.end(), leaf) != leaves.ops.end()) return;
    if (leaves.ops.size() == most)
      leaves.are_known = false;
    else
      leaves.ops.push_back(leaf);
  }

  const graph::Graph& graph_;
  std::vector<char> is_output_;
  std::vector<Role> roles_;
  std::vector<std::size_t> before_;  // by op: kernels that must have ended before it can run
  std::vector<Leaves> leaves_;       // by op
  Fusion fusion_;
};

}  // namespace detail

// What runs as one.  O(ops and uses), and views of views
inline Fusion fusion_of(const graph::Graph& graph) { return detail::FusionFinder(graph).run(); }

// By op, whether what it computes reaches memory.
inline std::vector<char> ops_in_memory(const graph::Graph& graph) {
  return fusion_of(graph).in_memory;
}

}  // namespace tessera::cost
