// SPDX-License-Identifier: Apache-2.0
//
// HLO text to a Module: structure, names and attribute grammars.  Shapes are checked by
// detail/shapes.hpp, which fills in those that the text leaves out.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tessera/io/hlo/detail/attributes.hpp"
#include "tessera/io/hlo/detail/opcodes.hpp"
#include "tessera/io/hlo/detail/scanner.hpp"
#include "tessera/io/hlo/detail/shapes.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo {

struct ReadOptions {
  // Lets pass, with a warning, what hand-edited dumps contain: undefined operands, missing called
  // computations, bodies that are never closed.
  bool lenient = false;
};

namespace detail {

class Parser {
 public:
  Parser(Module& module, const ReadOptions& options)
      : module_(module), options_(options), scan_(module.text, module.source) {}

  void run() {
    if (module_.text.find('\0') != std::string::npos)
      scan_.fail_at(module_.text.find('\0'), "a NUL byte");
    header();
    stack_tables();
    while (!scan_.at_end()) computation();
    if (module_.computations.empty()) scan_.fail("a computation");
    module_.entry = entry_.value_or(static_cast<std::uint32_t>(module_.computations.size() - 1));
  }

 private:
  // --- Header ------------------------------------------------------------------------------------

  void header() {
    if (scan_.peek_identifier() != "HloModule") return;
    scan_.identifier("HloModule");
    module_.name = scan_.name("the module's name");
    while (scan_.take(',')) {
      const Attribute attribute = attribute_name_and_value(module_.attributes);
      if (attribute.name == "input_output_alias") aliases(attribute.value);
      module_.attributes.push_back(attribute);
    }
  }

  // { {0}: (2, {}, must-alias), {1}: (1, {}) }
  void aliases(Extract value) {
    const std::size_t after = scan_.at();
    scan_.go_to(value.begin);
    AttributeReader read(scan_);
    scan_.expect('{', "before aliases");
    while (!scan_.take('}')) {
      AliasEntry entry;
      scan_.skip_space();
      entry.at = scan_.at();
      entry.output_index = read.int_list();
      scan_.expect(':', "after an output's index");
      scan_.expect('(', "before an aliased parameter");
      entry.parameter = scan_.integer("a parameter's number");
      if (scan_.take(',')) {
        entry.parameter_index = read.int_list();
        if (scan_.take(',')) scan_.identifier("may-alias or must-alias");
      }
      scan_.expect(')', "after an aliased parameter");
      module_.aliases.push_back(std::move(entry));
      scan_.take(',');
    }
    scan_.go_to(after);
  }

  // Tables of file names and stack frames, which nothing here needs.
  void stack_tables() {
    while (true) {
      const std::string_view word = scan_.peek_identifier();
      if (word != "FileNames" && word != "FunctionNames" && word != "FileLocations" &&
          word != "StackFrames")
        return;
      scan_.identifier("a table");
      while (Scanner::is_digit(scan_.peek())) {
        scan_.integer("a number");
        scan_.value();
      }
    }
  }

  // --- Computations ------------------------------------------------------------------------------

  void computation() {
    const bool is_entry = scan_.peek_identifier() == "ENTRY";
    const std::size_t begin = scan_.at();
    if (is_entry) scan_.identifier("ENTRY");
    scan_.skip_space();
    Computation computation;
    computation.at = scan_.at();
    computation.name = scan_.name("a computation");
    if (is_entry && entry_) scan_.fail_at(begin, "a second ENTRY; a module has one");
    if (computation_ids_.contains(computation.name))
      scan_.fail_at(computation.at,
                    "computation " + shown_name(computation.name) + " is defined twice");
    const std::optional<Shape> result = signature();
    body(computation);
    const Instruction& root = computation.instructions[computation.root];
    if (result && !(*result == root.shape))
      scan_.fail_at(computation.at, "the signature promises " + to_string(*result) +
                                        ", but the root is " + to_string(root.shape));
    if (scan_.take(',')) {
      std::vector<Attribute> ignored;
      attribute_name_and_value(ignored);  // execution_thread
    }
    const auto id = static_cast<std::uint32_t>(module_.computations.size());
    if (is_entry) entry_ = id;
    computation_ids_.emplace(computation.name, id);
    module_.computations.push_back(std::move(computation));
  }

