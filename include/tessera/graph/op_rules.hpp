// SPDX-License-Identifier: Apache-2.0
//
// The sharding rule of each kind of op, built from shapes and attributes.
//
// Adding an op means adding a function here (and, for HLO text, a row in io/).  Every function
// takes shapes that fit together and checks nothing: who reads them from text, or from a user,
// reports what does not fit.  O(sum of ranks) each, and so is the rule.
#pragma once
#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "tessera/graph/rule.hpp"
#include "tessera/graph/window.hpp"

namespace tessera::graph {

namespace detail {

inline bool contains(std::span<const Extent> list, std::size_t value) {
  for (const Extent entry : list)
    if (entry == static_cast<Extent>(value)) return true;
  return false;
}

// Adds tensors whose dims are single factors, as most rules have.
class RuleWriter {
 public:
  FactorId parallel(Extent size) { return add({size, FactorKind::parallel}); }
  FactorId whole(Extent size) { return add({size, FactorKind::whole}); }
  FactorId reduction(Extent size, Reduction reduction, std::int16_t accumulator = -1) {
    if (reduction == Reduction::none) return whole(size);  // nothing known could finish it
    return add({size, FactorKind::reduction, reduction, accumulator});
  }
  // A dim of `size` that a window slides along.
  FactorId window(Extent size, const Window& window) {
    return add({size, FactorKind::window, Reduction::none, -1, window});
  }
  std::vector<FactorId> parallel(const Dims& dims) {
    std::vector<FactorId> factors;
    for (const Extent size : dims) factors.push_back(parallel(size));
    return factors;
  }
  std::vector<FactorId> whole(const Dims& dims) {
    std::vector<FactorId> factors;
    for (const Extent size : dims) factors.push_back(whole(size));
    return factors;
  }

  void operand(std::span<const FactorId> dims) {
    rule_.begin_operand();
    for (const FactorId factor : dims) rule_.add_dim(factor);
  }
  void result(std::span<const FactorId> dims) {
    rule_.begin_result();
    for (const FactorId factor : dims) rule_.add_dim(factor);
  }
  void scalar_operands(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) rule_.begin_operand();
  }
  void pass(std::initializer_list<std::size_t> operands, ReductionSet reductions) {
    PartialPass pass{reductions};
    for (const std::size_t operand : operands) {
      if (operand >= 64) return;
      pass.operands |= std::uint64_t{1} << operand;
    }
    rule_.add_pass(pass);
  }
  void pass_all(std::size_t operands, ReductionSet reductions) {
    if (operands <= 64)
      rule_.add_pass(
          {reductions, operands == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << operands) - 1});
  }

  Rule& rule() noexcept { return rule_; }

 private:
  FactorId add(Factor factor) { return rule_.add_factor(factor); }

  Rule rule_;
};

}  // namespace detail

// Parameters, constants, iota: any shard can be had without communication.
inline Rule source_rule(const Dims& result) {
  detail::RuleWriter writer;
  writer.result(writer.parallel(result));
  return std::move(writer.rule());
}

// Nothing may be split: what every op can do, and all that an unknown one can.
inline Rule whole_rule(std::span<const Dims> operands, std::span<const Dims> results) {
  detail::RuleWriter writer;
  for (const Dims& dims : operands) writer.operand(writer.whole(dims));
  for (const Dims& dims : results) writer.result(writer.whole(dims));
  return std::move(writer.rule());
}

// One result, element by element.  Operands have the result's dims or are scalars.
inline Rule elementwise_rule(std::span<const Dims> operands, const Dims& result,
                             std::span<const PartialPass> passes = {}) {
  detail::RuleWriter writer;
  const std::vector<FactorId> factors = writer.parallel(result);
  for (const Dims& dims : operands)
    dims.size() == result.size() ? writer.operand(factors) : writer.scalar_operands(1);
  writer.result(factors);
  for (const PartialPass& pass : passes) writer.rule().add_pass(pass);
  return std::move(writer.rule());
}

// Operand dim i becomes result dim dimensions[i]; the others are new.
inline Rule broadcast_rule(const Dims& result, std::span<const Extent> dimensions) {
  detail::RuleWriter writer;
  const std::vector<FactorId> factors = writer.parallel(result);
  std::vector<FactorId> operand;
  for (const Extent dim : dimensions) operand.push_back(factors[static_cast<std::size_t>(dim)]);
  writer.operand(operand);
  writer.result(factors);
  writer.pass({0}, any_reduction);
  return std::move(writer.rule());
}

