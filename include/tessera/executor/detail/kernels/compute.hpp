// SPDX-License-Identifier: Apache-2.0
//
// The computation of one op on one device: its slices of the results from the parts of the operands
// that it holds.
//
// On whole tensors this is the op itself, as HLO defines it; on shards it is the part that the op's
// rule says can be computed without the other devices.  A kernel knows from the slices where in the
// whole tensors it is, so windows, indices and iota come out right under any sharding; a kernel
// that needs elements which are not held throws an error, and never computes a wrong number.
//
// To add a kernel, add an entry to the table in compute.ipp; or to those of elementwise.ipp, where
// the op is element by element.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::executor::detail {

// "op 'dot.1' (dot)"
std::string op_text(const graph::Op& op);

// The device's slices of an op's results.  Throws Unsupported where no kernel computes the op, and
// InternalError where the device lacks what its slices need: both name the op.
// @pre the op is no parameter; one slice for each result
std::vector<TensorPart> compute(const graph::Op& op, std::span<const TensorView> operands,
                                std::span<const Slice> slices);

}  // namespace tessera::executor::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/detail/kernels/compute.ipp"
#endif
