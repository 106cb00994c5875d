// SPDX-License-Identifier: Apache-2.0
// Random programs of products, sums and movements, some outputs in place of parameters.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "support/random.hpp"
#include "tessera/graph.hpp"

namespace tessera_test {

// Of tensors [m, n] and [n, n]: m is up to so many units of rows, n of columns.
struct ProgramSizes {
  tessera::graph::ElementType element;
  tessera::Extent row_unit, most_row_units, column_unit, most_column_units;
};

// The rows but the first, and a row of padding: windows that slide by one.
inline tessera::graph::Tensor shifted(const tessera::graph::Tensor& x) {
  const tessera::graph::Tensor rows = slice(x, 0, 1, x.dims()[0]);
  return pad(rows, x.builder().constant(x.type().element), {{0, 1, 0}, {}});
}

inline tessera::graph::Graph random_program(std::uint64_t seed, const ProgramSizes& sizes) {
  using namespace tessera::graph;
  Random random(seed);
  Builder b;
  const tessera::Extent m = sizes.row_unit * random.between(1, sizes.most_row_units);
  const tessera::Extent n = sizes.column_unit * random.between(1, sizes.most_column_units);
  std::vector<Tensor> tall, square;  // [m, n] and [n, n]
  for (int i = 0; i < 2; ++i) {
    tall.push_back(b.parameter("x" + std::to_string(i), sizes.element, {m, n}));
    square.push_back(b.parameter("w" + std::to_string(i), sizes.element, {n, n}));
  }
  const std::size_t weights = square.size();
  const std::int64_t steps = random.between(2, 5);
  for (std::int64_t step = 0; step < steps; ++step) {
    switch (random.below(8)) {
      case 0: tall.push_back(einsum<"mk,kn->mn">(random.pick(tall), random.pick(square))); break;
      case 1: square.push_back(einsum<"mk,mn->kn">(random.pick(tall), random.pick(tall))); break;
      case 2: tall.push_back(random.pick(tall) + random.pick(tall)); break;
      case 3: tall.push_back(exp(random.pick(tall))); break;
      case 4: square.push_back(transpose(random.pick(square), {1, 0})); break;
      case 5: tall.push_back(broadcast(reduce_sum(random.pick(tall), {0}), {m, n}, {1})); break;
      case 6: tall.push_back(shifted(random.pick(tall))); break;
      default: tall.push_back(random.pick(tall) * random.pick(tall)); break;
    }
  }
  b.output(tall.back());
  if (square.size() > weights) b.update(square[0], square.back());
  return b.graph();
}

}  // namespace tessera_test
