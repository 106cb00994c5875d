// SPDX-License-Identifier: Apache-2.0
//
// Writes a Graph as one writes mathematics:
//
//   Builder b;
//   auto x = b.parameter("x", f32, {1024, 128}), w = b.parameter("w", f32, {128, 128});
//   auto h = einsum<"mk,kn->mn">(x, w);
//   auto grad = einsum<"mk,mn->kn">(x, h * constant_like(h));
//   b.update(w, w - grad);           // an output that takes w's place
//   graph::Graph program = b.graph();
//
// A shape that does not fit is reported at the call, in the words of rules.def or by name.
#pragma once
#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

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
  const TensorType& type() const;
  const Dims& dims() const { return type().dims; }
  Builder& builder() const noexcept { return *builder_; }

 private:
  friend class Builder;
  Tensor(Builder& builder, Value value) : builder_(&builder), value_(value) {}

  Builder* builder_;
  Value value_;
};

class Builder {
 public:
  // Throws std::invalid_argument where the name is taken.
  Tensor parameter(std::string name, ElementType element, const Dims& dims) {
    if (names_.contains(name))
      throw std::invalid_argument("parameter: there is an op named '" + name + "' already");
    Op op{std::move(name), "parameter", {{element, dims}}, source_rule(dims)};
    op.is_parameter = true;
    return add(std::move(op), {});
  }
  Tensor constant(ElementType element, const Dims& dims = {}) {
    return add({"", "constant", {{element, dims}}, source_rule(dims)}, {});
  }

  // Any op at all: `kind` is for people, the rule says everything else.
  Tensor apply(std::string kind, std::initializer_list<Tensor> operands, const TensorType& result,
               Rule rule, bool is_heavy = false) {
    Op op{"", std::move(kind), {result}, std::move(rule)};
    op.is_heavy = is_heavy;
    return add(std::move(op), operands);
  }

  // Throws std::invalid_argument where the tensor is another builder's.
  void output(const Tensor& tensor) {
    check_own(tensor, "output: the tensor");
    graph_.outputs.push_back(tensor.value());
  }

  // An output that replaces a parameter in place.  Throws std::invalid_argument.
  void update(const Tensor& parameter, const Tensor& next) {
    check_own(parameter, "update: the parameter");
    check_own(next, "update: the new value");
    if (!graph_.op(parameter.value().op).is_parameter)
      throw std::invalid_argument("update: the first tensor is no parameter");
    if (parameter.type() != next.type())
      throw std::invalid_argument("update: " + to_string(parameter.type()) + " can not become " +
                                  to_string(next.type()));
    for (const Alias& alias : graph_.aliases)
      if (alias.parameter == parameter.value().op)
        throw std::invalid_argument("update: parameter '" + graph_.op(alias.parameter).name +
                                    "' is updated already");
    output(next);
    graph_.aliases.push_back({parameter.value().op, next.value()});
  }

  const Graph& graph() const noexcept { return graph_; }

 private:
  void check_own(const Tensor& tensor, const std::string& what) const {
    if (&tensor.builder() != this)
      throw std::invalid_argument(what + " belongs to another builder");
  }

  Tensor add(Op op, std::initializer_list<Tensor> operands) {
    for (const TensorType& type : op.results) check_shape(op.kind.c_str(), type.dims);
    std::vector<Value> values;
    for (const Tensor& operand : operands) {
      check_own(operand, op.kind + ": an operand");
      values.push_back(operand.value());
    }
    // A user may have given a parameter the name that would come next.
    for (std::size_t number = graph_.op_count(); op.name.empty() || names_.contains(op.name);
         ++number)
      op.name = op.kind + '.' + std::to_string(number);
    names_.insert(op.name);
    return {*this, {graph_.add(std::move(op), values), 0}};
  }

  Graph graph_;
  std::unordered_set<std::string> names_;  // of all ops
};

inline const TensorType& Tensor::type() const { return builder_->graph().type_of(value_); }

