// SPDX-License-Identifier: Apache-2.0
//
// What an instruction computes: its attributes, literal and called computation as
// graph::Attributes.
//
// Nothing here decides how an op may be sharded; that is detail/rules.hpp's.  What is not
// understood (a reducer that does more than work on scalars, a literal that the dump left out) is
// left empty.
#pragma once
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/number.hpp"
#include "tessera/graph/attributes.hpp"
#include "tessera/io/hlo/detail/attribute_access.hpp"
#include "tessera/io/hlo/detail/opcodes.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo::detail {

// The one computation that an attribute names; null where it names none, or several.
inline const Computation* computation_called_by(const Module& module,
                                                const Instruction& instruction,
                                                std::string_view attribute) {
  const std::vector<std::uint32_t> ids = instruction.called_as(attribute);
  return ids.size() == 1 && ids[0] != missing_computation ? &module.computations[ids[0]] : nullptr;
}

// What a computation of two scalars does to combine them; none where it is not one of ours.
inline Reduction reducer_of(const Computation& computation) {
  const Instruction& root = computation.instructions[computation.root];
  if (computation.parameters.size() != 2 || root.operands.size() != 2) return Reduction::none;
  const std::uint32_t a = computation.parameters[0], b = computation.parameters[1];
  const bool takes_both = (root.operands[0] == a && root.operands[1] == b) ||
                          (root.operands[0] == b && root.operands[1] == a);
  if (!takes_both) return Reduction::none;
  return traits(graph::opcode_named(root.opcode)).combines;
}

inline std::optional<graph::Direction> direction_named(std::string_view word) {
  using graph::Direction;
  for (const Direction direction :
       {Direction::eq, Direction::ne, Direction::ge, Direction::gt, Direction::le, Direction::lt})
    if (word == to_string(direction)) return direction;
  return std::nullopt;
}

// How a computation compares its first two parameters, where that is all it does.
inline std::optional<graph::Direction> comparator_of(const Module& module,
                                                     const Computation& computation) {
  const Instruction& root = computation.instructions[computation.root];
  const bool compares = root.opcode == "compare" && computation.parameters.size() >= 2 &&
                        root.operands.size() == 2 &&
                        root.operands[0] == computation.parameters[0] &&
                        root.operands[1] == computation.parameters[1];
  if (!compares) return std::nullopt;
  return direction_named(AttributeAccess(module, root).word("direction"));
}

// The steps of a computation on scalars, element by element; results is what it returns.  Nothing
// where it does anything else.
inline std::optional<graph::ReducingBy> scalar_steps_of(const Module& module,
                                                        const Computation& computation) {
  graph::ReducingBy how;
  std::vector<std::uint32_t> numbers(computation.instructions.size(), 0);
  for (std::uint32_t p = 0; p < computation.parameters.size(); ++p)
    numbers[computation.parameters[p]] = p;
  const auto numbers_of = [&](const std::vector<std::uint32_t>& ids) {
    std::vector<std::uint32_t> result;
    for (const std::uint32_t id : ids) result.push_back(numbers[id]);
    return result;
  };
  for (std::uint32_t id = 0; id < computation.instructions.size(); ++id) {
    const Instruction& it = computation.instructions[id];
    const OpClass op_class = opcode_info(it.opcode)->op_class;
    if (op_class == OpClass::tuple && id == computation.root) {
      how.results = numbers_of(it.operands);
      return how;
    }
    if (it.shape.is_tuple || !it.shape.array.dims.empty()) return std::nullopt;
    if (op_class == OpClass::parameter) continue;
    graph::ScalarStep step{graph::opcode_named(it.opcode), numbers_of(it.operands)};
    if (op_class == OpClass::compare) {
      const auto direction = direction_named(AttributeAccess(module, it).word("direction"));
      if (!direction) return std::nullopt;
      step.direction = *direction;
    } else if (op_class != OpClass::unary && op_class != OpClass::binary &&
               op_class != OpClass::linear && op_class != OpClass::select) {
      return std::nullopt;
    }
    numbers[id] = static_cast<std::uint32_t>(computation.parameters.size() + how.steps.size());
    how.steps.push_back(std::move(step));
  }
  how.results = {numbers[computation.root]};
  return how;
}

// The numbers of a literal, in the order in which they stand there.
class LiteralReader {
 public:
  LiteralReader(std::string_view text, ElementType element) : rest_(text), element_(element) {}

  // Nothing where the dump left elements out.
  std::optional<graph::Literal> read() {
    std::vector<std::int64_t> integers;
    std::vector<double> numbers;
    for (std::string_view word = next(); !word.empty(); word = next()) {
      if (word == "...") return std::nullopt;
      if (holds_integers())
        integers.push_back(integer(word));
      else
        numbers.push_back(number(word));
    }
    if (holds_integers()) return graph::Literal{folded(std::move(integers))};
    return graph::Literal{is_complex(element_) ? std::move(numbers) : folded(std::move(numbers))};
  }

