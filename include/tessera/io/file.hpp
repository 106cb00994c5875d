// SPDX-License-Identifier: Apache-2.0
//
// Whole files in and out, with errors that name them.
#pragma once
#include <string>
#include <string_view>

#include "tessera/core/inline.hpp"

namespace tessera::io {

/// The contents of a file; "-" is standard input.
/// @throws InputError
std::string read_file(const std::string& path);

/// Writes beside the file and renames, so that no half-written file is ever left behind.  The file
/// keeps its mode; a link stays, and the file that it leads to is written; devices and pipes are
/// written to as they are.
/// @throws InputError
void write_file(const std::string& path, std::string_view text);

/// Throws what write_file() would throw, before there is anything to write: for programs that
/// compute for a long time first.
void check_writable(const std::string& path);

}  // namespace tessera::io

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/file.ipp"
#endif
