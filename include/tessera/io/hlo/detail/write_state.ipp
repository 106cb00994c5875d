// SPDX-License-Identifier: Apache-2.0
//
// The bodies of write_state.hpp.
#pragma once
#include "tessera/io/hlo/detail/write_state.hpp"

#include <cstdint>

#include "tessera/core/text.hpp"
#include "tessera/io/hlo/detail/literal.hpp"

namespace tessera::io::hlo::detail {

TESSERA_INLINE std::string tuple_text(const std::vector<graph::TensorType>& types) {
  return '(' + joined(types, ", ", [](const auto& type) { return to_string(type); }) + ')';
}

TESSERA_INLINE std::string types_text(const std::vector<graph::TensorType>& types) {
  return types.size() == 1 ? to_string(types[0]) : tuple_text(types);
}

TESSERA_INLINE std::string scalar_text(graph::ElementType element) {
  return to_string(graph::TensorType{element, {}});
}

// --- Computations
// ---------------------------------------------------------------------------------

// The opcode that combines two values.
TESSERA_INLINE const char* combining_opcode(Reduction reduction) {
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

TESSERA_INLINE std::string reducer_name(WriteState& state, graph::ElementType element,
                                        Reduction reduction) {
  const std::string type = scalar_text(element);
  const std::string what = reduction == Reduction::none ? std::string("assign")
                                                        : tessera::to_string(reduction);
  const std::string name = what + '_' + std::string(to_string(element));
  const std::string root = reduction == Reduction::none
                               ? "  ROOT b = " + type + " parameter(1)\n"
                               : "  b = " + type + " parameter(1)\n  ROOT c = " + type + ' ' +
                                     combining_opcode(reduction) + "(a, b)\n";
  state.computations[name] = name + " {\n  a = " + type + " parameter(0)\n" + root + "}\n";
  return name;
}

TESSERA_INLINE std::string value_list(const std::vector<std::uint32_t>& numbers) {
  return '(' + joined(numbers, ", ", [](auto n) { return 'v' + std::to_string(n); }) + ')';
}

// The body of a computation whose values are numbered, with the types of those written so far.
struct NumberedBody {
  const std::vector<std::uint32_t>& results;
  std::vector<std::string> types = {};
  std::string text = " {\n";
};

TESSERA_INLINE void add_line(NumberedBody& body, const std::string& type, const std::string& what) {
  const std::size_t number = body.types.size();
  const bool is_root = body.results.size() == 1 && body.results[0] == number;
  body.text += std::string("  ") + (is_root ? "ROOT " : "") + 'v' + std::to_string(number) + " = " +
               type + ' ' + what + '\n';
  body.types.push_back(type);
}

TESSERA_INLINE void add_step(NumberedBody& body, const graph::ScalarStep& step) {
  const bool compares = step.opcode == graph::Opcode::compare;
  const std::size_t typed = step.opcode == graph::Opcode::select ? 1 : 0;
  const std::string direction = compares ? std::string(", direction=") + to_string(step.direction)
                                         : std::string();
  add_line(body, compares ? "pred[]" : body.types[step.operands[typed]],
           std::string(to_string(step.opcode)) + value_list(step.operands) + direction);
}

TESSERA_INLINE std::string body_text(const std::vector<graph::TensorType>& reduced,
                                     const graph::ReducingBy& how) {
  NumberedBody body{how.results};
  for (std::size_t p = 0; p < 2 * reduced.size(); ++p)
    add_line(body, scalar_text(reduced[p % reduced.size()].element),
             "parameter(" + std::to_string(p) + ')');
  for (const graph::ScalarStep& step : how.steps) add_step(body, step);
  if (how.results.size() > 1) {
    std::vector<graph::TensorType> scalars;
    for (const graph::TensorType& type : reduced) scalars.push_back({type.element, {}});
    body.text += "  ROOT all = " + tuple_text(scalars) + " tuple" + value_list(how.results) + '\n';
  }
  return body.text + "}\n";
}

// Two computations that differ have two names.
TESSERA_INLINE std::string reducer_name(WriteState& state,
                                        const std::vector<graph::TensorType>& reduced,
                                        const graph::ReducingBy& how) {
  const std::string text = body_text(reduced, how);
  for (std::size_t number = 0;; ++number) {
    const std::string name = "combine_" + std::to_string(number);
    const auto [at, is_new] = state.computations.try_emplace(name, name + text);
    if (is_new || at->second == name + text) return name;
  }
}

TESSERA_INLINE std::string comparator_name(WriteState& state,
                                           const std::vector<graph::TensorType>& sorted,
                                           graph::Direction direction) {
  std::string name = std::string("compare_") + to_string(direction);
  std::string parameters;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    name += '_' + std::string(to_string(sorted[i].element));
    for (const std::size_t p : {2 * i, 2 * i + 1})
      parameters += "  p" + std::to_string(p) + " = " + scalar_text(sorted[i].element) +
                    " parameter(" + std::to_string(p) + ")\n";
  }
  state.computations[name] =
      name + " {\n" + parameters +
      "  ROOT c = pred[] compare(p0, p1), direction=" + to_string(direction) + "\n}\n";
  return name;
}

// --- Windows
// --------------------------------------------------------------------------------------

// One field of a window; not written where every dim leaves it at its default.
template<class IsDefault, class TextOfDim>
void add_window_field(std::string& fields, const std::vector<graph::WindowDim>& window,
                      const char* name, IsDefault&& is_default, TextOfDim&& text_of_dim) {
  bool all_default = true;
  for (const graph::WindowDim& dim : window) all_default = all_default && is_default(dim);
  if (all_default) return;
  fields += (fields.empty() ? "" : " ") + std::string(name) + '=' +
            joined(window, "x", text_of_dim);
}

TESSERA_INLINE void add_window_number(std::string& fields,
                                      const std::vector<graph::WindowDim>& window, const char* name,
                                      std::int64_t graph::WindowDim::*member) {
  const graph::WindowDim point;
  add_window_field(
      fields, window, name,
      [&](const graph::WindowDim& dim) { return dim.*member == point.*member; },
      [&](const graph::WindowDim& dim) { return std::to_string(dim.*member); });
}

TESSERA_INLINE std::string window_text(const std::vector<graph::WindowDim>& window) {
  if (window.empty()) return {};
  std::string fields;
  add_window_field(
      fields, window, "size", [](const graph::WindowDim&) { return false; },
      [](const graph::WindowDim& dim) { return std::to_string(dim.size); });
  add_window_number(fields, window, "stride", &graph::WindowDim::stride);
  add_window_field(
      fields, window, "pad",
      [](const graph::WindowDim& dim) { return dim.pad_low == 0 && dim.pad_high == 0; },
      [](const graph::WindowDim& dim) {
        return std::to_string(dim.pad_low) + '_' + std::to_string(dim.pad_high);
      });
  add_window_number(fields, window, "lhs_dilate", &graph::WindowDim::lhs_dilate);
  add_window_number(fields, window, "rhs_dilate", &graph::WindowDim::rhs_dilate);
  add_window_field(
      fields, window, "rhs_reversal", [](const graph::WindowDim& dim) { return !dim.is_reversed; },
      [](const graph::WindowDim& dim) { return std::string(dim.is_reversed ? "1" : "0"); });
  return ", window={" + fields + '}';
}

// --- Attributes
// -----------------------------------------------------------------------------------

TESSERA_INLINE std::string list_text(const char* name, const std::vector<Extent>& numbers) {
  return std::string(", ") + name + "={" + joined(numbers, ",") + '}';
}
TESSERA_INLINE std::string list_unless_empty(const char* name, const std::vector<Extent>& numbers) {
  return numbers.empty() ? std::string() : list_text(name, numbers);
}

TESSERA_INLINE std::string range_text(const graph::SliceRange& range) {
  const std::string stride = range.stride == 1 ? "" : ':' + std::to_string(range.stride);
  return '[' + std::to_string(range.start) + ':' + std::to_string(range.limit) + stride + ']';
}

TESSERA_INLINE std::string range_text(const graph::PaddingRange& range) {
  const std::string between = range.interior == 0 ? "" : '_' + std::to_string(range.interior);
  return std::to_string(range.low) + '_' + std::to_string(range.high) + between;
}

// The labels of one tensor of a convolution: those of its batch and feature dims, or of the two
// feature dims of a kernel, and digits for the spatial ones.
TESSERA_INLINE std::string labels_text(std::size_t first, char first_label, std::size_t second,
                                       char second_label, const std::vector<std::size_t>& space) {
  std::string text(space.size() + 2, '?');
  text[first] = first_label;
  text[second] = second_label;
  for (std::size_t s = 0; s < space.size(); ++s) text[space[s]] = static_cast<char>('0' + s);
  return text;
}

TESSERA_INLINE std::string groups_text(const char* name, Extent count) {
  if (count == 1) return {};
  return std::string(", ") + name + "_group_count=" + std::to_string(count);
}

// One overload for each alternative of graph::Attributes.
struct AttributeWriter {
  WriteState& state;
  const graph::Op& op;
  graph::ElementType element;  // of operand 0

