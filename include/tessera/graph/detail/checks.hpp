// SPDX-License-Identifier: Apache-2.0
//
// Checks of operands, for the builders of ops.  All throw InvalidArgument, naming the opcode.
#pragma once
#include <cstddef>
#include <vector>

#include "tessera/graph/builder.hpp"

namespace tessera::graph::detail {

// Throws where `list` names a dim that is none of `dims`, or one of them twice.
void require_distinct_dims(const char* opcode, const std::vector<Extent>& list, const Dims& dims);

// Throws where `count` ranges are not one for each dim of x.
void require_one_per_dim(const char* opcode, std::size_t count, const Tensor& x);

void require_same_element(const char* opcode, const Tensor& a, const Tensor& b);

}  // namespace tessera::graph::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/detail/checks.ipp"
#endif
