// SPDX-License-Identifier: Apache-2.0
//
// An HLO module as written: computations, instructions, and every attribute with its own text.
//
// This is syntax.  A Module knows what refers to what, the shape of every value, and where each
// thing stands in the source.  It does not know what an op computes or how it can be split:
// importer.hpp makes a graph::Graph of it.  Text is kept by offset, so that a module can be written
// back byte for byte, with shardings added (emit.hpp).
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/opcode.hpp"
#include "tessera/graph/tensor.hpp"

namespace tessera::io::hlo {

using graph::ElementType;
using graph::Opcode;
using graph::TensorType;

/// A piece of the source: [begin, end), in bytes.
struct Extract {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// The shape of a value: an array, or a tuple of shapes.
struct Shape {
  bool is_tuple = false;
  TensorType array;             ///< of an array; a dynamic dim has the size of its bound
  bool is_unbounded = false;    ///< an array with a dim of unknown size
  std::vector<Shape> elements;  ///< of a tuple
  /// The layout of an array: its dims, minor-most first.  Empty: descending, which is row-major.
  InlineVector<std::uint8_t, max_dims> minor_to_major;

  /// How many arrays it holds.  O(parts)
  std::size_t leaf_count() const;

  /// Calls visit(const Shape&) for every array, depth first: the order of flattened tuples.
  template<class Visit>
  void for_each_leaf(Visit&& visit) const {
    if (!is_tuple) {
      visit(*this);
      return;
    }
    for (const Shape& element : elements) element.for_each_leaf(visit);
  }

  /// The dims of an array in the order of memory, major first.
  std::vector<std::size_t> memory_order() const;

  /// Equal up to layouts.
  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.is_tuple != b.is_tuple) return false;
    return a.is_tuple ? a.elements == b.elements : a.array == b.array;
  }
};

/// For messages: a tuple of thousands is cut short.
std::string to_string(const Shape& shape);

/// A computation that an attribute names and that a lenient reading did not find.
inline constexpr std::uint32_t missing_computation = 0xffffffff;

/// An attribute of an instruction or of the module's header: name=value.
struct Attribute {
  std::string name;
  Extract value;  ///< verbatim, braces and quotes included
};

/// One instruction: an op's opcode, operands and attributes, and the shape of its result.
struct Instruction {
  std::string name;  ///< without '%'; made up for an instruction nested in another's operands
  Opcode opcode = Opcode::unknown;  ///< unknown for the parts of an asynchronous op, as copy-update
  std::string spelling;             ///< of the opcode, as written
  Shape shape;
  std::vector<std::uint32_t> operands;  ///< instructions of the same computation, all earlier
  std::vector<Attribute> attributes;
  std::vector<std::uint32_t> called;  ///< computations named in attributes, in order of appearance
  std::vector<std::uint32_t> called_in;   ///< for each of them, the attribute that names it
  std::optional<std::int64_t> parameter;  ///< its number, for a parameter
  Extract literal;                        ///< of a constant
  std::size_t at = 0;                     ///< where the name stands
  std::size_t arguments_end = 0;          ///< just past the ')' of its arguments
  bool is_nested = false;                 ///< written in place of an operand
  bool is_stand_in = false;               ///< for an operand that a lenient reading did not find

  /// The attribute of that name, or null.
  const Attribute* find(std::string_view attribute) const {
    for (const Attribute& candidate : attributes)
      if (candidate.name == attribute) return &candidate;
    return nullptr;
  }
  /// The computations that an attribute names.
  std::vector<std::uint32_t> called_as(std::string_view attribute) const;
};

/// The computations of a conditional, in the order of their operands.
std::vector<std::uint32_t> branches_of(const Instruction& conditional);

/// A computation: the entry, or one that instructions call.
struct Computation {
  std::string name;
  std::vector<Instruction> instructions;
  std::uint32_t root = 0;
  std::vector<std::uint32_t> parameters;  ///< instructions, by parameter number
  std::size_t at = 0;                     ///< where the name stands
};

/// One entry of input_output_alias.
struct AliasEntry {
  std::vector<std::int64_t> output_index;  ///< a path into the root's tuple shape
  std::int64_t parameter = 0;
  std::vector<std::int64_t> parameter_index;  ///< a path into the parameter's tuple shape
  std::size_t at = 0;
};

/// A module: its text, and the computations in it.
struct Module {
  std::string name;
  std::string source;                 ///< the file's name, for messages
  std::string text;                   ///< the whole file
  std::vector<Attribute> attributes;  ///< of the header
  std::vector<AliasEntry> aliases;
  std::vector<Computation> computations;  ///< callees before their callers
  std::uint32_t entry = 0;
  std::vector<std::string> warnings;  ///< what a lenient reading accepted

  std::string_view text_of(Extract extract) const {
    return std::string_view(text).substr(extract.begin, extract.end - extract.begin);
  }
  /// Throws InputError with the source's name, and the line and column of the offset.
  [[noreturn]] void fail(std::size_t at, const std::string& message) const;
};

namespace detail {

// How large a shape is, tuples counted as well.
struct ShapeSize {
  std::size_t parts = 1;
  std::size_t depth = 0;  // of tuples in tuples
};
ShapeSize size_of(const Shape& shape);

// A name from the text in a message: names may be as long as the text.
std::string shown_name(std::string_view name);

}  // namespace detail

}  // namespace tessera::io::hlo

#ifdef TESSERA_HEADER_ONLY
#include "tessera/io/hlo/module.ipp"
#endif
