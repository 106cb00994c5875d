// SPDX-License-Identifier: Apache-2.0
//
// A Graph as HLO text, which our own reader takes back to an equal graph.
//
// Ops become instructions of one entry computation, in order and under their own names; reducers
// and comparators become computations of their own; the root is a tuple of the outputs.  An op
// without a buffer says so in a hint (detail/hints.hpp).  What only an importer makes has no text:
// loops' states, and names of what was inside a fusion.  A module that was read is written back by
// emit.hpp.
#pragma once
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/text.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/io/hlo/detail/hints.hpp"
#include "tessera/io/hlo/detail/opcodes.hpp"
#include "tessera/io/hlo/detail/scanner.hpp"

namespace tessera::io::hlo {

namespace detail {

// The shortest decimal that reads back as the same number.
inline std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end};
}

// The elements of a constant, in braces for each dim.
class LiteralWriter {
 public:
  LiteralWriter(const graph::Literal& literal, const graph::TensorType& type)
      : literal_(literal), type_(type) {}

  std::string write() {
    append(0);
    return std::move(text_);
  }

 private:
  void append(std::size_t dim) {
    if (dim == type_.dims.size()) {
      text_ += element(next_++);
      return;
    }
    text_ += '{';
    for (Extent i = 0; i < type_.dims[dim]; ++i) {
      if (i != 0) text_ += ", ";
      append(dim + 1);
    }
    text_ += '}';
  }
  std::string element(std::size_t i) const {
    if (const auto* const integers = std::get_if<0>(&literal_.elements)) {
      const std::int64_t value = integers->at(integers->size() == 1 ? 0 : i);
      if (type_.element == graph::ElementType::pred) return value != 0 ? "true" : "false";
      const bool is_unsigned = type_.element == graph::ElementType::u64;
      return is_unsigned ? std::to_string(static_cast<std::uint64_t>(value))
                         : std::to_string(value);
    }
    const std::vector<double>& numbers = std::get<1>(literal_.elements);
    if (!is_complex(type_.element)) return number_text(numbers.at(numbers.size() == 1 ? 0 : i));
    return '(' + number_text(numbers.at(2 * i)) + ", " + number_text(numbers.at(2 * i + 1)) + ')';
  }

  const graph::Literal& literal_;
  const graph::TensorType& type_;
  std::string text_;
  std::size_t next_ = 0;
};

class Writer {
 public:
  Writer(const graph::Graph& graph, std::string name) : graph_(graph), name_(std::move(name)) {
    for (graph::OpId id = 0; id < graph.op_count(); ++id) taken_.insert(graph.op(id).name);
  }

