// SPDX-License-Identifier: Apache-2.0
//
// How far a sharded run may be from the reference.
//
// Rounding is measured: a sharded run may be off by several times as much as the reference is off
// the same in double (where it is in double, as the reference in float is off).  In double the same
// share of that remains by which the types' precisions differ, which is next to nothing, and no
// more than the last bits of the inputs make.
#pragma once
#include <functional>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::executor {
struct Tolerances;
}

namespace tessera::executor::detail {

// difference() of two whole tensors.
double whole_difference(const Tensor& a, const Tensor& b);

// Every number in double a last bit larger or smaller.
std::vector<Tensor> nudged(std::vector<Tensor> tensors);

// `outputs` are the reference's; `nudged_outputs` those in double of inputs that were nudged();
// in_floats() computes the outputs with all numbers in float.
Tolerances tolerances_of(const graph::Graph& graph, const std::vector<Tensor>& outputs,
                         const std::vector<Tensor>& outputs_in_double,
                         const std::vector<Tensor>& nudged_outputs,
                         const std::function<std::vector<Tensor>()>& in_floats);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/verification/tolerances.ipp"
#endif
