// SPDX-License-Identifier: Apache-2.0
//
// Writes a Graph as one writes mathematics:
//
//   Builder b;
//   auto x = b.parameter("x", f32, {1024, 128}), w = b.parameter("w", f32, {128, 128});
//   auto h = einsum<"mk,kn->mn">(x, w);
//   auto grad = einsum<"mk,mn->kn">(x, h * 2);
//   b.update(w, w - grad);           // an output that takes w's place
//   graph::Graph program = b.graph();
//
// A shape that does not fit is reported at the call, in the words of rules.def or by name.  Ops are
// added in the order of the calls.  C++ leaves open which side of a * b or which argument is
// evaluated first: where both add ops and the same program is wanted of every compiler, name one.
#pragma once
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tessera/core/error.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/op_passes.hpp"
#include "tessera/graph/op_rules.hpp"

namespace tessera::graph {

inline constexpr ElementType pred = ElementType::pred, s32 = ElementType::s32,
                             s64 = ElementType::s64, f16 = ElementType::f16,
                             bf16 = ElementType::bf16, f32 = ElementType::f32,
                             f64 = ElementType::f64;

class Builder;

// A value under construction.  Cheap to copy; lives no longer than its Builder.
class Tensor {
 public:
  Value value() const noexcept { return value_; }
  // By value: adding ops moves them.
  TensorType type() const;
  Dims dims() const { return type().dims; }
  Builder& builder() const noexcept { return *builder_; }

  // The same value, taken for a constant where it is used: no derivative goes through there.
  Tensor detached() const {
    Tensor copy = *this;
    copy.is_detached_ = true;
    return copy;
  }

 private:
  friend class Builder;
  Tensor(Builder& builder, Value value) : builder_(&builder), value_(value) {}

  Builder* builder_;
  Value value_;
  bool is_detached_ = false;
};

class Builder {
 public:
  // Throws InvalidArgument where the name is taken.
  Tensor parameter(std::string name, ElementType element, const Dims& dims) {
    if (names_.contains(name))
      throw InvalidArgument("parameter: there is an op named '" + name + "' already");
    Op op{std::move(name), Opcode::parameter, {{element, dims}}, source_rule(dims)};
    op.is_parameter = true;
    return add(std::move(op), {});
  }
  // Every element is `value`.  A scalar of one type and value is made once.
  Tensor constant(ElementType element, const Dims& dims = {}, double value = 0) {
    if (!dims.empty()) return add(constant_op(element, dims, value), {});
    for (const Scalar& scalar : scalars_)
      if (scalar.element == element &&
          std::bit_cast<std::uint64_t>(scalar.value) == std::bit_cast<std::uint64_t>(value))
        return {*this, scalar.place};
    const Tensor result = add(constant_op(element, {}, value), {});
    scalars_.push_back({element, value, result.value()});
    return result;
  }

  // Any op at all: its opcode, its rule, and what else it takes to say what it computes.
  Tensor apply(Opcode opcode, std::initializer_list<Tensor> operands, const TensorType& result,
               Rule rule, Attributes attributes = {}) {
    return apply(opcode, std::span(operands.begin(), operands.size()), result, std::move(rule),
                 std::move(attributes));
  }
  Tensor apply(Opcode opcode, std::span<const Tensor> operands, const TensorType& result, Rule rule,
               Attributes attributes = {}) {
    Op op{"", opcode, {result}, std::move(rule)};
    op.is_heavy = traits(opcode).is_heavy;
    op.attributes = std::move(attributes);
    return add(std::move(op), operands);
  }

  // Whether an operand was detached where the op was built.
  bool is_detached(OpId op, std::size_t operand) const {
    return detached_uses_.contains({op, operand});
  }

  // @pre the graph has the value
  Tensor tensor(Value value) { return {*this, value}; }

  // Throws InvalidArgument where the tensor is another builder's.
  void output(const Tensor& tensor) {
    check_own(tensor, "output: the tensor");
    graph_.outputs.push_back(tensor.value());
  }