// Result dim i is operand dim permutation[i].
inline Rule transpose_rule(const Dims& operand, std::span<const Extent> permutation) {
  detail::RuleWriter writer;
  const std::vector<FactorId> factors = writer.parallel(operand);
  std::vector<FactorId> result;
  for (const Extent dim : permutation) result.push_back(factors[static_cast<std::size_t>(dim)]);
  writer.operand(factors);
  writer.result(result);
  writer.pass({0}, any_reduction);
  return std::move(writer.rule());
}

// Reversed dims trade places between devices, so they stay whole.
inline Rule reverse_rule(const Dims& operand, std::span<const Extent> reversed) {
  detail::RuleWriter writer;
  std::vector<FactorId> factors;
  for (std::size_t d = 0; d < operand.size(); ++d)
    factors.push_back(detail::contains(reversed, d) ? writer.whole(operand[d])
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

// What is left of a run of dims that no common factor divides alike stays whole: both sides are
// multiplied up until their products meet again.
inline void close_run(RuleWriter& writer, ReshapeSide& from, ReshapeSide& to) {
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

// Row-major order is kept, so a run of operand dims corresponds to a run of result dims of the same
// product; within a run the common factors are found from the major side (as Shardy does).  What
// has no counterpart on the other side stays whole.
inline Rule reshape_rule(const Dims& operand, const Dims& result) {
  if (element_count(operand) == 0) return whole_rule(std::span(&operand, 1), std::span(&result, 1));
  detail::RuleWriter writer;
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

// Which dims of a dot's operands pair up.  The result's dims are batch, free left, free right.
struct DotDims {
  std::vector<Extent> lhs_contracting, rhs_contracting, lhs_batch, rhs_batch;

  friend bool operator==(const DotDims&, const DotDims&) = default;
};

// Bilinear: a partial operand gives a partial result.
inline Rule dot_rule(const Dims& lhs, const Dims& rhs, const DotDims& dims) {
  detail::RuleWriter writer;
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

// One operand and its initial value, reduced over `reduced` dims.  The initial value must be added
// once and not by every device, so it enters as a partial result (a mask, which is free).  Where
// the reduction is none (a reducer we do not know), the reduced dims stay whole.
inline Rule reduce_rule(const Dims& operand, std::span<const Extent> reduced, Reduction reduction) {
  detail::RuleWriter writer;
  std::vector<FactorId> factors, kept;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const bool is_reduced = detail::contains(reduced, d);
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

// Several operands reduced together (argmax and its like): the reducer is opaque.
inline Rule variadic_reduce_rule(const Dims& operand, std::size_t count,
                                 std::span<const Extent> reduced) {
  detail::RuleWriter writer;
  std::vector<FactorId> factors, kept;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const bool is_reduced = detail::contains(reduced, d);
    factors.push_back(is_reduced ? writer.whole(operand[d]) : writer.parallel(operand[d]));
    if (!is_reduced) kept.push_back(factors.back());
  }
  for (std::size_t i = 0; i < count; ++i) writer.operand(factors);
  writer.scalar_operands(count);
  for (std::size_t i = 0; i < count; ++i) writer.result(kept);
  return std::move(writer.rule());
}

// Operands are whole along `dim`; the result need not be, since a device that has all of them can
// keep the part that it is to hold.  Data movement: what is partial goes on being partial.
inline Rule concatenate_rule(std::span<const Dims> operands, const Dims& result, Extent dim) {
  detail::RuleWriter writer;
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

// A slice that keeps half of a dim or more slides along it.  One that keeps less can be had from an
// operand that is split there as a partial sum: each device fills in what it has, and zeros.
inline Rule slice_rule(const Dims& operand, const Dims& result, std::span<const SliceRange> slice) {
  detail::RuleWriter writer;
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

// A slice whose place is known only at run time: from an operand that is split where it is cut, a
// partial sum.
inline Rule dynamic_slice_rule(const Dims& operand, const Dims& result,
                               std::span<const Dims> indices) {
  detail::RuleWriter writer;
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

// Each device takes from the update what falls in its part of the operand.
inline Rule dynamic_update_slice_rule(const Dims& operand, const Dims& update,
                                      std::span<const Dims> indices) {
  detail::RuleWriter writer;
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

// Where padding at most doubles a dim, operand and result are split together.  Where it adds more,
// the operand is whole and the result need not be.
inline Rule pad_rule(const Dims& operand, const Dims& result,
                     std::span<const PaddingRange> padding) {
  detail::RuleWriter writer;
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

// Tensors of equal dims in which one or more dims must be whole: sort, top-k, softmax.
// Operand i has dims operands[i], result i results[i]; a dim whose sizes differ is whole too.
inline Rule along_whole_rule(std::span<const Dims> operands, std::span<const Dims> results,
                             std::span<const Extent> whole) {
  detail::RuleWriter writer;
  std::vector<FactorId> shared;
  for (std::size_t d = 0; d < operands[0].size(); ++d)
    shared.push_back(detail::contains(whole, d) ? no_factor : writer.parallel(operands[0][d]));
  const auto factors_of = [&](const Dims& dims) {
    std::vector<FactorId> factors;
    for (std::size_t d = 0; d < dims.size(); ++d) {
      const bool is_shared = dims.size() == shared.size() && shared[d] != no_factor;
      factors.push_back(is_shared ? shared[d] : writer.whole(dims[d]));
    }
    return factors;
  };
  for (const Dims& dims : operands) writer.operand(factors_of(dims));
  for (const Dims& dims : results) writer.result(factors_of(dims));
  return std::move(writer.rule());
}

// Element by element, where some operands have just the dim `feature` of the result: the parts of a
// batch normalisation.
inline Rule per_feature_rule(std::span<const Dims> operands, const Dims& result,
                             std::size_t feature) {
  detail::RuleWriter writer;
  const std::vector<FactorId> full = writer.parallel(result);
  const FactorId only_feature[] = {full[feature]};
  for (const Dims& dims : operands)
    dims.size() == full.size() ? writer.operand(full) : writer.operand(only_feature);
  writer.result(full);
  return std::move(writer.rule());
}

// The same, summed over all dims but `feature`: a vector of statistics.
inline Rule feature_sum_rule(std::span<const Dims> operands, std::size_t feature) {
  detail::RuleWriter writer;
  std::vector<FactorId> full;
  for (std::size_t d = 0; d < operands[0].size(); ++d)
    full.push_back(d == feature ? writer.parallel(operands[0][d])
                                : writer.reduction(operands[0][d], Reduction::sum));
  const FactorId only_feature[] = {full[feature]};
  for (const Dims& dims : operands)
    dims.size() == full.size() ? writer.operand(full) : writer.operand(only_feature);
  writer.result(only_feature);
  return std::move(writer.rule());
}

// Operations on rows or matrices in the last `count` dims of `tensor`: those stay whole, and the
// dims before them are batches.  Other tensors have the batches too where they are as far of the
// same dims, or else are whole.
inline Rule batched_rule(const Dims& tensor, std::span<const Dims> operands,
                         std::span<const Dims> results, std::size_t count,
                         std::span<const PartialPass> passes = {}) {
  detail::RuleWriter writer;
  const std::size_t batches = tensor.size() - std::min(count, tensor.size());
  std::vector<FactorId> batch;
  for (std::size_t d = 0; d < batches; ++d) batch.push_back(writer.parallel(tensor[d]));
  const auto factors_of = [&](const Dims& dims) {
    const bool has_batches = dims.size() + 1 >= tensor.size() && dims.size() >= batches &&
                             std::equal(tensor.begin(), tensor.begin() + batches, dims.begin());
    std::vector<FactorId> factors;
    for (std::size_t d = 0; d < dims.size(); ++d)
      factors.push_back(has_batches && d < batches ? batch[d] : writer.whole(dims[d]));
    return factors;
  };
  for (const Dims& dims : operands) writer.operand(factors_of(dims));
  for (const Dims& dims : results) writer.result(factors_of(dims));
  for (const PartialPass& pass : passes) writer.rule().add_pass(pass);
  return std::move(writer.rule());
}

// A collective that the program itself asks for, among devices that are none of the plan's: result
// i is operand i with other data, and dims that change their size, or are named, stay whole.
// `mixes`: the operands are of the same dims and trade places among each other.
inline Rule foreign_collective_rule(std::span<const Dims> operands, std::span<const Dims> results,
                                    std::span<const Extent> named, bool mixes,
                                    std::span<const PartialPass> passes = {}) {
  detail::RuleWriter writer;
  std::vector<std::vector<FactorId>> from, to;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    from.emplace_back();
    to.emplace_back();
    for (std::size_t d = 0; d < operands[i].size(); ++d) {
      const bool is_free = operands[i][d] == results[i][d] && !detail::contains(named, d);
      const FactorId shared = mixes && i > 0 ? from[0][d] : no_factor;
      from[i].push_back(shared != no_factor ? shared
                        : is_free           ? writer.parallel(operands[i][d])
                                            : writer.whole(operands[i][d]));
      to[i].push_back(is_free ? from[i][d] : writer.whole(results[i][d]));
    }
  }
  for (const auto& factors : from) writer.operand(factors);
  for (const auto& factors : to) writer.result(factors);
  for (const PartialPass& pass : passes) writer.rule().add_pass(pass);
  return std::move(writer.rule());
}

// Solves a x = b (or x a = b, where `from_left` is false) for triangular a: a batch of systems, and
// the columns (or rows) of b are each a system of their own.  Linear in b.
inline Rule triangular_solve_rule(const Dims& a, const Dims& b, bool from_left) {
  detail::RuleWriter writer;
  std::vector<FactorId> matrix, right;
  for (std::size_t d = 0; d + 2 < a.size(); ++d) {
    matrix.push_back(writer.parallel(a[d]));
    right.push_back(matrix.back());
  }
  matrix.push_back(writer.whole(a[a.size() - 2]));
  matrix.push_back(writer.whole(a[a.size() - 1]));
  const std::size_t rows = b.size() - 2;
  right.push_back(from_left ? writer.whole(b[rows]) : writer.parallel(b[rows]));
  right.push_back(from_left ? writer.parallel(b[rows + 1]) : writer.whole(b[rows + 1]));
  writer.operand(matrix);
  writer.operand(right);
  writer.result(right);
  writer.pass({1}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

// Random numbers from a state, which every device has: each draws those of its shard.
inline Rule random_bits_rule(const Dims& state, std::span<const Dims> results) {
  detail::RuleWriter writer;
  const std::vector<FactorId> whole = writer.whole(state);
  writer.operand(whole);
  for (std::size_t r = 0; r < results.size(); ++r)
    r == 0 && results.size() > 1 ? writer.result(whole)
                                 : writer.result(writer.parallel(results[r]));
  return std::move(writer.rule());
}

// HLO's gather: slices of `operand` at places that `indices` names.
struct GatherDims {
  std::vector<Extent> offset_dims, collapsed_slice_dims, start_index_map, slice_sizes;
  std::vector<Extent> operand_batching_dims, start_indices_batching_dims;
  Extent index_vector_dim = 0;

  friend bool operator==(const GatherDims&, const GatherDims&) = default;
};

// A table split on the rows that are looked up gives a partial result: each device fills in the
// rows it has and zeros elsewhere.  So does one that is split where slices are less than a dim.
inline Rule gather_rule(const Dims& operand, const Dims& indices, const Dims& result,
                        const GatherDims& dims) {
  detail::RuleWriter writer;
  std::vector<FactorId> from(operand.size(), no_factor);
  std::vector<FactorId> index(indices.size(), no_factor);
  std::vector<FactorId> to(result.size(), no_factor);

  // The result's batch dims are the index tensor's, in order.
  std::size_t out = 0;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    if (static_cast<Extent>(d) == dims.index_vector_dim) {
      index[d] = writer.whole(indices[d]);
      continue;
    }
    while (detail::contains(dims.offset_dims, out)) ++out;
    index[d] = to[out++] = writer.parallel(indices[d]);
  }
  for (std::size_t i = 0; i < dims.operand_batching_dims.size(); ++i)
    from[static_cast<std::size_t>(dims.operand_batching_dims[i])] =
        index[static_cast<std::size_t>(dims.start_indices_batching_dims[i])];
  // Its other dims are the operand's that are neither collapsed nor batching, in order.
  std::size_t offset = 0;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    if (from[d] != no_factor) continue;
    if (detail::contains(dims.collapsed_slice_dims, d)) {
      from[d] = writer.reduction(operand[d], Reduction::sum);
      continue;
    }
    const auto at = static_cast<std::size_t>(dims.offset_dims[offset++]);
    if (result[at] == operand[d]) {
      from[d] = to[at] = writer.parallel(operand[d]);
    } else {
      from[d] = writer.reduction(operand[d], Reduction::sum);
      to[at] = writer.whole(result[at]);
    }
  }
  writer.operand(from);
  writer.operand(index);
  writer.result(to);
  writer.pass({0}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

// HLO's scatter: `updates` combined into an operand at places that `indices` names.
struct ScatterDims {
  std::vector<Extent> update_window_dims, inserted_window_dims, scatter_dims_to_operand_dims;
  std::vector<Extent> input_batching_dims, scatter_indices_batching_dims;
  Extent index_vector_dim = 0;

  friend bool operator==(const ScatterDims&, const ScatterDims&) = default;
};

// `count` operands and as many updates, of the same dims.  Each device takes the updates that fall
// in its part of the operands.  `reduction` is what combines an update with what is there; none for
// an assignment, a combiner we do not know or several operands, in which case the updates stay
// together.
inline Rule scatter_rule(const Dims& operand, const Dims& indices, const Dims& updates,
                         const ScatterDims& dims, Reduction reduction, std::size_t count = 1) {
  detail::RuleWriter writer;
  if (count != 1) reduction = Reduction::none;
  std::vector<FactorId> to(operand.size(), no_factor);
  std::vector<FactorId> index(indices.size(), no_factor);
  std::vector<FactorId> from(updates.size(), no_factor);

  std::size_t in = 0;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    if (static_cast<Extent>(d) == dims.index_vector_dim) {
      index[d] = writer.whole(indices[d]);
      continue;
    }
    while (detail::contains(dims.update_window_dims, in)) ++in;
    const bool is_batch = detail::contains(dims.scatter_indices_batching_dims, d);
    index[d] = from[in++] = is_batch ? writer.parallel(indices[d])
                                     : writer.reduction(indices[d], reduction, 0);
  }
  for (std::size_t i = 0; i < dims.input_batching_dims.size(); ++i)
    to[static_cast<std::size_t>(dims.input_batching_dims[i])] =
        index[static_cast<std::size_t>(dims.scatter_indices_batching_dims[i])];
  std::size_t window = 0;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    if (to[d] != no_factor) continue;
    to[d] = writer.parallel(operand[d]);
    if (detail::contains(dims.inserted_window_dims, d)) continue;
    const auto at = static_cast<std::size_t>(dims.update_window_dims[window++]);
    from[at] = updates[at] == operand[d] ? to[d] : writer.whole(updates[at]);
  }
  for (std::size_t i = 0; i < count; ++i) writer.operand(to);
  writer.operand(index);
  for (std::size_t i = 0; i < count; ++i) writer.operand(from);
  for (std::size_t i = 0; i < count; ++i) writer.result(to);
  if (reduction == Reduction::sum) writer.pass({0, 2}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

// Which dims of a convolution are batch, feature and space; space[i] of all three correspond.
struct ConvolutionDims {
  std::size_t input_batch = 0, input_feature = 0, kernel_input = 0, kernel_output = 0;
  std::size_t output_batch = 0, output_feature = 0;
  std::vector<std::size_t> input_space, kernel_space, output_space;
  Extent feature_groups = 1, batch_groups = 1;

  friend bool operator==(const ConvolutionDims&, const ConvolutionDims&) = default;
};

// Space is split along the longer of the two loops over it, and the input's shards with it: along
// the output (of a layer, and of its input's gradient), or along the kernel where that is longer
// (of a kernel's gradient, whose "kernel" is an image), which leaves partial sums.  Groups are the
// major part of the dims that they are in.
inline Rule convolution_rule(const Dims& input, const Dims& kernel, const Dims& output,
                             const ConvolutionDims& dims, std::span<const WindowDim> window) {
  detail::RuleWriter writer;
  using Factors = std::vector<FactorId>;
  std::vector<Factors> in(input.size()), ker(kernel.size()), out(output.size());
  const auto add = [](FactorId factor, std::initializer_list<Factors*> places) {
    for (Factors* const place : places) place->push_back(factor);
  };
  Factors& out_feature = out[dims.output_feature];
  Factors& ker_output = ker[dims.kernel_output];
  if (dims.feature_groups > 1)
    add(writer.parallel(dims.feature_groups), {&in[dims.input_feature], &ker_output, &out_feature});
  if (dims.batch_groups > 1)
    add(writer.parallel(dims.batch_groups), {&in[dims.input_batch], &ker_output, &out_feature});
  add(writer.reduction(kernel[dims.kernel_input], Reduction::sum),
      {&in[dims.input_feature], &ker[dims.kernel_input]});
  add(writer.parallel(output[dims.output_feature] / dims.feature_groups / dims.batch_groups),
      {&ker_output, &out_feature});
  add(writer.parallel(output[dims.output_batch]), {&in[dims.input_batch], &out[dims.output_batch]});
  for (std::size_t s = 0; s < dims.input_space.size(); ++s) {
    const std::size_t i = dims.input_space[s], k = dims.kernel_space[s], o = dims.output_space[s];
    const WindowDim& slide = window[s];
    if (slide.is_point()) {
      add(writer.parallel(input[i]), {&in[i], &out[o]});
      ker[k] = {writer.whole(kernel[k])};
      continue;
    }
    const bool along_output = output[o] >= kernel[k] || slide.is_reversed;
    out[o] = {along_output ? writer.parallel(output[o]) : writer.whole(output[o])};
    ker[k] = {along_output ? writer.whole(kernel[k]) : writer.reduction(kernel[k], Reduction::sum)};
    const Window along_out{out[o][0], slide.stride, slide.pad_low, slide.reach(), slide.lhs_dilate};
    const Window along_ker{ker[k][0], slide.rhs_dilate, slide.pad_low,
                           (output[o] - 1) * slide.stride + 1, slide.lhs_dilate};
    in[i] = {writer.window(input[i], along_output ? along_out : along_ker)};
  }
  Rule& rule = writer.rule();
  rule.begin_operand();
  for (const Factors& factors : in) rule.add_dim(factors);
  rule.begin_operand();
  for (const Factors& factors : ker) rule.add_dim(factors);
  rule.begin_result();
  for (const Factors& factors : out) rule.add_dim(factors);
  writer.pass({0}, reduction_set(Reduction::sum));
  writer.pass({1}, reduction_set(Reduction::sum));
  return std::move(rule);
}

// A window slides over operands of one shape and reduces what it sees.  Initial values are scalars,
// and enter every window: they are partial where the operand is.
inline Rule reduce_window_rule(const Dims& operand, const Dims& result, std::size_t count,
                               std::span<const WindowDim> window, Reduction reduction) {
  detail::RuleWriter writer;
  std::vector<FactorId> from, to;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const WindowDim& slide = window[d];
    to.push_back(writer.parallel(result[d]));
    from.push_back(slide.is_point()
                       ? to.back()
                       : writer.window(operand[d], {to.back(), slide.stride, slide.pad_low,
                                                    slide.reach(), slide.lhs_dilate}));
  }
  for (std::size_t i = 0; i < count; ++i) writer.operand(from);
  writer.scalar_operands(count);
  for (std::size_t i = 0; i < count; ++i) writer.result(to);
  if (count == 1 && reduction != Reduction::none) writer.pass({0, 1}, reduction_set(reduction));
  return std::move(writer.rule());
}

// Each window over the operand selects one element, which takes the source's.  A tile of the result
// needs the sources whose windows touch it, and of the operand all that those windows see.
inline Rule select_and_scatter_rule(const Dims& operand, const Dims& source,
                                    std::span<const WindowDim> window, Reduction scatter) {
  detail::RuleWriter writer;
  std::vector<FactorId> seen, from, to;
  for (std::size_t d = 0; d < operand.size(); ++d) {
    const WindowDim& slide = window[d];
    to.push_back(writer.parallel(operand[d]));
    if (slide.is_point()) {
      seen.push_back(to.back());
      from.push_back(to.back());
      continue;
    }
    const Extent last = slide.size - 1;
    seen.push_back(writer.window(operand[d], {to.back(), 1, last, 2 * last + 1, 1}));
    from.push_back(
        writer.window(source[d], {to.back(), 1, last - slide.pad_low, slide.size, slide.stride}));
  }
  writer.operand(seen);
  writer.operand(from);
  writer.scalar_operands(1);
  writer.result(to);
  if (scatter == Reduction::sum) writer.pass({1, 2}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

}  // namespace tessera::graph
