// SPDX-License-Identifier: Apache-2.0
//
// A Graph as HLO text, which the reader and the importer turn into an equal graph.
//
// Ops become instructions of one entry computation, in order and under their own names; reducers
// and comparators become computations of their own; the root is a tuple of the outputs.  An op
// without a buffer has a hint of it (detail/hints.hpp).  Two things that only the importer makes
// have no text: loop states, and the names of ops that were inside a fusion.  A module that was
// read is written back by emit.hpp.
#pragma once
#include <string>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::io::hlo {

/// The program as an HLO module of this name; constants are written in full.
/// @throws InvalidArgument, naming the op, where one has no text: its attributes are not known, or
///   it was part of a loop or a fusion
/// O(size)
std::string write_hlo(const graph::Graph& graph, const std::string& name = "program");

}  // namespace tessera::io::hlo

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/writer.ipp"
#endif