  // An output that replaces a parameter in place.  Throws InvalidArgument.
  void update(const Tensor& parameter, const Tensor& next) {
    check_own(parameter, "update: the parameter");
    check_own(next, "update: the new value");
    if (!graph_.op(parameter.value().op).is_parameter)
      throw InvalidArgument("update: the first tensor is no parameter");
    if (parameter.type() != next.type())
      throw InvalidArgument("update: " + to_string(parameter.type()) + " can not become " +
                            to_string(next.type()));
    if (updated_.contains(parameter.value().op))
      throw InvalidArgument("update: parameter '" + graph_.op(parameter.value().op).name +
                            "' is updated already");
    output(next);
    updated_.insert(parameter.value().op);
    graph_.aliases.push_back({parameter.value().op, next.value()});
  }

  const Graph& graph() const noexcept { return graph_; }

 private:
  void check_own(const Tensor& tensor, const std::string& what) const {
    if (&tensor.builder() != this) throw InvalidArgument(what + " belongs to another builder");
  }

  static void check_size(const std::string& opcode, const TensorType& type) {
    check_shape(opcode.c_str(), type.dims);
    try {
      byte_count(type);
    } catch (const Overflow&) {
      throw InvalidArgument(opcode + ": the size of " + to_string(type) +
                            " does not fit in 64 bits");
    }
  }

  Tensor add(Op op, std::span<const Tensor> operands) {
    const std::string opcode(opcode_text(op));
    for (const TensorType& type : op.results) check_size(opcode, type);
    std::vector<Value> values;
    for (const Tensor& operand : operands) {
      check_own(operand, opcode + ": an operand");
      if (operand.is_detached_) detached_uses_.insert({graph_.op_count(), values.size()});
      values.push_back(operand.value());
    }
    // A user may have given a parameter the name that would come next.
    for (std::size_t number = graph_.op_count(); op.name.empty() || names_.contains(op.name);
         ++number)
      op.name = opcode + '.' + std::to_string(number);
    names_.insert(op.name);
    return {*this, {graph_.add(std::move(op), values), 0}};
  }

  struct Scalar {
    ElementType element;
    double value;
    Value place;
  };

  static Op constant_op(ElementType element, const Dims& dims, double value) {
    Op op{"", Opcode::constant, {{element, dims}}, source_rule(dims)};
    op.attributes = is_floating(element)
                        ? Literal{std::vector<double>{value}}
                        : Literal{std::vector<std::int64_t>{static_cast<std::int64_t>(value)}};
    return op;
  }

  Graph graph_;
  std::vector<Scalar> scalars_;
  std::set<std::pair<OpId, std::size_t>> detached_uses_;  // op and operand
  std::unordered_set<std::string> names_;                 // of all ops
  std::set<OpId> updated_;                                // parameters that an output replaces
};

inline TensorType Tensor::type() const { return builder_->graph().type_of(value_); }

namespace detail {

inline void require(bool holds, const std::string& message) {
  if (!holds) throw InvalidArgument(message);
}

// Throws where `list` names a dim that is none of `dims`, or one of them twice.
inline void require_distinct_dims(const char* kind, const std::vector<Extent>& list,
                                  const Dims& dims) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Extent dim = list[i];
    require(
        dim >= 0 && dim < static_cast<Extent>(dims.size()),
        std::string(kind) + ": " + tessera::to_string(dims) + " has no dim " + std::to_string(dim));
    require(std::find(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(i), dim) ==
                list.begin() + static_cast<std::ptrdiff_t>(i),
            std::string(kind) + ": dim " + std::to_string(dim) + " is named twice");
  }
}
inline void require_one_per_dim(const char* kind, std::size_t count, const Tensor& x) {
  require(count == x.dims().size(), std::string(kind) + ": " + std::to_string(count) +
                                        " ranges for a tensor of " +
                                        std::to_string(x.dims().size()) + " dims");
}
inline void require_same_element(const char* kind, const Tensor& a, const Tensor& b) {
  require(a.type().element == b.type().element,
          std::string(kind) + ": operands " + to_string(a.type()) + " and " + to_string(b.type()) +
              " have different element types");
}

