// SPDX-License-Identifier: Apache-2.0
//
// The result shape of every instruction, from its operands and attributes.
//
// A declared shape must be the one that follows, up to layouts; one that the text leaves out is
// filled in.  Whatever does not fit is reported here, so that rules and graphs are only ever made
// of tensors that do.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/core/integer.hpp"
#include "tessera/core/wide.hpp"
#include "tessera/io/hlo/detail/attribute_access.hpp"
#include "tessera/io/hlo/detail/attributes.hpp"
#include "tessera/io/hlo/detail/opcodes.hpp"
#include "tessera/io/hlo/module.hpp"

namespace tessera::io::hlo::detail {

// The computations of a conditional, in the order of their operands.
inline std::vector<std::uint32_t> branches_of(const Instruction& conditional) {
  std::vector<std::uint32_t> branches = conditional.called_as("branch_computations");
  for (const char* const attribute : {"true_computation", "false_computation"})
    for (const std::uint32_t id : conditional.called_as(attribute)) branches.push_back(id);
  return branches;
}

class ShapeRules {
 public:
  ShapeRules(const Module& module, const Computation& computation, const Instruction& instruction)
      : module_(module),
        computation_(computation),
        instruction_(instruction),
        attributes_(module, instruction) {}

  // The shape that follows; nothing where only the text can tell.
  std::optional<Shape> infer(const Shape* declared) const {
    switch (opcode_info(instruction_.opcode)->op_class) {
      case OpClass::unary: return unary();
      case OpClass::linear: return array(0);
      case OpClass::copy: return shape(0);
      case OpClass::binary: return equal_operands(array(0).array.element);
      case OpClass::complex: return equal_operands(widened_complex());
      case OpClass::compare: return equal_operands(ElementType::pred);
      case OpClass::is_finite: return of(ElementType::pred, dims(0));
      case OpClass::real_imag: return of(part_type(), dims(0));
      case OpClass::select: return select();
      case OpClass::clamp: return clamp();
      case OpClass::convert:
      case OpClass::reduce_precision: return of(declared_type(declared), dims(0));
      case OpClass::bitcast_convert: return bitcast_convert(declared);
      case OpClass::bitcast: return bitcast(declared);
      case OpClass::iota: return iota(declared);
      case OpClass::broadcast: return broadcast(declared);
      case OpClass::reshape: return reshape(declared);
      case OpClass::transpose: return transpose();
      case OpClass::reverse: dims_in_range("dimensions", rank(0)); return array(0);
      case OpClass::concatenate: return concatenate();
      case OpClass::slice: return slice();
      case OpClass::dynamic_slice: return dynamic_slice();
      case OpClass::dynamic_update_slice: return dynamic_update_slice();
      case OpClass::pad: return pad();
      case OpClass::dot: return dot(declared);
      case OpClass::convolution: return convolution(declared);
      case OpClass::reduce: return reduce();
      case OpClass::reduce_window: return reduce_window();
      case OpClass::select_and_scatter: return select_and_scatter();
      case OpClass::gather: return gather();
      case OpClass::scatter: return scatter();
      case OpClass::sort: return sort();
      case OpClass::topk: return topk();
      case OpClass::batch_norm_training: return batch_norm(true);
      case OpClass::batch_norm_grad: return batch_norm(true);
      case OpClass::batch_norm_inference: return batch_norm(false);
      case OpClass::map: return map();
      case OpClass::tuple: return tuple();
      case OpClass::get_tuple_element: return element();
      case OpClass::while_loop: return while_loop();
      case OpClass::conditional: return conditional();
      case OpClass::call: return called_root("to_apply");
      case OpClass::fusion: return called_root("calls");
      case OpClass::barrier: return barrier();
      case OpClass::cholesky: return array(0);
      case OpClass::triangular_solve: return array(1);
      case OpClass::collective:
      case OpClass::random:
      case OpClass::random_bits:
      case OpClass::fft:
      case OpClass::get_size:
      case OpClass::set_size:
      case OpClass::stochastic_convert:
      case OpClass::host:
      case OpClass::opaque:
      case OpClass::parameter:
      case OpClass::constant:
      case OpClass::custom_call: return std::nullopt;
    }
    return std::nullopt;
  }

  [[noreturn]] void fail(const std::string& why) const {
    module_.fail(instruction_.at,
                 shown_name(instruction_.name) + ": " + instruction_.opcode + ": " + why);
  }

 private:
  // --- Operands and attributes -------------------------------------------------------------------

  const Shape& shape(std::size_t i) const {
    return computation_.instructions[instruction_.operands[i]].shape;
  }
  const Shape& array(std::size_t i) const {
    if (shape(i).is_tuple)
      fail("operand " + std::to_string(i) + " must be an array, but it is a tuple");
    return shape(i);
  }
  const Dims& dims(std::size_t i) const { return array(i).array.dims; }
  std::size_t rank(std::size_t i) const { return dims(i).size(); }
  ElementType element_type(std::size_t i) const { return array(i).array.element; }
  std::size_t operand_count() const { return instruction_.operands.size(); }