 private:
  bool holds_integers() const { return !is_floating(element_) && !is_complex(element_); }

  std::string_view next() {
    constexpr std::string_view between = "{}(), \t\r\n";
    while (true) {
      rest_.remove_prefix(std::min(rest_.find_first_not_of(between), rest_.size()));
      if (!rest_.starts_with("/*")) break;
      rest_.remove_prefix(rest_.find("*/") + 2);
    }
    const std::string_view word = rest_.substr(0, rest_.find_first_of(between));
    rest_.remove_prefix(word.size());
    if (word.ends_with("nan") && rest_.starts_with('('))  // with its payload
      rest_.remove_prefix(rest_.find(')') + 1);
    return word;
  }
  static std::int64_t integer(std::string_view word) {
    if (word == "true" || word == "false") return word == "true" ? 1 : 0;
    std::int64_t value = 0;
    const char* const end = word.data() + word.size();
    if (std::from_chars(word.data(), end, value).ec == std::errc()) return value;
    std::uint64_t bits = 0;
    std::from_chars(word.data(), end, bits);
    return std::bit_cast<std::int64_t>(bits);
  }
  static double number(std::string_view word) {
    if (word == "true" || word == "false") return word == "true" ? 1 : 0;
    if (word.starts_with('+')) word.remove_prefix(1);
    double value = 0;
    const auto [end, error] = read_double(word.data(), word.data() + word.size(), value);
    if (error != std::errc::result_out_of_range) return value;
    // Too small or too large for double; the exponent's sign tells which.
    const bool is_small = word.find("e-") != std::string_view::npos;
    const double size = is_small ? 0 : std::numeric_limits<double>::infinity();
    return word.starts_with('-') ? -size : size;
  }
  // One element where all are alike.
  template<class T>
  static std::vector<T> folded(std::vector<T> elements) {
    const auto bits = [](T value) { return std::bit_cast<std::uint64_t>(value); };
    const bool alike = std::all_of(elements.begin(), elements.end(),
                                   [&](T value) { return bits(value) == bits(elements[0]); });
    if (alike && elements.size() > 1) elements.resize(1);
    return elements;
  }

  std::string_view rest_;
  ElementType element_;
};

// Which dims of a convolution are which.
inline graph::ConvolutionDims convolution_dims(const AttributeAccess& attributes) {
  const DimLabels labels = attributes.dim_labels();
  graph::ConvolutionDims dims;
  dims.input_batch = labels.lhs.find('b');
  dims.input_feature = labels.lhs.find('f');
  dims.kernel_input = labels.kernel.find('i');
  dims.kernel_output = labels.kernel.find('o');
  dims.output_batch = labels.output.find('b');
  dims.output_feature = labels.output.find('f');
  dims.feature_groups = attributes.integer("feature_group_count", 1);
  dims.batch_groups = attributes.integer("batch_group_count", 1);
  for (std::size_t s = 0; s + 2 < labels.lhs.size(); ++s) {
    const char label = static_cast<char>('0' + s);
    dims.input_space.push_back(labels.lhs.find(label));
    dims.kernel_space.push_back(labels.kernel.find(label));
    dims.output_space.push_back(labels.output.find(label));
  }
  return dims;
}
// Of a product.
inline graph::DotDims dot_dims(const AttributeAccess& attributes) {
  return {attributes.ints("lhs_contracting_dims"), attributes.ints("rhs_contracting_dims"),
          attributes.ints("lhs_batch_dims"), attributes.ints("rhs_batch_dims")};
}
// Of a gather.
inline graph::GatherDims gather_dims(const AttributeAccess& attributes) {
  return {attributes.ints("offset_dims"),           attributes.ints("collapsed_slice_dims"),
          attributes.ints("start_index_map"),       attributes.ints("slice_sizes"),
          attributes.ints("operand_batching_dims"), attributes.ints("start_indices_batching_dims"),
          attributes.integer("index_vector_dim", 0)};
}
// Of a scatter.
inline graph::ScatterDims scatter_dims(const AttributeAccess& attributes) {
  return {attributes.ints("update_window_dims"),
          attributes.ints("inserted_window_dims"),
          attributes.ints("scatter_dims_to_operand_dims"),
          attributes.ints("input_batching_dims"),
          attributes.ints("scatter_indices_batching_dims"),
          attributes.integer("index_vector_dim", 0)};
}

// What one instruction computes, by its opcode.
class MeaningReader {
 public:
  MeaningReader(const Module& module, const Instruction& instruction, std::size_t operand_rank)
      : module_(module),
        instruction_(instruction),
        attributes_(module, instruction),
        operand_rank_(operand_rank) {}