namespace detail {

inline void require(bool holds, const std::string& message) {
  if (!holds) throw std::invalid_argument(message);
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

inline Tensor elementwise(const char* kind, const Tensor& x, std::vector<PartialPass> passes = {}) {
  const Dims dims = x.dims();
  return x.builder().apply(kind, {x}, x.type(),
                           elementwise_rule(std::span(&dims, 1), dims, passes));
}

// A scalar operand is broadcast, as on paper.
Tensor broadcast_to(const Tensor& scalar, const Dims& dims);

inline Tensor elementwise(const char* kind, Tensor a, Tensor b, ElementType result) {
  if (a.dims().empty() && !b.dims().empty()) a = broadcast_to(a, b.dims());
  if (b.dims().empty() && !a.dims().empty()) b = broadcast_to(b, a.dims());
  require(a.type() == b.type(), std::string(kind) + ": operands " + to_string(a.type()) + " and " +
                                    to_string(b.type()) + " differ");
  const Dims operands[] = {a.dims(), b.dims()};
  return a.builder().apply(
      kind, {a, b}, {result, a.dims()},
      elementwise_rule(operands, a.dims(), binary_passes(kind, a.type().element)));
}

}  // namespace detail

// --- Element by element --------------------------------------------------------------------------

inline Tensor operator+(const Tensor& a, const Tensor& b) {
  return detail::elementwise("add", a, b, a.type().element);
}
inline Tensor operator-(const Tensor& a, const Tensor& b) {
  return detail::elementwise("subtract", a, b, a.type().element);
}
inline Tensor operator*(const Tensor& a, const Tensor& b) {
  return detail::elementwise("multiply", a, b, a.type().element);
}
inline Tensor operator/(const Tensor& a, const Tensor& b) {
  return detail::elementwise("divide", a, b, a.type().element);
}
inline Tensor operator-(const Tensor& x) {
  return detail::elementwise("negate", x, {{reduction_set(Reduction::sum), 0b1}});
}
inline Tensor maximum(const Tensor& a, const Tensor& b) {
  return detail::elementwise("maximum", a, b, a.type().element);
}
inline Tensor operator>(const Tensor& a, const Tensor& b) {
  return detail::elementwise("compare", a, b, ElementType::pred);
}
inline Tensor exp(const Tensor& x) { return detail::elementwise("exponential", x); }
inline Tensor log(const Tensor& x) { return detail::elementwise("log", x); }
inline Tensor tanh(const Tensor& x) { return detail::elementwise("tanh", x); }
inline Tensor sqrt(const Tensor& x) { return detail::elementwise("sqrt", x); }
inline Tensor rsqrt(const Tensor& x) { return detail::elementwise("rsqrt", x); }

// p ? a : b, element by element.
inline Tensor select(const Tensor& p, const Tensor& a, const Tensor& b) {
  detail::require(a.type() == b.type() && p.dims() == a.dims(), "select: operands differ");
  const Dims operands[] = {p.dims(), a.dims(), b.dims()};
  const PartialPass pass{any_reduction, 0b110};
  return a.builder().apply("select", {p, a, b}, a.type(),
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
  return x.builder().apply("broadcast", {x}, {x.type().element, dims},
                           broadcast_rule(dims, dimensions));
}
inline Tensor detail::broadcast_to(const Tensor& scalar, const Dims& dims) {
  return broadcast(scalar, dims, {});
}
inline Tensor transpose(const Tensor& x, std::vector<Extent> permutation) {
  detail::require(permutation.size() == x.dims().size(), "transpose: name every dim once");
  detail::require_distinct_dims("transpose", permutation, x.dims());
  Dims dims;
  for (const Extent from : permutation) dims.push_back(x.dims()[static_cast<std::size_t>(from)]);
  return x.builder().apply("transpose", {x}, {x.type().element, dims},
                           transpose_rule(x.dims(), permutation));
}
inline Tensor reshape(const Tensor& x, const Dims& dims) {
  check_shape("reshape", dims);
  detail::require(element_count(dims) == element_count(x.dims()),
                  "reshape: " + to_string(x.type()) + " has not as many elements as " +
                      tessera::to_string(dims));
  return x.builder().apply("reshape", {x}, {x.type().element, dims}, reshape_rule(x.dims(), dims));
}
// A constant of x's shape.
inline Tensor constant_like(const Tensor& x) {
  return detail::broadcast_to(x.builder().constant(x.type().element), x.dims());
}

// --- Sums ----------------------------------------------------------------------------------------

// Products summed over the letters that only operands have: einsum<"bmk,bkn->bmn">(x, w).
// Throws InvalidRule where the shapes do not fit the letters.
template<FixedString Text>
Tensor einsum(const Tensor& a, const Tensor& b) {
  const Dims operands[] = {a.dims(), b.dims()};
  Rule bound = with_sizes(Rule(rule<Text>), operands);
  bound.add_pass({reduction_set(Reduction::sum), 0b01});
  bound.add_pass({reduction_set(Reduction::sum), 0b10});
  detail::require(a.type().element == b.type().element, "einsum: element types differ");
  const TensorType result{a.type().element, bound.dims(2)};
  return a.builder().apply("dot", {a, b}, result, std::move(bound), true);
}

namespace detail {

inline Tensor reduce(const Tensor& x, const std::vector<Extent>& over, Reduction reduction) {
  require_distinct_dims("reduce", over, x.dims());
  Dims dims;
  for (std::size_t d = 0; d < x.dims().size(); ++d)
    if (!contains(over, d)) dims.push_back(x.dims()[d]);
  const Tensor initial = x.builder().constant(x.type().element);
  return x.builder().apply("reduce", {x, initial}, {x.type().element, dims},
                           reduce_rule(x.dims(), over, reduction));
}

}  // namespace detail

inline Tensor reduce_sum(const Tensor& x, const std::vector<Extent>& over) {
  return detail::reduce(x, over, Reduction::sum);
}
inline Tensor reduce_max(const Tensor& x, const std::vector<Extent>& over) {
  return detail::reduce(x, over, Reduction::max);
}

}  // namespace tessera::graph