  static Shape of(ElementType element, const Dims& dims) {
    Shape result;
    result.array = {element, dims};
    return result;
  }
  static Shape tuple_of(std::vector<Shape> elements) {
    if (elements.size() == 1) return elements[0];
    Shape result;
    result.is_tuple = true;
    result.elements = std::move(elements);
    return result;
  }
  ElementType declared_type(const Shape* declared) const {
    if (declared->is_tuple) fail("the result must be an array");
    return declared->array.element;
  }
  void require(bool holds, const std::string& why) const {
    if (!holds) fail(why);
  }

  // A list of distinct dims below `limit`.
  std::vector<std::int64_t> dims_in_range(std::string_view name, std::size_t limit) const {
    const std::vector<std::int64_t> list = attributes_.ints(name);
    std::vector<char> seen(limit, 0);
    for (const std::int64_t dim : list) {
      require(
          dim >= 0 && static_cast<std::size_t>(dim) < limit,
          std::string(name) + " names dim " + std::to_string(dim) + " of " + std::to_string(limit));
      require(seen[static_cast<std::size_t>(dim)]++ == 0,
              std::string(name) + " names dim " + std::to_string(dim) + " twice");
    }
    return list;
  }
  std::size_t dim_in_range(std::string_view name, std::size_t limit) const {
    const std::int64_t dim = attributes_.integer(name, 0);
    require(dim >= 0 && static_cast<std::size_t>(dim) < limit,
            std::string(name) + " is " + std::to_string(dim) + ", but there are " +
                std::to_string(limit) + " dims");
    return static_cast<std::size_t>(dim);
  }
  static std::size_t index(std::int64_t dim) { return static_cast<std::size_t>(dim); }
  static bool contains(const std::vector<std::int64_t>& list, std::size_t value) {
    return std::find(list.begin(), list.end(), static_cast<std::int64_t>(value)) != list.end();
  }
  void scalar_operand(std::size_t i, const char* what) const {
    require(rank(i) == 0,
            std::string(what) + " must be a scalar, but it is " + to_string(shape(i)));
  }
  void sorted(std::string_view name, const std::vector<std::int64_t>& list) const {
    if (!std::is_sorted(list.begin(), list.end())) fail(std::string(name) + " must be ascending");
  }
  // Sums and products of sizes, which attributes can make as large as they like.
  Extent size_of_dim(Wide size) const {
    require(size <= std::numeric_limits<Extent>::max(),
            "the size of a dim does not fit in 64 bits");
    return static_cast<Extent>(size);
  }

  // --- Element by element ------------------------------------------------------------------------

  Shape equal_operands(ElementType element) const {
    for (std::size_t i = 1; i < operand_count(); ++i)
      require(array(i) == array(0),
              "operands " + to_string(shape(0)) + " and " + to_string(shape(i)) + " differ");
    return of(element, dims(0));
  }
  Shape unary() const { return instruction_.opcode == "abs" ? of(part_type(), dims(0)) : array(0); }
  ElementType widened_complex() const {
    return element_type(0) == ElementType::f64 ? ElementType::c128 : ElementType::c64;
  }
  ElementType part_type() const {
    if (element_type(0) == ElementType::c64) return ElementType::f32;
    if (element_type(0) == ElementType::c128) return ElementType::f64;
    return element_type(0);
  }
  Shape select() const {
    require(element_type(0) == ElementType::pred, "the first operand must be of type pred");
    require(rank(0) == 0 || dims(0) == dims(1),
            "the predicate " + to_string(shape(0)) + " does not fit " + to_string(shape(1)));
    require(array(1) == array(2),
            "operands " + to_string(shape(1)) + " and " + to_string(shape(2)) + " differ");
    return array(1);
  }
  Shape clamp() const {
    for (const std::size_t bound : {std::size_t{0}, std::size_t{2}})
      require(
          element_type(bound) == element_type(1) && (rank(bound) == 0 || dims(bound) == dims(1)),
          "the bound " + to_string(shape(bound)) + " does not fit " + to_string(shape(1)));
    return array(1);
  }
  Shape map() const {
    const Shape same = equal_operands(element_type(0));
    const Shape* root = callee_root("to_apply");
    return root == nullptr || root->is_tuple ? same : of(root->array.element, dims(0));
  }
  Shape bitcast_convert(const Shape* declared) const {
    const ElementType to = declared_type(declared);
    const int from_bits = graph::bits_of(element_type(0)), to_bits = graph::bits_of(to);
    Dims result = dims(0);
    if (from_bits > to_bits && to_bits > 0) {
      result.push_back(from_bits / to_bits);
    } else if (from_bits < to_bits) {
      require(!result.empty() && from_bits > 0 && result.back() == to_bits / from_bits,
              "the minor dim of " + to_string(shape(0)) + " does not make up one " +
                  std::string(graph::to_string(to)));
      result.pop_back();
    }
    return of(to, result);
  }
  Shape bitcast(const Shape* declared) const {
    declared_type(declared);
    require(byte_count(array(0).array) == byte_count(declared->array),
            to_string(shape(0)) + " and " + to_string(*declared) + " differ in size");
    return *declared;
  }