inline Tensor elementwise(Opcode opcode, const Tensor& x, std::vector<PartialPass> passes = {}) {
  const Dims dims = x.dims();
  return x.builder().apply(opcode, {x}, x.type(),
                           elementwise_rule(std::span(&dims, 1), dims, passes));
}

// A scalar operand is broadcast, as on paper.
Tensor broadcast_to(const Tensor& scalar, const Dims& dims);

inline Tensor elementwise(Opcode opcode, Tensor a, Tensor b, Attributes attributes = {}) {
  if (a.dims().empty() && !b.dims().empty()) a = broadcast_to(a, b.dims());
  if (b.dims().empty() && !a.dims().empty()) b = broadcast_to(b, a.dims());
  require(a.type() == b.type(), std::string(to_string(opcode)) + ": operands " +
                                    to_string(a.type()) + " and " + to_string(b.type()) +
                                    " differ");
  const Dims operands[] = {a.dims(), b.dims()};
  const ElementType result = attributes.find<Comparison>() ? ElementType::pred : a.type().element;
  return a.builder().apply(opcode, {a, b}, {result, a.dims()},
                           elementwise_rule(operands, a.dims(), binary_passes(opcode, result)),
                           std::move(attributes));
}

}  // namespace detail

// --- Element by element --------------------------------------------------------------------------

inline Tensor operator+(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::add, a, b);
}
inline Tensor operator-(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::subtract, a, b);
}
inline Tensor operator*(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::multiply, a, b);
}
inline Tensor operator/(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::divide, a, b);
}
inline Tensor operator-(const Tensor& x) {
  return detail::elementwise(Opcode::negate, x, {{reduction_set(Reduction::sum), 0b1}});
}
// With a number that is the same for all elements.
inline Tensor operator+(const Tensor& x, double number) {
  return x + x.builder().constant(x.type().element, {}, number);
}
inline Tensor operator-(const Tensor& x, double number) {
  return x - x.builder().constant(x.type().element, {}, number);
}
inline Tensor operator*(const Tensor& x, double number) {
  return x * x.builder().constant(x.type().element, {}, number);
}
inline Tensor operator/(double number, const Tensor& x) {
  return x.builder().constant(x.type().element, {}, number) / x;
}
inline Tensor operator-(double number, const Tensor& x) {
  return x.builder().constant(x.type().element, {}, number) - x;
}
inline Tensor maximum(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::maximum, a, b);
}
inline Tensor minimum(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::minimum, a, b);
}
inline Tensor power(const Tensor& base, const Tensor& exponent) {
  return detail::elementwise(Opcode::power, base, exponent);
}
inline Tensor compare(const Tensor& a, const Tensor& b, Direction direction) {
  return detail::elementwise(Opcode::compare, a, b, Comparison{direction});
}
inline Tensor operator>(const Tensor& a, const Tensor& b) { return compare(a, b, Direction::gt); }
inline Tensor operator<(const Tensor& a, const Tensor& b) { return compare(a, b, Direction::lt); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) { return compare(a, b, Direction::ge); }
inline Tensor operator<=(const Tensor& a, const Tensor& b) { return compare(a, b, Direction::le); }
inline Tensor equal(const Tensor& a, const Tensor& b) { return compare(a, b, Direction::eq); }

inline Tensor exp(const Tensor& x) { return detail::elementwise(Opcode::exponential, x); }
inline Tensor log(const Tensor& x) { return detail::elementwise(Opcode::log, x); }
inline Tensor tanh(const Tensor& x) { return detail::elementwise(Opcode::tanh, x); }
inline Tensor sqrt(const Tensor& x) { return detail::elementwise(Opcode::sqrt, x); }
inline Tensor rsqrt(const Tensor& x) { return detail::elementwise(Opcode::rsqrt, x); }
inline Tensor logistic(const Tensor& x) { return detail::elementwise(Opcode::logistic, x); }
inline Tensor sin(const Tensor& x) { return detail::elementwise(Opcode::sine, x); }
inline Tensor cos(const Tensor& x) { return detail::elementwise(Opcode::cosine, x); }

