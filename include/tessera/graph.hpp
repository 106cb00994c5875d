// SPDX-License-Identifier: Apache-2.0
//
// Element types, opcodes, sharding rules, programs as graphs, the builder, gradients, liveness.
// Not included here: graph/boost_graph.hpp, a program as Boost.Graph sees it.
#pragma once
#include "tessera/graph/attributes.hpp"
#include "tessera/graph/autodiff.hpp"
#include "tessera/graph/builder.hpp"
#include "tessera/graph/difference.hpp"
#include "tessera/graph/element_type.hpp"
#include "tessera/graph/functions.hpp"
#include "tessera/graph/graph.hpp"
#include "tessera/graph/liveness.hpp"
#include "tessera/graph/opcode.hpp"
#include "tessera/graph/ops.hpp"
#include "tessera/graph/optimizer.hpp"
#include "tessera/graph/rule.hpp"
#include "tessera/graph/rule_writer.hpp"
#include "tessera/graph/rules.hpp"
#include "tessera/graph/tensor.hpp"
#include "tessera/graph/window.hpp"