  // --- Shapes ------------------------------------------------------------------------------------

  Shape iota(const Shape* declared) const {
    declared_type(declared);
    dim_in_range("iota_dimension", declared->array.dims.size());
    return *declared;
  }
  Shape broadcast(const Shape* declared) const {
    declared_type(declared);
    const Dims& out = declared->array.dims;
    const auto mapping = dims_in_range("dimensions", out.size());
    require(mapping.size() == rank(0), "dimensions has " + std::to_string(mapping.size()) +
                                           " entries for an operand of " + std::to_string(rank(0)) +
                                           " dims");
    for (std::size_t i = 0; i < mapping.size(); ++i)
      require(out[index(mapping[i])] == dims(0)[i],
              "dim " + std::to_string(i) + " of " + to_string(shape(0)) + " does not fit dim " +
                  std::to_string(mapping[i]) + " of " + to_string(*declared));
    return of(element_type(0), out);
  }
  Shape reshape(const Shape* declared) const {
    declared_type(declared);
    require(element_count(dims(0)) == element_count(declared->array.dims),
            to_string(shape(0)) + " and " + to_string(*declared) +
                " have different numbers of elements");
    return of(element_type(0), declared->array.dims);
  }
  Shape transpose() const {
    const auto permutation = dims_in_range("dimensions", rank(0));
    require(permutation.size() == rank(0), "dimensions must name every dim");
    Dims result;
    for (const std::int64_t from : permutation) result.push_back(dims(0)[index(from)]);
    return of(element_type(0), result);
  }
  Shape concatenate() const {
    const auto along = dims_in_range("dimensions", rank(0));
    require(along.size() == 1, "dimensions must name one dim");
    Dims result = dims(0);
    for (std::size_t i = 1; i < operand_count(); ++i) {
      require(rank(i) == rank(0) && element_type(i) == element_type(0),
              "operands " + to_string(shape(0)) + " and " + to_string(shape(i)) + " do not join");
      for (std::size_t d = 0; d < rank(0); ++d) {
        if (static_cast<std::int64_t>(d) == along[0])
          result[d] = size_of_dim(Wide(result[d]) + dims(i)[d]);
        else
          require(dims(i)[d] == dims(0)[d], "operands " + to_string(shape(0)) + " and " +
                                                to_string(shape(i)) + " do not join");
      }
    }
    return of(element_type(0), result);
  }
  Shape slice() const {
    const std::vector<SliceRange> ranges = attributes_.slice();
    require(ranges.size() == rank(0), "slice has " + std::to_string(ranges.size()) +
                                          " ranges for " + std::to_string(rank(0)) + " dims");
    Dims result;
    for (std::size_t d = 0; d < ranges.size(); ++d) {
      const SliceRange& range = ranges[d];
      require(range.start >= 0 && range.start <= range.limit && range.limit <= dims(0)[d],
              "range [" + std::to_string(range.start) + ":" + std::to_string(range.limit) +
                  "] is not within dim " + std::to_string(d) + " of " + to_string(shape(0)));
      result.push_back(ceil_div(range.limit - range.start, range.stride));
    }
    return of(element_type(0), result);
  }
  void check_indices(std::size_t first, std::size_t wanted) const {
    const std::size_t count = operand_count() - first;
    const bool is_legacy = count == 1 && rank(first) == 1;  // one vector of indices
    require(is_legacy || count == wanted,
            std::to_string(count) + " start indices for " + std::to_string(wanted) + " dims");
    for (std::size_t i = first; i < operand_count() && !is_legacy; ++i)
      scalar_operand(i, "a start index");
  }
  Shape dynamic_slice() const {
    const std::vector<std::int64_t> sizes = attributes_.ints("dynamic_slice_sizes");
    require(sizes.size() == rank(0), "dynamic_slice_sizes has " + std::to_string(sizes.size()) +
                                         " entries for " + std::to_string(rank(0)) + " dims");
    check_indices(1, rank(0));
    Dims result;
    for (std::size_t d = 0; d < sizes.size(); ++d) {
      require(sizes[d] >= 0 && sizes[d] <= dims(0)[d],
              "slice size " + std::to_string(sizes[d]) + " is not within dim " + std::to_string(d) +
                  " of " + to_string(shape(0)));
      result.push_back(sizes[d]);
    }
    return of(element_type(0), result);
  }
  Shape dynamic_update_slice() const {
    require(rank(1) == rank(0) && element_type(1) == element_type(0),
            "an update " + to_string(shape(1)) + " does not fit " + to_string(shape(0)));
    for (std::size_t d = 0; d < rank(0); ++d)
      require(dims(1)[d] <= dims(0)[d],
              "an update " + to_string(shape(1)) + " is larger than " + to_string(shape(0)));
    check_indices(2, rank(0));
    return array(0);
  }
  Shape pad() const {
    const std::vector<PaddingRange> ranges = attributes_.padding();
    require(ranges.size() == rank(0) || (rank(0) == 0 && ranges.empty()),
            "padding has " + std::to_string(ranges.size()) + " entries for " +
                std::to_string(rank(0)) + " dims");
    scalar_operand(1, "the padding value");
    require(element_type(1) == element_type(0), "the padding value is of another type");
    Dims result;
    for (std::size_t d = 0; d < ranges.size(); ++d) {
      const Extent inner = std::max<Extent>(dims(0)[d] - 1, 0);
      Extent size = 0;
      const bool overflows = __builtin_mul_overflow(inner, ranges[d].interior, &size) ||
                             __builtin_add_overflow(size, dims(0)[d], &size) ||
                             __builtin_add_overflow(size, ranges[d].low, &size) ||
                             __builtin_add_overflow(size, ranges[d].high, &size);
      require(!overflows && size >= 0, "padding makes dim " + std::to_string(d) + " of " +
                                           to_string(shape(0)) + " negative, or too large");
      result.push_back(size);
    }
    return of(element_type(0), result);
  }

