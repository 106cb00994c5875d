// SPDX-License-Identifier: Apache-2.0
//
// Every opcode that can be read: how many operands it takes, which attributes it needs, and the
// functions that know its shape, its rule and its attributes.
//
// Names are those of graph/opcodes.def.  The functions stand in ops/, one file for each family of
// ops; the table in opcode_table.ipp has a line for each opcode.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tessera/core/inline.hpp"
#include "tessera/io/hlo/detail/site.hpp"

namespace tessera::io::hlo::detail {

struct OpcodeEntry {
  Opcode opcode = Opcode::unknown;
  std::int8_t min_operands = 0;
  std::int8_t max_operands = 0;                // negative: any number
  bool infers_shape = false;                   // the text may leave the result's shape out
  ShapeFunction shape = nullptr;               // null: only the text has it
  RuleFunction rule = nullptr;                 // null: dissolved by the importer, or kept whole
  AttributesFunction attributes = nullptr;     // null: the opcode says it all
  std::array<std::string_view, 6> required{};  // attributes
};

// All of them, sorted by name.
std::span<const OpcodeEntry> opcode_entries();

// Null where HLO has no opcode of that name.  Any opcode may also be started and awaited: X-start,
// X-update and X-done are known for every X that is, with Opcode::unknown.  O(log opcodes)
const OpcodeEntry* find_opcode(std::string_view spelling);

// Of an instruction that was read.
const OpcodeEntry& entry_of(const Instruction& instruction);

// Whether an op of this opcode is always kept whole, as no more is known of it.
bool is_opaque(const OpcodeEntry& entry);

// The instruction's rule; nothing where it has none.
// @pre the tensors are the instruction's
std::optional<graph::Rule> rule_of(const RuleSite& site);

// The attributes of the op: what its opcode leaves open.  Empty where that is nothing, or is not
// understood.  `operand_rank`: of operand 0, if there is one.
graph::Attributes attributes_of(const Module& module, const Instruction& instruction,
                                std::size_t operand_rank);

}  // namespace tessera::io::hlo::detail

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/detail/opcode_table.ipp"
#endif
