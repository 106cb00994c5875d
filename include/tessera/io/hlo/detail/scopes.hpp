// SPDX-License-Identifier: Apache-2.0
//
// The scopes of a program that an instruction says it is in.
//
// Frameworks write a path to the place in the source that an instruction comes from; it ends in the
// op: metadata={op_name="jit(step)/jit(main)/transpose(jvp(block3))/mlp/dot_general"}.  The names
// that a model's author chose are in it, here block3 and mlp; the others are those of JAX's
// transformations.
#pragma once
#include <string>
#include <string_view>

#include "tessera/core/inline.hpp"

namespace tessera::io::hlo::detail {

// The text in NAME="..." of {NAME="..." OTHER="..."}; empty where there is none.
std::string_view quoted_in(std::string_view fields, std::string_view name);

// The path of an op_name without the op itself and without the transformations around names:
// jvp(a)/b stands for a/b, and jit(a) for nothing, since functions' names are not scopes.
std::string scope_in(std::string_view op_name);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/scopes.ipp"
#endif