  // --- Products and sums -------------------------------------------------------------------------

  Shape dot(const Shape* declared) const {
    const auto lhs_contracting = dims_in_range("lhs_contracting_dims", rank(0));
    const auto rhs_contracting = dims_in_range("rhs_contracting_dims", rank(1));
    const auto lhs_batch = dims_in_range("lhs_batch_dims", rank(0));
    const auto rhs_batch = dims_in_range("rhs_batch_dims", rank(1));
    const auto pairs_up = [&](const auto& lhs, const auto& rhs, const char* what) {
      require(lhs.size() == rhs.size(), std::to_string(lhs.size()) + " " + what +
                                            " dims on the left, " + std::to_string(rhs.size()) +
                                            " on the right");
      for (std::size_t i = 0; i < lhs.size(); ++i)
        require(dims(0)[index(lhs[i])] == dims(1)[index(rhs[i])],
                std::string(what) + " dim " + std::to_string(lhs[i]) + " of " +
                    to_string(shape(0)) + " and " + std::to_string(rhs[i]) + " of " +
                    to_string(shape(1)) + " differ in size");
    };
    pairs_up(lhs_contracting, rhs_contracting, "contracting");
    pairs_up(lhs_batch, rhs_batch, "batch");
    for (const std::int64_t dim : lhs_batch)
      require(!contains(lhs_contracting, index(dim)), "a dim is both batch and contracting");
    for (const std::int64_t dim : rhs_batch)
      require(!contains(rhs_contracting, index(dim)), "a dim is both batch and contracting");
    Dims result;
    for (const std::int64_t dim : lhs_batch) result.push_back(dims(0)[index(dim)]);
    for (std::size_t d = 0; d < rank(0); ++d)
      if (!contains(lhs_batch, d) && !contains(lhs_contracting, d)) result.push_back(dims(0)[d]);
    for (std::size_t d = 0; d < rank(1); ++d)
      if (!contains(rhs_batch, d) && !contains(rhs_contracting, d)) result.push_back(dims(1)[d]);
    // The result may be of a wider type than the operands.
    return of(declared != nullptr ? declared_type(declared) : element_type(0), result);
  }

  // The size of a dim after a window has passed over it.
  Extent windowed(Extent size, const WindowDim& window) const {
    const auto dilated = [](Extent n, Extent by) { return n == 0 ? 0 : Wide(n - 1) * by + 1; };
    const Wide in = dilated(size, window.lhs_dilate) + window.pad_low + window.pad_high;
    const Wide win = dilated(window.size, window.rhs_dilate);
    return in < win || in < 0 ? 0 : size_of_dim((in - win) / window.stride + 1);
  }
  std::vector<WindowDim> window_of_rank(std::size_t rank) const {
    std::vector<WindowDim> window = attributes_.window(rank);
    require(window.size() == rank, "the window has " + std::to_string(window.size()) +
                                       " dims, the operand has " + std::to_string(rank));
    return window;
  }

