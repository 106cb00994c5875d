// SPDX-License-Identifier: Apache-2.0
//
// Lesson 1: meshes and shardings as types.  Everything but the printing is decided at compile time.
//
// A mesh is a grid of devices.  A sharding says, for each tensor dim, which mesh axes cut it; and
// over which axes the tensor is a partial sum (unreduced).  All other axes hold copies.
#include <iostream>

#include "tessera/mesh.hpp"
#include "tessera/sharding.hpp"

using namespace tessera;

// Four hosts of eight devices.
using Cluster = Mesh<4, 8>;
static_assert(Cluster().device_count() == 32);

// The batch over the hosts, the features over each host's devices: MLIR's [[0], [], [1]].
using Activations = Sharding<Cluster, Split<0>, Whole, Split<1>>;
static_assert(Activations::local_shape(shape<32, 1000, 4096>) == shape<8, 1000, 512>);

// A matrix product whose summed dim is cut over each host's devices leaves a partial sum.
using PartialSums = Sharding<Cluster, Split<0>, Whole, Whole, Partial<Sum, 1>>;
static_assert(PartialSums::local_shape(shape<32, 1000, 4096>) == shape<8, 1000, 4096>);

// 10 rows over 4 hosts: tiles of 3, and the last host has 1.
using Uneven = Sharding<Cluster, Split<0>>;
static_assert(Uneven::local_shape(shape<10>) == shape<3>);
static_assert(Uneven::slice(shape<10>, 31)[0] == Range{9, 10});

// Mistakes do not compile.  Try it:
//   Sharding<Cluster, Split<0>, Split<0>>                   one mesh axis splits two tensor dims
//   Sharding<Cluster, Split<2>>                             an axis that its mesh does not have
//   Sharding<Cluster, Split<0>, Partial<Sum, 0>>            both splits a dim and is partial
//   Activations::local_shape(shape<32, 1000>)               more dims than the tensor
//   Mesh<4, 0>                                              an axis without devices

int main() {
  std::cout << "the groups that reduce " << to_string(PartialSums()) << ":\n  "
            << to_string(replica_groups<1>(Cluster())) << '\n';

  // The same as values, for meshes that a user types in.
  const DynamicMesh mesh{4, 8};
  const DynamicSharding sharding(mesh, {{0}, {}, {1}});
  std::cout << "device 9 holds";
  for (const Range range : slice_of(sharding, mesh, {32, 1000, 4096}, 9))
    std::cout << " [" << range.begin << ", " << range.end << ")";
  std::cout << '\n';

  // A type becomes a value for free; a mistake in a value is reported in the compiler's words.
  std::cout << "equal: " << (sharding == Activations()) << '\n';
  try {
    DynamicSharding(mesh, {{0}, {0}});
  } catch (const InvalidSharding& error) {
    std::cout << error.what() << '\n';
  }
}
