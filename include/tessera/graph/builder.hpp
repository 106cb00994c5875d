// SPDX-License-Identifier: Apache-2.0
//
// Builds a Graph as one writes mathematics:
//
//   Builder b;
//   auto x = b.parameter("x", f32, {1024, 128}), w = b.parameter("w", f32, {128, 128});
//   auto h = einsum<"mk,kn->mn">(x, w);
//   auto grad = einsum<"mk,mn->kn">(x, h * 2);
//   b.update(w, w - grad);           // an output that takes w's place
//   graph::Graph program = b.graph();
//
// Here are the builder itself and its values; the functions that add ops stand with their op
// families, in graph/ops.  A shape that does not fit is reported at the call.  Ops are added in the
// order of the calls.  C++ leaves open which side of a * b or which argument is evaluated first:
// where both add ops and the same program is wanted of every compiler, name one.
#pragma once
#include <cstddef>
#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tessera/core/inline.hpp"
#include "tessera/graph/graph.hpp"

namespace tessera::graph {

inline constexpr ElementType pred = ElementType::pred, s32 = ElementType::s32,
                             s64 = ElementType::s64, f16 = ElementType::f16,
                             bf16 = ElementType::bf16, f32 = ElementType::f32,
                             f64 = ElementType::f64;

class Builder;

/// A value under construction.  Cheap to copy; lives no longer than its Builder.
class Tensor {
 public:
  Value value() const noexcept { return value_; }
  TensorType type() const;  ///< by value: adding ops moves them
  Dims dims() const;
  Builder& builder() const noexcept { return *builder_; }

  /// The same value as a constant for those who read it: no adjoint passes through there.
  Tensor detached() const;

 private:
  friend class Builder;
  Tensor(Builder& builder, Value value) : builder_(&builder), value_(value) {}

  Builder* builder_;
  Value value_;
  bool is_detached_ = false;
};

/// Adds ops to a program.  All functions throw InvalidArgument where an operand belongs to another
/// builder, or where a tensor's size does not fit in 64 bits, and InvalidSharding where a dim is
/// negative.
class Builder {
 public:
  /// An input of the program.  Throws InvalidArgument where the name is taken.
  Tensor parameter(std::string name, ElementType element, const Dims& dims);
  /// A tensor whose elements all are `value`.  A scalar of one type and value is made once.
  Tensor constant(ElementType element, const Dims& dims = {}, double value = 0);

  /// Any op at all, of one result: its opcode, its rule, and its attributes.
  Tensor apply(Opcode opcode, std::span<const Tensor> operands, const TensorType& result, Rule rule,
               Attributes attributes = {});
  Tensor apply(Opcode opcode, std::initializer_list<Tensor> operands, const TensorType& result,
               Rule rule, Attributes attributes = {});

  /// Whether an operand was detached where the op was built.
  bool is_detached(OpId op, std::size_t operand) const {
    return detached_uses_.contains({op, operand});
  }

  /// @pre the graph has the value
  Tensor tensor(Value value) { return {*this, value}; }

  /// Adds an output of the program.
  void output(const Tensor& tensor);
  /// Adds an output that replaces a parameter in place.  Throws InvalidArgument where the first
  /// tensor is no parameter, is updated already or is of another type.
  void update(const Tensor& parameter, const Tensor& next);

  const Graph& graph() const noexcept { return graph_; }

 private:
  void check_own(const Tensor& tensor, const std::string& what) const;
  Tensor add(Op op, std::span<const Tensor> operands);
  std::string new_name(std::string_view opcode) const;

  struct Scalar {
    ElementType element;
    double value;
    Value place;
  };

  Graph graph_;
  std::vector<Scalar> scalars_;
  std::set<std::pair<OpId, std::size_t>> detached_uses_;  // op and operand
  std::unordered_set<std::string> names_;                 // of all ops
  std::set<OpId> updated_;                                // parameters that an output replaces
};

/// Throws InvalidArgument with this message where `holds` is false.
void require(bool holds, const std::string& message);

}  // namespace tessera::graph

#ifdef TESSERA_HEADER_ONLY
#include "tessera/graph/builder.ipp"
#endif