// The same numbers, as near as the other type has them; nothing where it is the same type.
inline Tensor convert(const Tensor& x, ElementType element) {
  if (x.type().element == element) return x;
  const Dims dims = x.dims();
  return x.builder().apply(
      Opcode::convert, {x}, {element, dims},
      elementwise_rule(std::span(&dims, 1), dims, convert_passes(x.type().element, element)));
}

// p ? a : b, element by element.
inline Tensor select(const Tensor& p, Tensor a, Tensor b) {
  if (a.dims().empty() && !p.dims().empty()) a = detail::broadcast_to(a, p.dims());
  if (b.dims().empty() && !p.dims().empty()) b = detail::broadcast_to(b, p.dims());
  detail::require(
      a.type() == b.type() && p.dims() == a.dims() && p.type().element == ElementType::pred,
      "select: operands differ");
  const Dims operands[] = {p.dims(), a.dims(), b.dims()};
  const PartialPass pass{any_reduction, 0b110};
  return a.builder().apply(Opcode::select, {p, a, b}, a.type(),
                           elementwise_rule(operands, a.dims(), std::span(&pass, 1)));
}

// --- Shapes --------------------------------------------------------------------------------------

// Dim i of x becomes dim dimensions[i]; the others are new.
inline Tensor broadcast(const Tensor& x, const Dims& dims, std::vector<Extent> dimensions) {
  detail::require(dimensions.size() == x.dims().size(), "broadcast: name one dim per operand dim");
  detail::require_distinct_dims("broadcast", dimensions, dims);
  for (std::size_t i = 0; i < dimensions.size(); ++i) {
    detail::require(dims[static_cast<std::size_t>(dimensions[i])] == x.dims()[i],
                    "broadcast: dim " + std::to_string(i) + " of " + to_string(x.type()) +
                        " does not fit " + tessera::to_string(dims));
  }
  Rule rule = broadcast_rule(dims, dimensions);
  return x.builder().apply(Opcode::broadcast, {x}, {x.type().element, dims}, std::move(rule),
                           DimList{std::move(dimensions)});
}
inline Tensor detail::broadcast_to(const Tensor& scalar, const Dims& dims) {
  return broadcast(scalar, dims, {});
}
inline Tensor transpose(const Tensor& x, std::vector<Extent> permutation) {
  detail::require(permutation.size() == x.dims().size(), "transpose: name every dim once");
  detail::require_distinct_dims("transpose", permutation, x.dims());
  Dims dims;
  for (const Extent from : permutation) dims.push_back(x.dims()[static_cast<std::size_t>(from)]);
  Rule rule = transpose_rule(x.dims(), permutation);
  return x.builder().apply(Opcode::transpose, {x}, {x.type().element, dims}, std::move(rule),
                           DimList{std::move(permutation)});
}
inline Tensor reshape(const Tensor& x, const Dims& dims) {
  check_shape("reshape", dims);
  detail::require(element_count(dims) == element_count(x.dims()),
                  "reshape: " + to_string(x.type()) + " has not as many elements as " +
                      tessera::to_string(dims));
  return x.builder().apply(Opcode::reshape, {x}, {x.type().element, dims},
                           reshape_rule(x.dims(), dims));
}
inline Tensor reverse(const Tensor& x, std::vector<Extent> dims) {
  detail::require_distinct_dims("reverse", dims, x.dims());
  Rule rule = reverse_rule(x.dims(), dims);
  return x.builder().apply(Opcode::reverse, {x}, x.type(), std::move(rule),
                           DimList{std::move(dims)});
}

// The tensors one after the other along `dim`, all other dims being equal.
inline Tensor concatenate(std::span<const Tensor> tensors, Extent dim) {
  detail::require(!tensors.empty(), "concatenate: no tensors");
  const Tensor& first = tensors[0];
  detail::require_distinct_dims("concatenate", {dim}, first.dims());
  const auto along = static_cast<std::size_t>(dim);
  Dims dims = first.dims();
  dims[along] = 0;
  std::vector<Dims> operands;
  for (const Tensor& tensor : tensors) {
    detail::require_same_element("concatenate", first, tensor);
    Dims expected = first.dims();
    if (tensor.dims().size() == expected.size()) expected[along] = tensor.dims()[along];
    detail::require(tensor.dims() == expected, "concatenate: " + to_string(tensor.type()) +
                                                   " does not fit " + to_string(first.type()));
    dims[along] += tensor.dims()[along];
    operands.push_back(tensor.dims());
  }
  return first.builder().apply(Opcode::concatenate, tensors, {first.type().element, dims},
                               concatenate_rule(operands, dims, dim), Dim{dim});
}

