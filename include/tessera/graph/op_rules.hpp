// SPDX-License-Identifier: Apache-2.0
//
// The sharding rule of each kind of op, built from shapes and attributes.
//
// Adding an op means adding a function here (and, for HLO text, a row in io/).  Every function
// takes shapes that fit together and checks nothing: who reads them from text, or from a user,
// reports what does not fit.  O(sum of ranks) each, and so is the rule.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "tessera/graph/rule.hpp"

namespace tessera::graph {

namespace detail {

inline constexpr FactorId no_factor = 0xffff;

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

// Row-major order is kept, so a run of operand dims corresponds to a run of result dims of the same
// product; within a run the common factors are found from the major side (as Shardy does).  What
// has no counterpart on the other side stays whole.
inline Rule reshape_rule(const Dims& operand, const Dims& result) {
  detail::RuleWriter writer;
  if (element_count(operand) == 0) return whole_rule(std::span(&operand, 1), std::span(&result, 1));
  std::vector<std::vector<FactorId>> from(operand.size()), to(result.size());
  std::size_t i = 0, j = 0;
  Extent rest_i = 1, rest_j = 1;  // what is not yet factored of the current dims
  const auto skip_ones = [](const Dims& dims, std::size_t& at) {
    while (at < dims.size() && dims[at] == 1) ++at;
  };
  skip_ones(operand, i);
  skip_ones(result, j);
  while (i < operand.size() && j < result.size()) {
    if (rest_i == 1) rest_i = operand[i];
    if (rest_j == 1) rest_j = result[j];
    const Extent common = std::gcd(rest_i, rest_j);
    // A shared factor must be the major part of both rests: only then does splitting it cut both
    // dims into the same runs of elements.
    if (common == rest_i || common == rest_j) {
      const FactorId factor = writer.parallel(common);
      from[i].push_back(factor);
      to[j].push_back(factor);
      rest_i /= common;
      rest_j /= common;
    } else {
      // No dim's rest divides the other's: what remains of this run can not be split alike.
      const FactorId shared = common > 1 ? writer.parallel(common) : detail::no_factor;
      if (shared != detail::no_factor) {
        from[i].push_back(shared);
        to[j].push_back(shared);
        rest_i /= common;
        rest_j /= common;
      }
      // Close the run: multiply up both sides until their products meet again.
      Extent product_i = rest_i, product_j = rest_j;
      from[i].push_back(writer.whole(rest_i));
      to[j].push_back(writer.whole(rest_j));
      while (product_i != product_j) {
        if (product_i < product_j) {
          ++i;
          if (operand[i] != 1) from[i].push_back(writer.whole(operand[i]));
          product_i *= operand[i];
        } else {
          ++j;
          if (result[j] != 1) to[j].push_back(writer.whole(result[j]));
          product_j *= result[j];
        }
      }
      rest_i = rest_j = 1;
    }
    if (rest_i == 1) skip_ones(operand, ++i);
    if (rest_j == 1) skip_ones(result, ++j);
  }
  Rule& rule = writer.rule();
  rule.begin_operand();
  for (const auto& factors : from) rule.add_dim(factors);
  rule.begin_result();
  for (const auto& factors : to) rule.add_dim(factors);
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
  std::vector<FactorId> left(lhs.size(), detail::no_factor), right(rhs.size(), detail::no_factor);
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
      if (side[d] == detail::no_factor) result.push_back(side[d] = writer.parallel(sizes[d]));
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

// Tensors of one rank whose dims correspond where their sizes agree with the first result's, and
// are whole where they do not: concatenate, slice, pad, dynamic-slice, dynamic-update-slice.
// `forced_whole` dims are whole on all of them.  Scalars (pad values, indices) follow the operands.
inline Rule aligned_rule(std::span<const Dims> operands, std::size_t scalars, const Dims& result,
                         std::span<const Extent> forced_whole) {
  detail::RuleWriter writer;
  std::vector<FactorId> shared;
  for (std::size_t d = 0; d < result.size(); ++d) {
    bool agrees = !detail::contains(forced_whole, d);
    for (const Dims& dims : operands) agrees = agrees && dims[d] == result[d];
    shared.push_back(agrees ? writer.parallel(result[d]) : detail::no_factor);
  }
  const auto factors_of = [&](const Dims& dims) {
    std::vector<FactorId> factors = shared;
    for (std::size_t d = 0; d < dims.size(); ++d)
      if (factors[d] == detail::no_factor) factors[d] = writer.whole(dims[d]);
    return factors;
  };
  for (const Dims& dims : operands) writer.operand(factors_of(dims));
  writer.scalar_operands(scalars);
  writer.result(factors_of(result));
  return std::move(writer.rule());
}

// Data movement: what is partial goes on being partial.
inline Rule concatenate_rule(std::span<const Dims> operands, const Dims& result, Extent dim) {
  Rule rule = aligned_rule(operands, 0, result, std::span(&dim, 1));
  if (operands.size() <= 64)
    rule.add_pass({any_reduction, operands.size() == 64
                                      ? ~std::uint64_t{0}
                                      : (std::uint64_t{1} << operands.size()) - 1});
  return rule;
}
inline Rule slice_rule(const Dims& operand, const Dims& result) {
  Rule rule = aligned_rule(std::span(&operand, 1), 0, result, {});
  rule.add_pass({any_reduction, 0b1});
  return rule;
}
inline Rule dynamic_slice_rule(const Dims& operand, const Dims& result, std::size_t indices) {
  Rule rule = aligned_rule(std::span(&operand, 1), indices, result, {});
  rule.add_pass({any_reduction, 0b1});
  return rule;
}
inline Rule dynamic_update_slice_rule(const Dims& operand, const Dims& update,
                                      std::size_t indices) {
  const Dims both[] = {operand, update};
  Rule rule = aligned_rule(both, indices, operand, {});
  rule.add_pass({any_reduction, 0b11});
  return rule;
}
// `padded`: the dims that get padding, also where their size happens to stay the same.
inline Rule pad_rule(const Dims& operand, const Dims& result, std::span<const Extent> padded) {
  Rule rule = aligned_rule(std::span(&operand, 1), 1, result, padded);
  rule.add_pass({any_reduction, 0b11});
  return rule;
}

// Tensors of equal dims in which one or more dims must be whole: sort, top-k, softmax.
// Operand i has dims operands[i], result i results[i]; a dim whose sizes differ is whole too.
inline Rule along_whole_rule(std::span<const Dims> operands, std::span<const Dims> results,
                             std::span<const Extent> whole) {
  detail::RuleWriter writer;
  std::vector<FactorId> shared;
  for (std::size_t d = 0; d < operands[0].size(); ++d)
    shared.push_back(detail::contains(whole, d) ? detail::no_factor
                                                : writer.parallel(operands[0][d]));
  const auto factors_of = [&](const Dims& dims) {
    std::vector<FactorId> factors;
    for (std::size_t d = 0; d < dims.size(); ++d) {
      const bool is_shared = dims.size() == shared.size() && shared[d] != detail::no_factor;
      factors.push_back(is_shared ? shared[d] : writer.whole(dims[d]));
    }
    return factors;
  };
  for (const Dims& dims : operands) writer.operand(factors_of(dims));
  for (const Dims& dims : results) writer.result(factors_of(dims));
  return std::move(writer.rule());
}

// Statistics over all dims but one, the feature dim.  Operands and results are of the full shape or
// have just the feature dim.  In inference nothing is reduced, and every dim may be split.
inline Rule batch_norm_rule(std::span<const Dims> operands, std::span<const Dims> results,
                            std::size_t feature, bool is_inference) {
  detail::RuleWriter writer;
  std::vector<FactorId> full;
  for (std::size_t d = 0; d < operands[0].size(); ++d)
    full.push_back(is_inference || d == feature ? writer.parallel(operands[0][d])
                                                : writer.whole(operands[0][d]));
  const FactorId only_feature[] = {full[feature]};
  const auto factors_of = [&](const Dims& dims) -> std::span<const FactorId> {
    if (dims.size() == full.size()) return full;
    return only_feature;
  };
  for (const Dims& dims : operands) writer.operand(factors_of(dims));
  for (const Dims& dims : results) writer.result(factors_of(dims));
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
// rows it has and zeros elsewhere.
inline Rule gather_rule(const Dims& operand, const Dims& indices, const Dims& result,
                        const GatherDims& dims) {
  detail::RuleWriter writer;
  std::vector<FactorId> from(operand.size(), detail::no_factor);
  std::vector<FactorId> index(indices.size(), detail::no_factor);
  std::vector<FactorId> to(result.size(), detail::no_factor);

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
    if (from[d] != detail::no_factor) continue;
    if (detail::contains(dims.collapsed_slice_dims, d)) {
      from[d] = writer.reduction(operand[d], Reduction::sum);
      continue;
    }
    const auto at = static_cast<std::size_t>(dims.offset_dims[offset++]);
    if (result[at] == operand[d]) {
      from[d] = to[at] = writer.parallel(operand[d]);
    } else {
      from[d] = writer.whole(operand[d]);
      to[at] = writer.whole(result[at]);
    }
  }
  writer.operand(from);
  writer.operand(index);
  writer.result(to);
  writer.pass({0}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

// HLO's scatter of one operand: `updates` combined into `operand` at places that `indices` names.
struct ScatterDims {
  std::vector<Extent> update_window_dims, inserted_window_dims, scatter_dims_to_operand_dims;
  std::vector<Extent> input_batching_dims, scatter_indices_batching_dims;
  Extent index_vector_dim = 0;

  friend bool operator==(const ScatterDims&, const ScatterDims&) = default;
};

// `reduction` is what combines an update with what is there; none for an assignment or a combiner
// we do not know, in which case the updates stay together.
inline Rule scatter_rule(const Dims& operand, const Dims& indices, const Dims& updates,
                         const ScatterDims& dims, Reduction reduction) {
  detail::RuleWriter writer;
  std::vector<FactorId> to(operand.size(), detail::no_factor);
  std::vector<FactorId> index(indices.size(), detail::no_factor);
  std::vector<FactorId> from(updates.size(), detail::no_factor);

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
    if (to[d] != detail::no_factor) continue;
    if (detail::contains(dims.inserted_window_dims, d)) {
      to[d] = writer.parallel(operand[d]);  // each device takes the updates that fall in its rows
      continue;
    }
    const auto at = static_cast<std::size_t>(dims.update_window_dims[window++]);
    if (updates[at] == operand[d]) {
      to[d] = from[at] = writer.parallel(operand[d]);
    } else {
      to[d] = writer.whole(operand[d]);
      from[at] = writer.whole(updates[at]);
    }
  }
  writer.operand(to);
  writer.operand(index);
  writer.operand(from);
  writer.result(to);
  if (reduction == Reduction::sum) writer.pass({0, 2}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

// Which dims of a convolution are batch, feature and space; space[i] of all three correspond.
struct ConvolutionDims {
  std::size_t input_batch = 0, input_feature = 0, kernel_input = 0, kernel_output = 0;
  std::size_t output_batch = 0, output_feature = 0;
  std::vector<std::size_t> input_space, kernel_space, output_space;
  std::vector<bool> is_pointwise;  // per space dim: a window of one element, no stride, no padding
  Extent feature_groups = 1, batch_groups = 1;

  friend bool operator==(const ConvolutionDims&, const ConvolutionDims&) = default;
};

// Space stays whole unless the window is a point: split, neighbours would have to exchange halos.
inline Rule convolution_rule(const Dims& input, const Dims& kernel, const Dims& output,
                             const ConvolutionDims& dims) {
  detail::RuleWriter writer;
  std::vector<FactorId> in(input.size()), ker(kernel.size()), out(output.size());
  const bool grouped = dims.feature_groups != 1 || dims.batch_groups != 1;
  if (grouped) {
    in[dims.input_feature] = writer.whole(input[dims.input_feature]);
    ker[dims.kernel_input] = writer.whole(kernel[dims.kernel_input]);
    ker[dims.kernel_output] = out[dims.output_feature] = writer.whole(output[dims.output_feature]);
  } else {
    in[dims.input_feature] = ker[dims.kernel_input] =
        writer.reduction(input[dims.input_feature], Reduction::sum);
    ker[dims.kernel_output] = out[dims.output_feature] =
        writer.parallel(output[dims.output_feature]);
  }
  if (dims.batch_groups == 1) {
    in[dims.input_batch] = out[dims.output_batch] = writer.parallel(input[dims.input_batch]);
  } else {
    in[dims.input_batch] = writer.whole(input[dims.input_batch]);
    out[dims.output_batch] = writer.whole(output[dims.output_batch]);
  }
  for (std::size_t s = 0; s < dims.input_space.size(); ++s) {
    const std::size_t i = dims.input_space[s], k = dims.kernel_space[s], o = dims.output_space[s];
    const auto window = [&](Extent size) {
      return writer.rule().add_factor({size, FactorKind::window});
    };
    ker[k] = window(kernel[k]);
    in[i] = dims.is_pointwise[s] ? writer.parallel(input[i]) : window(input[i]);
    out[o] = dims.is_pointwise[s] ? in[i] : window(output[o]);
  }
  writer.operand(in);
  writer.operand(ker);
  writer.result(out);
  writer.pass({0}, reduction_set(Reduction::sum));
  writer.pass({1}, reduction_set(Reduction::sum));
  return std::move(writer.rule());
}

// A window slides over some dims (reduce-window, select-and-scatter): those are window factors,
// where the window is a single point the dim is free.  Operands are of the first one's rank, or
// scalars.
inline Rule window_rule(std::span<const Dims> operands, std::span<const Dims> results,
                        const std::vector<bool>& is_point) {
  detail::RuleWriter writer;
  std::vector<FactorId> shared;
  for (std::size_t d = 0; d < operands[0].size(); ++d)
    shared.push_back(is_point[d] ? writer.parallel(operands[0][d]) : detail::no_factor);
  const auto factors_of = [&](const Dims& dims) {
    std::vector<FactorId> factors;
    for (std::size_t d = 0; d < dims.size(); ++d)
      factors.push_back(shared[d] != detail::no_factor
                            ? shared[d]
                            : writer.rule().add_factor({dims[d], FactorKind::window}));
    return factors;
  };
  for (const Dims& dims : operands) writer.operand(factors_of(dims));
  for (const Dims& dims : results) writer.result(factors_of(dims));
  return std::move(writer.rule());
}

}  // namespace tessera::graph