  Shape convolution(const Shape* declared) const {
    const DimLabels labels = attributes_.dim_labels();
    require(labels.lhs.size() == rank(0) && labels.kernel.size() == rank(1),
            "dim_labels are for tensors of " + std::to_string(labels.lhs.size()) +
                " dims, the operands have " + std::to_string(rank(0)) + " and " +
                std::to_string(rank(1)));
    const std::size_t space = labels.lhs.size() - 2;
    std::vector<WindowDim> window = attributes_.window(space);
    require(window.size() == space, "the window has " + std::to_string(window.size()) +
                                        " dims for " + std::to_string(space) + " spatial ones");
    const std::int64_t feature_groups = attributes_.integer("feature_group_count", 1);
    const std::int64_t batch_groups = attributes_.integer("batch_group_count", 1);
    require(feature_groups > 0 && batch_groups > 0, "group counts must be positive");
    const auto at = [](const std::string& part, char label) { return part.find(label); };
    const Extent in_feature = dims(0)[at(labels.lhs, 'f')];
    const Extent kernel_in = dims(1)[at(labels.kernel, 'i')];
    require(in_feature % feature_groups == 0 && in_feature / feature_groups == kernel_in,
            "the input has " + std::to_string(in_feature) + " features, the kernel takes " +
                std::to_string(kernel_in) + " in " + std::to_string(feature_groups) + " groups");
    const Extent in_batch = dims(0)[at(labels.lhs, 'b')];
    const Extent kernel_out = dims(1)[at(labels.kernel, 'o')];
    const auto divides = [&](std::int64_t groups, Extent whole, const char* what) {
      require(whole % groups == 0,
              std::to_string(groups) + " groups do not divide the " + std::to_string(whole) + what);
    };
    divides(feature_groups, kernel_out, " features that the kernel gives");
    divides(batch_groups, kernel_out, " features that the kernel gives");
    divides(batch_groups, in_batch, " batches of the input");
    Dims result(rank(0), 0);
    result[at(labels.output, 'b')] = in_batch / batch_groups;
    result[at(labels.output, 'f')] = kernel_out;
    for (std::size_t s = 0; s < space; ++s) {
      const char label = static_cast<char>('0' + s);
      const Extent kernel_size = dims(1)[at(labels.kernel, label)];
      if (attributes_.has("window"))
        require(window[s].size == kernel_size,
                "the window's size in dim " + std::to_string(s) + " is not the kernel's");
      window[s].size = kernel_size;
      result[at(labels.output, label)] = windowed(dims(0)[at(labels.lhs, label)], window[s]);
    }
    return of(declared != nullptr ? declared_type(declared) : element_type(0), result);
  }

  std::size_t pair_count(const char* what) const {
    require(operand_count() % 2 == 0,
            std::string("as many initial values as inputs are needed for ") + what);
    return operand_count() / 2;
  }
  // The element type of result `i` of `count`: the reducer's, or where that is not known the
  // initial value's.  Floating types may be mixed, as in a bf16 tensor that is summed in f32.
  ElementType reduced_type(std::size_t i, std::size_t count) const {
    ElementType type = element_type(count + i);
    if (const Shape* root = callee_root("to_apply")) {
      require(
          count == 1 ? !root->is_tuple : root->is_tuple && root->elements.size() == count,
          "the reducer returns " + to_string(*root) + " for " + std::to_string(count) + " inputs");
      const Shape& part = count == 1 ? *root : root->elements[i];
      require(!part.is_tuple && part.array.dims.empty(), "the reducer must return scalars");
      type = part.array.element;
    }
    for (const std::size_t operand : {i, count + i}) {
      const ElementType from = element_type(operand);
      require(from == type || (graph::is_floating(from) && graph::is_floating(type)),
              "operand " + std::to_string(operand) + " " + to_string(shape(operand)) +
                  " is reduced to " + std::string(graph::to_string(type)));
    }
    return type;
  }
  Shape reduce() const {
    const std::size_t count = pair_count("reduce");
    const auto reduced = dims_in_range("dimensions", rank(0));
    std::vector<Shape> results;
    for (std::size_t i = 0; i < count; ++i) {
      require(dims(i) == dims(0),
              "inputs " + to_string(shape(0)) + " and " + to_string(shape(i)) + " differ");
      scalar_operand(count + i, "an initial value");
      Dims kept;
      for (std::size_t d = 0; d < rank(i); ++d)
        if (!contains(reduced, d)) kept.push_back(dims(i)[d]);
      results.push_back(of(reduced_type(i, count), kept));
    }
    return tuple_of(std::move(results));
  }
  Shape reduce_window() const {
    const std::size_t count = pair_count("reduce-window");
    const std::vector<WindowDim> window = window_of_rank(rank(0));
    std::vector<Shape> results;
    for (std::size_t i = 0; i < count; ++i) {
      require(dims(i) == dims(0), "inputs differ in shape");
      scalar_operand(count + i, "an initial value");
      Dims result;
      for (std::size_t d = 0; d < rank(i); ++d) result.push_back(windowed(dims(i)[d], window[d]));
      results.push_back(of(reduced_type(i, count), result));
    }
    return tuple_of(std::move(results));
  }
  Shape select_and_scatter() const {
    const std::vector<WindowDim> window = window_of_rank(rank(0));
    Dims selected;
    for (std::size_t d = 0; d < window.size(); ++d)
      selected.push_back(windowed(dims(0)[d], window[d]));
    require(dims(1) == selected && element_type(1) == element_type(0),
            "the source " + to_string(shape(1)) + " is not what the window selects of " +
                to_string(shape(0)) + ": " + to_string(of(element_type(0), selected)));
    scalar_operand(2, "the initial value");
    require(element_type(2) == element_type(0), "the initial value is of another type");
    return array(0);
  }

