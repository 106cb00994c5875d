// SPDX-License-Identifier: Apache-2.0
//
// What the ops of a program ask of memory, whatever the strategies.
//
// A product or convolution is heavy (graph::Op); everything else is as fast as memory.  Compilers
// fuse element by element: a value that only the next op reads, and reads element by element, never
// reaches memory, nor does what a broadcast repeats.  How many bytes the others are on one device
// is a matter of the strategy.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/cost/work.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::cost {

struct Workload {
  bool is_product = false;
  bool launches = false;  // whether a kernel ends in it
  graph::ElementType element = graph::ElementType::f32;
  std::vector<std::uint8_t> passes;  // by tensor of the rule: how often it is read or written

  friend bool operator==(const Workload&, const Workload&) = default;
};

namespace detail {

template<std::size_t N>
constexpr bool is_among(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The same bytes under another name.
inline bool is_view(const graph::Op& op) {
  constexpr std::array<std::string_view, 5> views{"reshape", "bitcast", "bitcast-convert",
                                                  "opt-barrier", "optimization-barrier"};
  return op.rule.operand_count() > 0 && is_among(views, op.kind);
}

// What is there without being computed.
inline bool is_given(const graph::Op& op) {
  return op.is_parameter || op.is_loop_state || op.rule.operand_count() == 0;
}

// Which values reach memory, op by op.
class FusionFinder {
 public:
  explicit FusionFinder(const graph::Graph& graph)
      : graph_(graph), is_output_(graph.op_count(), 0) {
    for (const graph::Value output : graph.outputs) is_output_[output.op] = 1;
  }

  // A view does where what it shows does; what a source makes up never does, unless asked for.
  std::vector<char> ops_that_reach_memory() const {
    std::vector<char> reach(graph_.op_count());
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) {
      const graph::Op& op = graph_.op(id);
      const bool is_made_up = op.rule.operand_count() == 0 && !op.is_parameter;
      if (is_view(op))
        reach[id] = reach[graph_.operand(id, 0).op];
      else
        reach[id] = is_made_up || is_fused_away(id) ? 0 : 1;
      if (is_output_[id] != 0) reach[id] = 1;
    }
    return reach;
  }

 private:
  // Whether a value is computed where it is read, and never anywhere else.
  bool is_fused_away(graph::OpId id) const {
    const graph::Op& op = graph_.op(id);
    if (!op.has_buffer) return true;
    if (!is_elementwise(op)) return false;
    if (op.kind == "broadcast") return all_readers_fuse(id);
    const std::optional<graph::OpId> reader = only_reader(id);
    return reader && fuses(*reader);
  }

  // Whether it works element by element, so that it can be computed where it is read.
  static bool is_elementwise(const graph::Op& op) {
    if (op.is_heavy || is_given(op) || op.results.size() != 1) return false;
    for (std::size_t f = 0; f < op.rule.factor_count(); ++f)
      if (op.rule.factor(f).kind != graph::FactorKind::parallel) return false;
    return true;
  }
  // Whether an op can compute what it reads.
  bool fuses(graph::OpId reader) const {
    return !graph_.op(reader).is_heavy && !graph_.op(reader).is_loop_state;
  }
  bool all_readers_fuse(graph::OpId id) const {
    bool all = true;
    graph_.for_each_use(id,
                        [&](graph::OpId reader, const graph::Use&) { all = all && fuses(reader); });
    return all;
  }
  // The op that alone reads a value, through views; nothing where there are several, or none.
  std::optional<graph::OpId> only_reader(graph::OpId id) const {
    while (is_output_[id] == 0) {
      std::size_t uses = 0;
      graph::OpId reader = 0;
      graph_.for_each_use(id, [&](graph::OpId by, const graph::Use&) {
        ++uses;
        reader = by;
      });
      if (uses != 1) break;
      if (!is_view(graph_.op(reader))) return reader;
      id = reader;
    }
    return std::nullopt;
  }

  const graph::Graph& graph_;
  std::vector<char> is_output_;
};

// Ops that touch a part of a large operand only: of which the result, or the update, is the size.
inline void count_only_what_is_touched(const graph::Op& op, std::vector<std::uint8_t>& passes) {
  constexpr std::array<std::string_view, 3> readers{"slice", "dynamic-slice", "gather"};
  const std::size_t result = op.rule.operand_count();
  if (is_among(readers, op.kind)) {
    passes[0] = 0;
    passes[result] = static_cast<std::uint8_t>(passes[result] + 1);
  } else if (op.kind == "dynamic-update-slice" || (op.kind == "scatter" && result == 3)) {
    passes[0] = passes[result] = 0;
    passes[op.kind == "scatter" ? 2 : 1] = 3;  // read, and its place read and written
  }
}

}  // namespace detail

// Whether it multiplies matrices, or convolves.
inline bool is_product(const graph::Op& op) {
  return op.is_heavy && op.rule.operand_count() >= 2 && op.rule.result_count() == 1;
}

// By op, whether what it computes reaches memory.  O(ops and uses)
inline std::vector<char> ops_in_memory(const graph::Graph& graph) {
  return detail::FusionFinder(graph).ops_that_reach_memory();
}

// What every op asks of memory, by op.  O(ops and uses)
inline std::vector<Workload> workloads_of(const graph::Graph& graph) {
  const std::vector<char> reach = ops_in_memory(graph);
  std::vector<Workload> loads(graph.op_count());
  for (graph::OpId id = 0; id < graph.op_count(); ++id) {
    const graph::Op& op = graph.op(id);
    Workload& load = loads[id];
    const std::size_t operands = op.rule.operand_count();
    load.passes.assign(op.rule.tensor_count(), 0);
    if (detail::is_given(op) || detail::is_view(op)) continue;
    load.is_product = is_product(op);
    load.element = graph.type_of(graph.operand(id, 0)).element;
    load.launches = load.is_product || reach[id] != 0;
    std::vector<graph::Value> read;
    for (std::size_t i = 0; i < operands; ++i) {
      const graph::Value value = graph.operand(id, i);
      const bool is_new = std::find(read.begin(), read.end(), value) == read.end();
      load.passes[i] = is_new && reach[value.op] != 0 ? 1 : 0;
      read.push_back(value);
    }
    for (std::size_t t = operands; t < load.passes.size(); ++t)
      load.passes[t] = static_cast<std::uint8_t>(reach[id]);
    detail::count_only_what_is_touched(op, load.passes);
  }
  return loads;
}

// The whole op's, as if one device did it all; 0 for what is no product.
inline Wide flops_of(const graph::Op& op) {
  if (!is_product(op)) return 0;
  return product_of(op.rule, [&](std::size_t f) { return Wide(op.rule.factor(f).size); }).flops();
}

}  // namespace tessera::cost