  std::optional<Shape> signature() {
    if (!scan_.take('(')) return std::nullopt;
    if (!scan_.take(')')) {
      do {
        scan_.name("a parameter of the signature");
        scan_.expect(':', "after a parameter's name");
        scan_.shape();
      } while (scan_.take(','));
      scan_.expect(')', "after the signature's parameters");
    }
    if (!scan_.take("->")) scan_.fail("'->' before the signature's result");
    return scan_.shape();
  }

  void body(Computation& computation) {
    scan_.skip_space();
    const std::size_t begin = scan_.at();
    scan_.expect('{', "before a computation's body");
    if (++body_nesting_ > max_body_nesting) scan_.fail_at(begin, "computations nest too deeply");
    Names names;
    std::optional<std::uint32_t> root;
    while (!scan_.take('}')) {
      if (ends_unclosed(computation, begin)) break;
      instruction(computation, names, root);
    }
    --body_nesting_;
    if (computation.instructions.empty())
      scan_.fail_at(begin, "computation " + shown_name(computation.name) + " is empty");
    computation.root =
        root.value_or(static_cast<std::uint32_t>(computation.instructions.size() - 1));
    number_parameters(computation);
  }

  // A lenient reading takes the end of the text, or the next computation's header, for the brace.
  bool ends_unclosed(const Computation& computation, std::size_t begin) {
    const bool is_header = !computation.instructions.empty() &&
                           (scan_.peek_identifier() == "ENTRY" || at_computation_header());
    if (!scan_.at_end() && !is_header) return false;
    if (!options_.lenient)
      scan_.fail_at(begin,
                    "the body of computation " + shown_name(computation.name) + " is never closed");
    warn(begin, "the body of computation " + shown_name(computation.name) + " is never closed");
    return true;
  }
  // "%name (" or "%name {" at the start of a line, where an instruction would have "=".
  bool at_computation_header() {
    const std::size_t begin = scan_.at();
    bool result = false;
    if (scan_.here() == '%' || Scanner::is_name_start(scan_.here())) {
      scan_.name("a name");
      result = scan_.peek() == '(' || scan_.peek() == '{';
    }
    scan_.go_to(begin);
    return result;
  }

  void number_parameters(Computation& computation) {
    std::map<std::int64_t, std::uint32_t> by_number;
    for (std::uint32_t i = 0; i < computation.instructions.size(); ++i) {
      const Instruction& instruction = computation.instructions[i];
      if (!instruction.parameter) continue;
      if (!by_number.emplace(*instruction.parameter, i).second)
        scan_.fail_at(instruction.at,
                      "parameter " + std::to_string(*instruction.parameter) + " is defined twice");
    }
    for (const auto& [number, i] : by_number) {
      if (number != static_cast<std::int64_t>(computation.parameters.size()))
        scan_.fail_at(computation.instructions[i].at,
                      "parameter " + std::to_string(computation.parameters.size()) +
                          " is missing, but there is parameter " + std::to_string(number));
      computation.parameters.push_back(i);
    }
  }

  // --- Instructions ------------------------------------------------------------------------------

  using Names = std::unordered_map<std::string_view, std::uint32_t>;  // into the module's text

  void instruction(Computation& computation, Names& names, std::optional<std::uint32_t>& root) {
    const std::size_t begin = scan_.at();
    bool is_root = false;
    if (scan_.peek_identifier() == "ROOT") {
      scan_.identifier("ROOT");
      is_root = true;
      if (root)
        scan_.fail_at(begin, "a second ROOT in computation " + shown_name(computation.name));
    }
    scan_.skip_space();
    Instruction instruction;
    instruction.at = scan_.at();
    const std::string_view name = scan_.name("an instruction's name");
    if (scan_.here() == '=' && module_.text[instruction.at] != '%')
      scan_.fail_at(instruction.at,
                    shown_name(name) + " is written as an attribute; put a space before '='");
    instruction.name = name;
    scan_.expect('=', "after an instruction's name");
    std::optional<Shape> declared;
    if (scan_.at_shape()) declared = scan_.shape();
    operation(computation, names, instruction, declared, 0);
    attributes(instruction);
    finish(computation, instruction, declared);
    const auto id = static_cast<std::uint32_t>(computation.instructions.size());
    if (is_root) root = id;
    define(computation, names, name, id, instruction.at);
    computation.instructions.push_back(std::move(instruction));
  }