  // --- Lookups -----------------------------------------------------------------------------------

  // What gather and scatter call alike: the operand's dims that indices point into.
  struct LookupNames {
    std::string_view dropped, batching, index_batching, index_map;
  };
  struct LookupDims {
    std::vector<std::int64_t> dropped, batching;
    std::size_t vector_dim = 0;
  };
  LookupDims lookup_dims(const LookupNames& names, const Dims& operand, const Dims& indices) const {
    LookupDims result;
    result.dropped = dims_in_range(names.dropped, operand.size());
    result.batching = dims_in_range(names.batching, operand.size());
    sorted(names.dropped, result.dropped);
    sorted(names.batching, result.batching);
    result.vector_dim = dim_in_range("index_vector_dim", indices.size() + 1);
    const auto index_batching = dims_in_range(names.index_batching, indices.size());
    require(result.batching.size() == index_batching.size(), "batching dims do not pair up");
    for (std::size_t i = 0; i < index_batching.size(); ++i) {
      const std::size_t in = index(result.batching[i]), of_indices = index(index_batching[i]);
      require(of_indices != result.vector_dim, "a batching dim is the index_vector_dim");
      require(operand[in] == indices[of_indices],
              "batching dims " + std::to_string(in) + " of the operand and " +
                  std::to_string(of_indices) + " of the indices differ in size");
      require(!contains(result.dropped, in), "dim " + std::to_string(in) + " is in both " +
                                                 std::string(names.dropped) + " and " +
                                                 std::string(names.batching));
    }
    const auto index_map = dims_in_range(names.index_map, operand.size());
    const Extent wanted = result.vector_dim < indices.size() ? indices[result.vector_dim] : 1;
    require(static_cast<Extent>(index_map.size()) == wanted,
            std::string(names.index_map) + " has " + std::to_string(index_map.size()) +
                " entries for index vectors of " + std::to_string(wanted));
    for (const std::int64_t dim : index_map)
      require(!contains(result.batching, index(dim)),
              "dim " + std::to_string(dim) + " is in both " + std::string(names.index_map) +
                  " and " + std::string(names.batching));
    return result;
  }

  Shape gather() const {
    const Dims& operand = dims(0);
    const Dims& indices = dims(1);
    const auto [collapsed, batching, vector_dim] =
        lookup_dims({"collapsed_slice_dims", "operand_batching_dims", "start_indices_batching_dims",
                     "start_index_map"},
                    operand, indices);
    const std::vector<std::int64_t> sizes = attributes_.ints("slice_sizes");
    require(sizes.size() == operand.size(), "slice_sizes has " + std::to_string(sizes.size()) +
                                                " entries for " + std::to_string(operand.size()) +
                                                " dims");
    Dims batch, offset;
    for (std::size_t d = 0; d < indices.size(); ++d)
      if (d != vector_dim) batch.push_back(indices[d]);
    for (std::size_t d = 0; d < operand.size(); ++d) {
      require(sizes[d] >= 0 && sizes[d] <= operand[d],
              "slice size " + std::to_string(sizes[d]) + " is not within dim " + std::to_string(d) +
                  " of " + to_string(shape(0)));
      const bool is_dropped = contains(collapsed, d) || contains(batching, d);
      require(!is_dropped || sizes[d] <= 1, "a collapsed or batching dim has slice size over 1");
      if (!is_dropped) offset.push_back(sizes[d]);
    }
    const std::size_t result_rank = batch.size() + offset.size();
    const auto offset_dims = dims_in_range("offset_dims", result_rank);
    sorted("offset_dims", offset_dims);
    require(offset_dims.size() == offset.size(),
            "offset_dims has " + std::to_string(offset_dims.size()) + " entries for " +
                std::to_string(offset.size()) + " slice dims");
    Dims result;
    for (std::size_t d = 0, next_batch = 0, next_offset = 0; d < result_rank; ++d)
      result.push_back(contains(offset_dims, d) ? offset[next_offset++] : batch[next_batch++]);
    return of(element_type(0), result);
  }

