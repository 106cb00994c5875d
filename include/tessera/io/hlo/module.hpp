// SPDX-License-Identifier: Apache-2.0
//
// A HLO module as written: computations, instructions, and every attribute with its own text.
//
// This is syntax.  It knows what refers to what and where each thing stands in the source, but not
// what an opcode means: detail/shapes.hpp checks shapes, importer.hpp makes a Graph.  Text is kept
// by offset, so that a module can be written back untouched but for what is added.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"
#include "tessera/graph/tensor.hpp"

namespace tessera::io::hlo {

using graph::ElementType;
using graph::TensorType;

// A piece of the source: [begin, end).
struct Extract {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// The shape of a value: an array, or a tuple of shapes.
struct Shape {
  bool is_tuple = false;
  TensorType array;             // of an array; dynamic dims count with their bound
  bool is_unbounded = false;    // an array with a dim of unknown size
  std::vector<Shape> elements;  // of a tuple
  // The layout of an array: its dims, minor-most first.  Empty: descending, which is row-major.
  InlineVector<std::uint8_t, max_dims> minor_to_major;

  std::size_t leaf_count() const {
    if (!is_tuple) return 1;
    std::size_t count = 0;
    for (const Shape& element : elements) count += element.leaf_count();
    return count;
  }
  // Calls visit(const Shape&) for every array, depth first: the order of flattened tuples.
  template<class Visit>
  void for_each_leaf(Visit&& visit) const {
    if (!is_tuple) {
      visit(*this);
      return;
    }
    for (const Shape& element : elements) element.for_each_leaf(visit);
  }

  // The dims of an array in the order in which they lie in memory, major first.
  std::vector<std::size_t> memory_order() const {
    std::vector<std::size_t> order;
    for (std::size_t d = 0; d < array.dims.size(); ++d)
      order.push_back(minor_to_major.empty() ? d : minor_to_major[array.dims.size() - 1 - d]);
    return order;
  }

  // Equal up to layouts.
  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.is_tuple != b.is_tuple) return false;
    return a.is_tuple ? a.elements == b.elements : a.array == b.array;
  }
};

// For messages: a tuple of thousands is cut short.
inline std::string to_string(const Shape& shape) {
  constexpr std::size_t limit = 100;
  if (!shape.is_tuple) return graph::to_string(shape.array);
  std::string text = "(";
  for (const Shape& element : shape.elements) {
    if (text.size() > 1) text += ", ";
    if (text.size() > limit) return text + "...)";
    text += to_string(element);
  }
  return text + ')';
}

// How large a shape is, tuples counted as well.
struct ShapeSize {
  std::size_t parts = 1;
  std::size_t depth = 0;  // of tuples in tuples
};
inline ShapeSize size_of(const Shape& shape) {
  ShapeSize size;
  for (const Shape& element : shape.elements) {
    const ShapeSize inner = size_of(element);
    size.parts += inner.parts;
    size.depth = std::max(size.depth, inner.depth + 1);
  }
  return size;
}

// A name from the text in a message: names may be as long as the text.
inline std::string shown_name(std::string_view name) { return excerpt(name, 100); }

// Stands for a called computation that a lenient reading did not find.
inline constexpr std::uint32_t missing_computation = 0xffffffff;

struct Attribute {
  std::string name;
  Extract value;  // verbatim, braces and quotes included
};

struct Instruction {
  std::string name;    // without '%'; made up for an instruction nested in another's operands
  std::string opcode;  // as written; known to opcode_info()
  Shape shape;
  std::vector<std::uint32_t> operands;  // instructions of the same computation, all earlier
  std::vector<Attribute> attributes;
  std::vector<std::uint32_t> called;     // computations named in attributes, in order of appearance
  std::vector<std::uint32_t> called_in;  // and the attribute of each
  std::optional<std::int64_t> parameter;  // its number, for a parameter
  Extract literal;                        // of a constant
  std::size_t at = 0;                     // where the name stands
  std::size_t arguments_end = 0;          // just past the ')' of its arguments
  bool is_nested = false;
  bool is_stand_in = false;  // of an operand that a lenient reading did not find

  const Attribute* find(std::string_view attribute) const {
    for (const Attribute& candidate : attributes)
      if (candidate.name == attribute) return &candidate;
    return nullptr;
  }
  // The computations that an attribute names.
  std::vector<std::uint32_t> called_as(std::string_view attribute) const {
    std::vector<std::uint32_t> found;
    for (std::size_t i = 0; i < called.size(); ++i)
      if (attributes[called_in[i]].name == attribute) found.push_back(called[i]);
    return found;
  }
};

struct Computation {
  std::string name;
  std::vector<Instruction> instructions;
  std::uint32_t root = 0;
  std::vector<std::uint32_t> parameters;  // instructions, by parameter number
  std::size_t at = 0;
};

// One entry of input_output_alias.
struct AliasEntry {
  std::vector<std::int64_t> output_index;  // a path into the root's tuple shape
  std::int64_t parameter = 0;
  std::vector<std::int64_t> parameter_index;  // a path into the parameter's tuple shape
  std::size_t at = 0;
};

struct Module {
  std::string name;
  std::string source;                 // the file's name, for messages
  std::string text;                   // the whole file
  std::vector<Attribute> attributes;  // of the header
  std::vector<AliasEntry> aliases;
  std::vector<Computation> computations;
  std::uint32_t entry = 0;
  std::vector<std::string> warnings;  // what a lenient reading let pass

  std::string_view text_of(Extract extract) const {
    return std::string_view(text).substr(extract.begin, extract.end - extract.begin);
  }
  [[noreturn]] void fail(std::size_t at, const std::string& message) const {
    throw InputError(source, position_of(text, at), message);
  }
};

}  // namespace tessera::io::hlo
