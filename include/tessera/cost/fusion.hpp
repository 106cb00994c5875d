// SPDX-License-Identifier: Apache-2.0
//
// Which ops run as one kernel, and which values therefore never reach memory.
//
// A product or convolution is a kernel by itself.  Around them compilers fuse elementwise ops, and
// rows that are reduced and then read again (a softmax, a norm) while they fit on chip.  Here that
// is assumed wherever it is possible: ops with equally many kernels before them, which follow on
// each other or read the same tensor, are one kernel.  So no kernel waits for itself, and a kernel
// reads a tensor once however many of its ops do.
//
// A value that a later kernel reads is written, or rematerialized in that kernel where that takes
// no more reading: a product's bias, a cast or a norm's scale is never kept for the backward pass,
// the product and the row's mean are.
//
// An op without a buffer (graph::Op) is inside a hand-written kernel: fused attention, whose scores
// never leave the chip.
#pragma once
#include <cstddef>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/core/wide.hpp"

namespace tessera::graph {
class Graph;
struct Op;
using OpId = std::size_t;
}  // namespace tessera::graph

namespace tessera::cost {

/// In elements: a row longer than this is read again instead of being kept.  128 KiB in f32, what
/// an A100's or an H100's multiprocessor has for a kernel, or a little less.
inline constexpr Wide longest_row = 32'768;

/// The ops that are fused.
struct Fusion {
  std::vector<char> in_memory;       ///< by op: whether its results reach memory
  std::vector<graph::OpId> kernel;   ///< by op: the first op of its kernel
  std::vector<char> is_elementwise;  ///< by op: whether it can be computed where it is read
};

/// The kernels of a program.  O(ops and uses), and views of views
Fusion fusion_of(const graph::Graph& graph);

/// By op, whether its results reach memory.
std::vector<char> ops_in_memory(const graph::Graph& graph);

/// Whether an op's result is its operand's bytes under another name.
bool is_view(const graph::Op& op);

/// The op that computed the value of which `id` is a view, or a view of a view.
graph::OpId viewed_op(const graph::Graph& graph, graph::OpId id);

namespace detail {

// Whether a value exists without being computed: a parameter, a loop's state, or made without
// operands.
bool is_source(const graph::Op& op);

}  // namespace detail

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/fusion.ipp"
#endif