// One range per dim.
inline Tensor slice(const Tensor& x, std::vector<SliceRange> ranges) {
  detail::require_one_per_dim("slice", ranges.size(), x);
  Dims dims;
  for (std::size_t d = 0; d < ranges.size(); ++d) {
    const SliceRange& range = ranges[d];
    detail::require(
        range.start >= 0 && range.start <= range.limit && range.limit <= x.dims()[d] &&
            range.stride > 0,
        "slice: range " + std::to_string(d) + " does not lie in " + to_string(x.type()));
    dims.push_back((range.limit - range.start + range.stride - 1) / range.stride);
  }
  Rule rule = slice_rule(x.dims(), dims, ranges);
  return x.builder().apply(Opcode::slice, {x}, {x.type().element, dims}, std::move(rule),
                           Slicing{std::move(ranges)});
}
// Elements begin to limit of one dim, and all of the others.
inline Tensor slice(const Tensor& x, Extent dim, Extent begin, Extent limit) {
  detail::require_distinct_dims("slice", {dim}, x.dims());
  std::vector<SliceRange> ranges;
  for (const Extent size : x.dims()) ranges.push_back({0, size});
  ranges[static_cast<std::size_t>(dim)] = {begin, limit};
  return slice(x, std::move(ranges));
}

// One range per dim; new elements are `value`, a scalar.
inline Tensor pad(const Tensor& x, const Tensor& value, std::vector<PaddingRange> ranges) {
  detail::require_one_per_dim("pad", ranges.size(), x);
  detail::require_same_element("pad", x, value);
  detail::require(value.dims().empty(), "pad: the value is no scalar");
  Dims dims;
  for (std::size_t d = 0; d < ranges.size(); ++d) {
    const PaddingRange& range = ranges[d];
    const Extent between = x.dims()[d] > 1 ? (x.dims()[d] - 1) * range.interior : 0;
    dims.push_back(x.dims()[d] + range.low + range.high + between);
    detail::require(range.interior >= 0 && dims[d] >= 0, "pad: range " + std::to_string(d) +
                                                             " cuts off more than there is of " +
                                                             to_string(x.type()));
  }
  Rule rule = pad_rule(x.dims(), dims, ranges);
  return x.builder().apply(Opcode::pad, {x, value}, {x.type().element, dims}, std::move(rule),
                           Padding{std::move(ranges)});
}

// Each element's place along a dim: 0, 1, 2, ...
inline Tensor iota(Builder& builder, ElementType element, const Dims& dims, Extent dim) {
  detail::require_distinct_dims("iota", {dim}, dims);
  return builder.apply(Opcode::iota, {}, {element, dims}, source_rule(dims), Dim{dim});
}
// As many copies of a number as x has elements.
inline Tensor constant_like(const Tensor& x, double value) {
  return detail::broadcast_to(x.builder().constant(x.type().element, {}, value), x.dims());
}

// --- Products ------------------------------------------------------------------------------------

namespace detail {

// The dims of one tensor in a product, by number: dims of one number correspond.
using Labels = std::vector<std::size_t>;

inline std::optional<Extent> place_of(const Labels& labels, std::size_t label) {
  const auto at = std::find(labels.begin(), labels.end(), label);
  if (at == labels.end()) return std::nullopt;
  return static_cast<Extent>(at - labels.begin());
}

// A dot of two operands, and the labels of its result: batch dims come first, then the left
// operand's and the right one's.
struct LabelledDot {
  DotDims dims;
  Labels batch, free_a, free_b;

  Labels result() const { return in_order(free_a, free_b); }
  Labels turned_result() const { return in_order(free_b, free_a); }