  // Where a stand-in has the name, it makes way: whoever reads the name from here on means this
  // one.
  void define(Computation& computation, Names& names, std::string_view name, std::uint32_t id,
              std::size_t at) {
    const auto [known, is_new] = names.emplace(name, id);
    if (is_new) return;
    Instruction& earlier = computation.instructions[known->second];
    if (!earlier.is_stand_in)
      scan_.fail_at(at, shown_name(name) + " is defined twice in computation " +
                            shown_name(computation.name));
    earlier.name += ".undefined";
    known->second = id;
  }

  // opcode(arguments)
  void operation(Computation& computation, Names& names, Instruction& instruction,
                 const std::optional<Shape>& declared, int depth) {
    if (depth > Scanner::max_nesting) scan_.fail_at(scan_.at(), "instructions nest too deeply");
    scan_.skip_space();
    const std::size_t at = scan_.at();
    instruction.opcode = scan_.identifier("an opcode");
    const OpcodeInfo* info = opcode_info(instruction.opcode);
    if (info == nullptr) scan_.fail_at(at, "unknown opcode " + excerpt(instruction.opcode));
    if (!declared && !info->infers_shape)
      scan_.fail_at(at, "the result shape of " + instruction.opcode + " must be given");
    scan_.expect('(', "after an opcode");
    if (info->op_class == OpClass::parameter) {
      const std::size_t number_at = scan_.at();
      instruction.parameter = scan_.integer("a parameter's number");
      if (*instruction.parameter < 0) scan_.fail_at(number_at, "a negative parameter number");
    } else if (info->op_class == OpClass::constant) {
      instruction.literal = scan_.literal(*declared);
    } else {
      operands(computation, names, instruction, depth);
    }
    scan_.expect(')', "after the arguments of an instruction");
    instruction.arguments_end = scan_.at();
    check_count(*info, instruction, at);
  }

  void operands(Computation& computation, Names& names, Instruction& instruction, int depth) {
    if (scan_.peek() == ')') return;
    do instruction.operands.push_back(operand(computation, names, depth));
    while (scan_.take(','));
  }

  std::uint32_t operand(Computation& computation, Names& names, int depth) {
    scan_.skip_space();
    const std::size_t begin = scan_.at();
    std::optional<Shape> declared;
    if (scan_.at_shape()) declared = scan_.shape();
    scan_.skip_space();
    const std::size_t name_at = scan_.at();
    const bool has_percent = scan_.here() == '%';
    const std::string_view name = scan_.name("an operand");
    if (!has_percent && scan_.peek() == '(') {
      scan_.go_to(name_at);
      return nested(computation, names, declared, begin, depth);
    }
    const auto found = names.find(name);
    if (found == names.end()) return undefined(computation, names, name, declared, name_at);
    const Shape& actual = computation.instructions[found->second].shape;
    if (declared && !(*declared == actual))
      scan_.fail_at(begin, "operand " + shown_name(name) + " is declared " + to_string(*declared) +
                               ", but it is " + to_string(actual));
    return found->second;
  }

  // An instruction written in place of an operand; it has no name and no attributes.
  std::uint32_t nested(Computation& computation, Names& names, const std::optional<Shape>& declared,
                       std::size_t begin, int depth) {
    Instruction instruction;
    instruction.at = begin;
    instruction.is_nested = true;
    operation(computation, names, instruction, declared, depth + 1);
    instruction.name = instruction.opcode + ".nested." +
                       std::to_string(computation.instructions.size());
    finish(computation, instruction, declared);
    computation.instructions.push_back(std::move(instruction));
    return static_cast<std::uint32_t>(computation.instructions.size() - 1);
  }