  std::string operator()(const graph::Literal&) const { return {}; }
  std::string operator()(const graph::Branching&) const { return {}; }
  std::string operator()(const graph::Comparison& held) const {
    return std::string(", direction=") + to_string(held.direction);
  }
  std::string operator()(const graph::Dim& held) const {
    if (op.opcode == graph::Opcode::iota) return ", iota_dimension=" + std::to_string(held.dim);
    return list_text("dimensions", {held.dim});
  }
  std::string operator()(const graph::DimList& held) const {
    return list_text("dimensions", held.dims);
  }
  std::string operator()(const graph::Slicing& held) const {
    const auto text = [](const graph::SliceRange& range) { return range_text(range); };
    return ", slice={" + joined(held.ranges, ", ", text) + '}';
  }
  std::string operator()(const graph::Padding& held) const {
    const auto text = [](const graph::PaddingRange& range) { return range_text(range); };
    return ", padding=" + joined(held.ranges, "x", text);
  }
  std::string operator()(const graph::DotDims& held) const {
    return list_unless_empty("lhs_batch_dims", held.lhs_batch) +
           list_text("lhs_contracting_dims", held.lhs_contracting) +
           list_unless_empty("rhs_batch_dims", held.rhs_batch) +
           list_text("rhs_contracting_dims", held.rhs_contracting);
  }
  std::string operator()(const graph::Convolution& held) const {
    const graph::ConvolutionDims& dims = held.dims;
    return window_text(held.window) + ", dim_labels=" +
           labels_text(dims.input_batch, 'b', dims.input_feature, 'f', dims.input_space) + '_' +
           labels_text(dims.kernel_input, 'i', dims.kernel_output, 'o', dims.kernel_space) + "->" +
           labels_text(dims.output_batch, 'b', dims.output_feature, 'f', dims.output_space) +
           groups_text("feature", dims.feature_groups) + groups_text("batch", dims.batch_groups);
  }
  std::string operator()(const graph::Reducing& held) const {
    return list_text("dimensions", held.dims) +
           ", to_apply=" + reducer_name(state, element, held.reduction);
  }
  std::string operator()(const graph::ReducingBy& held) const {
    return list_text("dimensions", held.dims) +
           ", to_apply=" + reducer_name(state, op.results, held);
  }
  std::string operator()(const graph::WindowReducing& held) const {
    return window_text(held.window) + ", to_apply=" + reducer_name(state, element, held.reduction);
  }
  std::string operator()(const graph::WindowScattering& held) const {
    return window_text(held.window) +
           ", select=" + comparator_name(state, {{element, {}}}, held.select) +
           ", scatter=" + reducer_name(state, element, held.scatter);
  }
  std::string operator()(const graph::GatherDims& held) const {
    return list_text("offset_dims", held.offset_dims) +
           list_text("collapsed_slice_dims", held.collapsed_slice_dims) +
           list_text("start_index_map", held.start_index_map) +
           list_unless_empty("operand_batching_dims", held.operand_batching_dims) +
           list_unless_empty("start_indices_batching_dims", held.start_indices_batching_dims) +
           ", index_vector_dim=" + std::to_string(held.index_vector_dim) +
           list_text("slice_sizes", held.slice_sizes);
  }
  std::string operator()(const graph::Scattering& held) const {
    const graph::ScatterDims& dims = held.dims;
    return list_text("update_window_dims", dims.update_window_dims) +
           list_text("inserted_window_dims", dims.inserted_window_dims) +
           list_text("scatter_dims_to_operand_dims", dims.scatter_dims_to_operand_dims) +
           list_unless_empty("input_batching_dims", dims.input_batching_dims) +
           list_unless_empty("scatter_indices_batching_dims", dims.scatter_indices_batching_dims) +
           ", index_vector_dim=" + std::to_string(dims.index_vector_dim) +
           ", to_apply=" + reducer_name(state, element, held.reduction);
  }
  std::string operator()(const graph::Sorting& held) const {
    return list_text("dimensions", {held.dim}) + (held.is_stable ? ", is_stable=true" : "") +
           ", to_apply=" + comparator_name(state, op.results, held.order);
  }
  std::string operator()(const graph::TopK& held) const {
    return ", k=" + std::to_string(held.k) + (held.is_largest ? "" : ", largest=false");
  }
  std::string operator()(const graph::Normalisation& held) const {
    return ", epsilon=" + number_text(held.epsilon) +
           ", feature_index=" + std::to_string(held.feature);
  }
  std::string operator()(const graph::Target& held) const {
    return ", custom_call_target=\"" + held.name + '"';
  }
};

TESSERA_INLINE std::string attributes_text(WriteState& state, const graph::Op& op,
                                           graph::ElementType element) {
  if (op.opcode == graph::Opcode::dynamic_slice)
    return ", dynamic_slice_sizes={" + joined(op.results[0].dims, ",") + '}';
  if (op.attributes.empty()) return {};
  return op.attributes.visit(AttributeWriter{state, op, element});
}

}  // namespace tessera::io::hlo::detail