 private:
  Labels in_order(const Labels& first, const Labels& second) const {
    Labels order = batch;
    order.insert(order.end(), first.begin(), first.end());
    order.insert(order.end(), second.begin(), second.end());
    return order;
  }
};

// The dot that is summed over the labels that only the operands have.  Throws where a label occurs
// in one operand alone and not in the result.
inline LabelledDot labelled_dot(const Labels& in_a, const Labels& in_b, const Labels& in_result) {
  LabelledDot dot;
  const auto require_kept = [&](std::size_t label) {
    require(place_of(in_result, label).has_value(),
            "einsum: a letter of one operand alone is summed over; reduce it before");
  };
  for (const std::size_t label : in_result) {
    const auto of_a = place_of(in_a, label), of_b = place_of(in_b, label);
    if (!of_a || !of_b) continue;
    dot.batch.push_back(label);
    dot.dims.lhs_batch.push_back(*of_a);
    dot.dims.rhs_batch.push_back(*of_b);
  }
  for (const std::size_t label : in_a) {
    if (const auto of_b = place_of(in_b, label); !of_b) {
      require_kept(label);
      dot.free_a.push_back(label);
    } else if (!place_of(in_result, label)) {
      dot.dims.lhs_contracting.push_back(*place_of(in_a, label));
      dot.dims.rhs_contracting.push_back(*of_b);
    }
  }
  for (const std::size_t label : in_b) {
    if (place_of(in_a, label)) continue;
    require_kept(label);
    dot.free_b.push_back(label);
  }
  return dot;
}

// Products summed over the labels that only the operands have, as labelled_dot() has it; what is
// wanted in another order than HLO's is transposed.
inline Tensor contract(const Tensor& a, const Labels& in_a, const Tensor& b, const Labels& in_b,
                       const Labels& in_result) {
  LabelledDot dot = labelled_dot(in_a, in_b, in_result);
  const Labels order = dot.result();
  if (order != in_result && dot.turned_result() == in_result)
    return contract(b, in_b, a, in_a, in_result);

  Rule rule = dot_rule(a.dims(), b.dims(), dot.dims);
  const TensorType type{a.type().element, rule.dims(2)};
  const Tensor product =
      a.builder().apply(Opcode::dot, {a, b}, type, std::move(rule), std::move(dot.dims));
  if (order == in_result) return product;
  std::vector<Extent> permutation;
  for (const std::size_t label : in_result) permutation.push_back(*place_of(order, label));
  return transpose(product, std::move(permutation));
}

// The letters of one tensor of a rule.
inline Labels labels_of(const StaticRule& rule, std::size_t tensor) {
  Labels labels;
  for (std::size_t d = 0; d < rule.rank(tensor); ++d) {
    require(rule.dim(tensor, d).size() == 1, "einsum: parentheses merge dims; reshape before");
    labels.push_back(rule.dim(tensor, d)[0]);
  }
  return labels;
}

}  // namespace detail

// Products summed over the letters that only operands have: einsum<"bmk,bkn->bmn">(x, w).
// Throws InvalidRule where the shapes do not fit the letters.
template<FixedString Text>
Tensor einsum(const Tensor& a, const Tensor& b) {
  static_assert(rule<Text>.operand_count() == 2 && rule<Text>.result_count() == 1,
                "einsum takes two operands and gives one result");
  const Dims operands[] = {a.dims(), b.dims()};
  with_sizes(Rule(rule<Text>), operands);
  detail::require_same_element("einsum", a, b);
  return detail::contract(a, detail::labels_of(rule<Text>, 0), b, detail::labels_of(rule<Text>, 1),
                          detail::labels_of(rule<Text>, 2));
}