  std::uint32_t undefined(Computation& computation, Names& names, std::string_view name,
                          const std::optional<Shape>& declared, std::size_t at) {
    const std::string message = "operand " + shown_name(name) +
                                " is not defined (a definition comes before its use)";
    if (!options_.lenient || !declared) scan_.fail_at(at, message);
    warn(at, message);
    Instruction stand_in;  // a value out of nowhere
    stand_in.name = name;
    stand_in.opcode = "custom-call";
    stand_in.shape = *declared;
    stand_in.at = at;
    stand_in.is_nested = stand_in.is_stand_in = true;
    const auto id = static_cast<std::uint32_t>(computation.instructions.size());
    computation.instructions.push_back(std::move(stand_in));
    names.emplace(name, id);
    return id;
  }

  void check_count(const OpcodeInfo& info, const Instruction& instruction, std::size_t at) const {
    const std::size_t count = instruction.operands.size();
    if (count >= static_cast<std::size_t>(info.min_operands) &&
        (info.max_operands < 0 || count <= static_cast<std::size_t>(info.max_operands)))
      return;
    std::string wanted = std::to_string(info.min_operands);
    if (info.max_operands < 0)
      wanted += " or more";
    else if (info.max_operands != info.min_operands)
      wanted += " to " + std::to_string(info.max_operands);
    scan_.fail_at(
        at, instruction.opcode + " takes " + wanted + " operands, not " + std::to_string(count));
  }

  // --- Attributes --------------------------------------------------------------------------------

  void attributes(Instruction& instruction) {
    while (scan_.take(',')) {
      Attribute attribute = attribute_name_and_value(instruction.attributes);
      read_called(instruction, attribute);
      instruction.attributes.push_back(std::move(attribute));
    }
  }

  Attribute attribute_name_and_value(const std::vector<Attribute>& before) {
    scan_.skip_space();
    const std::size_t at = scan_.at();
    Attribute attribute;
    attribute.name = scan_.identifier("an attribute");
    for (const Attribute& other : before)
      if (other.name == attribute.name)
        scan_.fail_at(at, "attribute " + shown_name(attribute.name) + " is repeated");
    scan_.expect('=', "after an attribute's name");
    scan_.skip_space();
    const std::size_t begin = scan_.at();
    check_value(attribute.name);
    attribute.value = {begin, scan_.at()};
    return attribute;
  }

  void check_value(const std::string& name) {
    const AttributeKind* kind = attribute_kind(name);
    AttributeReader read(scan_);
    if (kind == nullptr) {
      scan_.value();
      return;
    }
    switch (*kind) {
      case AttributeKind::boolean: read.boolean(); break;
      case AttributeKind::integer: scan_.integer("an integer"); break;
      case AttributeKind::number: read.number(); break;
      case AttributeKind::int_list: read.int_list(); break;
      case AttributeKind::int_lists: read.int_lists(); break;
      case AttributeKind::slice: read.slice(); break;
      case AttributeKind::padding: read.padding(); break;
      case AttributeKind::window: read.window(); break;
      case AttributeKind::dim_labels: read.dim_labels(); break;
      case AttributeKind::replica_groups: read.replica_groups(); break;
      case AttributeKind::sharding: read.sharding(); break;
      case AttributeKind::direction: read.direction(); break;
      case AttributeKind::literal: read.literal(); break;
      case AttributeKind::computation:
      case AttributeKind::computations: scan_.value(); break;
    }
  }

  void read_called(Instruction& instruction, const Attribute& attribute) {
    const AttributeKind* kind = attribute_kind(attribute.name);
    const bool is_call = kind != nullptr && (*kind == AttributeKind::computation ||
                                             *kind == AttributeKind::computations);
    if (!is_call) return;
    const std::size_t after = scan_.at();
    scan_.go_to(attribute.value.begin);
    if (*kind == AttributeKind::computation && scan_.peek() == '{') {
      add_call(instruction, inline_computation(instruction));
    } else if (scan_.take('{')) {
      while (!scan_.take('}')) {
        call(instruction);
        if (!scan_.take(',') && scan_.peek() != '}') scan_.fail("',' or '}' after a computation");
      }
    } else {
      call(instruction);
    }
    scan_.go_to(after);
  }

