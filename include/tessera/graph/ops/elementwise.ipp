// SPDX-License-Identifier: Apache-2.0
//
// Rules, builders and adjoints of elementwise ops.
#pragma once
#include "tessera/graph/ops/elementwise.hpp"

#include "tessera/graph/detail/adjoint.hpp"
#include "tessera/graph/detail/checks.hpp"
#include "tessera/graph/ops/movement.hpp"
#include "tessera/graph/ops/source.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule elementwise_rule(std::span<const Dims> operands, const Dims& result,
                                     std::span<const PartialPass> passes) {
  RuleWriter writer;
  const std::vector<FactorId> factors = writer.parallel(result);
  for (const Dims& dims : operands)
    dims.size() == result.size() ? writer.operand(factors) : writer.scalar_operands(1);
  writer.result(factors);
  for (const PartialPass& pass : passes) writer.rule().add_pass(pass);
  return std::move(writer.rule());
}

TESSERA_INLINE std::vector<PartialPass> binary_passes(Opcode opcode, ElementType element) {
  const OpcodeTraits& of_opcode = traits(opcode);
  const ReductionSet sum = reduction_set(Reduction::sum);
  // Integer division rounds: it is not linear.
  const bool divides_exactly = is_floating(element) || is_complex(element);
  switch (of_opcode.linearity) {
    case Linearity::jointly: return {{sum, 0b11}};
    case Linearity::in_each: return {{sum, 0b01}, {sum, 0b10}};
    case Linearity::in_dividend:
      if (divides_exactly) return {{sum, 0b01}};
      return {};
    case Linearity::none: break;
  }
  if (of_opcode.combines == Reduction::none) return {};
  return {{reduction_set(of_opcode.combines), 0b11}};
}

TESSERA_INLINE std::vector<PartialPass> convert_passes(ElementType from, ElementType to) {
  if (from == to) return {{any_reduction, 0b1}};
  if (widens(from, to)) return {{reduction_set(Reduction::sum), 0b1}};
  return {};
}

namespace detail {

TESSERA_INLINE Tensor elementwise(Opcode opcode, const Tensor& x,
                                  std::vector<PartialPass> passes = {}) {
  const Dims dims = x.dims();
  return x.builder().apply(opcode, {x}, x.type(),
                           elementwise_rule(std::span(&dims, 1), dims, passes));
}

TESSERA_INLINE Tensor elementwise(Opcode opcode, Tensor a, Tensor b, Attributes attributes = {}) {
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

TESSERA_INLINE Tensor operator+(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::add, a, b);
}

TESSERA_INLINE Tensor operator+(const Tensor& x, double number) {
  return x + x.builder().constant(x.type().element, {}, number);
}

TESSERA_INLINE Tensor operator-(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::subtract, a, b);
}

TESSERA_INLINE Tensor operator-(const Tensor& x) {
  return detail::elementwise(Opcode::negate, x, {{reduction_set(Reduction::sum), 0b1}});
}

TESSERA_INLINE Tensor operator-(const Tensor& x, double number) {
  return x - x.builder().constant(x.type().element, {}, number);
}

TESSERA_INLINE Tensor operator-(double number, const Tensor& x) {
  return x.builder().constant(x.type().element, {}, number) - x;
}

TESSERA_INLINE Tensor operator*(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::multiply, a, b);
}

TESSERA_INLINE Tensor operator*(const Tensor& x, double number) {
  return x * x.builder().constant(x.type().element, {}, number);
}

TESSERA_INLINE Tensor operator/(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::divide, a, b);
}

TESSERA_INLINE Tensor operator/(double number, const Tensor& x) {
  return x.builder().constant(x.type().element, {}, number) / x;
}

TESSERA_INLINE Tensor maximum(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::maximum, a, b);
}

TESSERA_INLINE Tensor minimum(const Tensor& a, const Tensor& b) {
  return detail::elementwise(Opcode::minimum, a, b);
}

TESSERA_INLINE Tensor power(const Tensor& base, const Tensor& exponent) {
  return detail::elementwise(Opcode::power, base, exponent);
}

TESSERA_INLINE Tensor compare(const Tensor& a, const Tensor& b, Direction direction) {
  return detail::elementwise(Opcode::compare, a, b, Comparison{direction});
}

TESSERA_INLINE Tensor operator>(const Tensor& a, const Tensor& b) {
  return compare(a, b, Direction::gt);
}

TESSERA_INLINE Tensor operator<(const Tensor& a, const Tensor& b) {
  return compare(a, b, Direction::lt);
}

TESSERA_INLINE Tensor operator>=(const Tensor& a, const Tensor& b) {
  return compare(a, b, Direction::ge);
}

TESSERA_INLINE Tensor operator<=(const Tensor& a, const Tensor& b) {
  return compare(a, b, Direction::le);
}

TESSERA_INLINE Tensor equal(const Tensor& a, const Tensor& b) {
  return compare(a, b, Direction::eq);
}

TESSERA_INLINE Tensor exp(const Tensor& x) { return detail::elementwise(Opcode::exponential, x); }

TESSERA_INLINE Tensor log(const Tensor& x) { return detail::elementwise(Opcode::log, x); }

TESSERA_INLINE Tensor tanh(const Tensor& x) { return detail::elementwise(Opcode::tanh, x); }