// A convolution in HLO's terms: which dims are which, and a window for each spatial one.
inline Tensor convolution(const Tensor& input, const Tensor& kernel, Convolution how) {
  detail::require_same_element("convolution", input, kernel);
  ConvolutionDims& dims = how.dims;
  const std::size_t space = dims.input_space.size(), rank = space + 2;
  detail::require(input.dims().size() == rank && kernel.dims().size() == rank &&
                      dims.kernel_space.size() == space && dims.output_space.size() == space &&
                      how.window.size() == space,
                  "convolution: " + to_string(input.type()) + " with " + to_string(kernel.type()) +
                      ": both have a batch or feature dim, another one, and one per window dim");
  const Extent groups = dims.feature_groups * dims.batch_groups;
  detail::require(groups >= 1 && input.dims()[dims.input_feature] ==
                                     kernel.dims()[dims.kernel_input] * dims.feature_groups,
                  "convolution: the features of " + to_string(input.type()) +
                      " are not those that " + to_string(kernel.type()) + " takes");
  detail::require(input.dims()[dims.input_batch] % dims.batch_groups == 0 &&
                      kernel.dims()[dims.kernel_output] % groups == 0,
                  "convolution: the groups do not divide batch and features");
  Dims result(rank, 0);
  result[dims.output_batch] = input.dims()[dims.input_batch] / dims.batch_groups;
  result[dims.output_feature] = kernel.dims()[dims.kernel_output];
  for (std::size_t s = 0; s < space; ++s) {
    const WindowDim& window = how.window[s];
    detail::require(window.size == kernel.dims()[dims.kernel_space[s]],
                    "convolution: window dim " + std::to_string(s) + " is not the kernel's");
    result[dims.output_space[s]] = window.output_size(input.dims()[dims.input_space[s]]);
  }
  Rule rule = convolution_rule(input.dims(), kernel.dims(), result, dims, how.window);
  return input.builder().apply(Opcode::convolution, {input, kernel}, {input.type().element, result},
                               std::move(rule), std::move(how));
}

// --- Reductions ----------------------------------------------------------------------------------

namespace detail {

// What changes nothing when it is combined with an element.
inline double neutral(Reduction reduction, ElementType element) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (reduction == Reduction::product || reduction == Reduction::logical_and) return 1;
  if (reduction == Reduction::sum || reduction == Reduction::logical_or) return 0;
  const double sign = reduction == Reduction::max ? -1 : 1;
  if (is_floating(element)) return sign * infinity;
  require(element == ElementType::s32, "reduce: the extremes of integers are known of s32 only");
  return sign < 0 ? std::numeric_limits<std::int32_t>::min()
                  : std::numeric_limits<std::int32_t>::max();
}
inline Tensor neutral_of(const Tensor& x, Reduction reduction) {
  return x.builder().constant(x.type().element, {}, neutral(reduction, x.type().element));
}

inline Tensor reduce(const Tensor& x, const std::vector<Extent>& over, Reduction reduction) {
  require_distinct_dims("reduce", over, x.dims());
  Dims dims;
  for (std::size_t d = 0; d < x.dims().size(); ++d)
    if (!contains(over, d)) dims.push_back(x.dims()[d]);
  return x.builder().apply(Opcode::reduce, {x, neutral_of(x, reduction)}, {x.type().element, dims},
                           reduce_rule(x.dims(), over, reduction), Reducing{over, reduction});
}

}  // namespace detail

inline Tensor reduce_sum(const Tensor& x, const std::vector<Extent>& over) {
  return detail::reduce(x, over, Reduction::sum);
}
inline Tensor reduce_max(const Tensor& x, const std::vector<Extent>& over) {
  return detail::reduce(x, over, Reduction::max);
}
inline Tensor reduce_min(const Tensor& x, const std::vector<Extent>& over) {
  return detail::reduce(x, over, Reduction::min);
}

// Combines what a window holds, at each of its places; one WindowDim per dim.
inline Tensor reduce_window(const Tensor& x, std::vector<WindowDim> window, Reduction reduction) {
  detail::require_one_per_dim("reduce-window", window.size(), x);
  Dims dims;
  for (std::size_t d = 0; d < window.size(); ++d)
    dims.push_back(window[d].output_size(x.dims()[d]));
  Rule rule = reduce_window_rule(x.dims(), dims, 1, window, reduction);
  return x.builder().apply(Opcode::reduce_window, {x, detail::neutral_of(x, reduction)},
                           {x.type().element, dims}, std::move(rule),
                           WindowReducing{std::move(window), reduction});
}

