// SPDX-License-Identifier: Apache-2.0
//
// Models by name, as a command line gives them:
//
//   gpt-39b                                     a size from a paper
//   gpt-39b:batch=64,precision=f16              the same, with some settings replaced
//   gpt:layers=24,hidden=2304,heads=24          a family; other settings keep their defaults
//
// Sizes from papers are written in this language too, in one table.  Their batch is that of one
// pass in the published run: the microbatch of each data-parallel replica, times replicas.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::models {

/// A size from a paper.
struct Preset {
  std::string_view name;     ///< "gpt-39b"
  std::string_view meaning;  ///< "gpt:layers=48,hidden=8192,..."
};

/// All sizes from papers.
std::span<const Preset> presets();

/// The names that build() knows, families first.
std::vector<std::string> names();

/// Builds the program that a text names.
/// @param source what error messages begin with, such as the option that the text comes from
/// @throws InputError if a name, setting or value is unknown (it lists the known ones), or if the
///   sizes are inconsistent.
graph::Graph build(std::string_view text, const std::string& source = "model");

}  // namespace tessera::models

#ifdef TESSERA_HEADER_ONLY
#include "tessera/models/catalogue.ipp"
#endif
