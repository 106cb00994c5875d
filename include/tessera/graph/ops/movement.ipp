// SPDX-License-Identifier: Apache-2.0
//
// Rules, builders and adjoints of ops that move elements.
#pragma once
#include "tessera/graph/ops/movement.hpp"

#include <algorithm>
#include <numeric>

#include "tessera/graph/detail/adjoint.hpp"
#include "tessera/graph/detail/checks.hpp"
#include "tessera/graph/ops/elementwise.hpp"
#include "tessera/graph/ops/reduction.hpp"
#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule broadcast_rule(const Dims& result, std::span<const Extent> dimensions) {
  RuleWriter writer;
  const std::vector<FactorId> factors = writer.parallel(result);
  std::vector<FactorId> operand;
  for (const Extent dim : dimensions) operand.push_back(factors[static_cast<std::size_t>(dim)]);
  writer.operand(operand);
  writer.result(factors);
  writer.pass({0}, any_reduction);
  return std::move(writer.rule());
}

TESSERA_INLINE Rule transpose_rule(const Dims& operand, std::span<const Extent> permutation) {
  RuleWriter writer;
  const std::vector<FactorId> factors = writer.parallel(operand);
  std::vector<FactorId> result;
  for (const Extent dim : permutation) result.push_back(factors[static_cast<std::size_t>(dim)]);
  writer.operand(factors);
  writer.result(result);
  writer.pass({0}, any_reduction);
  return std::move(writer.rule());
}

TESSERA_INLINE Dims transpose_shape(const Dims& operand, std::span<const Extent> permutation) {
  Dims result;
  for (const Extent from : permutation) result.push_back(operand[static_cast<std::size_t>(from)]);
  return result;
}

TESSERA_INLINE Rule reverse_rule(const Dims& operand, std::span<const Extent> reversed) {
  RuleWriter writer;
  std::vector<FactorId> factors;
  for (std::size_t d = 0; d < operand.size(); ++d)
    factors.push_back(contains(reversed, d) ? writer.whole(operand[d])
                                            : writer.parallel(operand[d]));
  writer.operand(factors);
  writer.result(factors);
  writer.pass({0}, any_reduction);
  return std::move(writer.rule());
}

namespace detail {

// One side of a reshape: the factors of its dims, found dim by dim from the major one.
struct ReshapeSide {
  Dims dims;
  std::vector<std::vector<FactorId>> factors = std::vector<std::vector<FactorId>>(dims.size());
  std::size_t at = 0;  // the current dim; dims of size 1 are passed over
  Extent rest = 1;     // what is not yet factored of it

  bool is_done() const noexcept { return at >= dims.size(); }
  void skip_ones() {
    while (!is_done() && dims[at] == 1) ++at;
  }
  void begin() {
    if (rest == 1) rest = dims[at];
  }
  void take(FactorId factor, Extent size) {
    factors[at].push_back(factor);
    rest /= size;
  }
  // The next dim is whole.
  Extent take_whole_dim(RuleWriter& writer) {
    const Extent size = dims[++at];
    if (size != 1) factors[at].push_back(writer.whole(size));
    return size;
  }
  void end() {
    if (rest != 1) return;
    ++at;
    skip_ones();
  }
};

// The rest of a group of dims without a common factor stays whole: both sides are
// multiplied up until their products meet again.
TESSERA_INLINE void close_run(RuleWriter& writer, ReshapeSide& from, ReshapeSide& to) {
  Extent product_from = from.rest, product_to = to.rest;
  from.take(writer.whole(from.rest), from.rest);
  to.take(writer.whole(to.rest), to.rest);
  while (product_from != product_to) {
    if (product_from < product_to)
      product_from *= from.take_whole_dim(writer);
    else
      product_to *= to.take_whole_dim(writer);
  }
}

}  // namespace detail

TESSERA_INLINE Rule reshape_rule(const Dims& operand, const Dims& result) {
  if (element_count(operand) == 0) return whole_rule(std::span(&operand, 1), std::span(&result, 1));
  RuleWriter writer;
  detail::ReshapeSide from{operand}, to{result};
  for (detail::ReshapeSide* side : {&from, &to}) side->skip_ones();
  while (!from.is_done() && !to.is_done()) {
    for (detail::ReshapeSide* side : {&from, &to}) side->begin();
    const Extent common = std::gcd(from.rest, to.rest);
    // A shared factor must be the major part of both rests: only then does splitting it cut both
    // dims into the same runs of elements.  Where it is all of neither, the run ends with it.
    const bool is_all_of_one = common == from.rest || common == to.rest;
    if (is_all_of_one || common > 1) {
      const FactorId factor = writer.parallel(common);
      for (detail::ReshapeSide* side : {&from, &to}) side->take(factor, common);
    }
    if (!is_all_of_one) detail::close_run(writer, from, to);
    for (detail::ReshapeSide* side : {&from, &to}) side->end();
  }
  Rule& rule = writer.rule();
  rule.begin_operand();
  for (const auto& factors : from.factors) rule.add_dim(factors);
  rule.begin_result();
  for (const auto& factors : to.factors) rule.add_dim(factors);
  writer.pass({0}, any_reduction);
  return std::move(rule);
}

