// SPDX-License-Identifier: Apache-2.0
//
// The bodies of file.hpp.
#pragma once
#include "tessera/io/file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <system_error>
#include <utility>

#include "tessera/core/error.hpp"

namespace tessera::io {

TESSERA_INLINE std::string read_file(const std::string& path) {
  const auto close = [](std::FILE* file) {
    if (file != stdin) std::fclose(file);
  };
  errno = 0;
  const std::unique_ptr<std::FILE, decltype(close)> file(
      path == "-" ? stdin : std::fopen(path.c_str(), "rb"), close);
  if (!file) throw InputError(path, std::strerror(errno));
  std::string text;
  constexpr std::size_t chunk = std::size_t{1} << 20U;
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored))  // large ones are not to be held twice
    text.reserve(static_cast<std::size_t>(std::filesystem::file_size(path, ignored)) + chunk);
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

namespace detail {

// The file that a path leads to: a symbolic link stands for what it points to, even if that is not
// there yet.
TESSERA_INLINE std::filesystem::path target_of(const std::string& path) {
  constexpr int max_links = 40;
  std::filesystem::path target = path;
  std::error_code error;
  for (int i = 0; i < max_links && std::filesystem::is_symlink(target, error); ++i)
    target = target.parent_path() / std::filesystem::read_symlink(target, error);
  return target;
}

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

TESSERA_INLINE File open_file(const std::filesystem::path& path, const char* mode) {
  errno = 0;
  return {std::fopen(path.c_str(), mode), &std::fclose};
}

[[noreturn]] TESSERA_INLINE void fail_to_write(const std::string& path) {
  throw InputError(path, errno != 0 ? std::strerror(errno) : "can not be written");
}

TESSERA_INLINE void write_all(const std::string& path, File file, std::string_view text) {
  if (!file) fail_to_write(path);
  const bool is_written = std::fwrite(text.data(), 1, text.size(), file.get()) == text.size();
  if (std::fclose(file.release()) != 0 || !is_written) fail_to_write(path);
}

// A new file in the folder of `target`; `name` says which.
TESSERA_INLINE File open_beside(const std::filesystem::path& target, std::filesystem::path& name) {
  constexpr int max_tries = 1000;
  for (int i = 0; i < max_tries; ++i) {
    const std::string unique = std::to_string(std::random_device()());
    name = target.parent_path() / (".tessera-" + unique + ".part");
    File file = open_file(name, "wbx");
    if (file || errno != EEXIST) return file;
  }
  return {nullptr, &std::fclose};
}

// Where to write, and how.  Throws InputError where it can be known that this will fail.
struct Target {
  std::filesystem::path path;
  std::filesystem::file_status status;

  explicit Target(const std::string& name) : path(name) {
    std::error_code ignored;
    status = std::filesystem::status(path, ignored);  // of what links lead to
    if (std::filesystem::is_directory(status)) throw InputError(name, std::strerror(EISDIR));
    if (is_stream()) return;
    path = target_of(name);
    if (is_file() && !open_file(path, "r+b")) fail_to_write(name);
  }
  bool is_file() const { return std::filesystem::is_regular_file(status); }
  // Devices and pipes, which are written to directly.
  bool is_stream() const { return std::filesystem::exists(status) && !is_file(); }
};

}  // namespace detail

TESSERA_INLINE void write_file(const std::string& path, std::string_view text) {
  const detail::Target target(path);
  if (target.is_stream()) {
    detail::write_all(path, detail::open_file(target.path, "wb"), text);
    return;
  }
  std::filesystem::path part;
  detail::File file = detail::open_beside(target.path, part);
  if (!file) detail::fail_to_write(path);
  std::error_code error;
  try {
    detail::write_all(path, std::move(file), text);
    if (target.is_file()) std::filesystem::permissions(part, target.status.permissions(), error);
    if (!error) std::filesystem::rename(part, target.path, error);
    if (error) throw InputError(path, error.message());
  } catch (const InputError&) {
    std::filesystem::remove(part, error);
    throw;
  }
}

TESSERA_INLINE void check_writable(const std::string& path) {
  const detail::Target target(path);
  if (target.is_stream()) return;
  std::filesystem::path part;
  if (!detail::open_beside(target.path, part)) detail::fail_to_write(path);
  std::error_code ignored;
  std::filesystem::remove(part, ignored);
}

}  // namespace tessera::io