// Adds each element of `source` at the place where its window of x has the largest element: the
// derivative of a windowed maximum.
inline Tensor select_and_scatter(const Tensor& x, const Tensor& source,
                                 std::vector<WindowDim> window) {
  detail::require_one_per_dim("select-and-scatter", window.size(), x);
  detail::require_same_element("select-and-scatter", x, source);
  bool fits = source.dims().size() == window.size();
  for (std::size_t d = 0; fits && d < window.size(); ++d)
    fits = source.dims()[d] == window[d].output_size(x.dims()[d]);
  detail::require(fits, "select-and-scatter: " + to_string(source.type()) +
                            " has not one element for each window of " + to_string(x.type()));
  Rule rule = select_and_scatter_rule(x.dims(), source.dims(), window, Reduction::sum);
  return x.builder().apply(
      Opcode::select_and_scatter, {x, source, detail::neutral_of(x, Reduction::sum)}, x.type(),
      std::move(rule), WindowScattering{std::move(window), Direction::ge, Reduction::sum});
}

// --- Tables --------------------------------------------------------------------------------------

namespace detail {

// The dims behind the first one of a table, as dims of what `indices` takes from it.
inline std::vector<Extent> row_dims(const Tensor& table, const Tensor& indices) {
  std::vector<Extent> dims;
  for (std::size_t d = 1; d < table.dims().size(); ++d)
    dims.push_back(static_cast<Extent>(indices.dims().size() + d - 1));
  return dims;
}
inline Dims rows_shape(const Tensor& table, const Tensor& indices) {
  Dims dims = indices.dims();
  for (std::size_t d = 1; d < table.dims().size(); ++d) dims.push_back(table.dims()[d]);
  return dims;
}
inline GatherDims lookup_dims(const Tensor& table, const Tensor& indices) {
  GatherDims how;
  how.offset_dims = row_dims(table, indices);
  how.collapsed_slice_dims = how.start_index_map = {0};
  const Dims dims = table.dims();
  how.slice_sizes.assign(dims.begin(), dims.end());
  how.slice_sizes[0] = 1;
  how.index_vector_dim = static_cast<Extent>(indices.dims().size());
  return how;
}
inline ScatterDims scatter_add_dims(const Tensor& table, const Tensor& indices) {
  ScatterDims how;
  how.update_window_dims = row_dims(table, indices);
  how.inserted_window_dims = how.scatter_dims_to_operand_dims = {0};
  how.index_vector_dim = static_cast<Extent>(indices.dims().size());
  return how;
}
inline void require_rows(const char* kind, const Tensor& table, const Tensor& indices) {
  require(!table.dims().empty() && is_integer(indices.type().element),
          std::string(kind) + ": " + to_string(indices.type()) + " is no list of rows of " +
              to_string(table.type()));
}

}  // namespace detail

// Rows of a table [rows, width...] by number: indices [n...] give [n..., width...].
inline Tensor lookup(const Tensor& table, const Tensor& indices) {
  detail::require_rows("lookup", table, indices);
  GatherDims how = detail::lookup_dims(table, indices);
  const Dims dims = detail::rows_shape(table, indices);
  Rule rule = gather_rule(table.dims(), indices.dims(), dims, how);
  return table.builder().apply(Opcode::gather, {table, indices}, {table.type().element, dims},
                               std::move(rule), std::move(how));
}

// Adds rows to those of a table that `indices` name: lookup's derivative.
inline Tensor scatter_add(const Tensor& table, const Tensor& indices, const Tensor& rows) {
  detail::require_same_element("scatter", table, rows);
  detail::require_rows("scatter", table, indices);
  detail::require(rows.dims() == detail::rows_shape(table, indices),
                  "scatter: " + to_string(rows.type()) + " are not the rows of " +
                      to_string(table.type()) + " that " + to_string(indices.type()) + " names");
  Scattering how{detail::scatter_add_dims(table, indices), Reduction::sum};
  Rule rule = scatter_rule(table.dims(), indices.dims(), rows.dims(), how.dims, how.reduction);
  return table.builder().apply(Opcode::scatter, {table, indices, rows}, table.type(),
                               std::move(rule), std::move(how));
}

}  // namespace tessera::graph
