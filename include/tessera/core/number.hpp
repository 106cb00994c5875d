// SPDX-License-Identifier: Apache-2.0
//
// Floating-point numbers read from text: std::from_chars, and its equal where the standard library
// has none for double (libc++ before version 20).
#pragma once
#include <system_error>

#include "tessera/core/inline.hpp"

namespace tessera {

/// How far read_double() came, and what was wrong; both mean what they mean for std::from_chars.
struct ReadEnd {
  const char* end = nullptr;  ///< one past the number's last character
  std::errc error = {};       ///< none, invalid_argument or result_out_of_range
};

/// Reads a number from [first, last) as std::from_chars does in its general format: the nearest
/// double, whatever the locale.  `value` is left alone where there is an error.
ReadEnd read_double(const char* first, const char* last, double& value);

namespace detail {

// The same without std::from_chars.
ReadEnd read_double_by_strtod(const char* first, const char* last, double& value);

}  // namespace detail

}  // namespace tessera

#ifdef TESSERA_HEADER_ONLY
#include "tessera/core/number.ipp"
#endif