TESSERA_INLINE Rule concatenate_rule(std::span<const Dims> operands, const Dims& result,
                                     Extent dim) {
  RuleWriter writer;
  const std::vector<FactorId> to = writer.parallel(result);
  for (const Dims& dims : operands) {
    std::vector<FactorId> from = to;
    const auto d = static_cast<std::size_t>(dim);
    from[d] = writer.whole(dims[d]);
    writer.operand(from);
  }
  writer.result(to);
  writer.pass_all(operands.size(), any_reduction);
  return std::move(writer.rule());
}

TESSERA_INLINE Rule slice_rule(const Dims& operand, const Dims& result,
                               std::span<const SliceRange> slice) {
  RuleWriter writer;
  std::vector<FactorId> from, to;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const Extent start = slice[d].start, stride = slice[d].stride;
    if (operand[d] == result[d]) {
      from.push_back(writer.parallel(operand[d]));
      to.push_back(from.back());
    } else if (result[d] >= operand[d] / stride / 2) {
      to.push_back(writer.parallel(result[d]));
      from.push_back(writer.window(operand[d], {to.back(), stride, -start, 1, 1}));
    } else {
      to.push_back(writer.whole(result[d]));
      from.push_back(writer.reduction(operand[d], Reduction::sum));
    }
  }
  writer.operand(from);
  writer.result(to);
  writer.pass({0}, any_reduction);
  return std::move(writer.rule());
}

TESSERA_INLINE Dims slice_shape(std::span<const SliceRange> ranges) {
  Dims result;
  for (const SliceRange& range : ranges)
    result.push_back((range.limit - range.start + range.stride - 1) / range.stride);
  return result;
}

TESSERA_INLINE Rule dynamic_slice_rule(const Dims& operand, const Dims& result,
                                       std::span<const Dims> indices) {
  RuleWriter writer;
  std::vector<FactorId> from, to;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const bool is_cut = operand[d] != result[d];
    from.push_back(is_cut ? writer.reduction(operand[d], Reduction::sum)
                          : writer.parallel(operand[d]));
    to.push_back(is_cut ? writer.whole(result[d]) : from.back());
  }
  writer.operand(from);
  for (const Dims& dims : indices) writer.operand(writer.whole(dims));
  writer.result(to);
  writer.pass({0}, any_reduction);
  return std::move(writer.rule());
}

TESSERA_INLINE Rule dynamic_update_slice_rule(const Dims& operand, const Dims& update,
                                              std::span<const Dims> indices) {
  RuleWriter writer;
  const std::vector<FactorId> to = writer.parallel(operand);
  std::vector<FactorId> from = to;
  for (std::size_t d = 0; d < operand.size(); ++d)
    if (update[d] != operand[d]) from[d] = writer.whole(update[d]);
  writer.operand(to);
  writer.operand(from);
  for (const Dims& dims : indices) writer.operand(writer.whole(dims));
  writer.result(to);
  writer.pass({0, 1}, any_reduction);
  return std::move(writer.rule());
}

TESSERA_INLINE Rule pad_rule(const Dims& operand, const Dims& result,
                             std::span<const PaddingRange> padding) {
  RuleWriter writer;
  std::vector<FactorId> from;
  const std::vector<FactorId> to = writer.parallel(result);
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const Extent dilation = padding[d].interior + 1;
    if (padding[d] == PaddingRange{})
      from.push_back(to[d]);
    else if (operand[d] >= result[d] / dilation / 2)
      from.push_back(writer.window(operand[d], {to[d], 1, padding[d].low, 1, dilation}));
    else
      from.push_back(writer.whole(operand[d]));
  }
  writer.operand(from);
  writer.scalar_operands(1);
  writer.result(to);
  writer.pass({0, 1}, any_reduction);
  return std::move(writer.rule());
}