TESSERA_INLINE Tensor sqrt(const Tensor& x) { return detail::elementwise(Opcode::sqrt, x); }

TESSERA_INLINE Tensor rsqrt(const Tensor& x) { return detail::elementwise(Opcode::rsqrt, x); }

TESSERA_INLINE Tensor logistic(const Tensor& x) { return detail::elementwise(Opcode::logistic, x); }

TESSERA_INLINE Tensor sin(const Tensor& x) { return detail::elementwise(Opcode::sine, x); }

TESSERA_INLINE Tensor cos(const Tensor& x) { return detail::elementwise(Opcode::cosine, x); }

TESSERA_INLINE Tensor convert(const Tensor& x, ElementType element) {
  if (x.type().element == element) return x;
  const Dims dims = x.dims();
  return x.builder().apply(
      Opcode::convert, {x}, {element, dims},
      elementwise_rule(std::span(&dims, 1), dims, convert_passes(x.type().element, element)));
}

TESSERA_INLINE Tensor select(const Tensor& p, Tensor a, Tensor b) {
  if (a.dims().empty() && !p.dims().empty()) a = broadcast_to(a, p.dims());
  if (b.dims().empty() && !p.dims().empty()) b = broadcast_to(b, p.dims());
  require(a.type() == b.type() && p.dims() == a.dims() && p.type().element == ElementType::pred,
          "select: operands differ");
  const Dims operands[] = {p.dims(), a.dims(), b.dims()};
  const PartialPass pass{any_reduction, 0b110};
  return a.builder().apply(Opcode::select, {p, a, b}, a.type(),
                           elementwise_rule(operands, a.dims(), std::span(&pass, 1)));
}

namespace detail {

TESSERA_INLINE Tensor extreme_adjoint(const OpAdjoint& at, std::size_t i, Direction wins) {
  // Where both are equal the first one takes it.
  const Tensor first = compare(at.operand(0), at.operand(1), wins);
  return i == 0 ? select(first, at.adjoint, at.zero()) : select(first, at.zero(), at.adjoint);
}

TESSERA_INLINE Tensor quotient_adjoint(const OpAdjoint& at, std::size_t i) {
  if (i == 0) return at.adjoint / at.operand(1);
  return -(at.adjoint * at.result() / at.operand(1));
}

TESSERA_INLINE Tensor power_adjoint(const OpAdjoint& at, std::size_t i) {
  const Tensor base = at.operand(0), exponent = at.operand(1);
  const Tensor factor = i == 0 ? exponent * power(base, exponent - 1) : at.result() * log(base);
  return at.adjoint * factor;
}

TESSERA_INLINE std::span<const AdjointEntry> elementwise_adjoints() {
  static constexpr AdjointEntry entries[] = {
      {Opcode::add, [](const OpAdjoint& at, std::size_t) { return at.adjoint; }},
      {Opcode::convert,
       [](const OpAdjoint& at, std::size_t) {
         return convert(at.adjoint, at.operand(0).type().element);
       }},
      {Opcode::cosine,
       [](const OpAdjoint& at, std::size_t) { return -(at.adjoint * sin(at.operand(0))); }},
      {Opcode::divide, quotient_adjoint},
      {Opcode::exponential,
       [](const OpAdjoint& at, std::size_t) { return at.adjoint * at.result(); }},
      {Opcode::log, [](const OpAdjoint& at, std::size_t) { return at.adjoint / at.operand(0); }},
      {Opcode::logistic,
       [](const OpAdjoint& at, std::size_t) {
         return at.adjoint * (at.result() * (1 - at.result()));
       }},
      {Opcode::maximum,
       [](const OpAdjoint& at, std::size_t i) { return extreme_adjoint(at, i, Direction::ge); }},
      {Opcode::minimum,
       [](const OpAdjoint& at, std::size_t i) { return extreme_adjoint(at, i, Direction::le); }},
      {Opcode::multiply,
       [](const OpAdjoint& at, std::size_t i) { return at.adjoint * at.operand(1 - i); }},
      {Opcode::negate, [](const OpAdjoint& at, std::size_t) { return -at.adjoint; }},
      {Opcode::power, power_adjoint},
      {Opcode::rsqrt,
       [](const OpAdjoint& at, std::size_t) {
         const Tensor y = at.result();
         return at.adjoint * (y * y * y * -0.5);
       }},
      {Opcode::select,
       [](const OpAdjoint& at, std::size_t i) {
         const Tensor p = at.operand(0);
         return i == 1 ? select(p, at.adjoint, at.zero()) : select(p, at.zero(), at.adjoint);
       }},
      {Opcode::sine,
       [](const OpAdjoint& at, std::size_t) { return at.adjoint * cos(at.operand(0)); }},
      {Opcode::sqrt,
       [](const OpAdjoint& at, std::size_t) { return at.adjoint * 0.5 / at.result(); }},
      {Opcode::subtract,
       [](const OpAdjoint& at, std::size_t i) { return i == 0 ? at.adjoint : -at.adjoint; }},
      {Opcode::tanh, [](const OpAdjoint& at,
                        std::size_t) { return at.adjoint * (1 - at.result() * at.result()); }},
  };
  return entries;
}

}  // namespace detail

}  // namespace tessera::graph
