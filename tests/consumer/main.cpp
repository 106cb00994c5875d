// SPDX-License-Identifier: Apache-2.0
// What a user's first file might be: it must build however tessera is found.
#include <tessera/tessera.hpp>

int main() {
  using namespace tessera;
  using X = Sharding<Mesh<4, 8>, Split<0>, Whole, Split<1>>;
  static_assert(X::local_shape(shape<32, 1000, 4096>) == shape<8, 1000, 512>);
  graph::Builder b;
  const auto x = b.parameter("x", graph::f32, {64, 32}), w = b.parameter("w", graph::f32, {32, 16});
  b.output(graph::einsum<"mk,kn->mn">(x, w));
  const auto plan = plan::plan(b.graph(), Mesh<2, 4>(), cost::Alpa::with_defaults(2));
  return plan.status == solver::Status::optimal && plan.cost == 0 ? 0 : 1;
}
