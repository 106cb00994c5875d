// SPDX-License-Identifier: Apache-2.0
//
// Rules, builders and adjoints of reductions.
#pragma once
#include "tessera/graph/ops/reduction.hpp"

#include <cstdint>
#include <limits>

#include "tessera/graph/detail/adjoint.hpp"
#include "tessera/graph/detail/checks.hpp"
#include "tessera/graph/ops/elementwise.hpp"
#include "tessera/graph/ops/movement.hpp"
#include "tessera/graph/ops/source.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule reduce_rule(const Dims& operand, std::span<const Extent> reduced,
                                Reduction reduction) {
  RuleWriter writer;
  std::vector<FactorId> factors, kept;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const bool is_reduced = contains(reduced, d);
    factors.push_back(is_reduced ? writer.reduction(operand[d], reduction, 1)
                                 : writer.parallel(operand[d]));
    if (!is_reduced) kept.push_back(factors.back());
  }
  writer.operand(factors);
  writer.scalar_operands(1);
  writer.result(kept);
  if (reduction != Reduction::none) writer.pass({0, 1}, reduction_set(reduction));
  return std::move(writer.rule());
}

TESSERA_INLINE Dims reduce_shape(const Dims& operand, std::span<const Extent> reduced) {
  Dims result;
  for (std::size_t d = 0; d < operand.size(); ++d)
    if (!contains(reduced, d)) result.push_back(operand[d]);
  return result;
}

TESSERA_INLINE Rule variadic_reduce_rule(const Dims& operand, std::size_t count,
                                         std::span<const Extent> reduced) {
  RuleWriter writer;
  std::vector<FactorId> factors, kept;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const bool is_reduced = contains(reduced, d);
    factors.push_back(is_reduced ? writer.whole(operand[d]) : writer.parallel(operand[d]));
    if (!is_reduced) kept.push_back(factors.back());
  }
  for (std::size_t i = 0; i < count; ++i) writer.operand(factors);
  writer.scalar_operands(count);
  for (std::size_t i = 0; i < count; ++i) writer.result(kept);
  return std::move(writer.rule());
}

namespace detail {

// The neutral element of the reduction.
TESSERA_INLINE double neutral(Reduction reduction, ElementType element) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (reduction == Reduction::product || reduction == Reduction::logical_and) return 1;
  if (reduction == Reduction::sum || reduction == Reduction::logical_or) return 0;
  const double sign = reduction == Reduction::max ? -1 : 1;
  if (is_floating(element)) return sign * infinity;
  require(element == ElementType::s32, "reduce: the extremes of integers are known of s32 only");
  return sign < 0 ? std::numeric_limits<std::int32_t>::min()
                  : std::numeric_limits<std::int32_t>::max();
}

TESSERA_INLINE Tensor neutral_of(const Tensor& x, Reduction reduction) {
  return x.builder().constant(x.type().element, {}, neutral(reduction, x.type().element));
}

TESSERA_INLINE Tensor reduce(const Tensor& x, const std::vector<Extent>& over,
                             Reduction reduction) {
  require_distinct_dims("reduce", over, x.dims());
  const Dims dims = reduce_shape(x.dims(), over);
  return x.builder().apply(Opcode::reduce, {x, neutral_of(x, reduction)}, {x.type().element, dims},
                           reduce_rule(x.dims(), over, reduction), Reducing{over, reduction});
}

}  // namespace detail

TESSERA_INLINE Tensor reduce_sum(const Tensor& x, const std::vector<Extent>& over) {
  return detail::reduce(x, over, Reduction::sum);
}

TESSERA_INLINE Tensor reduce_max(const Tensor& x, const std::vector<Extent>& over) {
  return detail::reduce(x, over, Reduction::max);
}

TESSERA_INLINE Tensor reduce_min(const Tensor& x, const std::vector<Extent>& over) {
  return detail::reduce(x, over, Reduction::min);
}

namespace detail {

TESSERA_INLINE Tensor reduce_adjoint(const OpAdjoint& at, std::size_t i) {
  const Reducing how = at.attributes().get<Reducing>();
  const Tensor x = at.operand(0);
  if (i != 0) at.fail("has no derivative by its initial value here");
  std::vector<Extent> kept;
  for (std::size_t d = 0; d < x.dims().size(); ++d)
    if (!contains(how.dims, d)) kept.push_back(static_cast<Extent>(d));
  const Tensor share = broadcast(at.adjoint, x.dims(), kept);
  if (how.reduction == Reduction::sum) return share;
  if (how.reduction != Reduction::max && how.reduction != Reduction::min)
    at.fail(std::string("reduces by ") + tessera::to_string(how.reduction) +
            ", and has no derivative here");
  // Equal extremes share the adjoint.
  const Tensor is_it = equal(x, broadcast(at.result(), x.dims(), kept));
  const Tensor ones = convert(is_it, x.type().element);
  const Tensor count = broadcast(reduce_sum(ones, how.dims), x.dims(), kept);
  return select(is_it, share / count, constant_like(x, 0));
}

TESSERA_INLINE std::span<const AdjointEntry> reduction_adjoints() {
  static constexpr AdjointEntry entries[] = {
      {Opcode::reduce, reduce_adjoint},
  };
  return entries;
}

}  // namespace detail

}  // namespace tessera::graph
