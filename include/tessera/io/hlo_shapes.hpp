// SPDX-License-Identifier: Apache-2.0
//
// The result shape of every instruction, from its operands and attributes.
//
// A declared shape must be the one that follows, up to layouts; one that the text leaves out is
// filled in.  Whatever does not fit is reported here, so that rules and graphs are only ever made
// of tensors that do.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tessera/io/hlo_attributes.hpp"
#include "tessera/io/hlo_module.hpp"
#include "tessera/io/hlo_opcodes.hpp"

namespace tessera::io::hlo {

// Reads the attributes of one instruction, whose grammar has been checked.
class AttributeAccess {
 public:
  AttributeAccess(const Module& module, const Instruction& instruction)
      : module_(module), instruction_(instruction) {}

  bool has(std::string_view name) const { return instruction_.find(name) != nullptr; }

  // Empty where the attribute is absent: HLO leaves empty lists out.
  std::vector<std::int64_t> ints(std::string_view name) const {
    return read(name, std::vector<std::int64_t>{},
                [](Scanner& scan) { return AttributeReader(scan).int_list(); });
  }
  std::int64_t integer(std::string_view name, std::int64_t absent) const {
    return read(name, absent, [](Scanner& scan) { return scan.integer("an integer"); });
  }
  std::vector<SliceRange> slice() const {
    return read("slice", std::vector<SliceRange>{},
                [](Scanner& scan) { return AttributeReader(scan).slice(); });
  }
  std::vector<PaddingRange> padding() const {
    return read("padding", std::vector<PaddingRange>{},
                [](Scanner& scan) { return AttributeReader(scan).padding(); });
  }
  // One entry per dim; points where the attribute is absent.
  std::vector<WindowDim> window(std::size_t rank) const {
    return read("window", std::vector<WindowDim>(rank),
                [](Scanner& scan) { return AttributeReader(scan).window(); });
  }
  DimLabels dim_labels() const {
    return read("dim_labels", DimLabels{},
                [](Scanner& scan) { return AttributeReader(scan).dim_labels(); });
  }
  // A name or a string, without its quotes.
  std::string_view word(std::string_view name) const {
    const Attribute* attribute = instruction_.find(name);
    if (attribute == nullptr) return {};
    std::string_view text = module_.text_of(attribute->value);
    if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'')) {
      text.remove_prefix(1);
      text.remove_suffix(1);
    }
    return text;
  }

 private:
  template<class T, class Read>
  T read(std::string_view name, T absent, Read&& how) const {
    const Attribute* attribute = instruction_.find(name);
    if (attribute == nullptr) return absent;
    Scanner scan(module_.text, module_.source);
    scan.go_to(attribute->value.begin);
    return how(scan);
  }

  const Module& module_;
  const Instruction& instruction_;
};

