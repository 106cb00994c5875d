// SPDX-License-Identifier: Apache-2.0
//
// The bodies of scopes.hpp.
#pragma once
#include "tessera/io/hlo/detail/scopes.hpp"

#include <cstddef>
#include <vector>

#include "tessera/core/text.hpp"

namespace tessera::io::hlo::detail {

TESSERA_INLINE std::string_view quoted_in(std::string_view fields, std::string_view name) {
  for (std::size_t at = 0; at < fields.size(); ++at) {
    if (fields[at] == '"') {  // skips what is quoted
      for (++at; at < fields.size() && fields[at] != '"'; ++at) at += fields[at] == '\\' ? 1 : 0;
      continue;
    }
    const bool is_here = at > 0 && std::string_view("{ ,").find(fields[at - 1]) < 3 &&
                         fields.substr(at).starts_with(name) &&
                         fields.substr(at + name.size()).starts_with("=\"");
    if (!is_here) continue;
    const std::size_t begin = at + name.size() + 2;
    std::size_t end = begin;
    while (end < fields.size() && fields[end] != '"') end += fields[end] == '\\' ? 2 : 1;
    return end < fields.size() ? fields.substr(begin, end - begin) : std::string_view();
  }
  return {};
}

TESSERA_INLINE std::string scope_in(std::string_view op_name) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (std::size_t at = 0; at <= op_name.size(); ++at) {
    const char c = at < op_name.size() ? op_name[at] : '/';
    if (c != '/' && c != '(' && c != ')') continue;
    const std::string_view word = op_name.substr(begin, at - begin);
    if (c == '(' && (word == "jit" || word == "pjit")) {
      int depth = 1;
      while (depth > 0 && ++at < op_name.size())
        depth += op_name[at] == '(' ? 1 : op_name[at] == ')' ? -1 : 0;
    } else if (c != '(' && !word.empty()) {
      parts.push_back(word);
    }
    begin = at + 1;
  }
  if (!op_name.empty() && op_name.back() != ')' && !parts.empty()) parts.pop_back();
  return joined(parts, "/", [](std::string_view part) { return std::string(part); });
}

}  // namespace tessera::io::hlo::detail
