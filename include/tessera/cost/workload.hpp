// SPDX-License-Identifier: Apache-2.0
//
// The memory traffic and arithmetic of a program's ops, independent of strategies.
//
// A product or convolution is heavy (graph::Op); everything else is as fast as memory.  Fusion, and
// which values therefore never reach memory, is fusion.hpp's concern; here the reading and writing
// of each kernel is divided among its ops.  How many bytes that is on one device depends on the
// strategy.
//
// Fused attention is two products around scores without a buffer.  Its scores are computed a second
// time for the backward pass, which reads them too; and it leaves out half of the scores that a
// mask known beforehand hides, causal ones.
#pragma once
#include <cstdint>
#include <vector>

#include "tessera/core/wide.hpp"
#include "tessera/cost/fusion.hpp"
#include "tessera/cost/work.hpp"

namespace tessera::cost {

/// The memory traffic and arithmetic of one op.
struct Workload {
  bool is_product = false;
  bool launches = false;  ///< whether a kernel ends in it
  graph::ElementType element = graph::ElementType::f32;
  Merged merged = {};
  bool is_fused = false;             ///< a product inside fused attention
  std::uint8_t halves = 2;           ///< of the product that are computed, each time it is
  std::vector<std::uint8_t> passes;  ///< by tensor of the rule: how often it is read or written

  friend bool operator==(const Workload&, const Workload&) = default;
};

/// By op.  O(ops and uses) but for kernels, each by the square of the number of tensors it reads
std::vector<Workload> workloads_of(const graph::Graph& graph);

/// Whether an op multiplies matrices, or convolves.
bool is_product(const graph::Op& op);

/// FLOPs of the whole op, as if one device did it all; 0 for an op that is no product.
Wide flops_of(const graph::Op& op);

}  // namespace tessera::cost

#ifdef TESSERA_HEADER_ONLY
#include "tessera/cost/workload.ipp"
#endif
