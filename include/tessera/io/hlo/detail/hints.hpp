// SPDX-License-Identifier: Apache-2.0
//
// What we say of an instruction beyond HLO's own words, and read back.
//
// Such words are hints: whoever does not know them runs the program and gets the same numbers.
// They stand where frontends leave theirs, in frontend_attributes.
//
//   tessera.buffer="none"    no result reaches memory (graph::Op::has_buffer)
//
// So fused attention is plain attention whose scores have no buffer.  A fusion can not say that:
// its body's values are nobody else's, but the backward pass reads what attention made of its
// scores on the way, which is to say that it computes it again.
#pragma once
#include <string_view>

namespace tessera::io::hlo::detail {

inline constexpr std::string_view buffer_hint = "tessera.buffer";
inline constexpr std::string_view without_buffer = "none";

}  // namespace tessera::io::hlo::detail
