// SPDX-License-Identifier: Apache-2.0
//
// Hints of ours on instructions, beyond HLO's own words.
//
// A compiler that does not know a hint runs the program to the same numbers.  Hints stand where
// frontends leave theirs, in frontend_attributes.
//
//   tessera.buffer="none"    no result reaches memory (graph::Op::has_buffer)
//
// So fused attention is plain attention whose scores have no buffer.  A fusion can not say that:
// the values of its body are visible nowhere else, but the backward pass reads the scores, which
// means that it computes them again.
#pragma once
#include <string_view>

namespace tessera::io::hlo::detail {

inline constexpr std::string_view buffer_hint = "tessera.buffer";
inline constexpr std::string_view without_buffer = "none";

}  // namespace tessera::io::hlo::detail