namespace detail {

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
      case OpClass::unary:
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
      case OpClass::select_and_scatter: return array(0);
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
      case OpClass::call: return called_root(0, instruction_.operands.size());
      case OpClass::fusion: return called_root(0, instruction_.operands.size());
      case OpClass::barrier: return barrier();
      case OpClass::opaque: return opaque();
      case OpClass::parameter:
      case OpClass::constant:
      case OpClass::custom_call: return std::nullopt;
    }
    return std::nullopt;
  }

  [[noreturn]] void fail(const std::string& why) const {
    module_.fail(instruction_.at,
                 "'" + instruction_.name + "': " + instruction_.opcode + ": " + why);
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

  // --- Element by element ------------------------------------------------------------------------

  Shape equal_operands(ElementType element) const {
    for (std::size_t i = 1; i < operand_count(); ++i)
      require(array(i) == array(0),
              "operands " + to_string(shape(0)) + " and " + to_string(shape(i)) + " differ");
    return of(element, dims(0));
  }
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
    const Shape* root = callee_root(0);
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
          result[d] += dims(i)[d];
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
    const auto dilated = [](Extent n, Extent by) { return n == 0 ? 0 : (n - 1) * by + 1; };
    const Extent in = dilated(size, window.lhs_dilate) + window.pad_low + window.pad_high;
    const Extent win = dilated(window.size, window.rhs_dilate);
    return in < win || in < 0 ? 0 : (in - win) / window.stride + 1;
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
    Dims result(rank(0), 0);
    result[at(labels.output, 'b')] = dims(0)[at(labels.lhs, 'b')] / batch_groups;
    result[at(labels.output, 'f')] = dims(1)[at(labels.kernel, 'o')];
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
      results.push_back(of(element_type(i), kept));
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
      results.push_back(of(element_type(i), result));
    }
    return tuple_of(std::move(results));
  }

  // --- Lookups -----------------------------------------------------------------------------------

  Shape gather() const {
    const Dims& operand = dims(0);
    const Dims& indices = dims(1);
    const auto collapsed = dims_in_range("collapsed_slice_dims", operand.size());
    const auto batching = dims_in_range("operand_batching_dims", operand.size());
    const auto index_batching = dims_in_range("start_indices_batching_dims", indices.size());
    dims_in_range("start_index_map", operand.size());
    const std::vector<std::int64_t> sizes = attributes_.ints("slice_sizes");
    require(sizes.size() == operand.size(), "slice_sizes has " + std::to_string(sizes.size()) +
                                                " entries for " + std::to_string(operand.size()) +
                                                " dims");
    require(batching.size() == index_batching.size(), "batching dims do not pair up");
    const std::size_t vector_dim = dim_in_range("index_vector_dim", indices.size() + 1);
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
    const auto inserted = dims_in_range("inserted_window_dims", rank(0));
    const auto batching = dims_in_range("input_batching_dims", rank(0));
    dims_in_range("scatter_indices_batching_dims", indices.size());
    dims_in_range("scatter_dims_to_operand_dims", rank(0));
    const std::size_t vector_dim = dim_in_range("index_vector_dim", indices.size() + 1);
    std::vector<Shape> results;
    for (std::size_t i = 0; i < count; ++i) {
      const Dims& updates = dims(count + 1 + i);
      const auto window = dims_in_range("update_window_dims", updates.size());
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

  Shape tuple() const {
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
  std::optional<Shape> opaque() const {
    if (instruction_.opcode == "cholesky") return array(0);
    if (instruction_.opcode == "triangular-solve") return array(1);
    return std::nullopt;
  }

  const Computation* callee(std::size_t i) const {
    if (i >= instruction_.called.size()) fail("a called computation is missing");
    const std::uint32_t id = instruction_.called[i];
    return id == missing_computation ? nullptr : &module_.computations[id];
  }
  const Shape* callee_root(std::size_t i) const {
    const Computation* called = callee(i);
    return called == nullptr ? nullptr : &called->instructions[called->root].shape;
  }
  void check_parameters(const Computation& called, std::size_t first, std::size_t count) const {
    require(called.parameters.size() == count, "computation '" + called.name + "' takes " +
                                                   std::to_string(called.parameters.size()) +
                                                   " parameters, not " + std::to_string(count));
    for (std::size_t i = 0; i < count; ++i) {
      const Shape& wanted = called.instructions[called.parameters[i]].shape;
      require(wanted == shape(first + i), "parameter " + std::to_string(i) + " of '" + called.name +
                                              "' is " + to_string(wanted) + ", the operand is " +
                                              to_string(shape(first + i)));
    }
  }
  std::optional<Shape> called_root(std::size_t first, std::size_t count) const {
    const Computation* called = callee(0);
    if (called == nullptr) return std::nullopt;
    check_parameters(*called, first, count);
    return called->instructions[called->root].shape;
  }
  Shape while_loop() const {
    for (std::size_t i = 0; i < instruction_.called.size(); ++i)
      if (const Computation* called = callee(i)) check_parameters(*called, 0, 1);
    for (std::size_t i = 0; i < instruction_.attributes.size(); ++i) {
      const Attribute& attribute = instruction_.attributes[i];
      if (attribute.name != "body" && attribute.name != "condition") continue;
      const Shape* root = root_of(attribute.name);
      if (root == nullptr) continue;
      if (attribute.name == "body")
        require(*root == shape(0),
                "the body returns " + to_string(*root) + ", the loop holds " + to_string(shape(0)));
      else
        require(!root->is_tuple && root->array == TensorType{ElementType::pred, {}},
                "the condition must return pred[]");
    }
    return shape(0);
  }
  // The root of the computation that the attribute names.
  const Shape* root_of(std::string_view name) const {
    std::size_t at = 0;
    for (const Attribute& attribute : instruction_.attributes) {
      const AttributeKind* kind = attribute_kind(attribute.name);
      if (kind == nullptr || *kind != AttributeKind::computation) continue;
      if (attribute.name == name) return callee_root(at);
      ++at;
    }
    return nullptr;
  }
  std::optional<Shape> conditional() const {
    require(instruction_.called.size() + 1 == operand_count(),
            std::to_string(instruction_.called.size()) + " branches for " +
                std::to_string(operand_count() - 1) + " branch operands");
    require(rank(0) == 0, "the first operand must be a scalar");
    std::optional<Shape> result;
    for (std::size_t i = 0; i < instruction_.called.size(); ++i) {
      const Computation* called = callee(i);
      if (called == nullptr) continue;
      check_parameters(*called, i + 1, 1);
      const Shape& root = called->instructions[called->root].shape;
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

}  // namespace detail

// Sets the instruction's shape.  Throws InputError where the declared one is not what follows.
inline void settle_shape(const Module& module, const Computation& computation,
                         Instruction& instruction, const std::optional<Shape>& declared) {
  const detail::ShapeRules rules(module, computation, instruction);
  std::optional<Shape> inferred;
  try {
    inferred = rules.infer(declared ? &*declared : nullptr);
  } catch (const std::length_error&) {
    rules.fail("the result has more than " + std::to_string(max_dims) + " dims");
  } catch (const std::overflow_error& error) {
    rules.fail(error.what());
  }
  if (!inferred && !declared) rules.fail("the result shape must be given");
  if (inferred && declared && !(*inferred == *declared))
    rules.fail("the result is declared " + to_string(*declared) + ", but it is " +
               to_string(*inferred));
  instruction.shape = declared ? *declared : *inferred;
}

}  // namespace tessera::io::hlo
