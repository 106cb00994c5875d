// SPDX-License-Identifier: Apache-2.0
//
// An HLO module as a Graph: every op gets its rule, and tuples, calls and barriers dissolve into
// plain data flow.
//
// Called computations become part of the graph where they are called: calls and fusions once per
// call site (inside a fusion only the result reaches memory), a loop's body once, around states
// that tie its values together, a conditional's branches one after the other.  Reducers are
// recognised, not run.  The places of each instruction's results in the graph are remembered, so
// that a plan can be written back.
//
// The scope of an instruction, by its metadata or by the last marker before it in the text, becomes
// the scope of its ops (Op::scope); so does the hint that its result has no buffer.
//
// Batch normalisations become sums over all dims but one, and ops element by element, so that the
// sums can be partial sums like any others.  An op of an opcode without a rule is kept
// whole on every device, and reported.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/module.hpp"
#include "tessera/io/hlo/program.hpp"

namespace tessera::io::hlo {

/// Makes a graph of a module.
/// @throws InputError, at the instruction, where the module can not be planned: dims of unknown
///   size, aliases that do not fit, more than a million ops with every call written out
/// O(instructions, each as often as it is called)
Program import_module(const Module& module, const ImportOptions& options = {});

/// Throws InputError, with the place of the instruction that the op comes from.
[[noreturn]] void fail_at_op(const Module& module, const Program& program, graph::OpId op,
                             const std::string& message);

/// The ops that an instruction became, in all places; none where it dissolved.
std::vector<graph::OpId> ops_of(const Program& program, std::uint32_t computation,
                                std::size_t instruction);

}  // namespace tessera::io::hlo

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/importer.ipp"
#endif
