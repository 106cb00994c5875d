// SPDX-License-Identifier: Apache-2.0
//
// How the builder adds ops, and what it checks of every one.
#pragma once
#include "tessera/graph/builder.hpp"

#include <bit>
#include <cstdint>

#include "tessera/core/error.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE void require(bool holds, const std::string& message) {
  if (!holds) throw InvalidArgument(message);
}

TESSERA_INLINE TensorType Tensor::type() const { return builder_->graph().type_of(value_); }
TESSERA_INLINE Dims Tensor::dims() const { return builder_->graph().type_of(value_).dims; }
TESSERA_INLINE Tensor Tensor::detached() const {
  Tensor copy = *this;
  copy.is_detached_ = true;
  return copy;
}

namespace detail {

TESSERA_INLINE void check_size(const std::string& opcode, const TensorType& type) {
  check_shape(opcode.c_str(), type.dims);
  try {
    byte_count(type);
  } catch (const Overflow&) {
    throw InvalidArgument(opcode + ": the size of " + to_string(type) + " does not fit in 64 bits");
  }
}

TESSERA_INLINE Op constant_op(ElementType element, const Dims& dims, double value) {
  Op op{"", Opcode::constant, {{element, dims}}, source_rule(dims)};
  op.attributes = is_floating(element)
                      ? Literal{std::vector<double>{value}}
                      : Literal{std::vector<std::int64_t>{static_cast<std::int64_t>(value)}};
  return op;
}

TESSERA_INLINE bool is_same_number(double a, double b) {  // by bits: 0 is not -0
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

}  // namespace detail

TESSERA_INLINE Tensor Builder::parameter(std::string name, ElementType element, const Dims& dims) {
  if (names_.contains(name))
    throw InvalidArgument("parameter: there is an op named '" + name + "' already");
  Op op{std::move(name), Opcode::parameter, {{element, dims}}, source_rule(dims)};
  op.is_parameter = true;
  return add(std::move(op), {});
}

TESSERA_INLINE Tensor Builder::constant(ElementType element, const Dims& dims, double value) {
  if (!dims.empty()) return add(detail::constant_op(element, dims, value), {});
  for (const Scalar& scalar : scalars_)
    if (scalar.element == element && detail::is_same_number(scalar.value, value))
      return {*this, scalar.place};
  const Tensor result = add(detail::constant_op(element, {}, value), {});
  scalars_.push_back({element, value, result.value()});
  return result;
}

TESSERA_INLINE Tensor Builder::apply(Opcode opcode, std::span<const Tensor> operands,
                                     const TensorType& result, Rule rule, Attributes attributes) {
  Op op{"", opcode, {result}, std::move(rule)};
  op.is_heavy = traits(opcode).is_heavy;
  op.attributes = std::move(attributes);
  return add(std::move(op), operands);
}
TESSERA_INLINE Tensor Builder::apply(Opcode opcode, std::initializer_list<Tensor> operands,
                                     const TensorType& result, Rule rule, Attributes attributes) {
  return apply(opcode, std::span(operands.begin(), operands.size()), result, std::move(rule),
               std::move(attributes));
}

TESSERA_INLINE void Builder::output(const Tensor& tensor) {
  check_own(tensor, "output: the tensor");
  graph_.outputs.push_back(tensor.value());
}

TESSERA_INLINE void Builder::update(const Tensor& parameter, const Tensor& next) {
  check_own(parameter, "update: the parameter");
  check_own(next, "update: the new value");
  const OpId id = parameter.value().op;
  require(graph_.op(id).is_parameter, "update: the first tensor is no parameter");
  require(parameter.type() == next.type(),
          "update: " + to_string(parameter.type()) + " can not become " + to_string(next.type()));
  require(!updated_.contains(id),
          "update: parameter '" + graph_.op(id).name + "' is updated already");
  output(next);
  updated_.insert(id);
  graph_.aliases.push_back({id, next.value()});
}

TESSERA_INLINE void Builder::check_own(const Tensor& tensor, const std::string& what) const {
  if (&tensor.builder() != this) throw InvalidArgument(what + " belongs to another builder");
}

TESSERA_INLINE Tensor Builder::add(Op op, std::span<const Tensor> operands) {
  const std::string opcode(opcode_text(op));
  for (const TensorType& type : op.results) detail::check_size(opcode, type);
  std::vector<Value> values;
  for (const Tensor& operand : operands) {
    check_own(operand, opcode + ": an operand");
    if (operand.is_detached_) detached_uses_.insert({graph_.op_count(), values.size()});
    values.push_back(operand.value());
  }
  if (op.name.empty()) op.name = new_name(opcode);
  names_.insert(op.name);
  return {*this, {graph_.add(std::move(op), values), 0}};
}

// A user may have given a parameter the name that would come next.
TESSERA_INLINE std::string Builder::new_name(std::string_view opcode) const {
  std::string name;
  for (std::size_t number = graph_.op_count(); name.empty() || names_.contains(name); ++number)
    name = std::string(opcode) + '.' + std::to_string(number);
  return name;
}

}  // namespace tessera::graph
