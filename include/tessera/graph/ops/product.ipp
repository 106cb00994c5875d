// SPDX-License-Identifier: Apache-2.0
//
// Rules, builders and adjoints of products.
#pragma once
#include "tessera/graph/ops/product.hpp"

#include <algorithm>
#include <optional>

#include "tessera/graph/detail/adjoint.hpp"
#include "tessera/graph/detail/checks.hpp"
#include "tessera/graph/ops/movement.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule dot_rule(const Dims& lhs, const Dims& rhs, const DotDims& dims) {
  RuleWriter writer;
  std::vector<FactorId> left(lhs.size(), no_factor), right(rhs.size(), no_factor);
  std::vector<FactorId> result;
  const auto pair_up = [&](Extent l, Extent r, FactorId factor) {
    left[static_cast<std::size_t>(l)] = right[static_cast<std::size_t>(r)] = factor;
  };
  for (std::size_t i = 0; i < dims.lhs_batch.size(); ++i) {
    result.push_back(writer.parallel(lhs[static_cast<std::size_t>(dims.lhs_batch[i])]));
    pair_up(dims.lhs_batch[i], dims.rhs_batch[i], result.back());
  }
  for (std::size_t i = 0; i < dims.lhs_contracting.size(); ++i)
    pair_up(
        dims.lhs_contracting[i], dims.rhs_contracting[i],
        writer.reduction(lhs[static_cast<std::size_t>(dims.lhs_contracting[i])], Reduction::sum));
  const auto add_free = [&](std::vector<FactorId>& side, const Dims& sizes) {
    for (std::size_t d = 0; d < side.size(); ++d)
      if (side[d] == no_factor) result.push_back(side[d] = writer.parallel(sizes[d]));
  };
  add_free(left, lhs);
  add_free(right, rhs);
  writer.operand(left);
  writer.operand(right);
  writer.result(result);
  writer.pass({0}, reduction_set(Reduction::sum));
  writer.pass({1}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

TESSERA_INLINE Dims dot_shape(const Dims& lhs, const Dims& rhs, const DotDims& dims) {
  Dims result;
  for (const Extent dim : dims.lhs_batch) result.push_back(lhs[static_cast<std::size_t>(dim)]);
  for (std::size_t d = 0; d < lhs.size(); ++d)
    if (!contains(dims.lhs_batch, d) && !contains(dims.lhs_contracting, d))
      result.push_back(lhs[d]);
  for (std::size_t d = 0; d < rhs.size(); ++d)
    if (!contains(dims.rhs_batch, d) && !contains(dims.rhs_contracting, d))
      result.push_back(rhs[d]);
  return result;
}

namespace detail {

TESSERA_INLINE std::optional<Extent> place_of(const Labels& labels, std::size_t label) {
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
TESSERA_INLINE LabelledDot labelled_dot(const Labels& in_a, const Labels& in_b,
                                        const Labels& in_result) {
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

TESSERA_INLINE Tensor contract(const Tensor& a, const Labels& in_a, const Tensor& b,
                               const Labels& in_b, const Labels& in_result) {
  LabelledDot dot = labelled_dot(in_a, in_b, in_result);
  const Labels order = dot.result();
  if (order != in_result && dot.turned_result() == in_result)
    return contract(b, in_b, a, in_a, in_result);

  Rule rule = dot_rule(a.dims(), b.dims(), dot.dims);
  const TensorType type{a.type().element, dot_shape(a.dims(), b.dims(), dot.dims)};
  const Tensor product =
      a.builder().apply(Opcode::dot, {a, b}, type, std::move(rule), std::move(dot.dims));
  if (order == in_result) return product;
  std::vector<Extent> permutation;
  for (const std::size_t label : in_result) permutation.push_back(*place_of(order, label));
  return transpose(product, std::move(permutation));
}

// The letters of one tensor of a rule.
TESSERA_INLINE Labels labels_of(const Rule& rule, std::size_t tensor) {
  Labels labels;
  for (std::size_t d = 0; d < rule.rank(tensor); ++d) {
    require(rule.dim(tensor, d).size() == 1, "einsum: parentheses merge dims; reshape before");
    labels.push_back(rule.dim(tensor, d)[0]);
  }
  return labels;
}

TESSERA_INLINE Tensor einsum(const Rule& rule, const Tensor& a, const Tensor& b) {
  const Dims operands[] = {a.dims(), b.dims()};
  with_sizes(rule, operands);
  require_same_element("einsum", a, b);
  return contract(a, labels_of(rule, 0), b, labels_of(rule, 1), labels_of(rule, 2));
}

TESSERA_INLINE Tensor dot_adjoint(const OpAdjoint& at, std::size_t i) {
  const DotDims dims = at.attributes().get<DotDims>();
  const Tensor a = at.operand(0), b = at.operand(1);
  constexpr std::size_t unset = static_cast<std::size_t>(-1);
  Labels in_a(a.dims().size(), unset), in_b(b.dims().size(), unset), in_result;
  std::size_t next = 0;
  const auto pair_up = [&](const std::vector<Extent>& left, const std::vector<Extent>& right) {
    for (std::size_t k = 0; k < left.size(); ++k)
      in_a[static_cast<std::size_t>(left[k])] = in_b[static_cast<std::size_t>(right[k])] = next++;
  };
  pair_up(dims.lhs_batch, dims.rhs_batch);
  for (std::size_t k = 0; k < next; ++k) in_result.push_back(k);
  pair_up(dims.lhs_contracting, dims.rhs_contracting);
  for (Labels* const labels : {&in_a, &in_b})
    for (std::size_t& label : *labels)
      if (label == unset) in_result.push_back(label = next++);
  return i == 0 ? contract(at.adjoint, in_result, b, in_b, in_a)
                : contract(a, in_a, at.adjoint, in_result, in_b);
}

TESSERA_INLINE std::span<const AdjointEntry> product_adjoints() {
  static constexpr AdjointEntry entries[] = {
      {Opcode::dot, dot_adjoint},
  };
  return entries;
}

}  // namespace detail

}  // namespace tessera::graph
