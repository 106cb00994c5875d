// SPDX-License-Identifier: Apache-2.0
//
// Lesson 2: a rule says how an op's tensors correspond; from it and a mesh follow all the ways to
// run the op.
//
// "mk,kn->mn" is a matrix product: m and n may be cut freely, and k too, which leaves a partial
// sum.
#include <iostream>

#include "tessera/graph.hpp"
#include "tessera/mesh.hpp"
#include "tessera/strategy.hpp"

using namespace tessera;

// Rules are checked when they are compiled, and so are shapes: a letter of two sizes is an error.
constexpr auto& product = graph::rule_of<"mk,kn->mn", Shape<64, 32>, Shape<32, 16>>;
static_assert(product.dims(2) == Dims{64, 16});

// On four devices in a row there are seven ways: do nothing, cut m, cut n, or cut k and then leave
// the partial sums, reduce them everywhere, or reduce them into shards of either dim.
static_assert(strategy::count(product, Mesh<4>()) == 7);

// The strategies of a static mesh are a constant.  Two axes may share a dim, in either order.
constexpr auto& on_grid = strategy::table<product, Mesh<2, 4>>;
static_assert(on_grid.size() == 71);

int main() {
  for (const strategy::Strategy& way : strategy::table<product, Mesh<4>>) {
    std::cout << to_string(sharding_of(product, way, 0)) << "  x  "
              << to_string(sharding_of(product, way, 1)) << "  ->  " << to_string(way.output_sharding)
              << '\n';
  }
}
