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

// --- Rules and shapes ----------------------------------------------------------------------------
//
// Shapes and attributes must fit each other; nothing is checked.  O(sum of ranks).

/// Batch, output features and groups are parallel, input features are summed over.  Of the two
/// loops over space the longer one is split, and the input's shards with it: the loop over the
/// output (in a layer, and in its input's gradient), or the loop over the kernel where that is
/// longer (in the kernel's gradient, whose "kernel" is an image), which leaves partial sums.
/// Groups are the major part of the dims that they divide.
Rule convolution_rule(const Dims& input, const Dims& kernel, const Dims& output,
                      const ConvolutionDims& dims, std::span<const WindowDim> window);
/// @pre each window has the kernel's size
Dims convolution_shape(const Dims& input, const Dims& kernel, const ConvolutionDims& dims,
                       std::span<const WindowDim> window);

/// `count` operands of one shape, and as many scalar initial values, which enter every window: they
/// are partial where the operand is.
Rule reduce_window_rule(const Dims& operand, const Dims& result, std::size_t count,
                        std::span<const WindowDim> window, Reduction reduction);
Dims reduce_window_shape(const Dims& operand, std::span<const WindowDim> window);

/// Each window over the operand selects one element, which receives the source's.  A tile of the
/// result needs the sources whose windows touch it, and all operand elements in those windows.
Rule select_and_scatter_rule(const Dims& operand, const Dims& source,
                             std::span<const WindowDim> window, Reduction scatter);

// --- Builders ------------------------------------------------------------------------------------
//
// All throw InvalidArgument where the arguments do not fit the shapes.

/// A convolution in HLO's terms: the role of each dim, and a window for each spatial dim.
Tensor convolution(const Tensor& input, const Tensor& kernel, Convolution how);

/// Combines the elements in a window at each of its places; one WindowDim per dim.
Tensor reduce_window(const Tensor& x, std::vector<WindowDim> window, Reduction reduction);

/// Adds each element of `source` at the place where its window of x has the largest element: the
/// adjoint of a maximum over windows.
Tensor select_and_scatter(const Tensor& x, const Tensor& source, std::vector<WindowDim> window);

namespace detail {

struct AdjointEntry;
// How the ops of this family turn the adjoint of their result into adjoints of their operands.
std::span<const AdjointEntry> window_adjoints();

}  // namespace detail

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/ops/window.ipp"
#endif
