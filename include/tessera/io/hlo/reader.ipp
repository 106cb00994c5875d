// SPDX-License-Identifier: Apache-2.0
//
// The bodies of reader.hpp: a recursive descent, whose state is one struct.
#pragma once
#include "tessera/io/hlo/reader.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"
#include "tessera/io/hlo/detail/attribute_grammar.hpp"
#include "tessera/io/hlo/detail/literal.hpp"
#include "tessera/io/hlo/detail/opcode_table.hpp"
#include "tessera/io/hlo/detail/scanner.hpp"
#include "tessera/io/hlo/detail/shape_text.hpp"
#include "tessera/io/hlo/detail/shapes.hpp"

namespace tessera::io::hlo {

namespace detail {

inline constexpr int max_body_nesting = 20;  // of computations written inside attributes
inline constexpr std::size_t max_inferred_parts = 4'000'000;

struct ReadState {
  Module& module;
  const ReadOptions& options;
  Scanner scan;
  std::optional<std::uint32_t> entry = {};
  std::unordered_map<std::string, std::uint32_t> computation_ids = {};
  int body_nesting = 0;
  std::size_t inferred_parts = 0;             // of all shapes that the text leaves out
  std::vector<std::size_t> line_begins = {};  // once there are warnings
};

// The computation that is being read.  Names are those of its instructions, in the module's text.
struct OpenBody {
  Computation& computation;
  std::unordered_map<std::string_view, std::uint32_t> names = {};
  std::optional<std::uint32_t> root = {};
};

// An inline computation may be the value of an attribute.
void read_body(ReadState& state, Computation& computation);

// --- Warnings
// -------------------------------------------------------------------------------------

// Warnings may be as many as lines, so the lines are counted once.
TESSERA_INLINE Position line_and_column(ReadState& state, std::size_t at) {
  std::vector<std::size_t>& begins = state.line_begins;
  if (begins.empty()) {
    begins.push_back(0);
    for (std::size_t i = 0; i < state.module.text.size(); ++i)
      if (state.module.text[i] == '\n') begins.push_back(i + 1);
  }
  const auto next = std::upper_bound(begins.begin(), begins.end(), at);
  return {static_cast<std::size_t>(next - begins.begin()), at - *(next - 1) + 1};
}

// Throws InputError, unless the reading is lenient and the text can be given a meaning.
TESSERA_INLINE void warn(ReadState& state, std::size_t at, const std::string& message,
                         bool has_meaning = true) {
  if (!state.options.lenient || !has_meaning) state.scan.fail_at(at, message);
  const Position position = line_and_column(state, at);
  state.module.warnings.push_back(state.module.source + ':' + std::to_string(position.line) + ':' +
                                  std::to_string(position.column) + ": " + message);
}

// --- Attributes
// -----------------------------------------------------------------------------------

TESSERA_INLINE Attribute read_attribute(Scanner& scan, const std::vector<Attribute>& before,
                                        AttributeKind* kind_of_value = nullptr) {
  scan.skip_space();
  const std::size_t at = scan.at();
  Attribute attribute;
  attribute.name = scan.identifier("an attribute");
  for (const Attribute& other : before)
    if (other.name == attribute.name)
      scan.fail_at(at, "attribute " + shown_name(attribute.name) + " is repeated");
  scan.expect('=', "after an attribute's name");
  scan.skip_space();
  const std::size_t begin = scan.at();
  const AttributeKind kind = attribute_kind(attribute.name);
  check_value(scan, kind);
  attribute.value = {begin, scan.at()};
  if (kind_of_value != nullptr) *kind_of_value = kind;
  return attribute;
}

// Of the attribute that is added to the instruction next.
TESSERA_INLINE void add_call(Instruction& instruction, std::uint32_t computation) {
  instruction.called.push_back(computation);
  instruction.called_in.push_back(static_cast<std::uint32_t>(instruction.attributes.size()));
}

TESSERA_INLINE void read_call(ReadState& state, Instruction& instruction) {
  state.scan.skip_space();
  const std::size_t at = state.scan.at();
  const std::string_view name = state.scan.name("a computation's name");
  const auto found = state.computation_ids.find(std::string(name));
  if (found == state.computation_ids.end())
    warn(
        state, at,
        "computation " + shown_name(name) + " is not defined (computations come before their use)");
  add_call(instruction, found == state.computation_ids.end() ? missing_computation : found->second);
}

TESSERA_INLINE std::uint32_t read_inline_computation(ReadState& state, const Instruction& caller) {
  Computation computation;
  computation.at = state.scan.at();
  computation.name = caller.name + ".inline." + std::to_string(state.module.computations.size());
  read_body(state, computation);
  const auto id = static_cast<std::uint32_t>(state.module.computations.size());
  state.module.computations.push_back(std::move(computation));
  return id;
}

// The computations that an attribute names, or holds.
TESSERA_INLINE void read_calls(ReadState& state, Instruction& instruction,
                               const Attribute& attribute, AttributeKind kind) {
  Scanner& scan = state.scan;
  const std::size_t after = scan.at();
  scan.go_to(attribute.value.begin);
  if (kind == AttributeKind::computation && scan.peek() == '{') {
    add_call(instruction, read_inline_computation(state, instruction));
  } else if (scan.take('{')) {
    while (!scan.take('}')) {
      read_call(state, instruction);
      if (!scan.take(',') && scan.peek() != '}') scan.fail("',' or '}' after a computation");
    }
  } else {
    read_call(state, instruction);
  }
  scan.go_to(after);
}

TESSERA_INLINE void read_attributes(ReadState& state, Instruction& instruction) {
  while (state.scan.take(',')) {
    AttributeKind kind = AttributeKind::text;
    Attribute attribute = read_attribute(state.scan, instruction.attributes, &kind);
    if (kind == AttributeKind::computation || kind == AttributeKind::computations)
      read_calls(state, instruction, attribute, kind);
    instruction.attributes.push_back(std::move(attribute));
  }
}

// --- Operands and opcodes
// -------------------------------------------------------------------------

std::uint32_t read_operand(ReadState& state, OpenBody& body, int depth);

TESSERA_INLINE std::uint32_t append(OpenBody& body, Instruction instruction) {
  const auto id = static_cast<std::uint32_t>(body.computation.instructions.size());
  body.computation.instructions.push_back(std::move(instruction));
  return id;
}

TESSERA_INLINE void check_operand_count(const Scanner& scan, const OpcodeEntry& entry,
                                        const Instruction& instruction, std::size_t at) {
  const std::size_t count = instruction.operands.size();
  if (count >= static_cast<std::size_t>(entry.min_operands) &&
      (entry.max_operands < 0 || count <= static_cast<std::size_t>(entry.max_operands)))
    return;
  std::string wanted = std::to_string(entry.min_operands);
  if (entry.max_operands < 0)
    wanted += " or more";
  else if (entry.max_operands != entry.min_operands)
    wanted += " to " + std::to_string(entry.max_operands);
  scan.fail_at(
      at, instruction.spelling + " takes " + wanted + " operands, not " + std::to_string(count));
}

// Reads the text between the parentheses.
TESSERA_INLINE void read_arguments(ReadState& state, OpenBody& body, Instruction& instruction,
                                   const std::optional<Shape>& declared, int depth) {
  Scanner& scan = state.scan;
  if (instruction.opcode == Opcode::parameter) {
    const std::size_t number_at = scan.at();
    instruction.parameter = scan.integer("a parameter's number");
    if (*instruction.parameter < 0) scan.fail_at(number_at, "a negative parameter number");
  } else if (instruction.opcode == Opcode::constant) {
    instruction.literal = scan_literal(scan, *declared);
  } else if (scan.peek() != ')') {
    do instruction.operands.push_back(read_operand(state, body, depth));
    while (scan.take(','));
  }
}

// opcode(arguments)
TESSERA_INLINE void read_operation(ReadState& state, OpenBody& body, Instruction& instruction,
                                   const std::optional<Shape>& declared, int depth) {
  Scanner& scan = state.scan;
  if (depth > Scanner::max_nesting) scan.fail_at(scan.at(), "instructions nest too deeply");
  scan.skip_space();
  const std::size_t at = scan.at();
  instruction.spelling = scan.identifier("an opcode");
  const OpcodeEntry* const entry = find_opcode(instruction.spelling);
  if (entry == nullptr) scan.fail_at(at, "unknown opcode " + excerpt(instruction.spelling));
  instruction.opcode = entry->opcode;
  if (!declared && !entry->infers_shape)
    scan.fail_at(at, "the result shape of " + instruction.spelling + " must be given");
  scan.expect('(', "after an opcode");
  read_arguments(state, body, instruction, declared, depth);
  scan.expect(')', "after the arguments of an instruction");
  instruction.arguments_end = scan.at();
  check_operand_count(scan, *entry, instruction, at);
}

// Once its attributes are known.
TESSERA_INLINE void settle(ReadState& state, const Computation& computation,
                           Instruction& instruction, const std::optional<Shape>& declared) {
  for (const std::string_view required : entry_of(instruction).required)
    if (!required.empty() && instruction.find(required) == nullptr)
      state.scan.fail_at(instruction.at, shown_name(instruction.name) + ": " +
                                             instruction.spelling + " needs the attribute " +
                                             std::string(required));
  settle_shape(state.module, computation, instruction, declared);
  if (declared) return;
  // Every shape that the text leaves out may be as large as all that it spells out.
  state.inferred_parts += size_of(instruction.shape).parts;
  if (state.inferred_parts > max_inferred_parts)
    state.scan.fail_at(instruction.at, "the shapes that the text leaves out have over " +
                                           std::to_string(max_inferred_parts) + " parts");
}

// An instruction written in place of an operand; it has no name and no attributes.
TESSERA_INLINE std::uint32_t read_nested(ReadState& state, OpenBody& body,
                                         const std::optional<Shape>& declared, std::size_t begin,
                                         int depth) {
  Instruction instruction;
  instruction.at = begin;
  instruction.is_nested = true;
  read_operation(state, body, instruction, declared, depth + 1);
  instruction.name = instruction.spelling + ".nested." +
                     std::to_string(body.computation.instructions.size());
  settle(state, body.computation, instruction, declared);
  return append(body, std::move(instruction));
}

// Takes the place of an operand that is not defined, where the reading is lenient.
TESSERA_INLINE std::uint32_t add_stand_in(ReadState& state, OpenBody& body, std::string_view name,
                                          const std::optional<Shape>& declared, std::size_t at) {
  warn(state, at,
       "operand " + shown_name(name) + " is not defined (a definition comes before its use)",
       declared.has_value());
  Instruction stand_in;
  stand_in.name = name;
  stand_in.opcode = Opcode::custom_call;
  stand_in.spelling = "custom-call";
  stand_in.shape = *declared;
  stand_in.at = at;
  stand_in.is_nested = stand_in.is_stand_in = true;
  const std::uint32_t id = append(body, std::move(stand_in));
  body.names.emplace(name, id);
  return id;
}

TESSERA_INLINE std::optional<Shape> read_declared_shape(Scanner& scan) {
  if (!at_shape(scan)) return std::nullopt;
  return read_shape(scan);
}

TESSERA_INLINE std::uint32_t read_operand(ReadState& state, OpenBody& body, int depth) {
  Scanner& scan = state.scan;
  scan.skip_space();
  const std::size_t begin = scan.at();
  const std::optional<Shape> declared = read_declared_shape(scan);
  scan.skip_space();
  const std::size_t name_at = scan.at();
  const bool has_percent = scan.here() == '%';
  const std::string_view name = scan.name("an operand");
  if (!has_percent && scan.peek() == '(') {
    scan.go_to(name_at);
    return read_nested(state, body, declared, begin, depth);
  }
  const auto found = body.names.find(name);
  if (found == body.names.end()) return add_stand_in(state, body, name, declared, name_at);
  const Shape& actual = body.computation.instructions[found->second].shape;
  if (declared && !(*declared == actual))
    scan.fail_at(begin, "operand " + shown_name(name) + " is declared " + to_string(*declared) +
                            ", but it is " + to_string(actual));
  return found->second;
}

// --- Instructions
// ---------------------------------------------------------------------------------

// A stand-in of that name makes way: from here on the name means the new instruction.
TESSERA_INLINE void define(const Scanner& scan, OpenBody& body, std::string_view name,
                           std::uint32_t id, std::size_t at) {
  const auto [known, is_new] = body.names.emplace(name, id);
  if (is_new) return;
  Instruction& earlier = body.computation.instructions[known->second];
  if (!earlier.is_stand_in)
    scan.fail_at(at, shown_name(name) + " is defined twice in computation " +
                         shown_name(body.computation.name));
  earlier.name += ".undefined";
  known->second = id;
}

// Whether the next instruction is marked as the root.
TESSERA_INLINE bool take_root(Scanner& scan, const OpenBody& body) {
  const std::size_t begin = scan.at();
  if (scan.peek_identifier() != "ROOT") return false;
  scan.identifier("ROOT");
  if (body.root)
    scan.fail_at(begin, "a second ROOT in computation " + shown_name(body.computation.name));
  return true;
}

TESSERA_INLINE void read_instruction(ReadState& state, OpenBody& body) {
  Scanner& scan = state.scan;
  const bool is_root = take_root(scan, body);
  scan.skip_space();
  Instruction instruction;
  instruction.at = scan.at();
  const std::string_view name = scan.name("an instruction's name");
  if (scan.here() == '=' && state.module.text[instruction.at] != '%')
    scan.fail_at(instruction.at,
                 shown_name(name) + " is written as an attribute; put a space before '='");
  instruction.name = name;
  scan.expect('=', "after an instruction's name");
  const std::optional<Shape> declared = read_declared_shape(scan);
  read_operation(state, body, instruction, declared, 0);
  read_attributes(state, instruction);
  settle(state, body.computation, instruction, declared);
  const auto id = static_cast<std::uint32_t>(body.computation.instructions.size());
  if (is_root) body.root = id;
  define(scan, body, name, id, instruction.at);
  append(body, std::move(instruction));
}

// --- Computations
// ---------------------------------------------------------------------------------

// "%name (" or "%name {" at the start of a line, where an instruction would have "=".
TESSERA_INLINE bool at_computation_header(Scanner& scan) {
  const std::size_t begin = scan.at();
  bool result = false;
  if (scan.here() == '%' || Scanner::is_name_start(scan.here())) {
    scan.name("a name");
    result = scan.peek() == '(' || scan.peek() == '{';
  }
  scan.go_to(begin);
  return result;
}

// A lenient reading takes the end of the text, or the next computation's header, for the brace.
TESSERA_INLINE bool ends_unclosed(ReadState& state, const Computation& computation,
                                  std::size_t begin) {
  Scanner& scan = state.scan;
  const bool is_header = !computation.instructions.empty() &&
                         (scan.peek_identifier() == "ENTRY" || at_computation_header(scan));
  if (!scan.at_end() && !is_header) return false;
  warn(state, begin,
       "the body of computation " + shown_name(computation.name) + " is never closed");
  return true;
}

TESSERA_INLINE void number_parameters(const Scanner& scan, Computation& computation) {
  std::map<std::int64_t, std::uint32_t> by_number;
  for (std::uint32_t i = 0; i < computation.instructions.size(); ++i) {
    const Instruction& instruction = computation.instructions[i];
    if (!instruction.parameter) continue;
    if (!by_number.emplace(*instruction.parameter, i).second)
      scan.fail_at(instruction.at,
                   "parameter " + std::to_string(*instruction.parameter) + " is defined twice");
  }
  for (const auto& [number, i] : by_number) {
    if (number != static_cast<std::int64_t>(computation.parameters.size()))
      scan.fail_at(computation.instructions[i].at,
                   "parameter " + std::to_string(computation.parameters.size()) +
                       " is missing, but there is parameter " + std::to_string(number));
    computation.parameters.push_back(i);
  }
}

TESSERA_INLINE void read_body(ReadState& state, Computation& computation) {
  Scanner& scan = state.scan;
  scan.skip_space();
  const std::size_t begin = scan.at();
  scan.expect('{', "before a computation's body");
  if (++state.body_nesting > max_body_nesting) scan.fail_at(begin, "computations nest too deeply");
  OpenBody body{computation};
  while (!scan.take('}')) {
    if (ends_unclosed(state, computation, begin)) break;
    read_instruction(state, body);
  }
  --state.body_nesting;
  const std::size_t count = computation.instructions.size();
  if (count == 0) scan.fail_at(begin, "computation " + shown_name(computation.name) + " is empty");
  computation.root = body.root.value_or(static_cast<std::uint32_t>(count - 1));
  number_parameters(scan, computation);
}

// The parameters and the result before a body, which may be left out.  Returns the result's shape.
TESSERA_INLINE std::optional<Shape> read_signature(Scanner& scan) {
  if (!scan.take('(')) return std::nullopt;
  if (!scan.take(')')) {
    do {
      scan.name("a parameter of the signature");
      scan.expect(':', "after a parameter's name");
      read_shape(scan);
    } while (scan.take(','));
    scan.expect(')', "after the signature's parameters");
  }
  if (!scan.take("->")) scan.fail("'->' before the signature's result");
  return read_shape(scan);
}

TESSERA_INLINE Computation read_named_computation(ReadState& state) {
  Scanner& scan = state.scan;
  scan.skip_space();
  Computation computation;
  computation.at = scan.at();
  computation.name = scan.name("a computation");
  if (state.computation_ids.contains(computation.name))
    scan.fail_at(computation.at,
                 "computation " + shown_name(computation.name) + " is defined twice");
  const std::optional<Shape> result = read_signature(scan);
  read_body(state, computation);
  const Shape& root = computation.instructions[computation.root].shape;
  if (result && !(*result == root))
    scan.fail_at(computation.at, "the signature promises " + to_string(*result) +
                                     ", but the root is " + to_string(root));
  if (scan.take(',')) read_attribute(scan, {});  // execution_thread
  return computation;
}

TESSERA_INLINE void read_computation(ReadState& state) {
  const bool is_entry = state.scan.peek_identifier() == "ENTRY";
  const std::size_t begin = state.scan.at();
  if (is_entry) state.scan.identifier("ENTRY");
  if (is_entry && state.entry) state.scan.fail_at(begin, "a second ENTRY; a module has one");
  Computation computation = read_named_computation(state);
  const auto id = static_cast<std::uint32_t>(state.module.computations.size());
  if (is_entry) state.entry = id;
  state.computation_ids.emplace(computation.name, id);
  state.module.computations.push_back(std::move(computation));
}

// --- Header
// ---------------------------------------------------------------------------------------

// {0}: (2, {}, must-alias)
TESSERA_INLINE AliasEntry read_alias(Scanner& scan) {
  AliasEntry entry;
  scan.skip_space();
  entry.at = scan.at();
  entry.output_index = read_int_list(scan);
  scan.expect(':', "after an output's index");
  scan.expect('(', "before an aliased parameter");
  entry.parameter = scan.integer("a parameter's number");
  if (scan.take(',')) {
    entry.parameter_index = read_int_list(scan);
    if (scan.take(',')) scan.identifier("may-alias or must-alias");
  }
  scan.expect(')', "after an aliased parameter");
  return entry;
}

TESSERA_INLINE void read_aliases(ReadState& state, Extract value) {
  Scanner& scan = state.scan;
  const std::size_t after = scan.at();
  scan.go_to(value.begin);
  scan.expect('{', "before aliases");
  while (!scan.take('}')) {
    state.module.aliases.push_back(read_alias(scan));
    scan.take(',');
  }
  scan.go_to(after);
}

TESSERA_INLINE void read_header(ReadState& state) {
  if (state.scan.peek_identifier() != "HloModule") return;
  state.scan.identifier("HloModule");
  state.module.name = state.scan.name("the module's name");
  while (state.scan.take(',')) {
    const Attribute attribute = read_attribute(state.scan, state.module.attributes);
    if (attribute.name == "input_output_alias") read_aliases(state, attribute.value);
    state.module.attributes.push_back(attribute);
  }
}

// Skips tables of file names and stack frames.
TESSERA_INLINE void skip_stack_tables(Scanner& scan) {
  while (true) {
    const std::string_view word = scan.peek_identifier();
    if (word != "FileNames" && word != "FunctionNames" && word != "FileLocations" &&
        word != "StackFrames")
      return;
    scan.identifier("a table");
    while (Scanner::is_digit(scan.peek())) {
      scan.integer("a number");
      scan.value();
    }
  }
}

}  // namespace detail

TESSERA_INLINE Module read_module(std::string text, std::string source,
                                  const ReadOptions& options) {
  Module module;
  module.text = std::move(text);
  module.source = std::move(source);
  detail::ReadState state{module, options, detail::Scanner(module.text, module.source)};
  if (const std::size_t at = module.text.find('\0'); at != std::string::npos)
    state.scan.fail_at(at, "a NUL byte");
  detail::read_header(state);
  detail::skip_stack_tables(state.scan);
  while (!state.scan.at_end()) detail::read_computation(state);
  if (module.computations.empty()) state.scan.fail("a computation");
  module.entry = state.entry.value_or(static_cast<std::uint32_t>(module.computations.size() - 1));
  return module;
}

}  // namespace tessera::io::hlo
