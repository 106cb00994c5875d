// SPDX-License-Identifier: Apache-2.0
// Files that tests read: the project's own, and those beside it, which users do not have.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace tessera_test {

inline std::string model_file(const std::string& name) {
  return TESSERA_SOURCE_DIR "/examples/models/" + name;
}

// Where a shared file is; nothing, and a message, where it is missing.
inline std::optional<std::string> shared_file(const std::string& name) {
  const std::filesystem::path path = std::filesystem::path(TESSERA_SOURCE_DIR) / ".." / "shared" /
                                     name;
  if (std::filesystem::exists(path)) return path.string();
  MESSAGE("skipped: shared/" << name << " is not here");
  return std::nullopt;
}

}  // namespace tessera_test