  graph::Attributes read() const {
    switch (opcode_info(instruction_.opcode)->op_class) {
      case OpClass::constant: return constant();
      case OpClass::iota: return graph::Dim{attributes_.integer("iota_dimension", 0)};
      case OpClass::compare: return comparison();
      case OpClass::concatenate: return graph::Dim{attributes_.ints("dimensions")[0]};
      case OpClass::broadcast:
      case OpClass::transpose:
      case OpClass::reverse: return graph::DimList{attributes_.ints("dimensions")};
      case OpClass::slice: return graph::Slicing{attributes_.slice()};
      case OpClass::pad: return graph::Padding{attributes_.padding()};
      case OpClass::dot: return dot_dims(attributes_);
      case OpClass::convolution: return convolution();
      case OpClass::reduce: return reduce();
      case OpClass::reduce_window: return reduce_window();
      case OpClass::select_and_scatter: return select_and_scatter();
      case OpClass::gather: return gather_dims(attributes_);
      case OpClass::scatter: return scatter();
      case OpClass::sort: return sort();
      case OpClass::topk:
        return graph::TopK{attributes_.integer("k", 0), attributes_.word("largest") != "false"};
      case OpClass::batch_norm_training:
      case OpClass::batch_norm_inference:
      case OpClass::batch_norm_grad: return batch_norm();
      case OpClass::custom_call:
        return graph::Target{std::string(attributes_.word("custom_call_target"))};
      default: return {};
    }
  }

 private:
  const Computation* called(std::string_view attribute) const {
    return computation_called_by(module_, instruction_, attribute);
  }
  Reduction reducer(std::string_view attribute) const {
    const Computation* const computation = called(attribute);
    return computation == nullptr ? Reduction::none : reducer_of(*computation);
  }
  std::optional<graph::Direction> comparator(std::string_view attribute) const {
    const Computation* const computation = called(attribute);
    return computation == nullptr ? std::nullopt : comparator_of(module_, *computation);
  }

  graph::Attributes constant() const {
    if (instruction_.shape.is_tuple) return {};
    const auto literal =
        LiteralReader(module_.text_of(instruction_.literal), instruction_.shape.array.element)
            .read();
    return literal ? graph::Attributes(*literal) : graph::Attributes();
  }
  graph::Attributes comparison() const {
    const auto direction = direction_named(attributes_.word("direction"));
    return direction ? graph::Attributes(graph::Comparison{*direction}) : graph::Attributes();
  }
  graph::Attributes convolution() const {
    graph::ConvolutionDims dims = convolution_dims(attributes_);
    std::vector<graph::WindowDim> window = attributes_.window(dims.input_space.size());
    return graph::Convolution{std::move(dims), std::move(window)};
  }
  graph::Attributes reduce() const {
    const Reduction reduction = reducer("to_apply");
    if (reduction != Reduction::none)
      return graph::Reducing{attributes_.ints("dimensions"), reduction};
    const Computation* const computation = called("to_apply");
    auto how = computation == nullptr ? std::nullopt : scalar_steps_of(module_, *computation);
    if (!how) return {};
    how->dims = attributes_.ints("dimensions");
    return std::move(*how);
  }
  graph::Attributes reduce_window() const {
    const Reduction reduction = reducer("to_apply");
    if (reduction == Reduction::none) return {};
    return graph::WindowReducing{attributes_.window(operand_rank_), reduction};
  }
  graph::Attributes select_and_scatter() const {
    const auto order = comparator("select");
    const Reduction reduction = reducer("scatter");
    if (!order || reduction == Reduction::none) return {};
    return graph::WindowScattering{attributes_.window(operand_rank_), *order, reduction};
  }
  graph::Attributes scatter() const {
    const Computation* const combiner = called("to_apply");
    if (combiner == nullptr) return {};
    // An assignment returns its second parameter.
    const bool assigns = combiner->parameters.size() == 2 &&
                         combiner->root == combiner->parameters[1];
    const Reduction reduction = reducer_of(*combiner);
    if (reduction == Reduction::none && !assigns) return {};
    return graph::Scattering{scatter_dims(attributes_), reduction};
  }
  graph::Attributes sort() const {
    const auto order = comparator("to_apply");
    const std::vector<Extent> dims = attributes_.ints("dimensions");
    if (!order || dims.size() != 1) return {};
    return graph::Sorting{dims[0], *order, attributes_.word("is_stable") == "true"};
  }
  graph::Attributes batch_norm() const {
    const std::string_view epsilon = attributes_.word("epsilon");
    graph::Normalisation result{0, attributes_.integer("feature_index", 0)};
    read_double(epsilon.data(), epsilon.data() + epsilon.size(), result.epsilon);
    return result;
  }

  const Module& module_;
  const Instruction& instruction_;
  AttributeAccess attributes_;
  std::size_t operand_rank_;
};

// What the instruction computes, as far as its opcode leaves it open; empty where that is nothing,
// or is not understood.  @pre the module was read, so attributes have their grammar and its op has
// the operands it needs
inline graph::Attributes attributes_of(const Module& module, const Instruction& instruction,
                                       std::size_t operand_rank) {
  return MeaningReader(module, instruction, operand_rank).read();
}

}  // namespace tessera::io::hlo::detail
