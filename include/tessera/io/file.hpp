// SPDX-License-Identifier: Apache-2.0
//
// Whole files in and out, with errors that name them.
#pragma once
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "tessera/core/error.hpp"

namespace tessera::io {

// Throws InputError.  "-" is standard input.
inline std::string read_file(const std::string& path) {
  const auto close = [](std::FILE* file) {
    if (file != stdin) std::fclose(file);
  };
  errno = 0;
  const std::unique_ptr<std::FILE, decltype(close)> file(
      path == "-" ? stdin : std::fopen(path.c_str(), "rb"), close);
  if (!file) throw InputError(path, std::strerror(errno));
  std::string text;
  constexpr std::size_t chunk = std::size_t{1} << 20U;
  while (true) {
    const std::size_t size = text.size();
    text.resize(size + chunk);
    const std::size_t count = std::fread(text.data() + size, 1, chunk, file.get());
    text.resize(size + count);
    if (count == 0) break;
  }
  if (std::ferror(file.get()) != 0) throw InputError(path, std::strerror(errno));
  return text;
}

// Writes beside the file and renames, so that no half-written file is ever left behind.
// Throws InputError.
inline void write_file(const std::string& path, std::string_view text) {
  const std::string part = path + ".part";
  errno = 0;
  {
    std::ofstream file(part, std::ios::binary | std::ios::trunc);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    file.close();
    if (!file) {
      const std::string why = errno != 0 ? std::strerror(errno) : "can not be written";
      std::remove(part.c_str());
      throw InputError(path, why);
    }
  }
  if (std::rename(part.c_str(), path.c_str()) != 0) {
    const std::string why = std::strerror(errno);
    std::remove(part.c_str());
    throw InputError(path, why);
  }
}

}  // namespace tessera::io