  std::string write() {
    std::string body;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id) append(body, id);
    append_root(body);
    std::string text = "HloModule " + name_ + aliases() + "\n\n";
    for (const auto& [computation, definition] : computations_) text += definition + '\n';
    return text + "ENTRY main {\n" + body + "}\n";
  }

 private:
  // --- Instructions ------------------------------------------------------------------------------

  void append(std::string& body, graph::OpId id) {
    const graph::Op& op = graph_.op(id);
    check_writable(op);
    std::string operands;
    for (std::size_t i = 0; i < graph_.operand_count(id); ++i)
      operands += (i == 0 ? "" : ", ") + name_of(graph_.operand(id, i));
    if (op.is_parameter) operands = std::to_string(parameters_++);
    if (const auto* const literal = op.attributes.find<graph::Literal>())
      operands = LiteralWriter(*literal, op.results[0]).write();
    body += "  " + op.name + " = " + types_text(op.results) + ' ' + std::string(opcode_text(op)) +
            '(' + operands + ')' + attributes(op, id) + hints(op) + metadata(op) + '\n';
    if (op.results.size() == 1) return;
    for (std::uint32_t r = 0; r < op.results.size(); ++r) {
      const std::string element = unused(op.name + ".result." + std::to_string(r));
      elements_[{id, r}] = element;
      body += "  " + element + " = " + to_string(op.results[r]) + " get-tuple-element(" + op.name +
              "), index=" + std::to_string(r) + '\n';
    }
  }

  static std::string hints(const graph::Op& op) {
    if (op.has_buffer) return "";
    return ", frontend_attributes={" + std::string(buffer_hint) + "=\"" +
           std::string(without_buffer) + "\"}";
  }

  // As frameworks write what an op is part of.
  static std::string metadata(const graph::Op& op) {
    if (op.scope.empty() || op.scope.find('"') != std::string::npos) return "";
    return ", metadata={op_name=\"" + op.scope + '/' + std::string(opcode_text(op)) + "\"}";
  }

  void append_root(std::string& body) {
    std::vector<graph::TensorType> types;
    for (const graph::Value output : graph_.outputs) types.push_back(graph_.type_of(output));
    const std::string operands =
        joined(graph_.outputs, ", ", [&](graph::Value output) { return name_of(output); });
    body += "  ROOT " + unused("outputs") + " = " + tuple_text(types) + " tuple(" + operands +
            ")\n";
  }

  // Throws InvalidArgument.
  static void check_writable(const graph::Op& op) {
    const auto refuse = [&](const std::string& why) {
      throw InvalidArgument("op '" + op.name + "' can not be written as HLO: " + why);
    };
    if (op.is_loop_state) refuse("it is what a loop carries");
    bool is_name = !op.name.empty() && Scanner::is_name_start(op.name[0]);
    for (const char c : op.name) is_name = is_name && Scanner::is_name_part(c);
    if (!is_name || op.name.find("->") != std::string::npos) refuse("that is no name in HLO");
    if (op.opcode == graph::Opcode::conditional)
      refuse("its branches are ops like any other by now");
    const OpcodeInfo* const info = opcode_info(opcode_text(op));
    if (info == nullptr || info->op_class == OpClass::opaque)
      refuse(std::string(opcode_text(op)) + " has no writer");
    const bool needs_attributes =
        info->op_class == OpClass::constant ||
        (!info->required[0].empty() && info->op_class != OpClass::dynamic_slice);
    if (needs_attributes && op.attributes.empty()) refuse("what it computes is not known");
    const auto* const normalisation = op.attributes.find<graph::Normalisation>();
    if (normalisation != nullptr && normalisation->part != graph::NormalisationPart::whole)
      refuse("it is a part of a normalisation, for which there is no opcode");
  }

  // A name that no op has and that was not given out before.
  std::string unused(std::string name) {
    while (!taken_.insert(name).second) name += '_';
    return name;
  }
  std::string name_of(graph::Value value) const {
    const auto element = elements_.find(value);
    return element == elements_.end() ? graph_.op(value.op).name : element->second;
  }

  static std::string types_text(const std::vector<graph::TensorType>& types) {
    return types.size() == 1 ? to_string(types[0]) : tuple_text(types);
  }
  static std::string tuple_text(const std::vector<graph::TensorType>& types) {
    return '(' + joined(types, ", ", [](const auto& type) { return to_string(type); }) + ')';
  }

  // In input_output_alias every output has one entry; what is no parameter's has none.
  std::string aliases() const {
    std::vector<std::string> entries;
    std::map<graph::OpId, std::size_t> number_of;
    for (graph::OpId id = 0; id < graph_.op_count(); ++id)
      if (graph_.op(id).is_parameter) number_of.emplace(id, number_of.size());
    std::vector<char> used(graph_.outputs.size(), 0);
    for (const graph::Alias& alias : graph_.aliases)
      for (std::size_t i = 0; i < graph_.outputs.size(); ++i) {
        if (used[i] != 0 || graph_.outputs[i] != alias.output) continue;
        used[i] = 1;
        entries.push_back('{' + std::to_string(i) + "}: (" +
                          std::to_string(number_of.at(alias.parameter)) + ", {}, may-alias)");
        break;
      }
    if (entries.empty()) return {};
    return ", input_output_alias={ " +
           joined(entries, ", ", [](const std::string& entry) { return entry; }) + " }";
  }

  // --- Attributes --------------------------------------------------------------------------------

  std::string attributes(const graph::Op& op, graph::OpId id) {
    if (op.opcode == graph::Opcode::dynamic_slice)
      return ", dynamic_slice_sizes={" + joined(op.results[0].dims, ",") + '}';
    if (op.attributes.empty()) return {};
    const Site site{op, graph_.operand_count(id) == 0
                            ? op.results[0].element
                            : graph_.type_of(graph_.operand(id, 0)).element};
    return op.attributes.visit([&](const auto& held) { return text_of(site, held); });
  }

  struct Site {
    const graph::Op& op;
    graph::ElementType element;  // of operand 0
  };

  static std::string list(const char* name, const std::vector<Extent>& numbers) {
    return std::string(", ") + name + "={" + joined(numbers, ",") + '}';
  }
  static std::string list_unless_empty(const char* name, const std::vector<Extent>& numbers) {
    return numbers.empty() ? std::string() : list(name, numbers);
  }

  std::string text_of(const Site&, const graph::Literal&) { return {}; }
  std::string text_of(const Site&, const graph::Comparison& held) {
    return std::string(", direction=") + to_string(held.direction);
  }
  std::string text_of(const Site& site, const graph::Dim& held) {
    if (site.op.opcode == graph::Opcode::iota)
      return ", iota_dimension=" + std::to_string(held.dim);
    return list("dimensions", {held.dim});
  }
  std::string text_of(const Site&, const graph::DimList& held) {
    return list("dimensions", held.dims);
  }
  std::string text_of(const Site&, const graph::Slicing& held) {
    const auto range_text = [](const graph::SliceRange& range) {
      const std::string stride = range.stride == 1 ? "" : ':' + std::to_string(range.stride);
      return '[' + std::to_string(range.start) + ':' + std::to_string(range.limit) + stride + ']';
    };
    return ", slice={" + joined(held.ranges, ", ", range_text) + '}';
  }
  std::string text_of(const Site&, const graph::Padding& held) {
    const auto range_text = [](const graph::PaddingRange& range) {
      const std::string between = range.interior == 0 ? "" : '_' + std::to_string(range.interior);
      return std::to_string(range.low) + '_' + std::to_string(range.high) + between;
    };
    return ", padding=" + joined(held.ranges, "x", range_text);
  }
  std::string text_of(const Site&, const graph::DotDims& held) {
    return list_unless_empty("lhs_batch_dims", held.lhs_batch) +
           list("lhs_contracting_dims", held.lhs_contracting) +
           list_unless_empty("rhs_batch_dims", held.rhs_batch) +
           list("rhs_contracting_dims", held.rhs_contracting);
  }
  std::string text_of(const Site&, const graph::Convolution& held) {
    const graph::ConvolutionDims& dims = held.dims;
    const auto labels = [&](std::size_t batch, char batch_letter, std::size_t feature,
                            char feature_letter, const std::vector<std::size_t>& space) {
      std::string text(space.size() + 2, '?');
      text[batch] = batch_letter;
      text[feature] = feature_letter;
      for (std::size_t s = 0; s < space.size(); ++s) text[space[s]] = static_cast<char>('0' + s);
      return text;
    };
    const auto groups = [](const char* name, Extent count) {
      return count == 1 ? std::string()
                        : std::string(", ") + name + "_group_count=" + std::to_string(count);
    };
    return window_text(held.window) + ", dim_labels=" +
           labels(dims.input_batch, 'b', dims.input_feature, 'f', dims.input_space) + '_' +
           labels(dims.kernel_input, 'i', dims.kernel_output, 'o', dims.kernel_space) + "->" +
           labels(dims.output_batch, 'b', dims.output_feature, 'f', dims.output_space) +
           groups("feature", dims.feature_groups) + groups("batch", dims.batch_groups);
  }
  std::string text_of(const Site& site, const graph::Reducing& held) {
    return list("dimensions", held.dims) + ", to_apply=" + reducer(site.element, held.reduction);
  }
  std::string text_of(const Site& site, const graph::ReducingBy& held) {
    return list("dimensions", held.dims) + ", to_apply=" + computation_of(site.op.results, held);
  }
  static std::string text_of(const Site&, const graph::Branching&) { return {}; }
  std::string text_of(const Site& site, const graph::WindowReducing& held) {
    return window_text(held.window) + ", to_apply=" + reducer(site.element, held.reduction);
  }
  std::string text_of(const Site& site, const graph::WindowScattering& held) {
    return window_text(held.window) + ", select=" + comparator({{site.element, {}}}, held.select) +
           ", scatter=" + reducer(site.element, held.scatter);
  }
  std::string text_of(const Site&, const graph::GatherDims& held) {
    return list("offset_dims", held.offset_dims) +
           list("collapsed_slice_dims", held.collapsed_slice_dims) +
           list("start_index_map", held.start_index_map) +
           list_unless_empty("operand_batching_dims", held.operand_batching_dims) +
           list_unless_empty("start_indices_batching_dims", held.start_indices_batching_dims) +
           ", index_vector_dim=" + std::to_string(held.index_vector_dim) +
           list("slice_sizes", held.slice_sizes);
  }
  std::string text_of(const Site& site, const graph::Scattering& held) {
    const graph::ScatterDims& dims = held.dims;
    return list("update_window_dims", dims.update_window_dims) +
           list("inserted_window_dims", dims.inserted_window_dims) +
           list("scatter_dims_to_operand_dims", dims.scatter_dims_to_operand_dims) +
           list_unless_empty("input_batching_dims", dims.input_batching_dims) +
           list_unless_empty("scatter_indices_batching_dims", dims.scatter_indices_batching_dims) +
           ", index_vector_dim=" + std::to_string(dims.index_vector_dim) +
           ", to_apply=" + reducer(site.element, held.reduction);
  }
  std::string text_of(const Site& site, const graph::Sorting& held) {
    return list("dimensions", {held.dim}) + (held.is_stable ? ", is_stable=true" : "") +
           ", to_apply=" + comparator(site.op.results, held.order);
  }
  std::string text_of(const Site&, const graph::TopK& held) {
    return ", k=" + std::to_string(held.k) + (held.is_largest ? "" : ", largest=false");
  }
  std::string text_of(const Site&, const graph::Normalisation& held) {
    return ", epsilon=" + number_text(held.epsilon) +
           ", feature_index=" + std::to_string(held.feature);
  }
  std::string text_of(const Site&, const graph::Target& held) {
    return ", custom_call_target=\"" + held.name + '"';
  }

  // Fields that every dim leaves at their defaults are not written.
  static std::string window_text(const std::vector<graph::WindowDim>& window) {
    const graph::WindowDim point;
    std::string fields;
    const auto field = [&](const char* name, auto is_default, auto text_of_dim) {
      bool all_default = true;
      for (const graph::WindowDim& dim : window) all_default = all_default && is_default(dim);
      if (all_default) return;
      fields += (fields.empty() ? "" : " ") + std::string(name) + '=' +
                joined(window, "x", text_of_dim);
    };
    const auto number = [&](const char* name, std::int64_t graph::WindowDim::*member) {
      field(
          name, [&](const graph::WindowDim& dim) { return dim.*member == point.*member; },
          [&](const graph::WindowDim& dim) { return std::to_string(dim.*member); });
    };
    field(
        "size", [](const graph::WindowDim&) { return false; },
        [](const graph::WindowDim& dim) { return std::to_string(dim.size); });
    number("stride", &graph::WindowDim::stride);
    field(
        "pad", [](const graph::WindowDim& dim) { return dim.pad_low == 0 && dim.pad_high == 0; },
        [](const graph::WindowDim& dim) {
          return std::to_string(dim.pad_low) + '_' + std::to_string(dim.pad_high);
        });
    number("lhs_dilate", &graph::WindowDim::lhs_dilate);
    number("rhs_dilate", &graph::WindowDim::rhs_dilate);
    field(
        "rhs_reversal", [](const graph::WindowDim& dim) { return !dim.is_reversed; },
        [](const graph::WindowDim& dim) { return std::string(dim.is_reversed ? "1" : "0"); });
    return window.empty() ? std::string() : ", window={" + fields + '}';
  }

  // --- Computations ------------------------------------------------------------------------------

  // The name of the computation that combines two scalars, which is written where it is new.
  std::string reducer(graph::ElementType element, Reduction reduction) {
    const std::string type = to_string(graph::TensorType{element, {}});
    const std::string name =
        (reduction == Reduction::none ? std::string("assign") : tessera::to_string(reduction)) +
        '_' + std::string(to_string(element));
    const std::string root = reduction == Reduction::none
                                 ? "  ROOT b = " + type + " parameter(1)\n"
                                 : "  b = " + type + " parameter(1)\n  ROOT c = " + type + ' ' +
                                       opcode_of(reduction) + "(a, b)\n";
    computations_[name] = name + " {\n  a = " + type + " parameter(0)\n" + root + "}\n";
    return name;
  }
  static const char* opcode_of(Reduction reduction) {
    switch (reduction) {
      case Reduction::sum: return "add";
      case Reduction::product: return "multiply";
      case Reduction::max: return "maximum";
      case Reduction::min: return "minimum";
      case Reduction::logical_and: return "and";
      case Reduction::logical_or: return "or";
      case Reduction::none: break;
    }
    return "";
  }
  // Of tensors of these types, reduced at once: two computations that differ have two names.
  std::string computation_of(const std::vector<graph::TensorType>& reduced,
                             const graph::ReducingBy& how) {
    std::vector<std::string> types;
    std::string text = " {\n";
    const auto line = [&](const std::string& type, const std::string& what) {
      const std::size_t number = types.size();
      const bool is_root = how.results.size() == 1 && how.results[0] == number;
      text += std::string("  ") + (is_root ? "ROOT " : "") + 'v' + std::to_string(number) + " = " +
              type + ' ' + what + '\n';
      types.push_back(type);
    };
    const auto values = [](const std::vector<std::uint32_t>& numbers) {
      return '(' + joined(numbers, ", ", [](auto n) { return 'v' + std::to_string(n); }) + ')';
    };
    for (std::size_t p = 0; p < 2 * reduced.size(); ++p)
      line(to_string(graph::TensorType{reduced[p % reduced.size()].element, {}}),
           "parameter(" + std::to_string(p) + ')');
    for (const graph::ScalarStep& step : how.steps) {
      const bool compares = step.opcode == graph::Opcode::compare;
      line(compares ? "pred[]" : types[step.operands[step.opcode == graph::Opcode::select ? 1 : 0]],
           std::string(to_string(step.opcode)) + values(step.operands) +
               (compares ? std::string(", direction=") + to_string(step.direction) : ""));
    }
    if (how.results.size() > 1) {
      std::vector<graph::TensorType> scalars;
      for (const graph::TensorType& type : reduced) scalars.push_back({type.element, {}});
      text += "  ROOT all = " + tuple_text(scalars) + " tuple" + values(how.results) + '\n';
    }
    text += "}\n";
    for (std::size_t number = 0;; ++number) {
      const std::string name = "combine_" + std::to_string(number);
      const auto [at, is_new] = computations_.try_emplace(name, name + text);
      if (is_new || at->second == name + text) return name;
    }
  }
  // Takes a pair of scalars for each of the tensors that are sorted, and compares the first.
  std::string comparator(const std::vector<graph::TensorType>& sorted, graph::Direction direction) {
    std::string name = std::string("compare_") + to_string(direction);
    std::string parameters;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      name += '_' + std::string(to_string(sorted[i].element));
      const std::string type = to_string(graph::TensorType{sorted[i].element, {}});
      for (const std::size_t p : {2 * i, 2 * i + 1})
        parameters += "  p" + std::to_string(p) + " = " + type + " parameter(" + std::to_string(p) +
                      ")\n";
    }
    computations_[name] = name + " {\n" + parameters +
                          "  ROOT c = pred[] compare(p0, p1), direction=" + to_string(direction) +
                          "\n}\n";
    return name;
  }

  const graph::Graph& graph_;
  std::string name_;
  std::set<std::string> taken_;                   // names in use in the entry computation
  std::map<graph::Value, std::string> elements_;  // of ops with several results
  std::map<std::string, std::string> computations_;
  std::size_t parameters_ = 0;
};

}  // namespace detail

// The program as a HLO module of this name.  Throws InvalidArgument, naming the op, where one
// has no text: its attributes are not known, or it was part of a loop or a fusion.  O(size), and
// constants are written in full.
inline std::string write_hlo(const graph::Graph& graph, const std::string& name = "program") {
  return detail::Writer(graph, name).write();
}

}  // namespace tessera::io::hlo