  // Calls are read before the attribute that they stand in is added.
  static void add_call(Instruction& instruction, std::uint32_t computation) {
    instruction.called.push_back(computation);
    instruction.called_in.push_back(static_cast<std::uint32_t>(instruction.attributes.size()));
  }

  void call(Instruction& instruction) {
    scan_.skip_space();
    const std::size_t at = scan_.at();
    const std::string_view name = scan_.name("a computation's name");
    const auto found = computation_ids_.find(std::string(name));
    if (found != computation_ids_.end()) {
      add_call(instruction, found->second);
      return;
    }
    const std::string message = "computation " + shown_name(name) +
                                " is not defined (computations come before their use)";
    if (!options_.lenient) scan_.fail_at(at, message);
    warn(at, message);
    add_call(instruction, missing_computation);
  }

  std::uint32_t inline_computation(const Instruction& caller) {
    Computation computation;
    computation.at = scan_.at();
    computation.name = caller.name + ".inline." + std::to_string(module_.computations.size());
    body(computation);
    const auto id = static_cast<std::uint32_t>(module_.computations.size());
    module_.computations.push_back(std::move(computation));
    return id;
  }

  // --- Shapes ------------------------------------------------------------------------------------

  void finish(const Computation& computation, Instruction& instruction,
              const std::optional<Shape>& declared) {
    const OpcodeInfo& info = *opcode_info(instruction.opcode);
    for (const std::string_view required : info.required)
      if (!required.empty() && instruction.find(required) == nullptr)
        scan_.fail_at(instruction.at, shown_name(instruction.name) + ": " + instruction.opcode +
                                          " needs the attribute " + std::string(required));
    settle_shape(module_, computation, instruction, declared);
    if (declared) return;
    // Every shape that the text leaves out may be as large as all that it spells out.
    inferred_parts_ += size_of(instruction.shape).parts;
    if (inferred_parts_ > max_inferred_parts)
      scan_.fail_at(instruction.at, "the shapes that the text leaves out have over " +
                                        std::to_string(max_inferred_parts) + " parts");
  }

  void warn(std::size_t at, const std::string& message) {
    const Position position = line_and_column(at);
    module_.warnings.push_back(module_.source + ':' + std::to_string(position.line) + ':' +
                               std::to_string(position.column) + ": " + message);
  }
  // Warnings may be as many as lines, so the lines are counted once.
  Position line_and_column(std::size_t at) {
    if (line_begins_.empty()) {
      line_begins_.push_back(0);
      for (std::size_t i = 0; i < module_.text.size(); ++i)
        if (module_.text[i] == '\n') line_begins_.push_back(i + 1);
    }
    const auto next = std::upper_bound(line_begins_.begin(), line_begins_.end(), at);
    return {static_cast<std::size_t>(next - line_begins_.begin()), at - *(next - 1) + 1};
  }

  static constexpr int max_body_nesting = 20;  // of computations written inside attributes
  static constexpr std::size_t max_inferred_parts = 4'000'000;

  Module& module_;
  const ReadOptions& options_;
  Scanner scan_;
  std::optional<std::uint32_t> entry_;
  std::unordered_map<std::string, std::uint32_t> computation_ids_;
  int body_nesting_ = 0;
  std::size_t inferred_parts_ = 0;        // of all shapes that the text leaves out
  std::vector<std::size_t> line_begins_;  // when warnings ask for them
};

}  // namespace detail

// Throws InputError.  `source` is what messages call the text.
inline Module read_module(std::string text, std::string source, const ReadOptions& options = {}) {
  Module module;
  module.text = std::move(text);
  module.source = std::move(source);
  detail::Parser(module, options).run();
  return module;
}

}  // namespace tessera::io::hlo