  Shape scatter() const {
    require(operand_count() % 2 == 1, "operands, indices and as many updates are needed");
    const std::size_t count = operand_count() / 2;
    const Dims& indices = dims(count);
    const auto [inserted, batching, vector_dim] =
        lookup_dims({"inserted_window_dims", "input_batching_dims", "scatter_indices_batching_dims",
                     "scatter_dims_to_operand_dims"},
                    dims(0), indices);
    std::vector<Shape> results;
    for (std::size_t i = 0; i < count; ++i) {
      const Dims& updates = dims(count + 1 + i);
      require(dims(i) == dims(0) && updates == dims(count + 1),
              "the operands, or the updates, differ in their dims");
      const auto window = dims_in_range("update_window_dims", updates.size());
      sorted("update_window_dims", window);
      require(window.size() + inserted.size() + batching.size() == rank(i),
              "window, inserted and batching dims do not make up " + to_string(shape(i)));
      const std::size_t index_dims = indices.size() - (vector_dim < indices.size() ? 1 : 0);
      require(updates.size() == window.size() + index_dims,
              "updates " + to_string(shape(count + 1 + i)) + " do not fit indices " +
                  to_string(shape(count)));
      check_update(updates, window, indices, vector_dim, inserted, batching, dims(i));
      results.push_back(array(i));
    }
    return tuple_of(std::move(results));
  }
  void check_update(const Dims& updates, const std::vector<std::int64_t>& window,
                    const Dims& indices, std::size_t vector_dim,
                    const std::vector<std::int64_t>& inserted,
                    const std::vector<std::int64_t>& batching, const Dims& operand) const {
    std::size_t next_index = 0, next_operand = 0;
    for (std::size_t d = 0; d < updates.size(); ++d) {
      if (contains(window, d)) {
        while (contains(inserted, next_operand) || contains(batching, next_operand)) ++next_operand;
        require(updates[d] <= operand[next_operand++], "an update's window exceeds the operand");
      } else {
        if (next_index == vector_dim) ++next_index;
        require(updates[d] == indices[next_index++],
                "dim " + std::to_string(d) + " of the updates does not fit the indices");
      }
    }
  }

  Shape sort() const {
    const auto along = dims_in_range("dimensions", rank(0));
    require(along.size() == 1, "dimensions must name one dim");
    std::vector<Shape> results;
    for (std::size_t i = 0; i < operand_count(); ++i) {
      require(dims(i) == dims(0), "operands differ in their dims");
      results.push_back(array(i));
    }
    return tuple_of(std::move(results));
  }
  Shape topk() const {
    require(rank(0) > 0, "the operand has no dims");
    Dims result = dims(0);
    const std::int64_t k = attributes_.integer("k", 0);
    require(k >= 0 && k <= result.back(),
            "k is " + std::to_string(k) + " of " + std::to_string(result.back()) + " elements");
    result.back() = k;
    return tuple_of({of(element_type(0), result), of(ElementType::s32, result)});
  }
  Shape batch_norm(bool has_statistics) const {
    const std::size_t feature = dim_in_range("feature_index", rank(0));
    const Shape statistic = of(element_type(0), Dims{dims(0)[feature]});
    for (std::size_t i = 1; i < operand_count(); ++i) {
      const bool is_full = opcode_info(instruction_.opcode)->op_class == OpClass::batch_norm_grad &&
                           i == 4;
      require(is_full ? dims(i) == dims(0) : dims(i) == statistic.array.dims,
              "operand " + std::to_string(i) + " " + to_string(shape(i)) + " does not fit " +
                  to_string(shape(0)));
    }
    if (!has_statistics) return array(0);
    return tuple_of({array(0), statistic, statistic});
  }

  // --- Tuples and calls --------------------------------------------------------------------------