TESSERA_INLINE Tensor broadcast(const Tensor& x, const Dims& dims, std::vector<Extent> dimensions) {
  require(dimensions.size() == x.dims().size(), "broadcast: name one dim per operand dim");
  detail::require_distinct_dims("broadcast", dimensions, dims);
  for (std::size_t i = 0; i < dimensions.size(); ++i) {
    require(dims[static_cast<std::size_t>(dimensions[i])] == x.dims()[i],
            "broadcast: dim " + std::to_string(i) + " of " + to_string(x.type()) +
                " does not fit " + tessera::to_string(dims));
  }
  Rule rule = broadcast_rule(dims, dimensions);
  return x.builder().apply(Opcode::broadcast, {x}, {x.type().element, dims}, std::move(rule),
                           DimList{std::move(dimensions)});
}

TESSERA_INLINE Tensor broadcast_to(const Tensor& scalar, const Dims& dims) {
  return broadcast(scalar, dims, {});
}

TESSERA_INLINE Tensor transpose(const Tensor& x, std::vector<Extent> permutation) {
  require(permutation.size() == x.dims().size(), "transpose: name every dim once");
  detail::require_distinct_dims("transpose", permutation, x.dims());
  const Dims dims = transpose_shape(x.dims(), permutation);
  Rule rule = transpose_rule(x.dims(), permutation);
  return x.builder().apply(Opcode::transpose, {x}, {x.type().element, dims}, std::move(rule),
                           DimList{std::move(permutation)});
}

TESSERA_INLINE Tensor reshape(const Tensor& x, const Dims& dims) {
  check_shape("reshape", dims);
  require(element_count(dims) == element_count(x.dims()), "reshape: " + to_string(x.type()) +
                                                              " has not as many elements as " +
                                                              tessera::to_string(dims));
  return x.builder().apply(Opcode::reshape, {x}, {x.type().element, dims},
                           reshape_rule(x.dims(), dims));
}

TESSERA_INLINE Tensor reverse(const Tensor& x, std::vector<Extent> dims) {
  detail::require_distinct_dims("reverse", dims, x.dims());
  Rule rule = reverse_rule(x.dims(), dims);
  return x.builder().apply(Opcode::reverse, {x}, x.type(), std::move(rule),
                           DimList{std::move(dims)});
}

TESSERA_INLINE Tensor concatenate(std::span<const Tensor> tensors, Extent dim) {
  require(!tensors.empty(), "concatenate: no tensors");
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
    require(tensor.dims() == expected, "concatenate: " + to_string(tensor.type()) +
                                           " does not fit " + to_string(first.type()));
    dims[along] += tensor.dims()[along];
    operands.push_back(tensor.dims());
  }
  return first.builder().apply(Opcode::concatenate, tensors, {first.type().element, dims},
                               concatenate_rule(operands, dims, dim), Dim{dim});
}

TESSERA_INLINE Tensor slice(const Tensor& x, std::vector<SliceRange> ranges) {
  detail::require_one_per_dim("slice", ranges.size(), x);
  for (std::size_t d = 0; d < ranges.size(); ++d) {
    const SliceRange& range = ranges[d];
    require(range.start >= 0 && range.start <= range.limit && range.limit <= x.dims()[d] &&
                range.stride > 0,
            "slice: range " + std::to_string(d) + " does not lie in " + to_string(x.type()));
  }
  const Dims dims = slice_shape(ranges);
  Rule rule = slice_rule(x.dims(), dims, ranges);
  return x.builder().apply(Opcode::slice, {x}, {x.type().element, dims}, std::move(rule),
                           Slicing{std::move(ranges)});
}

TESSERA_INLINE Tensor slice(const Tensor& x, Extent dim, Extent begin, Extent limit) {
  detail::require_distinct_dims("slice", {dim}, x.dims());
  std::vector<SliceRange> ranges;
  for (const Extent size : x.dims()) ranges.push_back({0, size});
  ranges[static_cast<std::size_t>(dim)] = {begin, limit};
  return slice(x, std::move(ranges));
}

TESSERA_INLINE Dims pad_shape(const Dims& operand, std::span<const PaddingRange> ranges) {
  Dims result;
  for (std::size_t d = 0; d < ranges.size(); ++d) {
    const Extent gaps = operand[d] > 1 ? operand[d] - 1 : 0;
    result.push_back(operand[d] + ranges[d].low + ranges[d].high + gaps * ranges[d].interior);
  }
  return result;
}

