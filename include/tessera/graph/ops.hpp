// SPDX-License-Identifier: Apache-2.0
//
// All families of ops: of each op its sharding rule, its result shape, the function that adds it to
// a program, and how it hands adjoints on.
//
// A new op stands in one file of graph/ops, with one line in opcodes.def; a new family also has a
// line here, and one in autodiff.ipp if its ops have derivatives.
#pragma once
#include "tessera/graph/ops/collective.hpp"
#include "tessera/graph/ops/control.hpp"
#include "tessera/graph/ops/elementwise.hpp"
#include "tessera/graph/ops/linear_algebra.hpp"
#include "tessera/graph/ops/lookup.hpp"
#include "tessera/graph/ops/movement.hpp"
#include "tessera/graph/ops/normalization.hpp"
#include "tessera/graph/ops/product.hpp"
#include "tessera/graph/ops/random.hpp"
#include "tessera/graph/ops/reduction.hpp"
#include "tessera/graph/ops/sorting.hpp"
#include "tessera/graph/ops/source.hpp"
#include "tessera/graph/ops/window.hpp"
