// SPDX-License-Identifier: Apache-2.0
//
// Ops whose windows slide along dims: convolutions, poolings, running sums.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "tessera/graph/builder.hpp"
#include "tessera/graph/window.hpp"

namespace tessera::graph {

/// Space is split along the longer of the two loops over it, and the input's shards with it: along
/// the output (of a layer, and of its input's gradient), or along the kernel where that is longer
/// (of a kernel's gradient, whose "kernel" is an image), which leaves partial sums.  Groups are the
/// major part of the dims that they are in.
Rule convolution_rule(const Dims& input, const Dims& kernel, const Dims& output,
                      const ConvolutionDims& dims, std::span<const WindowDim> window);

/// The places of each window; its size is the kernel's.
Dims convolution_shape(const Dims& input, const Dims& kernel, const ConvolutionDims& dims,
                       std::span<const WindowDim> window);

/// A window slides over operands of one shape and reduces what it sees.  Initial values are
/// scalars, and enter every window: they are partial where the operand is.
Rule reduce_window_rule(const Dims& operand, const Dims& result, std::size_t count,
                        std::span<const WindowDim> window, Reduction reduction);

/// How many places each window has in its dim.
Dims reduce_window_shape(const Dims& operand, std::span<const WindowDim> window);

/// Each window over the operand selects one element, which takes the source's.  A tile of the
/// result needs the sources whose windows touch it, and of the operand all that those windows see.
Rule select_and_scatter_rule(const Dims& operand, const Dims& source,
                             std::span<const WindowDim> window, Reduction scatter);

/// A convolution in HLO's terms: which dims are which, and a window for each spatial one.
Tensor convolution(const Tensor& input, const Tensor& kernel, Convolution how);

/// Combines what a window holds, at each of its places; one WindowDim per dim.
Tensor reduce_window(const Tensor& x, std::vector<WindowDim> window, Reduction reduction);

/// Adds each element of `source` at the place where its window of x has the largest element: the
/// derivative of a windowed maximum.
Tensor select_and_scatter(const Tensor& x, const Tensor& source, std::vector<WindowDim> window);

namespace detail {

struct AdjointEntry;
// How the ops of this family hand adjoints to their operands.
std::span<const AdjointEntry> window_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/window.ipp"
#endif