TESSERA_INLINE Tensor pad(const Tensor& x, const Tensor& value, std::vector<PaddingRange> ranges) {
  detail::require_one_per_dim("pad", ranges.size(), x);
  detail::require_same_element("pad", x, value);
  require(value.dims().empty(), "pad: the value is no scalar");
  const Dims dims = pad_shape(x.dims(), ranges);
  for (std::size_t d = 0; d < ranges.size(); ++d)
    require(ranges[d].interior >= 0 && dims[d] >= 0, "pad: range " + std::to_string(d) +
                                                         " cuts off more than there is of " +
                                                         to_string(x.type()));
  Rule rule = pad_rule(x.dims(), dims, ranges);
  return x.builder().apply(Opcode::pad, {x, value}, {x.type().element, dims}, std::move(rule),
                           Padding{std::move(ranges)});
}

namespace detail {

// The opposite of a broadcast: sums over the dims that x does not have.
TESSERA_INLINE Tensor broadcast_adjoint(const OpAdjoint& at, std::size_t) {
  const std::vector<Extent> dimensions = at.attributes().get<DimList>().dims;
  std::vector<Extent> added;
  for (std::size_t d = 0; d < at.adjoint.dims().size(); ++d)
    if (!contains(dimensions, d)) added.push_back(static_cast<Extent>(d));
  const Tensor sum = added.empty() ? at.adjoint : reduce_sum(at.adjoint, added);
  // The remaining dims are in the result's order.
  std::vector<Extent> permutation;
  for (const Extent dim : dimensions)
    permutation.push_back(std::count_if(dimensions.begin(), dimensions.end(),
                                        [&](Extent other) { return other < dim; }));
  return std::is_sorted(permutation.begin(), permutation.end()) ? sum : transpose(sum, permutation);
}

TESSERA_INLINE Tensor transpose_adjoint(const OpAdjoint& at, std::size_t) {
  const std::vector<Extent> permutation = at.attributes().get<DimList>().dims;
  std::vector<Extent> inverse(permutation.size());
  for (std::size_t d = 0; d < permutation.size(); ++d)
    inverse[static_cast<std::size_t>(permutation[d])] = static_cast<Extent>(d);
  return transpose(at.adjoint, std::move(inverse));
}

TESSERA_INLINE Tensor concatenate_adjoint(const OpAdjoint& at, std::size_t i) {
  const Extent dim = at.attributes().get<Dim>().dim;
  const auto size = [&](std::size_t k) {
    return at.operand(k).dims()[static_cast<std::size_t>(dim)];
  };
  Extent begin = 0;
  for (std::size_t k = 0; k < i; ++k) begin += size(k);
  return slice(at.adjoint, dim, begin, begin + size(i));
}

TESSERA_INLINE Tensor slice_adjoint(const OpAdjoint& at, std::size_t) {
  const std::vector<SliceRange> ranges = at.attributes().get<Slicing>().ranges;
  std::vector<PaddingRange> padding;
  for (std::size_t d = 0; d < ranges.size(); ++d) {
    const Extent taken = at.adjoint.dims()[d];
    if (taken == 0) at.fail("takes nothing, which has no derivative here");
    const Extent end = ranges[d].start + (taken - 1) * ranges[d].stride + 1;
    padding.push_back({ranges[d].start, at.operand(0).dims()[d] - end, ranges[d].stride - 1});
  }
  return pad(at.adjoint, at.builder.constant(at.adjoint.type().element), std::move(padding));
}

TESSERA_INLINE Tensor pad_adjoint(const OpAdjoint& at, std::size_t i) {
  if (i != 0) at.fail("has no derivative by its padding here");
  std::vector<PaddingRange> cut;
  std::vector<SliceRange> taken;
  for (const PaddingRange& range : at.attributes().get<Padding>().ranges) {
    cut.push_back({-range.low, -range.high, 0});
    taken.push_back({0, 0, range.interior + 1});
  }
  const Tensor inner =
      pad(at.adjoint, at.builder.constant(at.adjoint.type().element), std::move(cut));
  for (std::size_t d = 0; d < taken.size(); ++d) taken[d].limit = inner.dims()[d];
  return slice(inner, std::move(taken));
}

TESSERA_INLINE std::span<const AdjointEntry> movement_adjoints() {
  static constexpr AdjointEntry entries[] = {
      {Opcode::broadcast, broadcast_adjoint},
      {Opcode::concatenate, concatenate_adjoint},
      {Opcode::pad, pad_adjoint},
      {Opcode::reshape,
       [](const OpAdjoint& at, std::size_t) { return reshape(at.adjoint, at.operand(0).dims()); }},
      {Opcode::reverse,
       [](const OpAdjoint& at, std::size_t) {
         return reverse(at.adjoint, at.attributes().get<DimList>().dims);
       }},
      {Opcode::slice, slice_adjoint},
      {Opcode::transpose, transpose_adjoint},
  };
  return entries;
}

}  // namespace detail

}  // namespace tessera::graph