  // Tuples of tuples grow exponentially, and need not be spelled out.
  void check_tuple_size() const {
    constexpr std::size_t max_parts = 1'000'000;
    std::size_t parts = 1;
    for (std::size_t i = 0; i < operand_count(); ++i) {
      const ShapeSize size = size_of(shape(i));
      parts += size.parts;
      require(size.depth < static_cast<std::size_t>(Scanner::max_nesting),
              "tuples nest too deeply");
      require(parts <= max_parts, "a tuple of over " + std::to_string(max_parts) + " parts");
    }
  }
  Shape tuple() const {
    check_tuple_size();
    Shape result;
    result.is_tuple = true;
    for (std::size_t i = 0; i < operand_count(); ++i) result.elements.push_back(shape(i));
    return result;
  }
  Shape element() const {
    require(shape(0).is_tuple, "the operand is no tuple");
    const std::int64_t at = attributes_.integer("index", 0);
    require(at >= 0 && static_cast<std::size_t>(at) < shape(0).elements.size(),
            "element " + std::to_string(at) + " of a tuple of " +
                std::to_string(shape(0).elements.size()));
    return shape(0).elements[static_cast<std::size_t>(at)];
  }
  // opt-barrier hands its operand on; add-dependency the first of two.
  Shape barrier() const {
    if (operand_count() == 1 || instruction_.opcode == "add-dependency") return shape(0);
    return tuple();
  }
  // Nothing where a lenient reading did not find it.
  const Computation* callee(std::string_view attribute) const {
    const std::vector<std::uint32_t> called = instruction_.called_as(attribute);
    require(called.size() == 1, std::string(attribute) + " must name one computation");
    return called[0] == missing_computation ? nullptr : &module_.computations[called[0]];
  }
  const Shape* callee_root(std::string_view attribute) const {
    const Computation* called = callee(attribute);
    return called == nullptr ? nullptr : &called->instructions[called->root].shape;
  }
  void check_parameters(const Computation& called, std::size_t first, std::size_t count) const {
    require(called.parameters.size() == count, "computation " + shown_name(called.name) +
                                                   " takes " +
                                                   std::to_string(called.parameters.size()) +
                                                   " parameters, not " + std::to_string(count));
    for (std::size_t i = 0; i < count; ++i) {
      const Shape& wanted = called.instructions[called.parameters[i]].shape;
      require(wanted == shape(first + i), "parameter " + std::to_string(i) + " of " +
                                              shown_name(called.name) + " is " + to_string(wanted) +
                                              ", the operand is " + to_string(shape(first + i)));
    }
  }
  std::optional<Shape> called_root(std::string_view attribute) const {
    const Computation* called = callee(attribute);
    if (called == nullptr) return std::nullopt;
    check_parameters(*called, 0, operand_count());
    return called->instructions[called->root].shape;
  }
  Shape while_loop() const {
    for (const char* const attribute : {"condition", "body"})
      if (const Computation* called = callee(attribute)) check_parameters(*called, 0, 1);
    if (const Shape* root = callee_root("body"))
      require(*root == shape(0),
              "the body returns " + to_string(*root) + ", the loop holds " + to_string(shape(0)));
    if (const Shape* root = callee_root("condition"))
      require(!root->is_tuple && root->array == TensorType{ElementType::pred, {}},
              "the condition must return pred[]");
    return shape(0);
  }
  std::optional<Shape> conditional() const {
    const bool by_number = attributes_.has("branch_computations");
    const ElementType wanted = by_number ? ElementType::s32 : ElementType::pred;
    require(array(0).array == TensorType{wanted, {}}, "what chooses the branch must be " +
                                                          to_string(of(wanted, {})) +
                                                          ", but it is " + to_string(shape(0)));
    if (!by_number)
      for (const char* const attribute : {"true_computation", "false_computation"})
        require(instruction_.called_as(attribute).size() == 1,
                std::string(attribute) + " must name one computation");
    const std::vector<std::uint32_t> branches = branches_of(instruction_);
    require(!branches.empty(), "there are no branches");
    require(branches.size() + 1 == operand_count(),
            std::to_string(branches.size()) + " branches for " +
                std::to_string(operand_count() - 1) + " branch operands");
    std::optional<Shape> result;
    for (std::size_t i = 0; i < branches.size(); ++i) {
      if (branches[i] == missing_computation) continue;
      const Computation& called = module_.computations[branches[i]];
      check_parameters(called, i + 1, 1);
      const Shape& root = called.instructions[called.root].shape;
      require(!result || *result == root, "the branches return different shapes");
      result = root;
    }
    return result;
  }

  const Module& module_;
  const Computation& computation_;
  const Instruction& instruction_;
  AttributeAccess attributes_;
};

// Sets the instruction's shape.  Throws InputError where the declared one is not what follows.
inline void settle_shape(const Module& module, const Computation& computation,
                         Instruction& instruction, const std::optional<Shape>& declared) {
  const ShapeRules rules(module, computation, instruction);
  std::optional<Shape> inferred;
  try {
    inferred = rules.infer(declared ? &*declared : nullptr);
    if (inferred) inferred->for_each_leaf([](const Shape& leaf) { byte_count(leaf.array); });
  } catch (const CapacityExceeded&) {
    rules.fail("the result has more than " + std::to_string(max_dims) + " dims");
  } catch (const Overflow& error) {
    rules.fail(error.what());
  }
  if (!inferred && !declared) rules.fail("the result shape must be given");
  if (inferred && declared && !(*inferred == *declared))
    rules.fail("the result is declared " + to_string(*declared) + ", but it is " +
               to_string(*inferred));
  instruction.shape = declared ? *declared : *inferred;
}

}  // namespace tessera::io::hlo::detail
