// SPDX-License-Identifier: Apache-2.0
//
// Reads HLO text: structure, names, shapes and the grammars of attributes.
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo {

/// The choices of a reading.
struct ReadOptions {
  /// Accepts, with a warning, what hand-edited dumps contain: undefined operands, missing called
  /// computations, bodies that are never closed.
  bool lenient = false;
};

/// Reads a module.  `source` is the name of the text in messages.
/// @post every instruction has the shape that follows from its operands and attributes, every
///   reference is resolved, and the values of known attributes have their grammar
/// @throws InputError with line, column and the text at fault
/// O(text)
Module read_module(std::string text, std::string source, const ReadOptions& options = {});

}  // namespace tessera::io::hlo

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/reader.ipp"
#endif
