// SPDX-License-Identifier: Apache-2.0
//
// The inputs of a run: random numbers, or files of NumPy's.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/executor/tensor.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::executor {

/// A random tensor for each parameter, the same for the same seed.  Throws Unsupported, with the
/// parameter's name, for an element type that can not be computed with.  O(elements + uses)
///
/// Numbers lie between -1 and 1.  But a program may take a logarithm or a root of its inputs, or
/// use them as indices, so the uses of each parameter are followed: numbers that must not be
/// negative are not, and integers that are indices, or are compared with indices, are in range.
/// This is a heuristic: it does not see, for example, that a difference has to be positive.
std::vector<Tensor> random_inputs(const graph::Graph& graph, std::uint64_t seed);

/// Reads a tensor of this type from the text of a .npy file.  Throws InvalidArgument, saying why,
/// where the text is not a NumPy file of this element type and shape: nothing is converted.  bf16,
/// which NumPy does not know, is read as ml_dtypes writes it: two bytes without a type.
Tensor parse_numpy(std::string_view file, const TensorType& type);

}  // namespace tessera::executor

#ifdef TESSERA_HEADER_ONLY
#include "tessera/executor/inputs.ipp"
#endif
