// SPDX-License-Identifier: Apache-2.0
//
// The effect of custom-calls on the dims of their operands, by their targets.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "tessera/core/inline.hpp"

namespace tessera::io::hlo {

/// The effect of a custom-call, as far as sharding goes.
enum class CustomCall : std::uint8_t {
  identity,       ///< the result is the operand
  elementwise,    ///< all operands and the result have the same dims
  last_dim,       ///< along the last dim, which stays whole (softmax, normalisation)
  last_two_dims,  ///< on matrices, which stay whole (decompositions)
  marker,         ///< the results are the operands, tuples too; a layer begins or ends here
};

/// By target.
using CustomCalls = std::map<std::string, CustomCall, std::less<>>;

/// The targets known from dumps of JAX, PyTorch and Neuron programs.
CustomCalls known_custom_calls();

}  // namespace tessera::io::hlo

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/custom_calls.ipp"
#endif
