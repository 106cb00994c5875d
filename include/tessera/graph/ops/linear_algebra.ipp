// SPDX-License-Identifier: Apache-2.0
//
// Rules of ops on rows or matrices.
#pragma once
#include "tessera/graph/ops/linear_algebra.hpp"

#include <algorithm>

#include "tessera/graph/rule_writer.hpp"

namespace tessera::graph {

TESSERA_INLINE Rule batched_rule(const Dims& tensor, std::span<const Dims> operands,
                                 std::span<const Dims> results, std::size_t count,
                                 std::span<const PartialPass> passes) {
  RuleWriter writer;
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

TESSERA_INLINE Rule triangular_solve_rule(const Dims& a, const Dims& b, bool from_left) {
  RuleWriter writer;
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

}  // namespace tessera::graph
