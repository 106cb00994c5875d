// SPDX-License-Identifier: Apache-2.0
//
// Memory per device over the course of a program: the peak, where it is, the tensors that are alive
// there, and their purposes.
//
// Counted are results while they take memory, each at the size of its largest shard.  Only results
// that reach memory are counted (cost/workload.hpp).  A fused op's result takes none, and neither
// does a view; so their operands are held until they are read themselves.  An output in a
// parameter's place is written there, element by element while the old value is read for the last
// time; where it can not be, because the old value is still needed or read in another order, it
// stands beside it until then.
//
// Where a result and its operands are needed at once, both are counted: compilers may write the one
// over the other, but plans do not rely on it.  graph/liveness.hpp is the same without any fusion,
// as it is where each op is run by itself.
//
// A tensor's purpose follows from the tensors that depend on it.  What decides a plain output, such
// as the loss, is the forward pass; parameters updated in place are weights where they take part in
// it, and otherwise the optimizer's state or sums of gradients.  A gradient is the operand of an
// update, followed back element by element; the rest of the backward pass is what gradients are
// computed from.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/liveness.hpp"

namespace tessera::plan {

/// By op, whether its results take memory of their own.  `in_memory`: whether they reach memory.
std::vector<char> owners_of(const graph::Graph& graph, const std::vector<char>& in_memory);

/// The lifetimes of the memory that results take, empty for those that take none of their own.
/// `in_memory`: by op, whether its results reach memory at all.  O((ops + uses) * depth of loops)
graph::Lifetimes buffers_of(const graph::Graph& graph, const std::vector<char>& in_memory);
/// The same, where the results of fused ops do not reach memory (cost/workload.hpp).
graph::Lifetimes buffers_of(const graph::Graph& graph);

/// The purpose of a tensor.
enum class MemoryKind : std::uint8_t { weight, state, input, activation, gradient, backward };
inline constexpr std::size_t memory_kinds = 6;

/// In the plural, as tables show sums.
constexpr std::string_view to_string(MemoryKind kind) noexcept {
  constexpr std::array<std::string_view, memory_kinds> names{
      "weights", "optimizer state", "inputs", "activations", "gradients", "backward pass"};
  return names[static_cast<std::size_t>(kind)];
}

/// A tensor at the peak.
struct LiveTensor {
  graph::Value value;
  Extent bytes = 0;  ///< per device
};

/// The most memory that a device needs at once.
struct MemoryPeak {
  Wide bytes = 0;
  graph::OpId at = 0;                        ///< the op that runs when the peak is reached
  std::vector<LiveTensor> live;              ///< at that time, largest first
  std::array<Wide, memory_kinds> of_kind{};  ///< the same bytes, by purpose
};

/// The purposes of the results of each op, by op.  O(ops + uses + aliases * outputs)
std::vector<MemoryKind> memory_kinds_of(const graph::Graph& graph);

/// The bytes that one result takes on each device.
using BytesOf = std::function<Extent(graph::Value)>;

/// By op: the bytes that are held while it runs.  O(results)
std::vector<Wide> memory_in_use(const graph::Graph& graph, const graph::Lifetimes& lifetimes,
                                const BytesOf& bytes_of);

/// The peak of that.  O(results log results)
MemoryPeak memory_peak(const graph::Graph& graph, const graph::Lifetimes& lifetimes,
                       const BytesOf& bytes_of);

}  // namespace tessera::plan

#ifdef TESSERA_HEADER_ONLY
#include "tessera/plan/memory.ipp"
#endif
